// Command sandbox measures what it costs to build in a sandbox: the same cold
// Go build bare, in the embedded engine and, with -runsc, on gVisor, in turn.
//
// Start it with `go run ./bench/sandbox`. Each round builds once in each way,
// so that what disturbs the machine disturbs all; the ratio of a round is that
// of its two builds, and the figure is the median of these. The bare build
// writes to memory (/dev/shm) as the sandboxes do. All programs that come out
// must be the same, byte for byte.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/sandbox"
)

func main() {
	sandbox.Enter()
	rounds := flag.Int("rounds", 3, "how often each is built (`number`)")
	runsc := flag.String("runsc", "", "`path` of gVisor's runsc; default: without gVisor")
	check := flag.Bool("check", false, "exit 1 where embedded takes more than 1.05 of bare")
	flag.Parse()
	ratio, err := measure(context.Background(), *rounds, *runsc)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench/sandbox:", err)
		os.Exit(2)
	}
	if *check && ratio > 1.05 {
		fmt.Fprintf(os.Stderr, "bench/sandbox: %.3f is more than 1.05\n", ratio)
		os.Exit(1)
	}
}

// program needs much of the standard library.
const program = `package main

import (
	"fmt"
	"net/http"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, http.ListenAndServe("localhost:8080", nil))
}
`

// way is one way of building, and what its rounds took.
type way struct {
	name  string
	build func(ctx context.Context) (digest.Digest, time.Duration, error) // what came out, and processor time
	walls []time.Duration
	cpus  []time.Duration
}

func measure(ctx context.Context, rounds int, runsc string) (float64, error) {
	b, err := newBuild()
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(b.dir)
	ways := []*way{
		{name: "bare", build: b.bare},
		{name: "embedded", build: func(ctx context.Context) (digest.Digest, time.Duration, error) {
			return b.in(ctx, &sandbox.Embedded{})
		}},
	}
	if runsc != "" {
		ways = append(ways, &way{name: "gvisor", build: func(ctx context.Context) (digest.Digest, time.Duration, error) {
			return b.in(ctx, &sandbox.GVisor{Runsc: runsc})
		}})
	}
	var same digest.Digest
	for round := range rounds {
		for i := range ways {
			w := ways[(i+round)%len(ways)] // each is first in turn
			start := time.Now()
			d, cpu, err := w.build(ctx)
			if err != nil {
				return 0, fmt.Errorf("%s: %w", w.name, err)
			}
			w.walls, w.cpus = append(w.walls, time.Since(start)), append(w.cpus, cpu)
			if same.IsZero() {
				same = d
			} else if d != same {
				return 0, fmt.Errorf("%s makes %v, others %v", w.name, d, same)
			}
		}
	}
	return report(os.Stdout, ways, same), nil
}

// report prints the table and returns the ratio of the second way.
func report(out io.Writer, ways []*way, same digest.Digest) float64 {
	t := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "\tbuilds\tof bare\tprocessor time\tof bare")
	var second float64
	for i, w := range ways {
		wall, cpu := median(w.walls, ways[0].walls), median(w.cpus, ways[0].cpus)
		if i == 1 {
			second = wall
		}
		if w.cpus[0] == 0 { // gVisor's processes are not ours to wait for
			fmt.Fprintf(t, "%s\t%s\t%.3f\t\t\n", w.name, list(w.walls), wall)
			continue
		}
		fmt.Fprintf(t, "%s\t%s\t%.3f\t%s\t%.3f\n", w.name, list(w.walls), wall, list(w.cpus), cpu)
	}
	t.Flush()
	fmt.Fprintf(out, "all make the same program, %v\n", same)
	return second
}

// median is that of the ratios of the rounds.
func median(of, to []time.Duration) float64 {
	var ratios []float64
	for r := range of {
		ratios = append(ratios, float64(of[r])/float64(to[r]))
	}
	slices.Sort(ratios)
	return ratios[len(ratios)/2]
}

