// Package projection turns logs into tables that pages are read from.
//
// A [Projection] follows the published entries of the node's own log, and of
// every other that it is told of ([Projection.Follow]), each in order
// ([Projection.Run]), and keeps what they say in the same tables: entries,
// subjects, releases, artifacts. A log entry holds only the record of a
// signature, so each is joined with its envelope from the content store, and
// the signature and the leaf are checked again before anything is believed.
//
// The tables are disposable: [Projection.Rebuild] empties them and they fill
// again from the logs, to the same byte ([Projection.Dump]). What is not
// disposable is the journal of submissions ([Projection.Submitted]), which says
// which envelope stands behind a leaf of the own log.
//
// Promises: nothing is shown that is not under a published checkpoint; an
// entry whose envelope is unknown or does not fit is kept as exactly that, and
// never stops the ones behind it; it is looked at again, so that what arrives
// later is shown then; a log that fails or lies stops no other. What the tables
// say does not depend on the order in which anything arrived. DESIGN.md has the
// reasons.
package projection

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/content"
	"vitrine.example/internal/store"
	"vitrine.example/key"
	"vitrine.example/tlog"
)

// ErrUnknown is returned where the logs have no such statement, release or entry.
var ErrUnknown = errors.New("not in the log")

// Log is the published part of a log, checked: its entries are those that a
// checkpoint covers which the log has signed.
type Log interface {
	// Published returns how many entries the newest checkpoint covers, and when
	// that was made or came here.
	Published(ctx context.Context) (size int64, at time.Time, err error)
	// Leaves returns entries from an index on: at least one, at most n.
	Leaves(ctx context.Context, index int64, n int) ([][]byte, error)
}

// Place is where an entry stands in a log.
type Place struct {
	Index    int64
	LeafHash tlog.Hash
}

// Source knows which envelope is said to stand behind an entry of another's
// log. It is not believed: what does not fit the entry is shown as that.
type Source interface {
	// Envelopes returns one digest for each place, zero where none is known.
	Envelopes(ctx context.Context, origin string, places []Place) ([]digest.Digest, error)
}

// EnvelopeFunc is a [Source] that is asked for one entry at a time.
type EnvelopeFunc func(ctx context.Context, origin string, index int64, leaf tlog.Hash) (d digest.Digest, ok bool, err error)

// Envelopes implements [Source].
func (f EnvelopeFunc) Envelopes(ctx context.Context, origin string, places []Place) ([]digest.Digest, error) {
	out := make([]digest.Digest, len(places))
	for i, p := range places {
		d, ok, err := f(ctx, origin, p.Index, p.LeafHash)
		if err != nil {
			return nil, err
		}
		if ok {
			out[i] = d
		}
	}
	return out, nil
}

// Keys returns the statement keys of who owns a log, past ones included that
// are not revoked. It must be quick; a change has all statements of the keys
// that came or went looked at again.
type Keys func(ctx context.Context) ([]key.Public, error)

// Options are what a projection is made of.
type Options struct {
	DB      *store.DB
	Content *content.Store
	Origin  string           // of the own log
	Log     Log              // the own log; nil where the tables are only read
	Logger  *slog.Logger     // default slog.Default()
	Now     func() time.Time // default time.Now
}

// Projection is safe for use by several goroutines.
type Projection struct {
	Options
	turn    chan struct{} // held while a batch is checked and written
	spare   chan struct{} // held by the one batch that is read ahead
	own     *follow       // nil where Log is
	work    sync.WaitGroup
	buffers sync.Pool  // of *[]byte, to read statements into
	adding  sync.Mutex // one Follow, Drop or Rebuild at a time

	mu      sync.Mutex
	follows map[string]*follow
	running context.Context // of Run; nil while it does not
	indexed bool            // the tables are known to have their indexes
}

// New returns a projection. Nothing is followed before Run or Step.
func New(ctx context.Context, o Options) (*Projection, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	p := &Projection{
		Options: o, follows: map[string]*follow{},
		turn: make(chan struct{}, 1), spare: make(chan struct{}, 1),
	}
	if o.Log == nil {
		return p, nil
	}
	p.own = newFollow(p, o.Origin, o.Log, nil, nil)
	if err := p.own.load(ctx); err != nil {
		return nil, err
	}
	p.follows[o.Origin] = p.own
	return p, nil
}

