package store

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

var errClash = errors.New("clash")

func clash(err error) bool { return errors.Is(err, errClash) }

func TestAgain(t *testing.T) {
	final := errors.New("final")
	for name, c := range map[string]struct {
		fails int   // times with errClash
		then  error // after that
		want  error
	}{
		"at once":     {0, nil, nil},
		"fails":       {0, final, final},
		"third time":  {2, nil, nil},
		"many times":  {100, nil, nil},
		"then fails":  {5, final, final},
		"never works": {1 << 30, nil, ErrBusy},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls := 0
				start := time.Now()
				err := again(t.Context(), clash, func() error {
					if calls++; calls <= c.fails {
						return errClash
					}
					return c.then
				})
				if !errors.Is(err, c.want) || calls != c.fails+1 && !errors.Is(err, ErrBusy) {
					t.Errorf("got %v after %d calls", err, calls)
				}
				if errors.Is(err, ErrBusy) != errors.Is(err, errClash) {
					t.Errorf("the cause is lost: %v", err)
				}
				if waited := time.Since(start); waited > patience+longest || calls == 1 && waited > 0 {
					t.Errorf("waited %v", waited)
				}
			})
		})
	}
}

func TestAgainCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		start := time.Now()
		err := again(ctx, clash, func() error { return errClash })
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, errClash) || time.Since(start) != 100*time.Millisecond {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
	})
}

func TestPart(t *testing.T) {
	for range 1000 {
		if d := part(time.Second); d < time.Second/2 || d > time.Second {
			t.Fatal(d)
		}
	}
}
