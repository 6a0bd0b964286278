package centre

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/circle"
	"vitrine.example/internal/holdings"
	"vitrine.example/internal/mirror"
	"vitrine.example/internal/projection"
	"vitrine.example/internal/witness"
	"vitrine.example/key"
	"vitrine.example/statement"
	"vitrine.example/tlog"
)

// How often what the circle says is looked at again without it having changed:
// keys begin and end to be in use as time passes.
const (
	meetEvery = time.Minute
	pushEvery = 250 * time.Millisecond // looks at the own checkpoint, to push what is new
)

// neighbours is what a node does for the other members of its circle: cosign,
// mirror and follow their logs; and have done by them: cosign and mirror its own.
type neighbours struct {
	changed chan struct{} // the circle may have changed

	mu       sync.Mutex
	pusher   *mirror.Pusher // of the own log to the mirrors of others; nil: to nobody
	pushing  string         // whom it pushes to, to know a change
	stopPush func()
	follows  map[string]string // origin of each followed log, and how it is followed
	warned   int64             // version of the circle whose list was compared with the keys in use
}

// meetCircle keeps up with the circle until ctx is done.
func (n *Node) meetCircle(ctx context.Context) {
	defer n.stopPushing()
	n.OnCircle(func(*circle.Current) { n.circleChanged() })
	n.circleChanged()
	for t := time.NewTicker(meetEvery); ; {
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-t.C:
		case <-n.neighbours.changed:
		}
		if err := n.meet(ctx); err != nil && ctx.Err() == nil {
			n.log.Error("doing what the circle says", "err", err)
		}
	}
}

func (n *Node) circleChanged() {
	select {
	case n.neighbours.changed <- struct{}{}:
	default:
	}
}

// meet does what the circle says now. What cannot be done for one member hinders
// no other.
func (n *Node) meet(ctx context.Context) error {
	errs := []error{n.meetQuorum()}
	h, err := n.Circle(ctx)
	if errors.Is(err, circle.ErrNone) {
		return errors.Join(errs...)
	} else if err != nil {
		return errors.Join(append(errs, err)...)
	}
	var targets []mirror.Target
	var members []holdings.Member
	now, listed := time.Now(), map[string]bool{}
	for i := range h.Current.Members {
		m := &h.Current.Members[i]
		if m.Origin == n.cfg.origin || m.State == circle.Left {
			continue
		}
		listed[m.Origin] = true
		members = append(members, holdings.Member{Origin: m.Origin, URL: m.URL})
		if err := n.meetMember(ctx, h, m, now); err != nil {
			errs = append(errs, fmt.Errorf("member %s: %w", m.Origin, err))
		}
		if keys, err := circle.VKeys(m.Mirror, now); err == nil && len(keys) > 0 {
			targets = append(targets, mirror.Target{Name: m.Origin, URL: m.URL + mirrorPrefix, Keys: keys})
		}
	}
	n.warnKeys(h)
	n.unfollow(listed)
	if n.holdings != nil {
		n.holdings.SetMembers(members)
	}
	n.pushTo(ctx, targets)
	return errors.Join(errs...)
}

// meetMember cosigns, mirrors and follows the log of a member. An invited one
// is served too: it can only agree in a log that is witnessed.
func (n *Node) meetMember(ctx context.Context, h *circle.History, m *circle.Member, now time.Time) error {
	keys, err := circle.VKeys(m.Log, now)
	if err != nil || len(keys) == 0 {
		return err // without a key in use nobody can be cosigned
	}
	note := "member of the circle " + h.Current.Name
	if n.witness != nil {
		l := witness.Log{Origin: m.Origin, Keys: keys, Note: note}
		if err := added(n.witness.Add(ctx, l), func() error { return n.witness.SetKeys(ctx, m.Origin, keys) }); err != nil {
			return err
		}
	}
	n.gossiping.awake() // evidence may have come before the log was known
	if n.mirror == nil {
		return nil
	}
	err = added(n.mirror.Add(ctx, m.Origin, keys, note), func() error { return n.pending.Witness().SetKeys(ctx, m.Origin, keys) })
	if err != nil {
		return err
	}
	return n.follow1(ctx, h, m)
}

// added gives a log that is known with other keys those that the circle lists.
func added(err error, setKeys func() error) error {
	if errors.Is(err, witness.ErrDifferent) {
		return setKeys()
	}
	return err
}

// follow1 has the pages show what stands in a member's log.
func (n *Node) follow1(ctx context.Context, h *circle.History, m *circle.Member) error {
	keys, err := statementKeys(h, m.Origin)
	if err != nil {
		return err
	}
	how := ""
	for _, k := range keys {
		how += k.ID().String() + "\n"
	}
	n.neighbours.mu.Lock()
	was, followed := n.neighbours.follows[m.Origin]
	n.neighbours.mu.Unlock()
	if followed && was == how {
		return nil
	}
	l, err := n.mirror.Log(m.Origin)
	if err != nil {
		return err
	}
	log := mirrored{n.mirror, n.pending, l, m.Origin}
	err = n.projection.Follow(ctx, m.Origin, log, func(context.Context) ([]key.Public, error) { return keys, nil }, heldEnvelopes{n.holdings})
	if err != nil {
		return err
	}
	n.GossipLog(m.Origin, copied{log})
	n.neighbours.mu.Lock()
	n.neighbours.follows[m.Origin] = how
	n.neighbours.mu.Unlock()
	return nil
}