func list(all []time.Duration) string {
	var s []string
	for _, d := range all {
		s = append(s, d.Round(10*time.Millisecond).String())
	}
	return strings.Join(s, " ")
}

// build is what is built.
type build struct {
	dir    string
	goroot string
	files  map[string]string // path in the sandbox: path on the host
}

func newBuild() (*build, error) {
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return nil, err
	}
	parent := "/dev/shm"
	if fi, err := os.Stat(parent); err != nil || !fi.IsDir() {
		parent = ""
	}
	dir, err := os.MkdirTemp(parent, "vitrine-bench-*")
	if err != nil {
		return nil, err
	}
	b := &build{dir: dir, goroot: strings.TrimSpace(string(out)), files: map[string]string{}}
	for name, text := range map[string]string{"main.go": program, "go.mod": "module bench.example\n\ngo 1.26.0\n"} {
		b.files["/src/"+name] = filepath.Join(dir, name)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return nil, errors.Join(err, os.RemoveAll(dir))
		}
	}
	return b, nil
}

var (
	command = []string{"build", "-trimpath", "-buildvcs=false", "-ldflags=-buildid=", "-o"}
	env     = []string{"CGO_ENABLED=0", "GOTOOLCHAIN=local", "GOTELEMETRY=off", "GOENV=off", "GOPROXY=off", "GOFLAGS="}
)

func (b *build) bare(ctx context.Context) (d digest.Digest, cpu time.Duration, err error) {
	work, err := os.MkdirTemp(b.dir, "bare-*")
	if err != nil {
		return d, 0, err
	}
	defer os.RemoveAll(work)
	out := filepath.Join(work, "out")
	cmd := exec.CommandContext(ctx, filepath.Join(b.goroot, "bin/go"), append(slices.Clone(command), out)...)
	cmd.Dir = b.dir
	cmd.Env = append(slices.Clone(env), "HOME="+work, "GOCACHE="+filepath.Join(work, "cache"), "TMPDIR="+work, "PATH="+os.Getenv("PATH"))
	if text, err := cmd.CombinedOutput(); err != nil {
		return d, 0, fmt.Errorf("%w: %s", err, text)
	}
	d, err = sum(out)
	return d, cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), err
}

func (b *build) in(ctx context.Context, e sandbox.Engine) (d digest.Digest, cpu time.Duration, err error) {
	job := &sandbox.Job{
		Root:     []sandbox.Layer{{Dir: b.goroot, At: "/usr/local/go"}},
		Argv:     append(append([]string{"/usr/local/go/bin/go"}, command...), "/out/program"),
		Env:      append(slices.Clone(env), "HOME=/tmp", "GOCACHE=/tmp/cache", "PATH=/usr/local/go/bin"),
		Dir:      "/src",
		Clock:    time.Unix(1_700_000_000, 0),
		Hostname: "build",
		CPUs:     runtime.NumCPU(),
		Limits:   sandbox.DefaultLimits(),
		Outputs:  []string{"/out/program"},
	}
	for at, file := range b.files {
		job.Inputs = append(job.Inputs, sandbox.Input{At: at, File: file})
	}
	out, err := os.MkdirTemp(b.dir, "out-*")
	if err != nil {
		return d, 0, err
	}
	defer os.RemoveAll(out)
	var log bytes.Buffer
	res, err := e.Run(ctx, job, &log, out)
	if err != nil {
		return d, 0, err
	}
	if !res.OK() {
		return d, 0, fmt.Errorf("%+v: %s", res, log.Bytes())
	}
	if e.Name() == "embedded" {
		cpu = res.Usage.CPU
	}
	d, err = sum(filepath.Join(out, "out/program"))
	return d, cpu, err
}

func sum(path string) (digest.Digest, error) {
	f, err := os.Open(path)
	if err != nil {
		return digest.Digest{}, err
	}
	defer f.Close()
	d, _, err := digest.OfReader(f, nil)
	return d, err
}
