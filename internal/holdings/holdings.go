// Package holdings keeps what stands behind the entries of others' logs: the
// envelope of each statement, and the public content that releases name.
//
// [New] opens it, [Holdings.SetMembers] says whose logs, [Holdings.Run] fetches
// from the log's own node, else from the mirrors of the other members. What it
// holds is told by [Holdings.Digests], what is missing by [Holdings.Status] and
// [Holdings.Withheld].
//
// Promises: an envelope is kept only where it is the one behind the entry, to
// the byte; content only where it has the digest and the size that the statement
// says; nothing of another access class than public is asked for. What could
// not be had by its deadline is reported once, and once more when it comes.
// Peers that lie, stall or flood cost bounded memory, bounded disk and nobody
// else's time. Not promised: that a statement's key is one that anybody trusts.
// DESIGN.md beside this file has the reasons.
package holdings

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"vitrine.example/internal/content"
	"vitrine.example/internal/store"
	"vitrine.example/statement"
)

// ErrUnknown says that a log, or an entry of it, is not held here.
var ErrUnknown = errors.New("not held here")

// Log is a mirrored log.
type Log interface {
	// Published returns how many entries are proven to be in the log.
	Published(ctx context.Context) (int64, error)
	// Bundle returns the entries of a bundle that are.
	Bundle(index int64) ([][]byte, error)
}

// Member is an organisation that is asked.
type Member struct {
	Origin string // of its log
	URL    string // base URL of its node
}

// Reporter says in the node's own log what was withheld.
type Reporter interface {
	// Sign makes the statement.
	Sign(ctx context.Context, w *statement.Withheld) (*statement.Envelope, error)
	// Submit logs an envelope that Sign made, again where it is logged already.
	Submit(ctx context.Context, envelope []byte) error
}

// Limits bound what others can cause. Zero values become the defaults.
type Limits struct {
	Concurrent    int           // requests at once; default 16
	PerLog        int           // of these for one log and kind; default 4
	Request       time.Duration // for a statement, and that content may stall; default 30 s
	EnvelopeBytes int64         // of all statements; default 64 GiB
	Reports       time.Duration // between two reports about one log; default 1 min
}

func (l *Limits) complete() {
	if l.Concurrent <= 0 {
		l.Concurrent = 16
	}
	if l.PerLog <= 0 {
		l.PerLog = 4
	}
	if l.Request <= 0 {
		l.Request = 30 * time.Second
	}
	if l.EnvelopeBytes <= 0 {
		l.EnvelopeBytes = 64 << 30
	}
	if l.Reports <= 0 {
		l.Reports = time.Minute
	}
}

// Options say where things are kept and whom to ask.
type Options struct {
	DB      *store.DB
	Content *content.Store
	Origin  string // of the own log, which is never asked for
	// Open returns a mirrored log, or ErrUnknown where there is none yet.
	Open     func(origin string) (Log, error)
	Client   *http.Client // follows no redirection
	Agent    string       // what the node calls itself
	Reporter Reporter
	// WithheldAfter is how long something may be missing before it is reported.
	WithheldAfter time.Duration
	ContentBytes  int64 // of content in all; 0: statements only
	Limits        Limits
	Log           *slog.Logger     // default slog.Default()
	Now           func() time.Time // default time.Now
	// Arrived is called when the envelope behind an entry is held; may be nil.
	Arrived func(ctx context.Context, origin string, index int64)
}

func (o *Options) complete() error {
	if o.DB == nil || o.Content == nil || o.Open == nil || o.Client == nil || o.Reporter == nil {
		return errors.New("holdings need a database, a content store, logs, a client and a reporter")
	}
	if o.WithheldAfter <= 0 {
		return errors.New("holdings need a deadline")
	}
	o.Limits.complete()
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return nil
}

// Holdings is safe for use by several goroutines.
type Holdings struct {
	o      Options
	places chan struct{} // for requests
	hosts  hosts
	room   room
	notes  batcher

	reporting sync.Mutex // one report at a time

	mu      sync.Mutex
	members []Member
	logs    map[string]*log
	hashes  map[string]string // origins by their hash
	changed chan struct{}     // of the members
}

// New opens what is held. What was passed over for want of room is wanted again.
func New(ctx context.Context, o Options) (*Holdings, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	h := &Holdings{o: o, places: make(chan struct{}, o.Limits.Concurrent), logs: map[string]*log{}, hashes: map[string]string{}, changed: make(chan struct{}, 1)}
	h.hosts.now, h.notes.db = o.Now, o.DB
	h.room.limits = [2]int64{o.Limits.EnvelopeBytes, o.ContentBytes}
	if err := errors.Join(h.load(ctx), h.loadHashes(ctx)); err != nil {
		return nil, fmt.Errorf("opening the holdings: %w", err)
	}
	return h, nil
}

// SetMembers says whose logs are to be held, and who is asked. Those of logs
// that are not mirrored wait until they are.
func (h *Holdings) SetMembers(members []Member) {
	h.mu.Lock()
	h.members = slices.Clone(members)
	for _, m := range members {
		h.hashes[hashOf(m.Origin)] = m.Origin
	}
	h.mu.Unlock()
	select {
	case h.changed <- struct{}{}:
	default:
	}
}

// origins returns the logs to hold.
func (h *Holdings) origins() (out []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, m := range h.members {
		if m.Origin != h.o.Origin && !slices.Contains(out, m.Origin) {
			out = append(out, m.Origin)
		}
	}
	return out
}

// How often a log is looked at that has nothing to do, and one that fails.
const (
	pollEvery = 500 * time.Millisecond
	maxPause  = 30 * time.Second
)

// Run fetches until ctx is done.
func (h *Holdings) Run(ctx context.Context) {
	running := map[string]context.CancelFunc{}
	var work sync.WaitGroup
	defer work.Wait()
	for {
		want := h.origins()
		for origin, stop := range running {
			if !slices.Contains(want, origin) {
				stop()
				delete(running, origin)
			}
		}
		for _, origin := range want {
			if running[origin] != nil {
				continue
			}
			inner, stop := context.WithCancel(ctx)
			running[origin] = stop
			for _, step := range h.steps() {
				work.Go(func() { h.follow(inner, origin, step) })
			}
		}
		select {
		case <-ctx.Done():
			for _, stop := range running {
				stop()
			}
			return
		case <-h.changed:
		}
	}
}

// steps are what is done for a log, each in its own time.
func (h *Holdings) steps() []func(context.Context, string) (int, error) {
	return []func(context.Context, string) (int, error){h.stepStatements, h.stepContent, h.stepReport}
}

// follow takes steps for one log until ctx is done.
func (h *Holdings) follow(ctx context.Context, origin string, step func(context.Context, string) (int, error)) {
	pause := pollEvery
	for {
		n, err := step(ctx, origin)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			h.o.Log.Error("what a log names cannot be fetched", "origin", origin, "err", err, "again_in", pause)
			pause = min(2*pause, maxPause)
		case n > 0:
			pause = pollEvery
			continue
		default:
			pause = pollEvery
		}
		t := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-t.C:
		}
		t.Stop()
	}
}

// Step takes one step for each log, one after the other, and returns how much
// was done. It is what Run does, for those who bring their own time.
func (h *Holdings) Step(ctx context.Context) (int, error) {
	total := 0
	for _, origin := range h.origins() {
		for _, step := range h.steps() {
			n, err := step(ctx, origin)
			if total += n; err != nil {
				return total, fmt.Errorf("holdings of %s: %w", origin, err)
			}
		}
	}
	return total, nil
}
