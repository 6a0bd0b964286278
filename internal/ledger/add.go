package ledger

import (
	"bytes"
	"context"
	"fmt"

	"vitrine.example/tlog"
)

// Add appends an entry of at most 65,535 bytes, once, and waits until a
// published checkpoint covers it. Entries that are being added at the same time
// by several callers, or were added before, get one and the same index.
//
// Where Add returns an index, the entry is on the disk, and so is the
// checkpoint. Where the context ends first, the entry may be logged all the
// same. [ErrBusy], [ErrClosed] and [ErrUnconfirmed] say that it was not taken;
// [ErrUnpublished] says why it could not be published.
func (l *Ledger) Add(ctx context.Context, leaf []byte) (Entry, error) {
	e, err := l.add(ctx, leaf)
	l.metrics.added(outcome(e, err))
	return e, err
}

func (l *Ledger) add(ctx context.Context, leaf []byte) (Entry, error) {
	if len(leaf) > MaxEntry {
		return Entry{}, fmt.Errorf("adding an entry of %d bytes: %w", len(leaf), ErrTooLarge)
	}
	if err := ctx.Err(); err != nil {
		return Entry{}, err
	}
	if err := l.cannotPublish(); err != nil {
		return Entry{}, err
	}
	h := tlog.LeafHash(leaf)
	if err := l.admit(ctx, h); err != nil {
		return Entry{}, err
	}
	c, joined, err := l.inbox.join(h, bytes.Clone(leaf))
	if err != nil {
		return Entry{}, err
	}
	defer l.inbox.left()
	select {
	case <-c.done:
		return c.result(joined)
	case <-ctx.Done():
		return Entry{}, fmt.Errorf("waiting for the log: %w", ctx.Err())
	}
}

// cannotPublish refuses entries while the signer refuses and others wait for it
// already. When nobody waits, an entry is let through, to ask the signer again.
func (l *Ledger) cannotPublish() error {
	err := l.signer.refusal()
	if err == nil || l.sequenced.Load() <= l.signed.Load().size {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrUnpublished, err)
}
