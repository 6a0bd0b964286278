package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"path/filepath"
	"time"

	"vitrine.example/internal/ledger"
	"vitrine.example/internal/store"
	"vitrine.example/tlog"
)

const origin = "bench.example"

// runServer serves a log of ours until the context ends.
func runServer(ctx context.Context, dir, addr, keyFile string) error {
	seed, err := os.ReadFile(keyFile)
	if err != nil {
		return err
	}
	if len(seed) != ed25519.SeedSize {
		return fmt.Errorf("%s: %d bytes, want %d", keyFile, len(seed), ed25519.SeedSize)
	}
	s, err := tlog.NewSigner(origin, tlog.Ed25519, ed25519.NewKeyFromSeed(seed), nil)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	db, err := store.Open(ctx, filepath.Join(dir, "vitrine.db"))
	if err != nil {
		return err
	}
	l, err := ledger.Open(ctx, ledger.Options{Dir: filepath.Join(dir, "log"), DB: db, Signer: s})
	if err != nil {
		return errors.Join(err, db.Close())
	}
	err = serveHTTP(ctx, addr, l)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	return errors.Join(err, l.Close(ctx), db.Close())
}

func serveHTTP(ctx context.Context, addr string, l *ledger.Ledger) error {
	mux := http.NewServeMux()
	mux.Handle("/", l.Handler())
	mux.Handle("/add", l.AddHandler())
	mux.HandleFunc("/debug/profile", pprof.Profile)
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ln) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return srv.Close()
	}
}

// makeKey writes a new key for our log, and returns the verifier key.
func makeKey(file string) (string, error) {
	pub, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", err
	}
	v, err := tlog.NewVerifier(origin, tlog.Ed25519, pub)
	if err != nil {
		return "", err
	}
	return v.String(), os.WriteFile(file, priv.Seed(), 0o600)
}
