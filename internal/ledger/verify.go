package ledger

import (
	"context"
	"errors"
	"fmt"

	"vitrine.example/tlog"
)

// Verified tells what [Verify] has verified.
type Verified struct {
	Checkpoint *tlog.SignedCheckpoint
	Files      int64     // tiles and bundles
	Since      int64     // entries that are taken for known
	SinceRoot  tlog.Hash // of the tree of these
}

// VerifyOptions say what to verify.
type VerifyOptions struct {
	Source   Source
	Verifier Verifier // of the log's key
	Since    int64    // the source has only what follows a tree of so many entries
	// Entries is given the entries of each bundle, in order, before the root is
	// known to be right. May be nil.
	Entries  func(ctx context.Context, first int64, entries [][]byte) error
	Progress func(done, total int64) // in entries; may be nil
}

// Verify reads every entry and tile of a log that lies elsewhere, computes all
// hashes from the entries, and compares tiles and root with them. It writes
// nothing, and takes memory for a few tiles.
//
// Where the source has only what follows Since entries, the hashes of these are
// taken from its tiles. They are right where the root is; that the first entries are
// what somebody has already is for the caller to see, by SinceRoot.
func Verify(ctx context.Context, o VerifyOptions) (*Verified, error) {
	raw, err := o.Source.Checkpoint(ctx)
	if err != nil {
		return nil, fmt.Errorf("checkpoint of %s: %w", o.Source, err)
	}
	p, err := parsePublished(raw, o.Verifier)
	if err != nil {
		return nil, fmt.Errorf("checkpoint of %s: %w", o.Source, err)
	}
	if o.Since < 0 || o.Since > p.size {
		return nil, fmt.Errorf("%w: it has %d entries, and those from %d on are asked for", ErrDamaged, p.size, o.Since)
	}
	v := &verification{o: o, size: p.size, out: &Verified{Checkpoint: p.signed, Since: o.Since}}
	if err := v.run(ctx); err != nil {
		return nil, fmt.Errorf("verifying %s: %w", o.Source, err)
	}
	if root := rootOf(v.rows); root != p.root {
		return nil, fmt.Errorf("verifying %s: %w: the entries have the root %v, the checkpoint says %v", o.Source, ErrDamaged, root, p.root)
	}
	return v.out, nil
}

// verification is a Verify under way.
type verification struct {
	o    VerifyOptions
	size int64
	at   int64         // entries that rows stand for
	rows [][]tlog.Hash // by level: the hashes of the tile that is being rebuilt
	out  *Verified
}

func (v *verification) run(ctx context.Context) error {
	if err := v.begin(ctx); err != nil {
		return err
	}
	for v.at < v.size {
		if err := v.bundle(ctx); err != nil {
			return err
		}
		if v.o.Progress != nil {
			v.o.Progress(v.at, v.size)
		}
	}
	if v.o.Since == v.size {
		v.out.SinceRoot = rootOf(v.rows)
	}
	for level, row := range v.rows {
		if len(row) > 0 {
			if err := v.compare(ctx, level, row); err != nil {
				return err
			}
		}
	}
	return nil
}

// begin takes what is left of the first bundle from the tiles above it.
func (v *verification) begin(ctx context.Context) error {
	v.at = v.o.Since / tlog.TileWidth * tlog.TileWidth
	for level := 0; v.at>>(8*level) > 0; level++ {
		have := int(v.at >> (8 * level) % tlog.TileWidth)
		var row []tlog.Hash
		if have > 0 {
			hs, err := v.tile(ctx, v.tileAt(level, v.at>>(8*(level+1))))
			if err != nil {
				return err
			}
			row = hs[:have:have]
		}
		v.rows = append(v.rows, row)
	}
	return nil
}

func (v *verification) tileAt(level int, index int64) tlog.Tile {
	return tlog.Tile{Level: level, Index: index, Width: widthAt(v.size, level, index)}
}

// tile reads a tile, which must be exactly as wide as it is named.
func (v *verification) tile(ctx context.Context, t tlog.Tile) ([]tlog.Hash, error) {
	b, err := v.o.Source.Tile(ctx, t)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", t.Path(), err)
	}
	if len(b) != t.Width*hashSize {
		return nil, fmt.Errorf("%w: %s has %d bytes, want %d", ErrDamaged, t.Path(), len(b), t.Width*hashSize)
	}
	hs, _, err := cutTile(t, b)
	return hs, err
}

// bundle reads the next entries.
func (v *verification) bundle(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	first, t := v.at, v.tileAt(tlog.EntriesLevel, v.at/tlog.TileWidth)
	b, err := v.o.Source.Tile(ctx, t)
	if err != nil {
		return fmt.Errorf("%s: %w", t.Path(), err)
	}
	if end, err := bundleEnd(b, t.Width); err != nil || end != len(b) {
		return errors.Join(err, fmt.Errorf("%w: %s does not have exactly %d entries", ErrDamaged, t.Path(), t.Width))
	}
	v.out.Files++
	all := entries(b)
	for _, e := range all {
		if v.at == v.o.Since {
			v.out.SinceRoot = rootOf(v.rows)
		}
		v.at++
		if err := v.push(ctx, 0, tlog.LeafHash(e)); err != nil {
			return err
		}
	}
	if v.o.Entries == nil {
		return nil
	}
	return v.o.Entries(ctx, first, all)
}

// push adds a hash at a level. A full tile is compared, and its root goes up.
func (v *verification) push(ctx context.Context, level int, h tlog.Hash) error {
	if level == len(v.rows) {
		v.rows = append(v.rows, nil)
	}
	v.rows[level] = append(v.rows[level], h)
	if len(v.rows[level]) < tlog.TileWidth {
		return nil
	}
	row := v.rows[level]
	v.rows[level] = nil
	if err := v.compare(ctx, level, row); err != nil {
		return err
	}
	return v.push(ctx, level+1, (&expanded{rows: [][]tlog.Hash{row}}).row(8)[0])
}

// compare compares a rebuilt tile, the last before v.at, with the file.
func (v *verification) compare(ctx context.Context, level int, want []tlog.Hash) error {
	t := v.tileAt(level, (v.at>>(8*level)-1)/tlog.TileWidth)
	got, err := v.tile(ctx, t)
	if err != nil {
		return err
	}
	v.out.Files++
	for i := range want {
		if i >= len(got) || got[i] != want[i] {
			return fmt.Errorf("%w: %s: hash %d is not that of the entries below", ErrDamaged, t.Path(), i)
		}
	}
	return nil
}
