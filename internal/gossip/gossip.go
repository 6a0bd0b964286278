// Package gossip finds out whether a log shows different histories to different
// members of a circle, and keeps and passes on the evidence.
//
// [New] makes it of a database and what it needs of the rest of the node;
// [Gossip.Run] asks every member each minute what it has seen of every log, and
// [Gossip.Handler] answers the others. [Gossip.Keep] takes evidence found
// elsewhere, by the witness for instance.
//
// Nothing is believed: a checkpoint counts with the log's signature, evidence
// where tlog.Fork.Verify accepts it. A log that gives no proof is unresponsive,
// not forked. What a member sends is read up to a bound, within a time, and a
// member that lies or stalls is named in [Gossip.Troubles].
package gossip

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/store"
	"vitrine.example/tlog"
)

// Bounds of what is kept and of what one member can cost in a round.
const (
	MaxForks = 32   // evidence about one log that no operator has accepted
	MaxViews = 1024 // checkpoints in a member's view

	maxAhead   = 8       // checkpoints remembered of a log and a member
	maxBody    = 4 << 20 // bytes of an answer
	maxFetch   = 64      // pieces of evidence taken from a member in a round
	maxAtOnce  = 8       // members asked at the same time
	maxMembers = 256
	maxQueue   = 256 // evidence that waits to be passed on; more is found by asking
)

const (
	interval    = time.Minute
	firstRound  = 5 * time.Second
	peerTimeout = 20 * time.Second
	pushTimeout = 4 * time.Second
)

// Errors that callers tell apart.
var (
	ErrUnknown = errors.New("not a log that this node knows")
	ErrNone    = errors.New("no such evidence")
	// ErrNoCopy is returned by [Logs.Consistency] where this node has checkpoints
	// of a log and no copy: nobody is to blame that there is no proof.
	ErrNoCopy = errors.New("there is no copy of the log here")
)

// Peer is another member of the circle.
type Peer struct {
	Origin string
	URL    string // without a slash at the end
}

// Members says whom to ask.
type Members interface {
	Members(ctx context.Context) ([]Peer, error)
}

// Logs is what the node knows of logs, its own included.
type Logs interface {
	// Keys returns the verifier keys of a log, none where it is not known.
	Keys(ctx context.Context, origin string) ([]tlog.Verifier, error)
	// Newest returns the newest checkpoint of each log that this node has
	// verified against all that it had seen before.
	Newest(ctx context.Context) ([]*tlog.SignedCheckpoint, error)
	// Consistency returns the root of the first from entries and a consistency
	// proof to size to, of the copy that Newest speaks of, or [ErrNoCopy]. Any
	// other error says that the proof cannot be had, and nothing about the log.
	Consistency(ctx context.Context, origin string, from, to int64) (tlog.Hash, []tlog.Hash, error)
}

// Options say what a Gossip works with. DB, Members and Logs are required.
type Options struct {
	DB      *store.DB
	Members Members
	Logs    Logs
	// OnFork, where not nil, is told of evidence that is new here, once it is on
	// the disk; OnAccept, that an operator has accepted it. They must not block.
	OnFork   func(origin string, f *tlog.Fork)
	OnAccept func(origin string, digest [sha256.Size]byte)
	// Sender returns the network that a request comes from, and whether it is a
	// member's; nil: all come from one, which is none.
	Sender func(*http.Request) (from netip.Prefix, member bool)
	Client *http.Client // default: one that follows no redirects
	Now    func() time.Time
	Log    *slog.Logger
}

// Gossip is safe for use by several goroutines.
type Gossip struct {
	o     Options
	queue chan *tlog.Fork
	posts *posts

	mu      sync.Mutex
	trouble map[string]Trouble // by what it is about
	repeat  map[digest.Digest]bool
	parsed  map[digest.Digest]*tlog.Fork // of kept evidence, the checkpoints alone
	asked   map[string]Asked             // by member
}

// Asked is when a member was asked last, and when it last answered as it should.
type Asked struct {
	At       time.Time
	Answered time.Time
}

// Trouble is what went wrong with a member, or with a log that gives no proof.
type Trouble struct {
	Peer  string
	Log   string // of a log that is unresponsive; else ""
	Error string
	Since time.Time
}

// New makes a Gossip. It does nothing by itself; see Run.
func New(o Options) (*Gossip, error) {
	if o.DB == nil || o.Members == nil || o.Logs == nil || o.Now == nil || o.Log == nil {
		return nil, errors.New("gossip: DB, Members, Logs, Now and Log are required")
	}
	if o.Client == nil {
		o.Client = &http.Client{Transport: &http.Transport{MaxResponseHeaderBytes: 16 << 10, ResponseHeaderTimeout: peerTimeout}}
	}
	c := *o.Client
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	o.Client = &c
	return &Gossip{o: o, queue: make(chan *tlog.Fork, maxQueue), posts: newPosts(), trouble: map[string]Trouble{}, repeat: map[digest.Digest]bool{}, parsed: map[digest.Digest]*tlog.Fork{}, asked: map[string]Asked{}}, nil
}

