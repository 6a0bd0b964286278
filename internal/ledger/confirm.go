package ledger

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"vitrine.example/tlog"
)

// A log that was set back, by a copy of its directory, looks whole. Entries that it
// took would begin a second history, which it integrates and signs: evidence of a
// fork against itself, although no quorum ever cosigns it. Those who have cosigned
// the newer one refuse the older ("ahead" in internal/quorum). So a log with a
// Cosigner takes its first entry after the Cosigner has returned the checkpoint that
// the log was opened with: two quorums of one policy have a witness in common. An
// empty log is exempt, because nobody may know it before it has an entry.

// ErrUnconfirmed says that an entry was not taken, and has no index. It is an
// [ErrUnpublished] too.
var ErrUnconfirmed = fmt.Errorf("%w, which was not taken", ErrUnpublished)

// maxUnconfirmed bounds the calls of Add that wait for a confirmation.
const maxUnconfirmed = 1024

// confirmation is whether others have confirmed that the log is not set back.
type confirmation struct {
	size  int64         // that the log was opened with
	there chan struct{} // closed once they have, or nobody is asked
	once  sync.Once
	slots chan struct{} // one for each call that waits
}

func newConfirmation() *confirmation {
	return &confirmation{there: make(chan struct{}), slots: make(chan struct{}, maxUnconfirmed)}
}

func (c *confirmation) give() { c.once.Do(func() { close(c.there) }) }

func (c *confirmation) given() bool {
	select {
	case <-c.there:
		return true
	default:
		return false
	}
}

// AwaitConfirmed waits until the log takes entries: those who cosign it have
// cosigned what it was opened with, or nobody has to.
func (l *Ledger) AwaitConfirmed(ctx context.Context) error {
	select {
	case <-l.confirmed.there:
		return nil
	case <-l.ctx.Done():
		return ErrClosed
	case <-ctx.Done():
		return fmt.Errorf("waiting for the log: %w", ctx.Err())
	}
}

// admit waits, for Patience at most, until the log takes the entry of leaf
// hash h. One that it has already does not wait.
func (l *Ledger) admit(ctx context.Context, h tlog.Hash) error {
	if l.confirmed.given() {
		return nil
	}
	found, err := l.lookup(ctx, []*call{{hash: h}})
	if _, ok := found[h]; ok || err != nil {
		return err
	}
	select {
	case l.confirmed.slots <- struct{}{}:
		defer func() { <-l.confirmed.slots }()
	default:
		return ErrBusy
	}
	wait, cancel := context.WithTimeout(ctx, l.o.Patience)
	defer cancel()
	err = l.AwaitConfirmed(wait)
	if err == nil || ctx.Err() != nil || errors.Is(err, ErrClosed) {
		return err
	}
	return fmt.Errorf("%w after %v: %w", ErrUnconfirmed, l.o.Patience, firstOf(l.signer.refusal(), l.unconfirmed()))
}

// unconfirmed says why the log takes no entries, or nil.
func (l *Ledger) unconfirmed() error {
	l.publishing.Lock()
	c := l.cosigner
	l.publishing.Unlock()
	if c == nil || l.confirmed.given() {
		return nil
	}
	return fmt.Errorf("nobody has confirmed since the log was opened that its %d entries are the newest: awaiting %s", l.confirmed.size, c.Awaiting())
}

// startConfirmation says what has to be confirmed of a log of size entries.
func (l *Ledger) startConfirmation(size int64) {
	l.confirmed.size = size
	if size == 0 || l.cosigner == nil {
		l.confirmed.give()
	}
}

// confirm notes that a checkpoint was cosigned.
func (l *Ledger) confirm(size int64) {
	if size >= l.confirmed.size && !l.confirmed.given() {
		l.o.Log.Info("others have confirmed that the log is not set back", "entries", size)
		l.confirmed.give()
	}
}