// Follow adds another's log: statements in it are believed when one of the keys
// signed them. A log that is followed already is replaced: the same entries,
// read and explained by others than before.
func (p *Projection) Follow(ctx context.Context, origin string, log Log, keys Keys, envelopes Source) error {
	switch {
	case origin == "" || log == nil || keys == nil || envelopes == nil:
		return errors.New("following a log: it needs an origin, entries, keys and envelopes")
	case origin == p.Origin:
		return fmt.Errorf("following %s: it is the own log, which is followed already", origin)
	}
	p.adding.Lock()
	defer p.adding.Unlock()
	p.remove(origin)
	f := newFollow(p, origin, log, keys, envelopes)
	if err := f.load(ctx); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.follows[origin] = f
	if p.running != nil {
		p.launch(f)
	}
	return nil
}

// Drop ends following another's log and takes what it said out of the tables.
func (p *Projection) Drop(ctx context.Context, origin string) error {
	if origin == p.Origin {
		return fmt.Errorf("dropping %s: it is the own log", origin)
	}
	p.adding.Lock()
	defer p.adding.Unlock()
	p.remove(origin)
	if err := p.clear(ctx, origin); err != nil {
		return fmt.Errorf("taking %s out of the tables: %w", origin, err)
	}
	return nil
}

// remove ends following a log, and waits for the end.
func (p *Projection) remove(origin string) {
	p.mu.Lock()
	f := p.follows[origin]
	delete(p.follows, origin)
	p.mu.Unlock()
	if f != nil {
		f.end()
	}
}

// Run follows all logs until ctx is done, each by itself. A step that fails is
// tried again with growing pauses; [Projection.Logs] shows it meanwhile.
func (p *Projection) Run(ctx context.Context) {
	p.mu.Lock()
	p.running = ctx
	for _, f := range p.follows {
		p.launch(f)
	}
	p.mu.Unlock()
	<-ctx.Done()
	p.mu.Lock()
	p.running = nil
	p.mu.Unlock()
	p.work.Wait()
}

// launch starts following; the caller holds the mutex and Run runs.
func (p *Projection) launch(f *follow) {
	ctx, stop := context.WithCancel(p.running)
	f.stop, f.done = stop, make(chan struct{})
	p.work.Go(func() {
		defer close(f.done)
		defer stop()
		f.run(ctx)
	})
}

// all returns the followed logs, the own one first, then by origin.
func (p *Projection) all() []*follow {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []*follow
	for _, f := range p.follows {
		out = append(out, f)
	}
	slices.SortFunc(out, func(a, b *follow) int {
		if a == p.own || b == p.own {
			return map[bool]int{true: -1, false: 1}[a == p.own]
		}
		return strings.Compare(a.origin, b.origin)
	})
	return out
}

// followed returns the log, or ErrUnknown.
func (p *Projection) followed(origin string) (*follow, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if f := p.follows[origin]; f != nil {
		return f, nil
	}
	return nil, fmt.Errorf("log %s: %w", origin, ErrUnknown)
}

// Wake makes Run look at all logs now.
func (p *Projection) Wake() {
	for _, f := range p.all() {
		f.poke()
	}
}

// Step projects the next published entries, at most one batch of each log, and
// looks again at entries that lacked their statement. It returns how many
// entries it took. A log that fails stops no other.
func (p *Projection) Step(ctx context.Context) (int64, error) {
	var n int64
	var errs []error
	for _, f := range p.all() {
		took, err := f.once(ctx, true)
		n += took
		if err != nil && f != p.own {
			err = fmt.Errorf("log %s: %w", f.origin, err)
		}
		errs = append(errs, err)
	}
	return n, errors.Join(errs...)
}

// Await waits until the entry at index of the own log is projected or ctx is done.
func (p *Projection) Await(ctx context.Context, index int64) error {
	for {
		next, moved := p.own.position()
		if next > index {
			return nil
		}
		p.own.poke()
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for entry %d to be projected: %w", index, ctx.Err())
		case <-moved:
		}
	}
}
