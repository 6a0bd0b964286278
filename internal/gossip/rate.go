package gossip

import (
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// How often evidence may be sent here: by one address, by all that are no
// members together, and by one member. Each is in posts a second and at once.
const (
	addressRate, addressBurst = 1, 8
	outsideRate, outsideBurst = 4, 32
	memberRate, memberBurst   = 4, 32
	maxAddresses              = 4096 // remembered
)

// posts decides who may send evidence. Members have buckets of their own, so
// that nobody else can use up what they need.
type posts struct {
	mu      sync.Mutex
	outside *rate.Limiter
	by      map[sender]*rate.Limiter
}

type sender struct {
	from   netip.Prefix
	member bool
}

func (p *posts) allow(s sender, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	l, ok := p.by[s]
	if !ok {
		if len(p.by) >= maxAddresses {
			p.forget()
		}
		l = rate.NewLimiter(addressRate, addressBurst)
		if s.member {
			l = rate.NewLimiter(memberRate, memberBurst)
		}
		p.by[s] = l
	}
	return l.AllowN(now, 1) && (s.member || p.outside.AllowN(now, 1))
}

// forget makes room: whoever is no member begins anew. The bound of all
// outsiders together holds on.
func (p *posts) forget() {
	for s := range p.by {
		if !s.member || len(p.by) > 2*maxAddresses {
			delete(p.by, s)
		}
	}
}

func newPosts() *posts {
	return &posts{outside: rate.NewLimiter(outsideRate, outsideBurst), by: map[sender]*rate.Limiter{}}
}

// mayPost reports whether a request may bring evidence.
func (g *Gossip) mayPost(r *http.Request) bool {
	var s sender
	if g.o.Sender != nil {
		s.from, s.member = g.o.Sender(r)
	}
	return g.posts.allow(s, g.o.Now())
}