// statementKeys are all keys that a member has had in a list that took effect
// and that were not revoked: what was signed with a retired key stays said.
func statementKeys(h *circle.History, origin string) ([]key.Public, error) {
	var out []key.Public
	for _, v := range h.Versions {
		if v.Status != circle.InForce && v.Status != circle.Superseded {
			continue
		}
		for _, m := range v.Members {
			if m.Origin != origin {
				continue
			}
			for _, k := range m.Statement {
				if revoked(h.Current, k.ID()) {
					continue
				}
				p, err := key.ParsePublic([]byte(k.Key))
				if err != nil {
					return nil, err
				}
				if !slices.ContainsFunc(out, func(o key.Public) bool { return o.ID() == p.ID() }) {
					out = append(out, p)
				}
			}
		}
	}
	slices.SortFunc(out, func(a, b key.Public) int { return strings.Compare(a.ID().String(), b.ID().String()) })
	return out, nil
}

func revoked(c *circle.Current, k digest.Digest) bool {
	return slices.Contains(c.Suspended, k) ||
		slices.ContainsFunc(c.Revoked, func(r statement.Revocation) bool { return r.Key == k })
}

// unfollow drops the logs of those who are listed no more.
func (n *Node) unfollow(listed map[string]bool) {
	n.neighbours.mu.Lock()
	var gone []string
	for origin := range n.neighbours.follows {
		if !listed[origin] {
			gone = append(gone, origin)
			delete(n.neighbours.follows, origin)
		}
	}
	n.neighbours.mu.Unlock()
	for _, origin := range gone {
		n.GossipLog(origin, nil)
		if err := n.projection.Drop(context.Background(), origin); err != nil {
			n.log.Error("following a log no more", "log", origin, "err", err)
		}
	}
}

// pushTo has the own log pushed to these mirrors, and to no others.
func (n *Node) pushTo(ctx context.Context, targets []mirror.Target) {
	whom := ""
	for _, t := range targets {
		whom += t.URL
		for _, k := range t.Keys {
			whom += " " + k.String()
		}
		whom += "\n"
	}
	n.neighbours.mu.Lock()
	same := whom == n.neighbours.pushing
	n.neighbours.mu.Unlock()
	if same {
		return
	}
	n.stopPushing()
	if len(targets) == 0 {
		return
	}
	p := mirror.NewPusher(mirror.Local{Handler: n.ledger.Handler()}, n.peers, n.log, targets...)
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.Run(ctx, pushEvery)
	}()
	n.neighbours.mu.Lock()
	n.neighbours.pusher, n.neighbours.pushing = p, whom
	n.neighbours.stopPush = func() { cancel(); <-done }
	n.neighbours.mu.Unlock()
}

func (n *Node) stopPushing() {
	n.neighbours.mu.Lock()
	stop := n.neighbours.stopPush
	n.neighbours.pusher, n.neighbours.pushing, n.neighbours.stopPush = nil, "", nil
	n.neighbours.mu.Unlock()
	if stop != nil {
		stop()
	}
}

// Pushes tells how far the mirrors of others are with the own log.
func (n *Node) Pushes() []mirror.Progress {
	n.neighbours.mu.Lock()
	p := n.neighbours.pusher
	n.neighbours.mu.Unlock()
	if p == nil {
		return nil
	}
	return p.Progress()
}

// mirrored is a mirrored log as the projection sees it.
type mirrored struct {
	m      *mirror.Mirror
	p      *witness.Pending
	l      *mirror.Log
	origin string
}

// Published implements projection.Log.
func (l mirrored) Published(ctx context.Context) (int64, time.Time, error) {
	s, err := l.m.Get(ctx, l.origin)
	return s.Size, s.Signed, err
}

// Leaves implements projection.Log.
func (l mirrored) Leaves(_ context.Context, index int64, most int) ([][]byte, error) {
	all, err := l.l.Bundle(index / tlog.TileWidth)
	if err != nil {
		return nil, err
	}
	at := index % tlog.TileWidth
	if at >= int64(len(all)) {
		return nil, fmt.Errorf("entry %d of %s: %w", index, l.origin, mirror.ErrUnknown)
	}
	all = all[at:]
	return all[:min(most, len(all))], nil
}

var _ projection.Log = mirrored{}

// copied is a mirrored log as gossip sees it.
type copied struct{ mirrored }

// Keys implements GossipLog.
func (c copied) Keys(ctx context.Context) ([]tlog.Verifier, error) { return c.p.Keys(ctx, c.origin) }

// Newest implements GossipLog.
func (c copied) Newest(context.Context) (*tlog.SignedCheckpoint, error) {
	b, err := c.m.Checkpoint(c.origin)
	if err != nil || b == nil {
		return nil, err
	}
	return tlog.ParseCheckpoint(b)
}

// Consistency implements GossipLog.
func (c copied) Consistency(ctx context.Context, from, to int64) (tlog.Hash, []tlog.Hash, error) {
	return c.l.Consistency(ctx, from, to)
}
