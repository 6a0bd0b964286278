package mirror

import (
	"context"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Uploads take their places before anything of them is authenticated, so that one
// who opens many and stalls could keep a log from being mirrored. Where all places
// are taken, one is given up for the newcomer: of an upload that has authenticated
// nothing yet, of the address that holds most of these, the one idle longest; else of
// one that has authenticated something, and then nothing for Limits.Idle.

// makeRoom is how long a newcomer waits until an upload that gives its place up has
// left: a batch may be on its way to the disk.
const makeRoom = 5 * time.Second

// seat is an upload as the places know it.
type seat struct {
	from string // address of the client
	now  func() time.Time

	mu     sync.Mutex
	last   time.Time // when it came, or authenticated a package
	proven bool
	gone   bool         // it gives its place up
	cut    func()       // ends its reading
	extend func() error // gives it time to read
}

func newSeat(r *http.Request, now func() time.Time) *seat {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	return &seat{from: host, now: now, last: now(), cut: func() {}, extend: func() error { return nil }}
}

// more gives the client time, unless it gives its place up.
func (s *seat) more() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.gone {
		_ = s.extend()
	}
}

// progress notes that a package was authenticated.
func (s *seat) progress() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last, s.proven = s.now(), true
}

// evicted reports whether the upload gives its place up.
func (s *seat) evicted() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gone
}

// evict has the upload give its place up.
func (s *seat) evict() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone = true
	s.cut()
}

// places are a bounded number of uploads.
type places struct {
	free chan struct{} // full: all are taken
	idle time.Duration

	mu   sync.Mutex
	held []*seat
}

func newPlaces(n int, idle time.Duration) *places {
	return &places{free: make(chan struct{}, n), idle: idle}
}

// take takes one of the places, another's where it has to, or says to come again.
func (p *places) take(ctx context.Context, s *seat) (leave func(), err error) {
	select {
	case p.free <- struct{}{}:
		return p.sit(s), nil
	default:
	}
	// One waits for each that leaves: as many as there are places.
	if !p.ask() {
		return nil, errCrowded()
	}
	t := time.NewTimer(makeRoom)
	defer t.Stop()
	select {
	case p.free <- struct{}{}:
		return p.sit(s), nil
	case <-t.C:
	case <-ctx.Done():
	}
	return nil, errCrowded()
}

func errCrowded() error {
	return refuse(http.StatusTooManyRequests, "too many uploads are being worked on")
}

func (p *places) sit(s *seat) (leave func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held = append(p.held, s)
	return func() {
		p.mu.Lock()
		p.held = slices.DeleteFunc(p.held, func(o *seat) bool { return o == s })
		p.mu.Unlock()
		<-p.free
	}
}

// ask has one of the uploads leave, and reports whether there was one that can.
func (p *places) ask() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	unproven := map[string]int{}
	for _, s := range p.held {
		s.mu.Lock()
		if !s.gone && !s.proven {
			unproven[s.from]++
		}
		s.mu.Unlock()
	}
	var worst *seat
	var most int
	var oldest time.Time
	for _, s := range p.held {
		s.mu.Lock()
		gone, proven, last := s.gone, s.proven, s.last
		s.mu.Unlock()
		n := unproven[s.from]
		if proven {
			n = 0
		}
		if gone || proven && s.now().Sub(last) < p.idle {
			continue
		}
		if worst == nil || n > most || n == most && last.Before(oldest) {
			worst, most, oldest = s, n, last
		}
	}
	if worst == nil {
		return false
	}
	worst.evict()
	return true
}
