// Command explain measures `vitrine explain` beside Debian's diffoscope, in one
// run on the same material: a compressed tar of 43 MB and a Debian package in
// which one file was changed, and a tree of 10,000 files of which 1 % were.
//
// Start it with `make bench`, or `go run ./bench/explain -vitrine bin/vitrine`.
// It makes its own material. Each round runs every command once, so that what
// disturbs the machine disturbs all; figures are medians. It also holds the two
// reports against each other: every file that diffoscope names must be named by
// vitrine. ../README.md says what the figures mean.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
)

// The targets.
const (
	wantRatio  = 20
	wantMemory = 128 << 20
	wantLines  = 40
)

func main() {
	vitrine := flag.String("vitrine", "bin/vitrine", "binary that is measured (`path`)")
	rounds := flag.Int("rounds", 3, "how often each command runs (`number`)")
	small := flag.Bool("small", false, "a tenth of the material, to try it")
	only := flag.String("only", "", "measure one `case` alone: tgz, deb, small, tree")
	check := flag.Bool("check", false, "exit 1 where a target is missed")
	flag.Parse()
	ok, err := measure(*vitrine, *rounds, *small, *only)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench/explain:", err)
		os.Exit(2)
	}
	if *check && !ok {
		os.Exit(1)
	}
}

// pair is one comparison.
type pair struct {
	name       string
	a, b       string
	ours, peer command
	lines      int
	missing    []string
}

// command is one program on one pair, and what its runs took.
type command struct {
	argv   []string
	walls  []time.Duration
	cpu    []time.Duration
	memory int64 // the largest resident set of the process itself
}

func median(d []time.Duration) time.Duration {
	s := slices.Clone(d)
	slices.Sort(s)
	return s[len(s)/2]
}

// run runs the command; exit status 1 says that the two differ.
func (c *command) run(warm bool) ([]byte, error) {
	cmd := exec.Command(c.argv[0], c.argv[1:]...)
	var out, say bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &say
	start := time.Now()
	err := cmd.Run()
	wall := time.Since(start)
	if e := (*exec.ExitError)(nil); errors.As(err, &e) && e.ExitCode() == 1 {
		err = nil
	}
	if err != nil {
		return nil, fmt.Errorf("%v: %w\n%s", c.argv, err, &say)
	}
	if !warm {
		use := cmd.ProcessState.SysUsage().(*syscall.Rusage)
		c.walls = append(c.walls, wall)
		c.cpu = append(c.cpu, cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime())
		c.memory = max(c.memory, use.Maxrss<<10)
	}
	return out.Bytes(), nil
}

func measure(vitrine string, rounds int, small bool, only string) (bool, error) {
	vitrine, err := filepath.Abs(vitrine)
	if err != nil {
		return false, err
	}
	dir, err := os.MkdirTemp("", "vitrine-bench-*")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(dir)
	pairs, err := material(dir, small, only)
	if err != nil {
		return false, err
	}
	for _, p := range pairs {
		p.ours.argv = []string{vitrine, "explain", p.a, p.b}
		p.peer.argv = []string{"diffoscope", "--no-progress", "--json", "-", p.a, p.b}
		if err := p.measure(rounds); err != nil {
			return false, err
		}
	}
	return show(pairs), nil
}

func (p *pair) measure(rounds int) error {
	out, err := p.ours.run(true)
	if err != nil {
		return err
	}
	p.lines = bytes.Count(out, []byte("\n"))
	var theirs []byte
	for range rounds {
		if _, err := p.ours.run(false); err != nil {
			return err
		}
		if theirs, err = p.peer.run(false); err != nil {
			return err
		}
	}
	whole := command{argv: []string{p.ours.argv[0], "explain", "--json", p.a, p.b}}
	ours, err := whole.run(true)
	if err != nil {
		return err
	}
	p.missing, err = missing(theirs, ours)
	return err
}

// node is what diffoscope's JSON says of one pair.
type node struct {
	Source1 string `json:"source1"`
	Source2 string `json:"source2"`
	Unified string `json:"unified_diff"`
	Details []node `json:"details"`
}

// missing lists the files that diffoscope finds different and our report does not name.
func missing(theirs, ours []byte) ([]string, error) {
	var root node
	if err := json.Unmarshal(theirs, &root); err != nil {
		return nil, fmt.Errorf("reading diffoscope's report: %w", err)
	}
	var report struct {
		Differences []struct{ Where string }
	}
	if err := json.Unmarshal(ours, &report); err != nil {
		return nil, fmt.Errorf("reading our report: %w", err)
	}
	named := map[string]bool{}
	for _, d := range report.Differences {
		for part := range strings.SplitSeq(d.Where, " → ") {
			named[strings.TrimPrefix(part, "./")] = true
		}
	}
	var out []string
	var walk func(n node, top bool)
	walk = func(n node, top bool) {
		name := strings.TrimPrefix(n.Source1, "./")
		// Names of tools ("zipinfo {}", "file list") are no files; what they list
		// is held against the files below them.
		if !top && len(n.Details) == 0 && !strings.ContainsAny(name, " {") && !known(named, name) {
			out = append(out, name)
		}
		for _, d := range n.Details {
			walk(d, false)
		}
	}
	walk(root, true)
	return out, nil
}

// known finds a file under the name that the peer gives it, which for files of
// a tree begins with the directory.
func known(named map[string]bool, name string) bool {
	for {
		if named[name] {
			return true
		}
		_, rest, ok := strings.Cut(name, "/")
		if !ok {
			return false
		}
		name = rest
	}
}

func show(pairs []*pair) bool {
	ok := true
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\tvitrine\tCPU\tmemory\tlines\tdiffoscope\tCPU\tmemory\ttimes faster\tnot named by us")
	for _, p := range pairs {
		a, b := median(p.ours.walls), median(p.peer.walls)
		ratio := float64(b) / float64(a)
		fmt.Fprintf(w, "%s\t%.2f s\t%.2f s\t%.0f MB\t%d\t%.1f s\t%.1f s\t%.0f MB\t%.0f\t%d\n", p.name,
			a.Seconds(), median(p.ours.cpu).Seconds(), float64(p.ours.memory)/1e6, p.lines,
			b.Seconds(), median(p.peer.cpu).Seconds(), float64(p.peer.memory)/1e6, ratio, len(p.missing))
		ok = ok && ratio >= wantRatio && p.ours.memory <= wantMemory && p.lines <= wantLines && len(p.missing) == 0
	}
	w.Flush()
	for _, p := range pairs {
		for _, m := range p.missing {
			fmt.Printf("%s: diffoscope names %s, vitrine does not\n", p.name, m)
		}
	}
	fmt.Printf("targets (%d times, %d MB, %d lines, nothing missing): %v\n", wantRatio, wantMemory>>20, wantLines, ok)
	return ok
}
