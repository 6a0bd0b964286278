// Command explain-binary measures the comparison of two Go programs of 11 MB
// beside Debian's diffoscope, in one run on the same files.
//
// Start it with `go run ./bench/explain-binary`. It builds cmd/go twice, with and
// without symbols, and changes two bytes of one function. Each round runs every
// command once, so that what disturbs the machine disturbs all; figures are
// medians. Ours is a process of its own (this program, started again), so that
// time and memory are those of a whole process, as the peer's are.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"text/tabwriter"
	"time"

	"vitrine.example/internal/artifact/binary"
)

// The targets.
const (
	wantRatio  = 20
	wantMemory = 128 << 20
	wantLines  = 40
)

func main() {
	rounds := flag.Int("rounds", 3, "how often each command runs (`number`)")
	check := flag.Bool("check", false, "exit 1 where a target is missed")
	peer := flag.Bool("peer", true, "run diffoscope too")
	flag.Parse()
	if flag.NArg() == 3 && flag.Arg(0) == "compare" {
		if err := report(flag.Arg(1), flag.Arg(2)); err != nil {
			fmt.Fprintln(os.Stderr, "bench/explain-binary:", err)
			os.Exit(2)
		}
		return
	}
	ok, err := measure(*rounds, *peer)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench/explain-binary:", err)
		os.Exit(2)
	}
	if *check && !ok {
		os.Exit(1)
	}
}

// report compares two files and writes what a person would read.
func report(a, b string) error {
	fa, err := open(a)
	if err != nil {
		return err
	}
	fb, err := open(b)
	if err != nil {
		return err
	}
	r, err := binary.Compare(context.Background(), fa, fb, binary.Options{})
	if err != nil {
		return err
	}
	fmt.Printf("%s %s, agree on %q, explained %v\n", r.Format, r.Arch, r.Rung, r.Explained)
	for _, c := range r.Causes {
		fmt.Printf("cause %s in %s: %s (proved %v)\n", c.Name, c.Where, c.Detail, c.Proved)
	}
	fmt.Printf("functions: %d and %d, %d changed, %d and %d only in one\n", r.Counts.FunctionsA, r.Counts.FunctionsB,
		r.Counts.Changed, r.Counts.OnlyA, r.Counts.OnlyB)
	for _, f := range r.Functions[:min(len(r.Functions), 5)] {
		fmt.Printf("%s %s (%s): %s\n", f.Kind, f.Name, f.Lines, f.Why)
	}
	for _, h := range r.Hunks {
		fmt.Println(h.Title)
		for _, l := range h.Lines {
			fmt.Println(l)
		}
	}
	return nil
}

func open(path string) (binary.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return binary.File{}, err
	}
	fi, err := f.Stat()
	if err != nil {
		return binary.File{}, err
	}
	return binary.File{ReaderAt: f, Size: fi.Size(), Name: path}, nil
}

// material builds the files: base, the same with symbols, and with two bytes changed.
func material(dir string) error {
	for name, ldflags := range map[string]string{"base": "-s -w", "symbols": ""} {
		cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags="+ldflags, "-o", filepath.Join(dir, name), "cmd/go")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("go build: %w: %s", err, out)
		}
	}
	b, err := os.ReadFile(filepath.Join(dir, "base"))
	if err != nil {
		return err
	}
	at := len(b) / 4 // in the code
	b[at] ^= 1
	b[at+1] ^= 1
	return os.WriteFile(filepath.Join(dir, "changed"), b, 0o700)
}

// command is one program on one pair, and what its runs took.
type command struct {
	argv   []string
	walls  []time.Duration
	cpus   []time.Duration
	memory int64
	lines  int
}

// run runs the command; exit status 1 says that the two differ.
func (c *command) run() error {
	cmd := exec.Command(c.argv[0], c.argv[1:]...)
	var out, say bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &say
	start := time.Now()
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !(errors.As(err, &exit) && exit.ExitCode() == 1) {
		return fmt.Errorf("%s: %w: %s", c.argv[0], err, say.Bytes())
	}
	use := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	c.walls = append(c.walls, time.Since(start))
	c.cpus = append(c.cpus, cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime())
	c.memory = max(c.memory, use.Maxrss<<10)
	c.lines = bytes.Count(out.Bytes(), []byte("\n"))
	return nil
}

func median(d []time.Duration) time.Duration {
	s := slices.Clone(d)
	slices.Sort(s)
	return s[len(s)/2]
}

func measure(rounds int, peer bool) (ok bool, err error) {
	dir, err := os.MkdirTemp("", "vitrine-bench-*")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(dir)
	if err := material(dir); err != nil {
		return false, err
	}
	self, err := os.Executable()
	if err != nil {
		return false, err
	}
	fmt.Printf("%s, %d processors\n", runtime.Version(), runtime.NumCPU())
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "pair\tours\tCPU\tmemory\tlines\tdiffoscope\tCPU\tmemory\tratio\t")
	ok = true
	for _, other := range []string{"changed", "symbols"} {
		a, b := filepath.Join(dir, "base"), filepath.Join(dir, other)
		ours := &command{argv: []string{self, "compare", a, b}}
		theirs := &command{argv: []string{"diffoscope", "--no-progress", a, b}}
		for range rounds {
			if err := ours.run(); err != nil {
				return false, err
			}
			if peer {
				if err := theirs.run(); err != nil {
					return false, err
				}
			}
		}
		fmt.Fprintf(w, "%s\t%v\t%v\t%d MB\t%d\t", other, round(median(ours.walls)), round(median(ours.cpus)), ours.memory>>20, ours.lines)
		if peer {
			ratio := float64(median(theirs.walls)) / float64(median(ours.walls))
			fmt.Fprintf(w, "%v\t%v\t%d MB\t%.0f\t", round(median(theirs.walls)), round(median(theirs.cpus)), theirs.memory>>20, ratio)
			ok = ok && ratio >= wantRatio
		}
		fmt.Fprintln(w)
		ok = ok && ours.memory <= wantMemory && ours.lines <= wantLines
	}
	if err := w.Flush(); err != nil {
		return false, err
	}
	fmt.Printf("targets (%d times faster, %d MB, %d lines): %v\n", wantRatio, wantMemory>>20, wantLines, ok)
	return ok, nil
}

func round(d time.Duration) time.Duration { return d.Round(time.Millisecond) }