// Run asks and passes on until ctx is done. tick says when to ask after a first
// time at once; nil means after five seconds and then every minute.
func (g *Gossip) Run(ctx context.Context, tick <-chan time.Time) {
	first := time.After(0)
	if tick == nil {
		t := time.NewTicker(interval)
		defer t.Stop()
		tick, first = t.C, time.After(firstRound) // a command that opens the node for a moment asks nobody
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { g.passOn(ctx) }) // beside the rounds: a member that stalls delays no evidence
	for next := first; ; next = tick {
		select {
		case <-ctx.Done():
			return
		case <-next:
		}
		if err := g.Round(ctx); err != nil && ctx.Err() == nil {
			g.o.Log.Error("asking the circle what it has seen", "err", err)
		}
	}
}

func (g *Gossip) passOn(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case f := <-g.queue:
			g.push(ctx, f)
		}
	}
}

// Keep verifies evidence, keeps it and has it passed on. Evidence that is known
// already, that repeats other evidence (see repeats), or that is one more about a
// log with MaxForks open, is no error and reported as not new.
func (g *Gossip) Keep(ctx context.Context, f *tlog.Fork) (fresh bool, err error) {
	if err := f.Check(); err != nil {
		return false, fmt.Errorf("keeping evidence: %w", err)
	}
	keys, err := g.o.Logs.Keys(ctx, f.Origin())
	if err != nil {
		return false, fmt.Errorf("keeping evidence about %s: %w", f.Origin(), err)
	}
	if len(keys) == 0 {
		return false, fmt.Errorf("keeping evidence about %q: %w", f.Origin(), ErrUnknown)
	}
	if err := f.Verify(keys...); err != nil {
		return false, fmt.Errorf("keeping evidence: %w", err)
	}
	if again, err := g.repeats(ctx, f); err != nil {
		return false, fmt.Errorf("keeping evidence about %s: %w", f.Origin(), err)
	} else if again {
		g.noteRepeat(f.Digest())
		return false, nil
	}
	if fresh, err = g.insert(ctx, f); err != nil || !fresh {
		return false, err
	}
	g.o.Log.Error("a log has signed two histories", "origin", f.Origin(), "digest", fmt.Sprintf("%x", f.Digest()), "kind", string(f.Kind))
	if g.o.OnFork != nil {
		g.o.OnFork(f.Origin(), f)
	}
	select {
	case g.queue <- f:
	default: // the others find it when they ask
	}
	return true, nil
}

// Troubles returns what is wrong now, for the status page.
func (g *Gossip) Troubles() []Trouble {
	g.mu.Lock()
	defer g.mu.Unlock()
	out := make([]Trouble, 0, len(g.trouble))
	for _, t := range g.trouble {
		out = append(out, t)
	}
	return out
}

// Asked returns when the members were asked, by origin.
func (g *Gossip) Asked() map[string]Asked {
	g.mu.Lock()
	defer g.mu.Unlock()
	return maps.Clone(g.asked)
}

// noteAsked remembers how asking a member ended.
func (g *Gossip) noteAsked(peer string, at time.Time, err error) {
	g.mu.Lock()
	a := g.asked[peer]
	a.At = at
	if err == nil {
		a.Answered = g.o.Now()
	}
	g.asked[peer] = a
	g.mu.Unlock()
	g.note(peer, "", err)
}

// keepOnly forgets about those who are members no more.
func (g *Gossip) keepOnly(peers []Peer) {
	g.mu.Lock()
	defer g.mu.Unlock()
	is := map[string]bool{}
	for _, p := range peers {
		is[p.Origin] = true
	}
	maps.DeleteFunc(g.asked, func(p string, _ Asked) bool { return !is[p] })
	maps.DeleteFunc(g.trouble, func(_ string, t Trouble) bool { return !is[t.Peer] })
}

// note remembers what is wrong with a member (and a log), or that nothing is.
func (g *Gossip) note(peer, log string, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	k := peer + "\n" + log
	if err == nil {
		delete(g.trouble, k)
		return
	}
	t, known := g.trouble[k]
	if !known {
		if len(g.trouble) >= maxMembers*4 {
			return
		}
		t = Trouble{Peer: peer, Log: log, Since: g.o.Now()}
	}
	if t.Error = fmt.Sprintf("%.300s", err); !known {
		g.o.Log.Warn("gossip", "peer", peer, "log", log, "err", t.Error)
	}
	g.trouble[k] = t
}
