package centre

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"vitrine.example/internal/circle"
	"vitrine.example/internal/gossip"
	"vitrine.example/internal/ledger"
	"vitrine.example/internal/meter"
	"vitrine.example/internal/web"
	"vitrine.example/internal/witness"
	"vitrine.example/tlog"
)

// Where gossip answers, below the node's URL (docs/spec/gossip.md).
const (
	forksPrefix  = "/forks/"
	gossipPrefix = "/gossip/"
)

// lookupPatience bounds finding the addresses of one member.
const lookupPatience = 5 * time.Second

// gossiping is what a node brings to gossip. It implements gossip.Members and
// gossip.Logs.
type gossiping struct {
	n      *Node
	wake   chan struct{} // holds one
	settle sync.Mutex    // evidence is held and accepted one at a time

	mu        sync.Mutex
	peers     []gossip.Peer
	keys      map[string][]tlog.Verifier // of members' logs, from the circle
	copies    map[string]GossipLog
	addresses []netip.Addr // of members
}

// GossipLog is a verified copy of a log: views of others are compared with it.
type GossipLog interface {
	// Keys returns the verifier keys of the log.
	Keys(ctx context.Context) ([]tlog.Verifier, error)
	// Newest returns the newest checkpoint that the copy was verified against,
	// or nil where there is none yet.
	Newest(ctx context.Context) (*tlog.SignedCheckpoint, error)
	// Consistency returns the root of the first from entries and a consistency
	// proof to size to, 0 < from < to.
	Consistency(ctx context.Context, from, to int64) (tlog.Hash, []tlog.Hash, error)
}

// GossipLog gives gossip a copy of a log, which goes before what the witness has
// cosigned of it; nil takes it away. The own log is always there.
func (n *Node) GossipLog(origin string, l GossipLog) {
	n.gossiping.mu.Lock()
	defer n.gossiping.mu.Unlock()
	if l == nil {
		delete(n.gossiping.copies, origin)
		return
	}
	n.gossiping.copies[origin] = l
}

// openGossip opens gossip, after the witness and the circle.
func (n *Node) openGossip() (err error) {
	g := &n.gossiping
	g.n, g.copies = n, map[string]GossipLog{n.cfg.origin: ownLog{n}}
	n.gossip, err = gossip.New(gossip.Options{
		DB: n.db, Members: g, Logs: g, Client: n.peers, Sender: g.sender, Now: time.Now, Log: n.log,
		OnFork: func(string, *tlog.Fork) { g.awake() },
	})
	if err != nil {
		return err
	}
	n.OnCircle(g.follow)
	return nil
}

// awake has what is kept looked at again, soon.
func (g *gossiping) awake() {
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

// follow takes members from the circle. All keys that are not revoked count: a
// log does not escape by changing its key.
func (g *gossiping) follow(c *circle.Current) {
	var peers []gossip.Peer
	keys := map[string][]tlog.Verifier{}
	for _, m := range c.Members {
		if m.Origin == g.n.cfg.origin || m.State == circle.Left {
			continue
		}
		peers = append(peers, gossip.Peer{Origin: m.Origin, URL: strings.TrimSuffix(m.URL, "/")})
		for _, k := range m.Log {
			if v, err := tlog.ParseVerifier(k.Key); err == nil {
				keys[m.Origin] = append(keys[m.Origin], v)
			}
		}
	}
	g.mu.Lock()
	g.peers, g.keys = peers, keys
	g.mu.Unlock()
	g.awake()
}

// Members implements gossip.Members.
func (g *gossiping) Members(context.Context) ([]gossip.Peer, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.peers), nil
}

// Keys implements gossip.Logs: what the copy, the circle and the witness know.
func (g *gossiping) Keys(ctx context.Context, origin string) ([]tlog.Verifier, error) {
	g.mu.Lock()
	l, all := g.copies[origin], slices.Clone(g.keys[origin])
	g.mu.Unlock()
	add := func(more []tlog.Verifier) {
		for _, v := range more {
			if !slices.ContainsFunc(all, func(k tlog.Verifier) bool { return k.String() == v.String() }) {
				all = append(all, v)
			}
		}
	}
	if l != nil {
		keys, err := l.Keys(ctx)
		if err != nil {
			return nil, err
		}
		add(keys)
	}
	if g.n.witness != nil {
		s, err := g.n.witness.Get(ctx, origin)
		if err != nil && !errors.Is(err, witness.ErrUnknown) {
			return nil, err
		}
		add(s.Keys)
	}
	return all, nil
}

