package store

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"time"
)

// How long Update tries, and how long it waits between attempts.
const (
	patience  = 30 * time.Second
	firstWait = time.Millisecond
	longest   = 250 * time.Millisecond
)

// again runs f until it succeeds, fails for good, or patience has run out. It
// waits between attempts, longer each time and by chance, so that those who
// were in each other's way part.
func again(ctx context.Context, retry func(error) bool, f func() error) error {
	start, wait := time.Now(), firstWait
	for n := 1; ; n++ {
		err := f()
		if err == nil || !retry(err) {
			return err
		}
		if tried := time.Since(start); tried >= patience {
			return fmt.Errorf("%w: gave up after %d attempts in %v: %w", ErrBusy, n, tried.Round(time.Second), err)
		}
		if serr := sleep(ctx, part(wait)); serr != nil {
			return fmt.Errorf("%w, waiting to try again after attempt %d: %w", serr, n, err)
		}
		wait = min(2*wait, longest)
	}
}

// part returns a random time from half of d to d.
func part(d time.Duration) time.Duration {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	half := uint64(d / 2)
	return time.Duration(half + binary.LittleEndian.Uint64(b[:])%(half+1))
}

// sleep waits for d, or less where ctx ends before.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
