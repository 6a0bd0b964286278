package witness

import (
	"context"
	"crypto/sha256"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// gate bounds how many requests are worked on at once: in all, and for one log.
type gate struct {
	places chan struct{}
	wait   time.Duration
	perLog int

	mu   sync.Mutex
	busy map[[sha256.Size]byte]int // only logs that are being worked on
}

func (g *gate) init(l Limits) {
	g.places = make(chan struct{}, l.Concurrent)
	g.wait, g.perLog = l.Wait, l.PerLog
	g.busy = map[[sha256.Size]byte]int{}
}

// enter waits for a place.
func (g *gate) enter(ctx context.Context) (leave func(), err error) {
	select {
	case g.places <- struct{}{}:
		return g.leave, nil
	default:
	}
	t := time.NewTimer(g.wait)
	defer t.Stop()
	select {
	case g.places <- struct{}{}:
		return g.leave, nil
	case <-t.C:
		return nil, later(http.StatusServiceUnavailable, time.Second, "too many requests are being worked on")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (g *gate) leave() { <-g.places }

// enterLog takes one of a log's places.
func (g *gate) enterLog(h [sha256.Size]byte) (leave func(), err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.busy[h] >= g.perLog {
		return nil, later(http.StatusTooManyRequests, time.Second, "too many requests for this log are being worked on")
	}
	g.busy[h]++
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.busy[h]--; g.busy[h] == 0 {
			delete(g.busy, h)
		}
	}, nil
}

// rates bound how often a log is cosigned. Growing and repeating are counted
// apart: only the log can make a larger checkpoint, but anyone who has seen the
// newest can send it again, and must not use up what the log needs.
type rates struct {
	perSecond rate.Limit
	burst     int

	mu   sync.Mutex
	logs map[rateKey]*logRate
}

type rateKey struct {
	log   [sha256.Size]byte
	grows bool
}

type logRate struct {
	perDay int64
	l      *rate.Limiter
}

func (r *rates) init(l Limits) {
	r.perSecond, r.burst = rate.Limit(l.PerSecond), l.Burst
	r.logs = map[rateKey]*logRate{}
}

// take takes one checkpoint of a known log's rate. The map holds known logs
// alone, which are bounded.
func (r *rates) take(log *row, grows bool, now time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	k := rateKey{log.hash, grows}
	e := r.logs[k]
	if e == nil || e.perDay != log.perDay {
		e = &logRate{log.perDay, rate.NewLimiter(r.limit(log.perDay))}
		r.logs[k] = e
	}
	res := e.l.ReserveN(now, 1)
	if wait := res.DelayFrom(now); wait > 0 {
		res.CancelAt(now)
		return later(http.StatusTooManyRequests, wait, "this log is cosigned at most %.6g times a second", float64(e.l.Limit()))
	}
	return nil
}

// limit makes a rate of a number of checkpoints a day: an hour's worth may come
// at once, and at least ten.
func (r *rates) limit(perDay int64) (rate.Limit, int) {
	if perDay == 0 {
		return r.perSecond, r.burst
	}
	return rate.Limit(float64(perDay) / 86400), int(min(max(perDay/24, 10), int64(max(r.burst, 10))))
}
