package ledger

import (
	"context"
	"fmt"

	"vitrine.example/tlog"
)

// Leaves returns entries that a published checkpoint covers, from an index on:
// those that stand in the same entry bundle, at most n. It reads a bundle once
// where [Ledger.Leaf] would read it for each entry. Each is compared with its
// leaf hash. [ErrUnknown]: no published checkpoint covers the index.
func (l *Ledger) Leaves(ctx context.Context, index int64, n int) ([][]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	t, p := l.tree()
	if index < 0 || index >= p.size || n < 1 {
		return nil, ErrUnknown
	}
	all, err := t.leaves(index / tlog.TileWidth)
	if err != nil {
		return nil, fmt.Errorf("reading entries from %d on: %w", index, damaged(err))
	}
	all = all[index%tlog.TileWidth:]
	return all[:min(n, len(all))], nil
}

// leaves returns the entries of a bundle, compared with the tile of their hashes.
func (t *tree) leaves(index int64) ([][]byte, error) {
	b, err := t.files.bundle(t.tileAt(tlog.EntriesLevel, index))
	if err != nil {
		return nil, err
	}
	e, err := t.tile(0, index)
	if err != nil {
		return nil, err
	}
	all := entries(b)
	for i, leaf := range all {
		if tlog.LeafHash(leaf) != e.rows[0][i] {
			return nil, fmt.Errorf("%w: entry %d does not have the leaf hash that its tile says",
				ErrDamaged, index*tlog.TileWidth+int64(i))
		}
	}
	return all, nil
}
