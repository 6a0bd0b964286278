// Command projection measures how fast a node makes its tables again from its
// log, and how soon it serves after a start, beside checking the same signatures
// with the standard library and nothing else. bench/README.md says how it is made.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"vitrine.example/internal/content"
	"vitrine.example/internal/ledger"
	"vitrine.example/internal/projection"
	"vitrine.example/internal/store"
	"vitrine.example/key"
	"vitrine.example/tlog"
)

func main() {
	n := flag.Int64("n", 1_000_000, "statements")
	releases := flag.Int64("releases", 4, "one in so many is a release")
	algorithm := flag.String("key", "ecdsa-p256", "statement key: ecdsa-p256 or ed25519")
	vitrine := flag.String("vitrine", "bin/vitrine", "the program, for the restart and for its rebuild")
	rounds := flag.Int("rounds", 5, "restarts")
	profile := flag.String("cpuprofile", "", "write a profile of the rebuild here")
	keep := flag.String("dir", "", "make the node in this directory and keep it, or use the one that was made there")
	flag.Parse()
	if err := run(context.Background(), *n, max(*releases, 1), *algorithm, *vitrine, *rounds, *profile, *keep); err != nil {
		fmt.Fprintln(os.Stderr, "projection:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, n, releases int64, algorithm, vitrine string, rounds int, profile, dir string) error {
	if dir == "" {
		tmp, err := os.MkdirTemp("", "bench-projection-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(tmp) //nolint:errcheck // a temporary directory
		dir = filepath.Join(tmp, "node")
	}
	start := time.Now()
	m, err := makeNode(ctx, dir, algorithm, n, releases)
	if err != nil {
		return fmt.Errorf("making the node: %w", err)
	}
	fmt.Printf("%d statements, %s, one in %d a release; made in %.1f s\n",
		m.size, m.signer.Public().Algorithm(), releases, time.Since(start).Seconds())
	bare := m.bareRate()
	fmt.Printf("verify alone, all processors   %8.0f /s\n", bare)
	took, err := m.rebuild(ctx, profile)
	if err != nil {
		return fmt.Errorf("rebuilding: %w", err)
	}
	fmt.Printf("projection from nothing        %8.0f /s   %s\n", took.rate(m.size), took.each(m.size))
	if took, err = m.command(ctx, vitrine); err != nil {
		return err
	}
	fmt.Printf("vitrine projection rebuild     %8.0f /s   %s\n", took.rate(m.size), took.each(m.size))
	for range rounds {
		d, err := m.restart(ctx, vitrine)
		if err != nil {
			return fmt.Errorf("starting the node: %w", err)
		}
		fmt.Printf("start to /readyz 200           %8.0f ms\n", float64(d.Microseconds())/1000)
	}
	return nil
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", origin+":0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// bareRate checks signatures on all processors for two seconds.
func (m *material) bareRate() float64 {
	var count atomic.Int64
	var work sync.WaitGroup
	start := time.Now()
	for range runtime.GOMAXPROCS(0) {
		work.Go(func() {
			for time.Since(start) < 2*time.Second {
				s := m.sample[int(count.Add(1))%len(m.sample)]
				if err := m.signer.Public().Verify(s.pae, s.sig); err != nil {
					panic(err) // signed by this program
				}
			}
		})
	}
	work.Wait()
	return float64(count.Load()) / time.Since(start).Seconds()
}

type published struct{ *ledger.Ledger }

func (p published) Published(ctx context.Context) (int64, time.Time, error) {
	s, err := p.Status(ctx)
	return s.Published, s.At, err
}

// rebuild fills empty tables in this process.
func (m *material) rebuild(ctx context.Context, profile string) (s spent, err error) {
	db, err := store.Open(ctx, filepath.Join(m.dir, "vitrine.db"))
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	private, err := key.ReadPrivateFile(filepath.Join(m.dir, "keys", "log.pem"))
	if err != nil {
		return s, err
	}
	signer, err := tlog.NewSigner(origin, tlog.Ed25519, private, nil)
	if err != nil {
		return s, err
	}
	start := time.Now()
	l, err := ledger.Open(ctx, ledger.Options{Dir: filepath.Join(m.dir, "log"), DB: db, Signer: signer, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, l.Close(ctx)) }()
	fmt.Printf("log opened, its rows written   %8.1f s\n", time.Since(start).Seconds())
	c, err := content.Open(filepath.Join(m.dir, "content"))
	if err != nil {
		return s, err
	}
	p, err := projection.New(ctx, projection.Options{
		DB: db, Content: c, Origin: origin, Log: published{l}, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return s, err
	}
	if profile != "" {
		f, err := os.Create(profile)
		if err != nil {
			return s, err
		}
		defer f.Close() //nolint:errcheck // a profile
		if err := pprof.StartCPUProfile(f); err != nil {
			return s, err
		}
		defer pprof.StopCPUProfile()
	}
	if err := p.Rebuild(ctx); err != nil { // empties nothing, unless the node was used before
		return s, err
	}
	used, since := cpuTime(), watch()
	for {
		if took, err := p.Step(ctx); err != nil || took == 0 {
			s = since(cpuTime() - used)
			counts, cerr := p.Counts(ctx)
			if err == nil && counts.Statements != m.size {
				err = fmt.Errorf("%d of %d statements are in the tables", counts.Statements, m.size)
			}
			return s, errors.Join(err, cerr)
		}
	}
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// command times the program's own rebuild.
func (m *material) command(ctx context.Context, vitrine string) (spent, error) {
	cmd := exec.CommandContext(ctx, vitrine, "projection", "rebuild", m.dir)
	since := watch()
	if out, err := cmd.CombinedOutput(); err != nil {
		return spent{}, fmt.Errorf("%s: %w: %s", cmd, err, out)
	}
	return since(cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()), nil
}

// restart starts the node, waits until it is ready, and stops it.
func (m *material) restart(ctx context.Context, vitrine string) (time.Duration, error) {
	cmd := exec.CommandContext(ctx, vitrine, "serve", m.dir)
	cmd.Stderr = io.Discard
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	var ready time.Duration
	for ready == 0 && time.Since(start) < time.Minute {
		res, err := http.Get("http://" + m.listen + "/readyz")
		if err == nil {
			res.Body.Close() //nolint:errcheck // read to nowhere
			if res.StatusCode == http.StatusOK {
				ready = time.Since(start)
			}
		}
		time.Sleep(2 * time.Millisecond)
	}
	err := errors.Join(cmd.Process.Signal(os.Interrupt), cmd.Wait())
	if ready == 0 {
		err = errors.Join(err, errors.New("it was not ready within a minute"))
	}
	return ready, err
}
