package ledger

import (
	"context"
	"fmt"

	xtlog "golang.org/x/mod/sumdb/tlog"

	"vitrine.example/tlog"
)

// Consistency returns the root of the first from entries and a proof that they
// are the beginning of the first to, which a published checkpoint must cover
// ([ErrUnknown]). 0 < from < to.
func (l *Ledger) Consistency(ctx context.Context, from, to int64) (root tlog.Hash, proof []tlog.Hash, err error) {
	if err := ctx.Err(); err != nil {
		return root, nil, err
	}
	if p := l.published.Load(); from <= 0 || from >= to || to > p.size {
		return root, nil, fmt.Errorf("proving growth from %d to %d entries: %w", from, to, ErrUnknown)
	}
	t := newTree(l.files, to, l.tiles)
	proof, err = xtlog.ProveTree(to, from, t)
	if err == nil {
		root, err = t.root(from)
	}
	if err != nil {
		return root, nil, fmt.Errorf("proving growth from %d to %d entries: %w", from, to, damaged(err))
	}
	return root, proof, nil
}