// Newest implements gossip.Logs: the copies, the own log first, then what the
// witness has cosigned of others.
func (g *gossiping) Newest(ctx context.Context) (out []*tlog.SignedCheckpoint, err error) {
	g.mu.Lock()
	copies := make(map[string]GossipLog, len(g.copies))
	origins := []string{g.n.cfg.origin}
	for o, l := range g.copies {
		if copies[o] = l; o != g.n.cfg.origin {
			origins = append(origins, o)
		}
	}
	g.mu.Unlock()
	slices.Sort(origins[1:])
	for _, o := range origins {
		c, err := copies[o].Newest(ctx)
		if err != nil {
			return nil, fmt.Errorf("the copy of %s: %w", o, err)
		}
		if c != nil {
			out = append(out, c)
		}
	}
	err = eachWitnessed(ctx, g.n.witness, func(s *witness.Status) (bool, error) {
		if copies[s.Origin] == nil && s.Checkpoint != nil {
			c, err := tlog.ParseCheckpoint(s.Checkpoint)
			if err != nil {
				return false, fmt.Errorf("what was cosigned of %s: %w", s.Origin, err)
			}
			out = append(out, c)
		}
		return len(out) < gossip.MaxViews, nil
	})
	return out, err
}

// Consistency implements gossip.Logs.
func (g *gossiping) Consistency(ctx context.Context, origin string, from, to int64) (tlog.Hash, []tlog.Hash, error) {
	g.mu.Lock()
	l := g.copies[origin]
	g.mu.Unlock()
	if l == nil {
		return tlog.Hash{}, nil, gossip.ErrNoCopy
	}
	return l.Consistency(ctx, from, to)
}

// ownLog is the node's own log as gossip sees it.
type ownLog struct{ n *Node }

func (o ownLog) Keys(context.Context) ([]tlog.Verifier, error) {
	return o.n.keys.logKeys(), nil
}

func (o ownLog) Newest(ctx context.Context) (*tlog.SignedCheckpoint, error) {
	b, err := o.n.ledger.Checkpoint(ctx)
	if errors.Is(err, ledger.ErrUnknown) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return tlog.ParseCheckpoint(b)
}

func (o ownLog) Consistency(ctx context.Context, from, to int64) (tlog.Hash, []tlog.Hash, error) {
	return o.n.ledger.Consistency(ctx, from, to)
}

// eachWitnessed calls f for each log of the witness until it returns false.
func eachWitnessed(ctx context.Context, w *witness.Witness, f func(*witness.Status) (bool, error)) error {
	if w == nil {
		return nil
	}
	for after := ""; ; {
		page, err := w.List(ctx, after, witnessListPage)
		if err != nil {
			return err
		}
		for i := range page {
			if more, err := f(&page[i]); err != nil || !more {
				return err
			}
			after = page[i].Origin
		}
		if len(page) < witnessListPage {
			return nil
		}
	}
}

// sender tells gossip who sends: a member is known by its address.
func (g *gossiping) sender(r *http.Request) (netip.Prefix, bool) {
	from := web.Client(r, g.n.cfg.proxies)
	g.mu.Lock()
	defer g.mu.Unlock()
	return from, slices.ContainsFunc(g.addresses, from.Contains)
}

// lookUp finds the addresses of the members.
func (g *gossiping) lookUp(ctx context.Context) {
	peers, _ := g.Members(ctx)
	var all []netip.Addr
	for _, p := range peers {
		if u, err := url.Parse(p.URL); err == nil {
			all = append(all, g.n.cfg.hosts.addresses(ctx, u.Hostname())...)
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.addresses = all
}

// addresses are those of a host; none where they are not known.
func (h hosts) addresses(ctx context.Context, host string) []netip.Addr {
	if a, ok := h[host]; ok {
		return []netip.Addr{a.Addr().Unmap()}
	}
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a.Unmap()}
	}
	ctx, cancel := context.WithTimeout(ctx, lookupPatience)
	defer cancel()
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil
	}
	for i := range found {
		found[i] = found[i].Unmap()
	}
	return found[:min(len(found), 16)]
}

// gossipMounts are the handlers of gossip.
func (n *Node) gossipMounts(m map[string]http.Handler) {
	h := n.gossip.Handler()
	for _, prefix := range []string{forksPrefix, gossipPrefix} {
		m[prefix] = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			whole := *r
			u := *r.URL
			u.Path, u.RawPath = strings.TrimSuffix(prefix, "/")+u.Path, ""
			whole.URL = &u
			h.ServeHTTP(w, &whole)
		})
	}
}

// gossipMetrics counts evidence.
func (n *Node) gossipMetrics() []meter.Collector {
	return []meter.Collector{
		gauge("vitrine_forks_open", "Pieces of evidence that logs have signed two histories which the operator has not accepted.",
			func(ctx context.Context) (float64, error) {
				open, err := n.openForks(ctx)
				return float64(len(open)), err
			}),
		gauge("vitrine_gossip_troubles", "Members that do not answer as they should, and logs that give no proof.",
			func(context.Context) (float64, error) { return float64(len(n.gossip.Troubles())), nil }),
	}
}
