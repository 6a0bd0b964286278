// Command verify measures `vitrine verify` beside its peers, in one run: a cold
// process on a small file against cosign and sha256sum, and a large file
// against openssl and sha256sum.
//
// Start it with `make bench`, or `go run ./bench/verify -vitrine bin/vitrine`.
// It makes its own material (a log, a statement, a bundle, and their Sigstore
// form) and builds cosign from the module proxy. Each round runs every command
// once, so that what disturbs the machine disturbs all; figures are medians.
// ../README.md says what they mean.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"text/tabwriter"
	"time"
)

// cosignVersion is the peer that is measured.
const cosignVersion = "v3.1.3"

func main() {
	vitrine := flag.String("vitrine", "bin/vitrine", "binary that is measured (`path`)")
	cosign := flag.String("cosign", "", "cosign binary (`path`); default: build "+cosignVersion)
	rounds := flag.Int("rounds", 40, "how often each small command runs (`number`)")
	large := flag.Int64("large", 1<<30, "`bytes` of the large file")
	check := flag.Bool("check", false, "exit 1 where a target is missed")
	prepare := flag.String("prepare", "", "only write the material into this `directory` and print the predicate type")
	flag.Parse()
	if *prepare != "" {
		kind, err := material(*prepare, *large)
		if err != nil {
			fmt.Fprintln(os.Stderr, "bench/verify:", err)
			os.Exit(2)
		}
		fmt.Print(kind)
		return
	}
	ok, err := measure(*vitrine, *cosign, *rounds, *large)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench/verify:", err)
		os.Exit(2)
	}
	if *check && !ok {
		os.Exit(1)
	}
}

func measure(vitrine, cosign string, rounds int, large int64) (bool, error) {
	vitrine, err := filepath.Abs(vitrine)
	if err != nil {
		return false, err
	}
	if cosign == "" {
		if cosign, err = buildCosign(); err != nil {
			return false, err
		}
	}
	dir, err := os.MkdirTemp("", "vitrine-bench-*")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(dir)
	kind, err := apart(dir, large)
	if err != nil {
		return false, err
	}

	small := []*command{
		{name: "vitrine verify", argv: []string{vitrine, "verify", "small", "--policy", "policy.toml"}},
		{name: "cosign verify-blob-attestation", argv: []string{cosign, "verify-blob-attestation", "--key", "vendor.pem",
			"--bundle", "small.sigstore.json", "--trusted-root", "root.json", "--type", kind, "small"}},
		{name: "sha256sum", argv: []string{"sha256sum", "small"}},
	}
	if err := run(dir, small, rounds); err != nil {
		return false, err
	}
	ok := report("a small file (4 KiB), each time a new process", small, small[1],
		target{"wall time ≤ 1/5 of cosign's", small[0].wall() <= small[1].wall()/5},
		target{"at most 20 MB of memory", small[0].memory() <= 20<<20})

	big := []*command{
		{name: "vitrine verify", argv: []string{vitrine, "verify", "large", "--policy", "policy.toml"}},
		{name: "openssl dgst -sha256", argv: []string{"openssl", "dgst", "-sha256", "large"}},
		{name: "sha256sum", argv: []string{"sha256sum", "large"}},
	}
	if err := run(dir, big, max(rounds/5, 5)); err != nil {
		return false, err
	}
	return report(fmt.Sprintf("a file of %d MiB in the page cache", large>>20), big, big[1],
		target{"wall time ≤ 1.05 × openssl's", big[0].wall() <= big[1].wall()*105/100}) && ok, nil
}

// command is a command line and what its runs took.
type command struct {
	name  string
	argv  []string
	walls []time.Duration
	peaks []int64 // bytes
}

func (c *command) wall() time.Duration { return median(c.walls) }
func (c *command) memory() int64       { return median(c.peaks) }

func median[T int64 | time.Duration](all []T) T {
	s := slices.Clone(all)
	slices.Sort(s)
	return s[len(s)/2]
}

// run runs each command once a round. The first round warms caches and does
// not count.
func run(dir string, all []*command, rounds int) error {
	for i := range rounds + 1 {
		for _, c := range all {
			cmd := exec.Command(c.argv[0], c.argv[1:]...)
			cmd.Dir = dir
			start := time.Now()
			out, err := cmd.CombinedOutput()
			took := time.Since(start)
			if err != nil {
				return fmt.Errorf("%s: %w\n%s", c.name, err, out)
			}
			use, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
			if !ok {
				return errors.New("this system does not tell what a process used")
			}
			if i > 0 {
				c.walls = append(c.walls, took)
				c.peaks = append(c.peaks, use.Maxrss<<10)
			}
		}
	}
	return nil
}

// target is a promise and whether it was kept.
type target struct {
	text string
	met  bool
}

// report prints a table with ratios to a peer, and the targets.
func report(title string, all []*command, peer *command, targets ...target) bool {
	fmt.Printf("%s; medians of %d runs, interleaved\n", title, len(peer.walls))
	w := tabwriter.NewWriter(os.Stdout, 2, 0, 2, ' ', 0)
	fmt.Fprintf(w, "  command\twall\tfastest\tslowest\tmemory\ttime / %s\n", peer.name)
	for _, c := range all {
		fmt.Fprintf(w, "  %s\t%s\t%s\t%s\t%.1f MB\t%.3f\n", c.name, ms(c.wall()), ms(slices.Min(c.walls)),
			ms(slices.Max(c.walls)), float64(c.memory())/1e6, float64(c.wall())/float64(peer.wall()))
	}
	w.Flush()
	ok := true
	for _, t := range targets {
		word := "met"
		if !t.met {
			word, ok = "MISSED", false
		}
		fmt.Printf("  %-7s %s\n", word, t.text)
	}
	fmt.Println()
	return ok
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond)) }
