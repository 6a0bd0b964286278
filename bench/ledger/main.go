// Command ledger measures our log beside Tessera's own server, with Tessera's
// own load generator, and prints both and their ratio. bench/README.md says how.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

const tessera = "github.com/transparency-dev/tessera"

const tesseraVersion = "v1.0.4"

var (
	serve    = flag.String("serve", "", "internal: serve a log in this directory instead of measuring")
	listen   = flag.String("listen", "127.0.0.1:0", "internal: where to serve")
	keyFile  = flag.String("key", "", "internal: signer key of the log")
	dir      = flag.String("dir", "", "where to keep the logs that are measured (default: a temporary directory)")
	rounds   = flag.Int("rounds", 5, "how often each log is loaded, alternating")
	length   = flag.Duration("length", 6*time.Second, "of each measurement, after warming up")
	writers  = flag.Int("writers", 4096, "of the load generator")
	leafSize = flag.Int("leaf", 500, "least bytes of a leaf")
	dup      = flag.Float64("dup", 0.1, "chance that a leaf was there before")
	check    = flag.Bool("check", false, "exit 1 where a target is missed")
	only     = flag.String("only", "", "measure only this: appends, latency or proofs")
)

func main() {
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if *serve != "" {
		err = runServer(ctx, *serve, *listen, *keyFile)
	} else {
		err = measure(ctx)
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func measure(ctx context.Context) (err error) {
	base := *dir
	if base == "" {
		if base, err = os.MkdirTemp("", "vitrine-bench-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(base)) }()
	}
	b := &bench{dir: base}
	if err := b.prepare(ctx); err != nil {
		return err
	}
	for _, m := range []struct {
		name string
		run  func(context.Context) error
	}{{"appends", b.appends}, {"latency", b.latency}, {"proofs", b.proofs}} {
		if *only != "" && *only != m.name {
			continue
		}
		if err := m.run(ctx); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
	}
	if *check && len(b.missed) > 0 {
		return fmt.Errorf("missed: %s", strings.Join(b.missed, "; "))
	}
	return nil
}
