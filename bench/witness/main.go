// Command witness measures how often our witness cosigns beside litewitness, with
// the same requests in the same run, and prints both and their ratio.
// bench/README.md says how.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"vitrine.example/test/peer"
)

var (
	serveDir = flag.String("serve", "", "internal: serve a witness in this directory instead of measuring")
	serveFor = flag.String("keys", "", "internal: the types of its keys")
	profile  = flag.String("cpuprofile", "", "write profiles of our servers here, with their keys in the name")
	logs     = flag.Int("logs", 16, "logs that grow at once, one request at a time each")
	steps    = flag.Int("n", 500, "how often each log grows")
	rounds   = flag.Int("rounds", 5, "how often each witness is asked, alternating")
	check    = flag.Bool("check", false, "exit 1 where the target is missed")
)

// both and classic are the keys that our witness has.
const both, classic = "ed25519+mldsa44", "ed25519"

func main() {
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if *serveDir != "" {
		err = serve(ctx, *serveDir, *serveFor, flag.Args())
	} else {
		err = measure(ctx)
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// asked is a witness that has cosigned all growths once.
type asked struct{ wall, cpu time.Duration }

func (a asked) rate() float64 { return float64(*logs**steps) / a.wall.Seconds() }

func (a asked) String() string {
	return fmt.Sprintf("%6.0f/s %4.0f µs", a.rate(), float64(a.cpu.Microseconds())/float64(*logs**steps))
}

func measure(ctx context.Context) (err error) {
	base, err := os.MkdirTemp("", "vitrine-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(base)) }()
	grown, err := grow(*logs, *steps)
	if err != nil {
		return err
	}
	fmt.Printf("%d logs, each %d times; cosigned checkpoints/s, and µs of the server's CPU for each\n", *logs, *steps)
	all := []struct {
		name string
		ask  func(context.Context, string, []growing) (asked, error)
	}{{"vitrine " + both, askBoth}, {"vitrine " + classic, askClassic}, {"litewitness " + peer.LitewitnessVersion, askLitewitness}}
	var ratios [2][]float64
	for round := range *rounds {
		got := make([]asked, len(all))
		for i := range all {
			which := (i + round) % len(all) // each is the first in every third round
			dir := filepath.Join(base, fmt.Sprintf("%d-%d", round, which))
			if err := os.Mkdir(dir, 0o700); err != nil {
				return err
			}
			if got[which], err = all[which].ask(ctx, dir, grown); err != nil {
				return fmt.Errorf("%s: %w", all[which].name, err)
			}
		}
		fmt.Printf("round %d:", round+1)
		for i, a := range all {
			fmt.Printf("   %s %s", a.name, got[i])
		}
		for i := range ratios {
			ratios[i] = append(ratios[i], got[i].rate()/got[2].rate())
		}
		fmt.Printf("   ratios %.2f %.2f\n", ratios[0][round], ratios[1][round])
	}
	for i := range ratios {
		slices.Sort(ratios[i])
		fmt.Printf("%s: %.2f × litewitness's (median)\n", all[i].name, ratios[i][len(ratios[i])/2])
	}
	if *check && ratios[0][len(ratios[0])/2] < 1 {
		return errors.New("missed: with keys of both types the witness cosigns slower than litewitness")
	}
	return nil
}

func askLitewitness(ctx context.Context, dir string, grown []growing) (a asked, err error) {
	var known []peer.WitnessedLog
	for _, g := range grown {
		known = append(known, peer.WitnessedLog{Origin: g.signer.Name(), Keys: []string{g.signer.Verifier().String()}})
	}
	l, err := peer.StartLitewitness(ctx, dir, witnessName, known)
	if err != nil {
		return a, err
	}
	a.wall, err = send(ctx, strings.TrimPrefix(l.URL, "http://"), grown, 1)
	err = errors.Join(err, l.Stop())
	a.cpu = l.CPU()
	return a, err
}

func askBoth(ctx context.Context, dir string, grown []growing) (asked, error) {
	return askOurs(ctx, dir, both, 2, grown)
}

func askClassic(ctx context.Context, dir string, grown []growing) (asked, error) {
	return askOurs(ctx, dir, classic, 1, grown)
}

func askOurs(ctx context.Context, dir, keys string, lines int, grown []growing) (a asked, err error) {
	p, err := startServer(dir, keys, grown)
	if err != nil {
		return a, err
	}
	a.wall, err = send(ctx, p.addr, grown, lines)
	a.cpu = p.stop()
	return a, err
}
