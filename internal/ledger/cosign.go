package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	xtlog "golang.org/x/mod/sumdb/tlog"

	"vitrine.example/tlog"
)

// Cosigner has others cosign the checkpoints of a log before they are published.
type Cosigner interface {
	// Cosign returns the checkpoint with the cosignatures that it needs to be
	// published. It tries until it has them or the context ends. prove makes the
	// consistency proof from a smaller size.
	Cosign(ctx context.Context, c *tlog.SignedCheckpoint, prove func(from int64) ([]tlog.Hash, error)) (*tlog.SignedCheckpoint, error)
	// Awaiting says whose cosignatures are lacking, such as "2 of 3 witnesses
	// (a, b, c)".
	Awaiting() string
}

const (
	// cosignedName is the file of the published checkpoint of a log that has a
	// Cosigner. It is empty where nothing was published yet, and absent where
	// the log has no Cosigner.
	cosignedName = "cosigned"
	cosignedTemp = "cosigned.new"

	// roundTime is how long cosignatures of a checkpoint are waited for before
	// a newer one, where there is one, is tried in its place.
	roundTime = 2 * time.Second
	// roundPause is the least between rounds that failed.
	roundPause = 100 * time.Millisecond
)

// unpublished stands for the checkpoint of a log that has published none.
func unpublished() *published { return &published{root: tlog.EmptyRoot()} }

// readCosigned reads the published checkpoint of a log that has a Cosigner.
// There is none where the file is absent (ok is false) or empty.
func (f files) readCosigned(v Verifier) (p *published, ok bool, err error) {
	raw, at, err := f.read(cosignedName, tlog.MaxCheckpoint)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, false, nil
	case err != nil:
		return nil, false, err
	case len(raw) == 0:
		return unpublished(), true, nil
	}
	if p, err = parsePublished(raw, v); err != nil {
		return nil, false, fmt.Errorf("%w: %s: %w", ErrDamaged, f.path(cosignedName), err)
	}
	p.at = at
	return p, true, nil
}

// writeCosigned puts a checkpoint in its place, durably.
func (f files) writeCosigned(raw []byte) error {
	if err := f.replace(cosignedTemp, cosignedName, raw); err != nil {
		return fmt.Errorf("keeping the cosigned checkpoint: %w", err)
	}
	return nil
}

