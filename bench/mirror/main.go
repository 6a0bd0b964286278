// Command mirror measures how fast our mirror takes entries beside Sunlight's,
// from the same client in the same run, and prints both and their ratio.
// bench/README.md says how.
package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"vitrine.example/internal/mirror"
	"vitrine.example/test/peer"
	"vitrine.example/tlog"
)

var (
	serveDir = flag.String("serve", "", "internal: serve a mirror in this directory instead of measuring")
	logKey   = flag.String("key", "", "internal: verifier key of the log")
	entries  = flag.Int("n", 100_000, "entries of the log")
	size     = flag.Int("leaf", 500, "bytes of an entry")
	rounds   = flag.Int("rounds", 3, "how often each mirror is filled, alternating")
	check    = flag.Bool("check", false, "exit 1 where the target is missed")
)

func main() {
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if *serveDir != "" {
		err = serve(ctx, *serveDir, *logKey)
	} else {
		err = measure(ctx)
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// filled is one mirror that took the log once.
type filled struct{ wall, cpu time.Duration }

func measure(ctx context.Context) (err error) {
	base, err := os.MkdirTemp("", "vitrine-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(base)) }()
	l, err := newLog(*entries, *size, rand.Reader)
	if err != nil {
		return err
	}
	fmt.Printf("%d entries of %d bytes, pushed over loopback with TLS; entries/s, and µs of the server's CPU for each\n", *entries, *size)
	var ratios []float64
	for round := range *rounds {
		var got [2]filled
		for i := range got {
			which := (i + round) % 2 // each is the first in every other round
			dir := filepath.Join(base, fmt.Sprintf("%d-%d", round, which))
			if err := os.Mkdir(dir, 0o700); err != nil {
				return err
			}
			if got[which], err = []func(context.Context, string, *memLog) (filled, error){fillOurs, fillSunlight}[which](ctx, dir, l); err != nil {
				return err
			}
		}
		ratios = append(ratios, got[1].wall.Seconds()/got[0].wall.Seconds())
		fmt.Printf("round %d: vitrine %s   sunlight %s %s   ratio %.2f\n", round+1, got[0].per(), peer.SunlightVersion, got[1].per(), ratios[round])
	}
	slices.Sort(ratios)
	median := ratios[len(ratios)/2]
	fmt.Printf("ingest: %.2f × sunlight's (median; target at least 1.0)\n", median)
	if *check && median < 1 {
		return errors.New("missed: the mirror takes entries slower than sunlight's")
	}
	return nil
}

func (f filled) per() string {
	return fmt.Sprintf("%7.0f/s %5.1f µs", float64(*entries)/f.wall.Seconds(), float64(f.cpu.Microseconds())/float64(*entries))
}

func fillSunlight(ctx context.Context, dir string, l *memLog) (f filled, err error) {
	s, err := peer.StartSunlight(ctx, dir, []string{l.signer.Verifier().String()})
	if err != nil {
		return f, err
	}
	f.wall, err = fill(ctx, l, s.Client, s.Submission, s.MirrorKeys...)
	err = errors.Join(err, s.Stop())
	f.cpu = s.CPU()
	return f, err
}

func fillOurs(ctx context.Context, dir string, l *memLog) (f filled, err error) {
	roots, err := peer.Certify(dir, "mirror", "localhost")
	if err != nil {
		return f, err
	}
	p, err := startServer(dir, l.signer.Verifier().String())
	if err != nil {
		return f, err
	}
	f.wall, err = fill(ctx, l, newClient(roots), p.url, p.vkey)
	f.cpu = p.stop()
	return f, err
}

func newClient(roots *x509.CertPool) *http.Client {
	return &http.Client{Timeout: time.Minute, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, MaxIdleConnsPerHost: 16}}
}

// fill pushes the log until the mirror has cosigned all of it.
func fill(ctx context.Context, l *memLog, client *http.Client, url string, vkeys ...string) (time.Duration, error) {
	var keys []tlog.Verifier
	for _, k := range vkeys {
		v, err := tlog.ParseVerifier(k)
		if err != nil {
			return 0, err
		}
		keys = append(keys, v)
	}
	p := mirror.NewPusher(l, client, slog.New(slog.DiscardHandler), mirror.Target{Name: url, URL: url, Keys: keys})
	start := time.Now()
	err := p.Push(ctx)
	wall := time.Since(start)
	if got := p.Progress()[0].Size; err == nil && got != int64(*entries) {
		err = fmt.Errorf("%s has cosigned %d entries", url, got)
	}
	return wall, err
}
