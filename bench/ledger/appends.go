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
// their published trees grow.
func (b *bench) appends(ctx context.Context) error {
	fmt.Printf("appends: hammer, %d writers, leaves of %d bytes, %.0f%% duplicates, %v each\n", *writers, *leafSize, *dup*100, *length)
	var ours, theirs []growth
	for i := range *rounds {
		t, err := b.grow(ctx, b.conformance)
		if err != nil {
			return err
		}
		o, err := b.grow(ctx, b.ours)
		if err != nil {
			return err
		}
		fmt.Printf("  round %d: tessera %v  vitrine %v  ratio %.2f\n", i+1, t, o, o.rate/t.rate)
		ours, theirs = append(ours, o), append(theirs, t)
	}
	t, o := middle(theirs), middle(ours)
	fmt.Printf("  median:  tessera %v  vitrine %v  ratio %.2f (target: 1.00)\n", t, o, o.rate/t.rate)
	b.target(o.rate >= t.rate, "fewer appends a second than Tessera's server")
	return nil
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
	if n == 0 {
		return g, fmt.Errorf("%s did not grow", l.name)
	}
	return growth{float64(n) / ended.Sub(begun).Seconds(), (usedThen - used) / time.Duration(n)}, ctx.Err()
}

// sample returns the size of the published tree and the CPU time used so far.
func (l *log) sample(ctx context.Context) (size int64, cpu time.Duration, at time.Time, err error) {
	c, err := l.checkpoint(ctx)
	if err != nil {
		return 0, 0, at, err
	}
	cpu, err = l.cpu()
	return c.Size, cpu, time.Now(), err
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
