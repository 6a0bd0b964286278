package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"vitrine.example/tlog"
)

// How often the checkpoint is looked at.
const (
	watchIdle   = 100 * time.Millisecond // nobody waits
	watchBusy   = 10 * time.Millisecond  // somebody does
	watchSigned = time.Millisecond       // one was signed and will be there at once
	signedFor   = 50 * time.Millisecond  // how long watchSigned holds

	// refusedFor is how long a signer may refuse before those who wait for it
	// are told.
	refusedFor = 2 * time.Second
)

// published is a checkpoint that was on the disk and verified.
type published struct {
	raw    []byte
	signed *tlog.SignedCheckpoint
	size   int64
	root   tlog.Hash
	at     time.Time // when it was written
	seen   time.Time // when we read it first
}

// parsePublished verifies a checkpoint of this log.
func parsePublished(raw []byte, v Verifier) (*published, error) {
	c, err := tlog.ParseCheckpoint(raw)
	if err != nil {
		return nil, err
	}
	if c.Origin != v.Name() {
		return nil, fmt.Errorf("its origin is %q and not %q", c.Origin, v.Name())
	}
	if _, err := v.Verify(c); err != nil {
		return nil, err
	}
	return &published{raw: raw, signed: c, size: c.Size, root: c.Root}, nil
}

// cosigned reports whether there are signature lines of others than the log,
// whoever they are.
func (p *published) cosigned() bool {
	return slices.ContainsFunc(p.signed.Signatures, func(s tlog.Signature) bool { return s.Name != p.signed.Origin })
}

// readPublished reads the checkpoint from the disk; nil where there is none.
func (f files) readPublished(v Verifier) (*published, error) {
	raw, at, err := f.checkpoint()
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	p, err := parsePublished(raw, v)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrDamaged, f.path(checkpointName), err)
	}
	p.at = at
	return p, nil
}

// waiters are calls whose entries have an index but no checkpoint yet.
type waiters struct {
	mu    sync.Mutex
	calls []*call
}

func (w *waiters) add(calls []*call) {
	if len(calls) == 0 {
		return
	}
	w.mu.Lock()
	w.calls = append(w.calls, calls...)
	w.mu.Unlock()
}

func (w *waiters) any() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.calls) > 0
}

// remove takes out the calls for which f holds.
func (w *waiters) remove(f func(*call) bool) (out []*call) {
	w.mu.Lock()
	defer w.mu.Unlock()
	rest := w.calls[:0]
	for _, c := range w.calls {
		if f(c) {
			out = append(out, c)
		} else {
			rest = append(rest, c)
		}
	}
	clear(w.calls[len(rest):])
	w.calls = rest
	return out
}

func (l *Ledger) wakeWatcher() {
	select {
	case l.poke <- struct{}{}:
	default:
	}
}

// watch follows the checkpoint on the disk and tells those who wait for it. It
// takes the place of Tessera's PublicationAwaiter, which fails everybody who
// waits as soon as one reading fails, and verifies nothing.
func (l *Ledger) watch() {
	t := time.NewTimer(0)
	defer t.Stop()
	told := ""
	for {
		select {
		case <-l.ctx.Done():
			return
		case <-l.poke:
		case <-t.C:
		}
		err := l.look()
		if err != nil && err.Error() != told { // once, not at every look
			told = err.Error()
			l.o.Log.Error("reading the checkpoint", "err", err)
		}
		l.giveUp(err)
		t.Reset(l.watchEvery())
	}
}

func (l *Ledger) watchEvery() time.Duration {
	text, at := l.signer.last()
	if time.Since(at) < signedFor && l.signed.Load().textIsNot(text) {
		return watchSigned
	}
	if l.waiters.any() {
		return watchBusy
	}
	return watchIdle
}

func (p *published) textIsNot(text string) bool {
	return p == nil || !bytes.HasPrefix(p.raw, []byte(text))
}

// look reads the checkpoint, and where it is a new one makes it known and ends
// the waiting of those whom it covers.
func (l *Ledger) look() error {
	s, err := l.newer(l.signed.Load())
	if err != nil {
		return err
	}
	if s != nil {
		l.signed.Store(s)
		l.askCosigner()
	}
	l.publishSigned(l.signed.Load())
	p := l.published.Load()
	l.acknowledge(p, l.waiters.remove(func(c *call) bool { return c.index < p.size }))
	return nil
}

