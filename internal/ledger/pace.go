package ledger

import (
	"slices"
	"sync"
	"time"
)

// due returns when the next batch is due if it does not become full before.
//
// Tessera publishes an interval after the last checkpoint and not earlier; when
// a batch comes a little too soon it looks again only after another interval.
// One that is in the tree just after the interval is published at once, and all
// that arrives before it goes with the same few writes. So a batch starts an
// interval after the last checkpoint (or after the last batch, where that has no
// checkpoint yet), less the time that batches take at least.
func (s *sequencer) due() time.Time {
	o := s.l.o
	last := s.l.signed.Load().written()
	if s.started.After(last) {
		last = s.started
	}
	wait := o.Interval - min(s.pace.least(), o.Interval/2)
	return last.Add(max(wait, o.BatchAge))
}

// maxLag bounds how long before we saw a checkpoint it may have been written.
const maxLag = 50 * time.Millisecond

// written returns when the checkpoint was written, on the clock that does not
// jump: the time of the file is on another.
func (p *published) written() time.Time {
	return p.seen.Add(-min(max(p.seen.Sub(p.at), 0), maxLag))
}

// margin is taken off what batches take at least: too late costs little, too
// early an interval.
const margin = 5 * time.Millisecond

// pace remembers how long the newest batches took from start to tree.
type pace struct {
	mu   sync.Mutex
	took [8]time.Duration
	next int
}

func (p *pace) note(d time.Duration) {
	p.mu.Lock()
	p.took[p.next] = d
	p.next = (p.next + 1) % len(p.took)
	p.mu.Unlock()
}

// least returns what each of the newest batches took at least, less a margin;
// zero until it has seen enough of them.
func (p *pace) least() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return max(slices.Min(p.took[:])-margin, 0)
}
