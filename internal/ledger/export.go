package ledger

import (
	"context"
	"fmt"
	"path/filepath"

	"vitrine.example/tlog"
)

// Export gives every file of the published log in dir to put, under its name of
// C2SP tlog-tiles: the checkpoint first, then exactly the tiles and bundles
// that the checkpoint needs; of these only those that a tree of since entries does
// not have, and those on the right edge. It may run while a node serves the log. What it
// gives is not verified: whoever reads it does that.
func Export(ctx context.Context, dir string, v Verifier, since int64, put func(name string, b []byte) error) (int64, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return 0, err
	}
	size, err := export(ctx, files{abs}, v, since, put)
	if err != nil {
		return 0, fmt.Errorf("exporting the log %s: %w", dir, err)
	}
	return size, nil
}

func export(ctx context.Context, f files, v Verifier, since int64, put func(string, []byte) error) (int64, error) {
	p, ok, err := f.readCosigned(v)
	if err == nil && !ok {
		p, err = f.readPublished(v)
	}
	if err != nil {
		return 0, err
	}
	if p == nil || p.raw == nil {
		return 0, fmt.Errorf("%w: there is no checkpoint", ErrUnknown)
	}
	if since < 0 || since > p.size {
		return 0, fmt.Errorf("%w: the log has %d entries, and those from %d on are asked for", ErrUnknown, p.size, since)
	}
	if err := put(checkpointName, p.raw); err != nil {
		return 0, err
	}
	return p.size, exportTiles(ctx, f, p.size, since, put)
}

// exportTiles gives the tiles and bundles of a tree of size entries to put: from
// the one on that holds what follows the first since entries, at each level. So
// the first of a level also has the hashes of what is left of it.
func exportTiles(ctx context.Context, f files, size, since int64, put func(string, []byte) error) error {
	t := newTree(f, size, nil)
	for level := tlog.EntriesLevel; size>>(8*max(level, 0)) > 0; level++ {
		for i := firstTile(since, level); widthAt(size, level, i) > 0; i++ {
			if err := ctx.Err(); err != nil {
				return err
			}
			at := t.tileAt(level, i)
			b, err := f.tile(at)
			if err == nil {
				b, err = cut(at, b)
			}
			if err == nil {
				err = put(at.Path(), b)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// firstTile is the index of the tile of a level in which a tree of since entries
// goes on.
func firstTile(since int64, level int) int64 { return since >> (8 * (max(level, 0) + 1)) }

// cut cuts a tile or bundle, which may be wider, to its width.
func cut(t tlog.Tile, b []byte) ([]byte, error) {
	if t.Level != tlog.EntriesLevel {
		_, b, err := cutTile(t, b)
		return b, err
	}
	end, err := bundleEnd(b, t.Width)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrDamaged, t.Path(), err)
	}
	return b[:end], nil
}
