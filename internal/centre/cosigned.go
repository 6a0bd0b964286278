package centre

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"vitrine.example/internal/circle"
	"vitrine.example/internal/mirror"
	"vitrine.example/internal/witness"
	"vitrine.example/statement"
	"vitrine.example/tlog"
)

// A mirror keeps the log's own signatures alone (docs/spec/mirror.md), and a
// customer's policy asks for witnesses, perhaps for others than the few whom the
// log waited for. So a node gets the checkpoints of the members' logs from the
// members, and what other members' witnesses have cosigned of them, and proves
// entries of its copies under these. Who gives none, or another history, is
// proved under the mirror checkpoint. So it does with its own log: what it
// published bears the cosignatures that it waited for, and others come later.

// Bounds of gathering.
const (
	cosignedPause   = 2 * time.Second
	cosignedTimeout = 10 * time.Second
	cosignedTries   = 15       // while somebody's cosignature is missing
	maxCheckpoint   = 64 << 10 // bytes of a checkpoint
)

// cosigned are checkpoints of others' logs as their nodes publish them, checked.
type cosigned struct {
	mu   sync.Mutex
	held map[string]*tlog.SignedCheckpoint // by origin; what the mirror has, too
	next map[string]*tlog.SignedCheckpoint // beyond what the mirror has
	left map[string]int                    // tries for more cosignatures
}

func (c *cosigned) of(origin string) *tlog.SignedCheckpoint {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.held[origin]
}

// note keeps a checkpoint, for when the mirror has come so far, and returns what
// there is now, and whether it is worth asking for more.
func (c *cosigned) note(origin string, cp *tlog.SignedCheckpoint, mirrored int64) (now *tlog.SignedCheckpoint, more bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held == nil {
		c.held, c.next, c.left = map[string]*tlog.SignedCheckpoint{}, map[string]*tlog.SignedCheckpoint{}, map[string]int{}
	}
	if cp != nil && (c.next[origin] == nil || cp.Size <= mirrored) {
		c.next[origin] = cp
	}
	if n := c.next[origin]; n != nil && n.Size <= mirrored {
		if was := c.held[origin]; was == nil || was.Size < n.Size {
			c.left[origin] = cosignedTries
		}
		c.held[origin] = n
		delete(c.next, origin)
	}
	now = c.held[origin]
	if now == nil || now.Size < mirrored {
		return now, true
	}
	c.left[origin]--
	return now, c.left[origin] >= 0
}

// gatherCosigned asks for checkpoints until ctx ends. A member whose log has not
// grown is not asked.
func (n *Node) gatherCosigned(ctx context.Context) {
	for pause(ctx, cosignedPause) == nil {
		h, err := n.Circle(ctx)
		if err != nil {
			if !errors.Is(err, circle.ErrNone) && ctx.Err() == nil {
				n.log.Error("asking who belongs to the circle", "err", err)
			}
			continue
		}
		var work sync.WaitGroup
		for i := range h.Current.Members {
			if m := &h.Current.Members[i]; m.State == circle.Confirmed {
				work.Go(func() { n.gatherFrom(ctx, h.Current, m) })
			}
		}
		work.Wait()
	}
}

// gatherFrom asks a member for its log's checkpoint, and the others for their
// cosignatures.
func (n *Node) gatherFrom(ctx context.Context, c *circle.Current, m *circle.Member) {
	size, err := n.provable(ctx, m.Origin)
	if err != nil || size == 0 {
		return // nothing to prove yet
	}
	now, more := n.cosigned.note(m.Origin, nil, size)
	if !more {
		return
	}
	if now == nil || now.Size < size {
		if now, err = n.publishedBy(ctx, m); err != nil {
			n.log.Debug("a member gives no checkpoint", "member", m.Origin, "err", err)
			return
		}
	}
	all := *now
	all.Signatures = slices.Clone(now.Signatures)
	for i := range c.Members {
		if w := &c.Members[i]; w.Origin != m.Origin && w.State == circle.Confirmed {
			n.addCosignatures(ctx, &all, m, w)
		}
	}
	n.cosigned.note(m.Origin, &all, size)
}

