// Command hash measures what publishing a large artifact costs beside its peers,
// in one run: hashing it (openssl, sha256sum), copying it durably (cp and
// sync), and both, one after the other.
//
// Start it with `go run ./bench/hash`. Each round does everything once, so that
// what disturbs the machine disturbs all; figures are medians. Publishing reads
// the file once, hashes it and stores a durable copy in the content store;
// publishing again reads nothing.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/content"
	"vitrine.example/internal/release"
	"vitrine.example/internal/store"
	"vitrine.example/key"
)

func main() {
	size := flag.Int64("size", 1<<30, "`bytes` of the artifact")
	rounds := flag.Int("rounds", 7, "how often everything is done (`number`)")
	dir := flag.String("dir", "", "`directory` to work in; default: a temporary one")
	flag.Parse()
	if err := measure(*dir, *size, *rounds); err != nil {
		fmt.Fprintln(os.Stderr, "bench/hash:", err)
		os.Exit(2)
	}
}

// way is one way of doing it and what its runs took.
type way struct {
	name  string
	run   func(ctx context.Context, artifact, dir string) error
	walls []time.Duration
}

func (w *way) wall() time.Duration {
	s := slices.Clone(w.walls)
	slices.Sort(s)
	return s[len(s)/2]
}

func measure(parent string, size int64, rounds int) error {
	dir, err := os.MkdirTemp(parent, "vitrine-bench-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	artifact := filepath.Join(dir, "artifact")
	if err := material(artifact, size); err != nil {
		return err
	}
	ways := []*way{
		{name: "openssl dgst -sha256", run: tool("openssl", "dgst", "-sha256")},
		{name: "sha256sum", run: tool("sha256sum")},
		{name: "digest.OfReader", run: hash},
		{name: "cp and sync", run: copyFile},
		{name: "openssl, then cp and sync", run: both},
		{name: "publish", run: publish},
		{name: "publish again", run: publish},
	}
	ctx := context.Background()
	for round := range rounds + 1 { // the first warms caches and does not count
		work := filepath.Join(dir, fmt.Sprint(round))
		if err := os.Mkdir(work, 0o700); err != nil {
			return err
		}
		for _, w := range ways {
			start := time.Now()
			if err := w.run(ctx, artifact, work); err != nil {
				return fmt.Errorf("%s: %w", w.name, err)
			}
			if round > 0 {
				w.walls = append(w.walls, time.Since(start))
			}
		}
		if err := os.RemoveAll(work); err != nil {
			return err
		}
	}
	return report(size, ways)
}

// material writes random bytes, which nothing can compress or leave out.
func material(path string, size int64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = io.CopyN(f, rand.Reader, size)
	return errors.Join(err, f.Sync(), f.Close())
}

// tool runs a program on the artifact.
func tool(argv ...string) func(context.Context, string, string) error {
	return func(ctx context.Context, artifact, _ string) error {
		out, err := exec.CommandContext(ctx, argv[0], append(argv[1:], artifact)...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	}
}

func hash(_ context.Context, artifact, _ string) error {
	f, err := os.Open(artifact)
	if err != nil {
		return err
	}
	_, _, err = digest.OfReader(f, nil)
	return errors.Join(err, f.Close())
}

func copyFile(ctx context.Context, artifact, dir string) error {
	to := filepath.Join(dir, "copy")
	defer os.Remove(to)
	if err := tool("cp", "--reflink=never", "-T", "--", artifact)(ctx, to, ""); err != nil {
		return err
	}
	return tool("sync")(ctx, to, "")
}

func both(ctx context.Context, artifact, dir string) error {
	if err := tool("openssl", "dgst", "-sha256")(ctx, artifact, ""); err != nil {
		return err
	}
	return copyFile(ctx, artifact, dir)
}

// publish releases the artifact by a node that is in dir, or is made there. The
// log is left out: what it takes does not depend on the artifact.
func publish(ctx context.Context, artifact, dir string) (err error) {
	db, err := store.Open(ctx, filepath.Join(dir, "vitrine.db"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	c, err := content.Open(filepath.Join(dir, "content"))
	if err != nil {
		return err
	}
	private, err := key.Generate(key.P256, nil)
	if err != nil {
		return err
	}
	signer, err := key.NewSigner(private)
	if err != nil {
		return err
	}
	p := release.Publisher{
		DB: db, Content: c, Signer: signer, Submit: nowhere{},
		Now: func() (time.Time, error) { return time.Now(), nil },
	}
	_, err = p.Publish(ctx, release.Request{Product: "pkg:generic/bench@1", Artifacts: []string{artifact}})
	return err
}

type nowhere struct{}

func (nowhere) Submit(context.Context, []byte) (release.Receipt, error) {
	return release.Receipt{}, nil
}

// report prints medians and their ratios to openssl.
func report(size int64, ways []*way) error {
	openssl := ways[0].wall()
	fmt.Printf("an artifact of %d MiB; medians of %d runs, interleaved\n", size>>20, len(ways[0].walls))
	w := tabwriter.NewWriter(os.Stdout, 2, 0, 2, ' ', 0)
	fmt.Fprintln(w, "  way\twall\tfastest\tslowest\tMB/s\ttime / openssl")
	for _, y := range ways {
		fmt.Fprintf(w, "  %s\t%.3f s\t%.3f s\t%.3f s\t%.0f\t%.3f\n", y.name, y.wall().Seconds(),
			slices.Min(y.walls).Seconds(), slices.Max(y.walls).Seconds(),
			float64(size)/1e6/y.wall().Seconds(), float64(y.wall())/float64(openssl))
	}
	return w.Flush()
}
