package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"time"
)

const warmUp = 3 * time.Second

// appends loads both logs in turn with the same hammer and compares how fast
// their published trees grow. What disturbs the machine for a while disturbs
// both logs of a round, so it is the ratios that are compared; and each log is
// the first of a round as often as the other.
func (b *bench) appends(ctx context.Context) error {
	fmt.Printf("appends: hammer, %d writers, leaves of %d bytes, %.0f%% duplicates, %v each\n", *writers, *leafSize, *dup*100, *length)
	var ours, theirs []growth
	var ratios []float64
	for i := range *rounds {
		t, o, err := b.pair(ctx, i%2 == 1)
		if err != nil {
			return err
		}
		fmt.Printf("  round %d: tessera %v  vitrine %v  ratio %.2f\n", i+1, t, o, o.rate/t.rate)
		ours, theirs, ratios = append(ours, o), append(theirs, t), append(ratios, o.rate/t.rate)
	}
	ratio := median(ratios, func(r float64) float64 { return r })
	fmt.Printf("  median:  tessera %v  vitrine %v  ratio %.2f, of %.2f to %.2f (target: 1.00)\n",
		middle(theirs), middle(ours), ratio, slices.Min(ratios), slices.Max(ratios))
	b.target(ratio >= 1, "fewer appends a second than Tessera's server")
	return nil
}

// pair measures both logs, one after the other.
func (b *bench) pair(ctx context.Context, oursFirst bool) (theirs, ours growth, err error) {
	if oursFirst {
		if ours, err = b.grow(ctx, b.ours); err != nil {
			return theirs, ours, err
		}
	}
	if theirs, err = b.grow(ctx, b.conformance); err != nil || oursFirst {
		return theirs, ours, err
	}
	ours, err = b.grow(ctx, b.ours)
	return theirs, ours, err
}

// growth is how a log grew under load.
type growth struct {
	rate float64       // entries a second
	cpu  time.Duration // that the server used, for each entry
}

func (g growth) String() string {
	return fmt.Sprintf("%6.0f/s (%3d µs of CPU each)", g.rate, g.cpu.Microseconds())
}

// middle returns the medians of rates and of CPU times.
func middle(gs []growth) growth {
	return growth{
		median(gs, func(g growth) float64 { return g.rate }),
		time.Duration(median(gs, func(g growth) float64 { return float64(g.cpu) })),
	}
}

func median[T any](all []T, f func(T) float64) float64 {
	v := make([]float64, 0, len(all))
	for _, x := range all {
		v = append(v, f(x))
	}
	slices.Sort(v)
	return v[len(v)/2]
}

// grow measures a new log under load.
func (b *bench) grow(ctx context.Context, start func(context.Context) (*log, error)) (g growth, err error) {
	l, err := start(ctx)
	if err != nil {
		return g, err
	}
	defer func() { err = errors.Join(err, l.stop()) }()
	stop, err := b.load(l)
	if err != nil {
		return g, err
	}
	defer stop()
	time.Sleep(warmUp)
	from, used, begun, err := l.sample(ctx)
	if err != nil {
		return g, err
	}
	time.Sleep(*length)
	to, usedThen, ended, err := l.sample(ctx)
	if err != nil {
		return g, err
	}
	n := to - from
	return growth{float64(n) / ended.Sub(begun).Seconds(), (usedThen - used) / time.Duration(n)}, ctx.Err()
}

// samplePause is how often sample looks, and so how far off its time may be.
const samplePause = 2 * time.Millisecond

// sample returns the size of the published tree and the CPU time used so far, at
// the moment of a publication: a log that publishes once a second would
// otherwise have up to a second more or less in its figure.
func (l *log) sample(ctx context.Context) (size int64, cpu time.Duration, at time.Time, err error) {
	was, err := l.checkpoint(ctx)
	if err != nil {
		return 0, 0, at, err
	}
	for late := time.Now().Add(*length); ; {
		c, err := l.checkpoint(ctx)
		switch {
		case err != nil:
			return 0, 0, at, err
		case c.Size > was.Size:
			cpu, err = l.cpu()
			return c.Size, cpu, time.Now(), err
		case time.Now().After(late):
			return 0, 0, at, fmt.Errorf("%s published nothing in %v", l.name, *length)
		}
		time.Sleep(samplePause)
	}
}

// load starts the hammer.
func (b *bench) load(l *log) (stop func(), err error) {
	cmd := exec.Command(b.hammer,
		"--log_url="+l.url, "--log_public_key="+l.vkey, "--show_ui=false",
		"--max_read_ops=0", "--num_readers_random=0", "--num_readers_full=0",
		fmt.Sprintf("--num_writers=%d", *writers), "--max_write_ops=100000",
		fmt.Sprintf("--leaf_min_size=%d", *leafSize), fmt.Sprintf("--dup_chance=%g", *dup))
	errs, err := os.Create(b.dir + "/hammer.log")
	if err != nil {
		return nil, err
	}
	defer errs.Close() //nolint:errcheck // the process has it
	cmd.Stderr = errs
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return func() {
		_ = cmd.Process.Kill() // may have ended
		_ = cmd.Wait()
	}, nil
}