// acknowledge ends the waiting of calls that a checkpoint covers. It looks
// whether the published tree has each of them where the answer will say: what
// was foreseen and what the database knows are not evidence.
func (l *Ledger) acknowledge(p *published, calls []*call) {
	if len(calls) == 0 {
		return
	}
	t := newTree(l.files, p.size, l.tiles)
	var good, bad []*call
	var why error
	for _, c := range calls {
		h, err := t.node(0, c.index)
		if err == nil && h != c.hash {
			err = fmt.Errorf("%w: entry %d has the leaf hash %v and not %v", ErrDisagree, c.index, h, c.hash)
		}
		if err != nil {
			bad, why = append(bad, c), err
			continue
		}
		good = append(good, c)
	}
	l.metrics.publishedCalls(good)
	l.inbox.finish(good, nil)
	if len(bad) > 0 {
		l.o.Log.Error("publishing", "entries", len(bad), "err", why)
		l.broken.Store(true)
		l.inbox.finish(bad, fmt.Errorf("looking for the entry in the log: %w", why))
		l.inbox.signal()
	}
}

// newer returns the checkpoint on the disk where it is not old. Tessera renames
// it into place and syncs the directory after that: we may see it before the
// disk has it, and sync the directory too before anybody relies on it.
func (l *Ledger) newer(old *published) (*published, error) {
	raw, at, err := l.files.checkpoint()
	if errors.Is(err, os.ErrNotExist) && old == nil {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	if old != nil && bytes.Equal(raw, old.raw) {
		return nil, nil
	}
	p, err := parsePublished(raw, l.verifier)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrDamaged, l.files.path(checkpointName), err)
	}
	p.at, p.seen = at, time.Now()
	if old != nil && (p.size < old.size || p.size == old.size && p.root != old.root) {
		return nil, fmt.Errorf("%w: the checkpoint of %d entries was replaced by another of %d", ErrDamaged, old.size, p.size)
	}
	return p, l.files.syncDir()
}

// giveUp ends the waiting of those who have waited too long and says why.
func (l *Ledger) giveUp(reading error) {
	if !l.waiters.any() {
		return
	}
	refusal := l.signer.refusal()
	patience := l.o.Patience
	if refusal != nil {
		patience = min(patience, refusedFor)
	}
	now := time.Now()
	late := l.waiters.remove(func(c *call) bool { return now.Sub(c.sequenced) > patience })
	if len(late) == 0 {
		return
	}
	why := fmt.Errorf("%w after %v: %w", ErrUnpublished, patience, firstOf(refusal, reading, l.awaited(), l.stuck()))
	l.o.Log.Error("publishing", "entries", len(late), "err", why)
	l.inbox.finish(late, why)
}

// firstOf returns the first reason that is known.
func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return errors.New("the reason is unknown: see the log of the node")
}

// stuck looks for a reason why Tessera does not publish.
func (l *Ledger) stuck() error {
	if p := l.signed.Load(); p != nil && time.Until(p.at) > 0 {
		// Tessera leaves a checkpoint alone that is younger than the interval.
		return fmt.Errorf("the newest checkpoint was written at %s, which is in the future: has the clock run backwards?", p.at.UTC().Format(time.RFC3339))
	}
	return lastComplaint()
}

// awaitFirst waits until a checkpoint is signed, which that of a new log is at
// once. It may not be published before others have cosigned it.
func (l *Ledger) awaitFirst(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, l.o.Patience)
	defer cancel()
	err := poll(ctx, func() bool { return l.signed.Load() != nil })
	if err != nil {
		return fmt.Errorf("opening the log %s: %w: %w", l.o.Dir, ErrUnpublished, firstOf(l.signer.refusal(), lastComplaint(), err))
	}
	return nil
}

// awaitNobody waits until no entry is under way, and all that have an index are
// under a signed checkpoint: those too which a process that was killed has left.
// A checkpoint that nobody cosigns is published after the log is opened again.
func (l *Ledger) awaitNobody(ctx context.Context) error {
	return poll(ctx, func() bool {
		return l.inbox.underWay() == 0 && l.signed.Load().size >= l.sequenced.Load()
	})
}

// awaitQuiet waits until the checkpoint that was signed last is on the disk:
// after it Tessera, which cannot sign any more, writes no other.
func (l *Ledger) awaitQuiet(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, refusedFor)
	defer cancel()
	text, _ := l.signer.last()
	err := poll(ctx, func() bool { return text == "" || !l.signed.Load().textIsNot(text) })
	if err != nil && l.signer.refusal() != nil {
		return nil // it was never made
	}
	return err
}

// poll waits until f holds.
func poll(ctx context.Context, f func() bool) error {
	t := time.NewTicker(2 * time.Millisecond)
	defer t.Stop()
	for !f() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
		}
	}
	return nil
}
