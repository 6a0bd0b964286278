// Command circle measures how long an entry takes until 2 of 3 witnesses have
// cosigned a checkpoint that covers it: one log, three witnesses with databases
// of their own, HTTP over loopback, everything synced to the disk.
package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"flag"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"vitrine.example/internal/ledger"
	"vitrine.example/internal/quorum"
	"vitrine.example/internal/store"
	"vitrine.example/internal/witness"
	"vitrine.example/tlog"
)

func main() {
	rate := flag.Int("rate", 50, "entries a second")
	lasts := flag.Duration("for", 20*time.Second, "how long")
	flag.Parse()
	dir, err := os.MkdirTemp(".", "circle-")
	if err != nil {
		log.Fatal(err)
	}
	err = run(dir, *rate, *lasts)
	_ = os.RemoveAll(dir)
	if err != nil {
		log.Fatal(err)
	}
}

func signer(name string, typ tlog.KeyType) (*tlog.Signer, error) {
	_, k, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	return tlog.NewSigner(name, typ, k, func() (time.Time, error) { return time.Now(), nil })
}

// serveWitness starts a witness of a log and returns its policy line.
func serveWitness(ctx context.Context, dir, name string, own tlog.Verifier) (string, error) {
	s, err := signer(name, tlog.Ed25519Cosignature)
	if err != nil {
		return "", err
	}
	db, err := store.Open(ctx, filepath.Join(dir, name+".db"))
	if err != nil {
		return "", err
	}
	w, err := witness.New(witness.Options{DB: db, Signers: []*tlog.Signer{s}})
	if err != nil {
		return "", err
	}
	srv := httptest.NewServer(http.Handler(w.Handler()))
	return fmt.Sprintf("witness %s %s %s\n", name, s.Verifier(), srv.URL), w.Add(ctx, witness.Log{Origin: own.Name(), Keys: []tlog.Verifier{own}})
}

func run(dir string, rate int, lasts time.Duration) error {
	ctx := context.Background()
	own, err := signer("log.example", tlog.Ed25519)
	if err != nil {
		return err
	}
	var b strings.Builder
	for _, name := range []string{"a", "b", "c"} {
		line, err := serveWitness(ctx, dir, name, own.Verifier())
		if err != nil {
			return err
		}
		b.WriteString(line)
	}
	b.WriteString("group G 2 a b c\nquorum G\n")
	p, err := tlog.ParsePolicy([]byte(b.String()))
	if err != nil {
		return err
	}
	q, err := quorum.New(quorum.Options{Log: own.Verifier(), Policy: p})
	if err != nil {
		return err
	}
	db, err := store.Open(ctx, filepath.Join(dir, "log.db"))
	if err != nil {
		return err
	}
	l, err := ledger.Open(ctx, ledger.Options{Dir: filepath.Join(dir, "log"), DB: db, Signer: own, Cosigner: q, Log: slog.Default()})
	if err != nil {
		return err
	}
	took, failed := drive(ctx, l, rate, lasts)
	slices.Sort(took)
	if len(took) > 0 {
		fmt.Printf("%d entries at %d/s, %d failed: p50 %v, p99 %v, most %v\n", len(took), rate, failed,
			took[len(took)/2].Round(time.Millisecond), took[len(took)*99/100].Round(time.Millisecond), took[len(took)-1].Round(time.Millisecond))
	}
	return l.Close(ctx)
}

// drive adds entries at a steady rate, whether those before are done or not.
func drive(ctx context.Context, l *ledger.Ledger, rate int, lasts time.Duration) (took []time.Duration, failed int) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	t := time.NewTicker(time.Second / time.Duration(rate))
	defer t.Stop()
	for n := range int(lasts.Seconds() * float64(rate)) {
		<-t.C
		wg.Go(func() {
			start := time.Now()
			_, err := l.Add(ctx, fmt.Appendf(nil, "entry %d", n))
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed++
				return
			}
			took = append(took, time.Since(start))
		})
	}
	wg.Wait()
	return took, failed
}