// replace writes a file under another name, and gives it its own, durably.
func (f files) replace(temp, name string, raw []byte) error {
	h, err := os.OpenFile(f.path(temp), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = h.Write(raw)
	if err = errors.Join(err, h.Sync(), h.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.path(temp), f.path(name)); err != nil {
		return err
	}
	return f.syncDir()
}

// Cosigned reports whether the log in dir publishes only what a Cosigner has
// returned: whoever opens it without one gives that up.
func Cosigned(dir string) (bool, error) {
	_, err := os.Stat(files{dir}.path(cosignedName))
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// dropCosigned says that checkpoints are published as they are signed.
func (f files) dropCosigned() error {
	if err := os.Remove(f.path(cosignedName)); errors.Is(err, os.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	return f.syncDir()
}

// startPublished finds what is published when the log is opened, before
// anything new is signed. What was published before the log had a Cosigner
// stays published.
func (l *Ledger) startPublished(h head) error {
	p := h.cosigned
	switch {
	case l.cosigner == nil:
		if p = h.checkpoint; p == nil {
			p = unpublished()
		}
		if err := l.files.dropCosigned(); err != nil {
			return fmt.Errorf("opening the log %s: %w", l.o.Dir, err)
		}
	case p == nil:
		if p = h.checkpoint; p == nil {
			p = unpublished()
		}
		if err := l.files.writeCosigned(p.raw); err != nil {
			return fmt.Errorf("opening the log %s: %w", l.o.Dir, err)
		}
	}
	l.published.Store(p)
	return nil
}

// SetCosigner puts another Cosigner in the place of the one in use. nil publishes
// what is signed. What is published stays so; another Cosigner is asked for it at
// once, for others may be wanted now than those who cosigned it.
func (l *Ledger) SetCosigner(c Cosigner) error {
	l.publishing.Lock()
	defer l.publishing.Unlock()
	var err error
	switch {
	case c == nil && l.cosigner != nil:
		err = l.files.dropCosigned()
	case c != nil && l.cosigner == nil:
		err = l.files.writeCosigned(l.published.Load().raw)
	}
	if err != nil {
		return fmt.Errorf("exchanging the cosigner of the log %s: %w", l.o.Dir, err)
	}
	l.cosigner, l.cosignedAt = c, time.Time{}
	if c == nil {
		l.confirmed.give()
	}
	if l.endRound != nil {
		l.endRound()
	}
	l.askCosigner()
	l.wakeWatcher()
	return nil
}

// askCosigner wakes cosign.
func (l *Ledger) askCosigner() {
	select {
	case l.ask <- struct{}{}:
	default:
	}
}

// publishSigned publishes what was signed where no Cosigner has a say.
func (l *Ledger) publishSigned(p *published) {
	l.publishing.Lock()
	defer l.publishing.Unlock()
	if old := l.published.Load(); l.cosigner == nil && p != nil && !bytes.Equal(old.raw, p.raw) && p.size >= old.size {
		l.published.Store(p)
		l.metrics.checkpoint(p)
	}
}

// cosign is the one goroutine that has checkpoints cosigned. While one is with
// the Cosigner, others are signed; of these only the newest is asked for.
func (l *Ledger) cosign() {
	t := time.NewTicker(min(l.o.Renew, time.Second))
	defer t.Stop()
	for {
		for l.round() {
		}
		select {
		case <-l.ctx.Done():
			return
		case <-l.ask:
		case <-t.C: // the published one may be due to be renewed
		}
	}
}

// round has the newest signed checkpoint cosigned, where that is due. It
// reports whether another round should follow at once.
func (l *Ledger) round() bool {
	ctx, cancel := context.WithTimeout(l.ctx, roundTime)
	defer cancel()
	c, s := l.beginRound(cancel)
	if c == nil || l.ctx.Err() != nil {
		return false
	}
	out, err := c.Cosign(ctx, s.signed, func(from int64) ([]tlog.Hash, error) { return l.proveGrowth(from, s) })
	if err == nil {
		err = l.publishCosigned(c, s, out)
	}
	if err == nil {
		return true
	}
	if ctx.Err() == nil { // it failed before its time: do not ask it all the time
		l.o.Log.Error("having a checkpoint cosigned", "size", s.size, "err", err)
		select {
		case <-l.ctx.Done():
		case <-time.After(roundPause):
		}
	}
	return true
}

// beginRound returns the Cosigner and what it is to be asked for, or nil.
func (l *Ledger) beginRound(cancel context.CancelFunc) (Cosigner, *published) {
	l.publishing.Lock()
	defer l.publishing.Unlock()
	s, p := l.signed.Load(), l.published.Load()
	if l.cosigner == nil || s == nil || s.size < p.size {
		return nil, nil
	}
	if !p.textIsNot(string(s.signed.Text())) && time.Since(l.cosignedAt) < l.o.Renew {
		return nil, nil
	}
	l.endRound = cancel
	return l.cosigner, s
}

// proveGrowth proves that the tree of from entries is the beginning of that of
// a signed checkpoint, and checks the proof: damaged tiles are our fault and no
// witness's.
func (l *Ledger) proveGrowth(from int64, s *published) ([]tlog.Hash, error) {
	if from == 0 || from == s.size {
		return nil, nil
	}
	if from < 0 || from > s.size {
		return nil, fmt.Errorf("proving growth from %d to %d entries: %w", from, s.size, ErrUnknown)
	}
	t := newTree(l.files, s.size, l.tiles)
	path, err := xtlog.ProveTree(s.size, from, t)
	if err != nil {
		return nil, fmt.Errorf("proving growth from %d to %d entries: %w", from, s.size, damaged(err))
	}
	root, err := t.root(from)
	if err == nil {
		err = tlog.VerifyConsistency(from, s.size, root, s.root, path)
	}
	if err != nil {
		return nil, fmt.Errorf("proving growth from %d to %d entries: %w: %w", from, s.size, ErrDamaged, err)
	}
	return path, nil
}

// publishCosigned keeps and shows what the Cosigner returned, in this order, if
// it is what was asked for and the Cosigner still has a say.
func (l *Ledger) publishCosigned(c Cosigner, s *published, out *tlog.SignedCheckpoint) error {
	raw := out.Marshal()
	p, err := parsePublished(raw, l.verifier)
	if err != nil {
		return fmt.Errorf("reading what the cosigner returned: %w", err)
	}
	if !bytes.Equal(out.Text(), s.signed.Text()) {
		return fmt.Errorf("the cosigner returned %v and was asked for %v", out.Checkpoint, s.signed.Checkpoint)
	}
	l.publishing.Lock()
	defer l.publishing.Unlock()
	if l.cosigner != c || p.size < l.published.Load().size {
		return nil // another has a say now: it is asked next
	}
	if err := l.files.writeCosigned(raw); err != nil {
		return err
	}
	p.at, p.seen = time.Now(), time.Now()
	l.cosignedAt = p.seen
	l.confirm(p.size)
	l.published.Store(p)
	l.metrics.checkpoint(p)
	l.wakeWatcher()
	return nil
}

// awaiting says what keeps signed entries from being published, or "".
func (l *Ledger) awaiting() string {
	l.publishing.Lock()
	c := l.cosigner
	l.publishing.Unlock()
	s, p := l.signed.Load(), l.published.Load()
	if c == nil || s == nil || p.raw != nil && s.size <= p.size {
		return ""
	}
	return c.Awaiting()
}

// awaited is awaiting as a reason for callers.
func (l *Ledger) awaited() error {
	if a := l.awaiting(); a != "" {
		return errors.New("sequenced, awaiting " + a)
	}
	return nil
}
