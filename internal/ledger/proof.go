package ledger

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	xtlog "golang.org/x/mod/sumdb/tlog"

	"vitrine.example/tlog"
)

// tree returns the published log, read through the cache.
func (l *Ledger) tree() (*tree, *published) {
	p := l.published.Load()
	return newTree(l.files, p.size, l.tiles), p
}

// Proof returns a finished tlog-proof of the entry under the newest checkpoint,
// or [ErrUnknown] where no published checkpoint covers the index. A proof is
// checked before it is given out, so that damaged tiles make an error and not a
// proof that fails at somebody else's.
func (l *Ledger) Proof(ctx context.Context, index int64) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	t, p := l.tree()
	if index < 0 || index >= p.size {
		return nil, ErrUnknown
	}
	path, err := xtlog.ProveRecord(p.size, index, t)
	if err != nil {
		return nil, fmt.Errorf("proving entry %d: %w", index, damaged(err))
	}
	leaf, err := t.node(0, index)
	if err != nil {
		return nil, fmt.Errorf("proving entry %d: %w", index, damaged(err))
	}
	proof := &tlog.Proof{Index: index, Path: path, Checkpoint: p.signed}
	if err := proof.VerifyInclusion(leaf); err != nil {
		return nil, fmt.Errorf("proving entry %d: %w: %w", index, ErrDamaged, err)
	}
	return proof.Marshal(), nil
}

// Leaf returns an entry that a published checkpoint covers, or [ErrUnknown]. It
// is compared with its leaf hash.
func (l *Ledger) Leaf(ctx context.Context, index int64) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	t, p := l.tree()
	if index < 0 || index >= p.size {
		return nil, ErrUnknown
	}
	leaf, err := t.leaf(index)
	if err != nil {
		return nil, fmt.Errorf("reading entry %d: %w", index, damaged(err))
	}
	return leaf, nil
}

func (t *tree) leaf(index int64) ([]byte, error) {
	at, n := index/tlog.TileWidth, int(index%tlog.TileWidth)
	b, err := t.files.bundle(t.tileAt(tlog.EntriesLevel, at))
	if err != nil {
		return nil, err
	}
	start, err := bundleEnd(b, n)
	if err != nil {
		return nil, err
	}
	end, err := bundleEnd(b[start:], 1)
	if err != nil {
		return nil, err
	}
	leaf := b[start+2 : start+end]
	h, err := t.node(0, index)
	if err != nil {
		return nil, err
	}
	if tlog.LeafHash(leaf) != h {
		return nil, fmt.Errorf("%w: it does not have the leaf hash that its tile says", ErrDamaged)
	}
	return leaf, nil
}

// damaged says of a file that is missing that the log is damaged: what a
// published checkpoint covers must be there.
func damaged(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return err
}