// provable is how many entries of a log this node can prove.
func (n *Node) provable(ctx context.Context, origin string) (int64, error) {
	if origin == n.cfg.origin {
		s, err := n.ledger.Status(ctx)
		return s.Published, err
	}
	if n.mirror == nil {
		return 0, mirror.ErrUnknown
	}
	s, err := n.mirror.Get(ctx, origin)
	return s.Size, err
}

// publishedBy is the newest checkpoint that a member shows of its log.
func (n *Node) publishedBy(ctx context.Context, m *circle.Member) (*tlog.SignedCheckpoint, error) {
	if m.Origin != n.cfg.origin {
		return n.cosignedOf(ctx, m, m.URL)
	}
	b, err := n.ledger.Checkpoint(ctx)
	if err != nil {
		return nil, err
	}
	return tlog.ParseCheckpoint(b)
}

// More implements [web.Proofs]: the own checkpoint with the cosignatures that
// came after it was published.
func (n *Node) More(cp *tlog.SignedCheckpoint) *tlog.SignedCheckpoint {
	if all := n.cosigned.of(n.cfg.origin); all != nil && all.Checkpoint.String() == cp.Checkpoint.String() {
		return all
	}
	return cp
}

// addCosignatures adds those of one member's witness, where it has seen the same.
func (n *Node) addCosignatures(ctx context.Context, cp *tlog.SignedCheckpoint, m, w *circle.Member) {
	missing := slices.DeleteFunc(verifiersOf(w.Witness), func(v tlog.Verifier) bool { _, err := v.Verify(cp); return err == nil })
	if len(missing) == 0 {
		return
	}
	seen, err := n.witnessed(ctx, m, w)
	if err != nil || seen.Checkpoint.String() != cp.Checkpoint.String() {
		return // it is away, or elsewhere; it is asked again
	}
	for _, v := range missing {
		if _, err := v.Verify(seen); err != nil {
			continue
		}
		for _, s := range seen.Signatures {
			if s.Name == v.Name() && s.KeyID == v.KeyID() {
				cp.Signatures = append(cp.Signatures, s)
			}
		}
	}
}

// witnessed is what a member's witness has cosigned of another's log.
func (n *Node) witnessed(ctx context.Context, m, w *circle.Member) (*tlog.SignedCheckpoint, error) {
	if w.Origin != n.cfg.origin {
		return n.cosignedOf(ctx, m, fmt.Sprintf("%s/witness/%x", strings.TrimSuffix(w.URL, "/"), witness.OriginHash(m.Origin)))
	}
	if n.witness == nil {
		return nil, witness.ErrUnknown
	}
	s, err := n.witness.Get(ctx, m.Origin)
	if err == nil && s.Checkpoint == nil {
		err = witness.ErrUnknown
	}
	if err != nil {
		return nil, err
	}
	return tlog.ParseCheckpoint(s.Checkpoint)
}

// verifiersOf reads keys of a member.
func verifiersOf(keys []statement.MemberKey) (out []tlog.Verifier) {
	for _, k := range keys {
		if v, err := tlog.ParseVerifier(k.Key); err == nil {
			out = append(out, v)
		}
	}
	return out
}

// cosignedOf gets a checkpoint of a member's log, signed by that log, from a place.
func (n *Node) cosignedOf(ctx context.Context, m *circle.Member, base string) (*tlog.SignedCheckpoint, error) {
	ctx, cancel := context.WithTimeout(ctx, cosignedTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(base, "/")+"/checkpoint", nil)
	if err != nil {
		return nil, err
	}
	a, err := n.peers.Do(r)
	if err != nil {
		return nil, err
	}
	defer a.Body.Close()
	b, err := io.ReadAll(io.LimitReader(a.Body, maxCheckpoint+1))
	switch {
	case err != nil:
		return nil, err
	case a.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("the other node answered %s", a.Status)
	case len(b) > maxCheckpoint:
		return nil, fmt.Errorf("a checkpoint of more than %d bytes", maxCheckpoint)
	}
	cp, err := tlog.ParseCheckpoint(b)
	if err != nil {
		return nil, err
	}
	for _, v := range verifiersOf(m.Log) {
		if _, err := v.Verify(cp); err == nil && cp.Origin == m.Origin && v.Name() == cp.Origin {
			return cp, nil
		}
	}
	return nil, fmt.Errorf("the checkpoint is not signed by the log %s", m.Origin)
}
