// Package clock tells the time and notices when it runs backwards.
//
// A node that signs times must not sign an earlier one than it signed before.
// A [Guard] keeps the latest time that it gave out in a file, and [Guard.Now]
// fails where the system's clock stands more than [Tolerance] before it.
//
// The file holds one line, a time in RFC 3339: none later was given out. A guard
// that is asked again and again writes a time up to a second ahead, so that one
// durable write covers all the times of a second. After a restart within that
// second the guard's time stands still until the clock has passed it.
//
// A clock that ran ahead and was set right is refused like one that runs back:
// times were signed that are still to come. Only an operator can tell.
package clock

import (
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"
)

// Tolerance is how far the clock may step back unnoticed (time daemons do).
const Tolerance = 5 * time.Second

// horizon is how far the time in the file may be ahead of what was given out.
const horizon = time.Second

// ErrBackwards is returned while the clock stands before a time already given out.
var ErrBackwards = errors.New("the clock ran backwards")

// Guard is safe for use by several goroutines. Several guards may use one file;
// each is then sure only of its own times and of those before it was opened.
type Guard struct {
	path string
	now  func() time.Time

	mu    sync.Mutex
	seen  time.Time // this or a later one was given out
	floor time.Time // none later was given out
	mark  time.Time // what the file says
	again bool      // Now was called before
}

// Open reads the high-water mark of the file at path, which is made where it is
// missing. now is time.Now where nil.
func Open(path string, now func() time.Time) (*Guard, error) {
	if now == nil {
		now = time.Now
	}
	g := &Guard{path: path, now: now}
	mark, err := load(path)
	if errors.Is(err, fs.ErrNotExist) {
		return g, nil // made by the first Now
	} else if err != nil {
		return nil, err
	}
	g.mark, g.seen, g.floor = mark, mark.Add(-horizon), mark
	return g, nil
}

// Now returns the time in UTC and whole microseconds, never one before what it
// returned earlier, in this process or one before it. It returns [ErrBackwards]
// while the clock is wrong, and another error where the file cannot be written:
// a time that could be forgotten is not given out.
func (g *Guard) Now() (time.Time, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	// Round strips the reading of the monotonic clock, which never goes back.
	t := g.now().Round(0).UTC().Truncate(time.Microsecond)
	if t.Before(g.seen.Add(-Tolerance)) {
		return time.Time{}, fmt.Errorf("%w: it shows %s, and times up to %s were given out before: set it right; if it ran ahead before and is right now, "+
			"wait until it has caught up, or remove %s and know that statements of a later time exist",
			ErrBackwards, t.Format(layout), g.floor.Format(layout), g.path)
	}
	if t.Before(g.floor) {
		t = g.floor
	}
	if err := g.cover(t); err != nil {
		return time.Time{}, err
	}
	g.seen, g.floor, g.again = t, t, true
	return t, nil
}

// cover makes sure that the file tells of t.
func (g *Guard) cover(t time.Time) error {
	if !g.mark.IsZero() && !t.After(g.mark) {
		return nil
	}
	// Another process may have written meanwhile.
	if other, err := load(g.path); err == nil && other.After(t) {
		g.mark = other
		return nil
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	mark := t
	if g.again { // a command that asks once does not look ahead
		mark = t.Add(horizon)
	}
	if err := save(g.path, mark); err != nil {
		return fmt.Errorf("noting the time in %s: %w", g.path, err)
	}
	g.mark = mark
	return nil
}
