package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"

	xtlog "golang.org/x/mod/sumdb/tlog"
	"golang.org/x/sync/errgroup"

	"vitrine.example/tlog"
)

// The tree is fetched from the top: the partial tiles on the right edge give
// the root that the checkpoint says, and each full tile has the root that the
// tile above says. So every file is verified as it comes, and a wrong one is
// known by its name before anything relies on it.

// tesseraVersion is what Tessera v1.0.4 expects in .state/version.
const tesseraVersion = "1"

// counter counts files.
type counter struct{ fetched, kept atomic.Int64 }

// fetch fetches everything below the newest checkpoint.
func (r *restoration) fetch(ctx context.Context) error {
	if r.tree.size == 0 {
		if r.seen[0].root != tlog.EmptyRoot() {
			return fmt.Errorf("%w: a checkpoint of no entries with the root %v", ErrDamaged, r.seen[0].root)
		}
		return nil
	}
	if err := r.edge(ctx); err != nil {
		return err
	}
	for level := r.top() - 1; level >= 0; level-- {
		if err := r.each(ctx, r.tree.size>>(8*(level+1)), func(ctx context.Context, i int64) error {
			t := r.tree.tileAt(level, i)
			return r.get(ctx, t, func(b []byte) ([]byte, error) { return r.fullTile(t, b) })
		}); err != nil {
			return err
		}
	}
	if err := r.compare(); err != nil {
		return err
	}
	bundles := (r.tree.size + tlog.TileWidth - 1) / tlog.TileWidth
	return r.each(ctx, bundles, func(ctx context.Context, i int64) error {
		t := r.tree.tileAt(tlog.EntriesLevel, i)
		return r.get(ctx, t, func(b []byte) ([]byte, error) { return r.entryBundle(t, b) })
	})
}

// top is the highest level with a tile.
func (r *restoration) top() int {
	level := 0
	for r.tree.size>>(8*(level+1)) > 0 {
		level++
	}
	return level
}

// total is how many files the log has.
func (r *restoration) total() int64 {
	n := (r.tree.size + tlog.TileWidth - 1) / tlog.TileWidth // bundles
	for level := 0; r.tree.size>>(8*level) > 0; level++ {
		n += (r.tree.size>>(8*level) + tlog.TileWidth - 1) / tlog.TileWidth
	}
	return n
}

// each does something for 0 to n-1, some at the same time.
func (r *restoration) each(ctx context.Context, n int64, f func(context.Context, int64) error) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(r.o.Parallel)
	for i := int64(0); i < n && gctx.Err() == nil; i++ {
		g.Go(func() error { return f(gctx, i) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}

// edge fetches the partial tiles on the right edge of the tree. They are kept
// when their root is that of the checkpoint, all at once.
func (r *restoration) edge(ctx context.Context) error {
	newest := r.seen[0]
	rows := make([][]tlog.Hash, r.top()+1)
	var last error
	for _, s := range append([]sighting{{from: local{r.files}}}, r.seen...) {
		var raw map[tlog.Tile][]byte
		raw, last = r.edgeOf(ctx, s.from, rows)
		if last == nil && rootOf(rows) != newest.root {
			last = fmt.Errorf("%w: the partial tiles of %s do not have the root of the checkpoint", ErrDamaged, s.from)
		}
		if last != nil {
			continue
		}
		for t, b := range raw {
			if err := r.keep(t, b, s.from); err != nil {
				return err
			}
		}
		return nil
	}
	return fmt.Errorf("%w: %s has a checkpoint of %d entries, and no source gives the tiles to it: name one that does: %w", ErrBehind, newest.from, newest.size, last)
}

// edgeOf reads the partial tiles from one source into rows, by level.
func (r *restoration) edgeOf(ctx context.Context, s Source, rows [][]tlog.Hash) (map[tlog.Tile][]byte, error) {
	raw := map[tlog.Tile][]byte{}
	for level := range rows {
		rows[level] = nil
		t := r.tree.tileAt(level, r.tree.size>>(8*level)/tlog.TileWidth)
		if t.Width == 0 {
			continue
		}
		b, err := s.Tile(ctx, t)
		if err == nil {
			rows[level], b, err = cutTile(t, b)
		}
		if err != nil {
			return nil, fmt.Errorf("%s of %s: %w", t.Path(), s, err)
		}
		raw[t] = b
	}
	return raw, nil
}

// cutTile returns the hashes of a tile, and the tile at its own width.
func cutTile(t tlog.Tile, b []byte) ([]tlog.Hash, []byte, error) {
	if len(b)%hashSize != 0 || len(b) < t.Width*hashSize || len(b) > tlog.TileWidth*hashSize {
		return nil, nil, fmt.Errorf("%w: %s has %d bytes, want %d", ErrDamaged, t.Path(), len(b), t.Width*hashSize)
	}
	hs := make([]tlog.Hash, t.Width)
	for i := range hs {
		copy(hs[i][:], b[i*hashSize:])
	}
	return hs, b[:t.Width*hashSize], nil
}

// rootOf computes the root of a tree from the partial tiles on its right edge,
// by level. Each row stands for its subtrees of powers of two, largest first;
// from the right each is joined to what is right of it.
func rootOf(rows [][]tlog.Hash) tlog.Hash {
	root, empty := tlog.EmptyRoot(), true
	for _, row := range rows {
		if len(row) == 0 {
			continue
		}
		e := &expanded{rows: [][]tlog.Hash{row}}
		for k := range 8 {
			if len(row)>>k&1 == 0 {
				continue
			}
			h := e.row(k)[len(row)>>k-1]
			if empty {
				root, empty = h, false
			} else {
				root = xtlog.NodeHash(h, root)
			}
		}
	}
	return root
}

// fullTile verifies a full tile under the one above, which is there already.
func (r *restoration) fullTile(t tlog.Tile, b []byte) ([]byte, error) {
	hs, b, err := cutTile(t, b)
	if err != nil {
		return nil, err
	}
	above, err := r.tree.node(8*(t.Level+1), t.Index)
	if err != nil {
		return nil, err
	}
	if (&expanded{rows: [][]tlog.Hash{hs}}).row(8)[0] != above {
		return nil, fmt.Errorf("%w: %s does not have the root that the tile above says", ErrDamaged, t.Path())
	}
	return b, nil
}

// entryBundle verifies a bundle under its tile of leaf hashes.
func (r *restoration) entryBundle(t tlog.Tile, b []byte) ([]byte, error) {
	end, err := bundleEnd(b, t.Width)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrDamaged, t.Path(), err)
	}
	hs, err := r.files.hashes(r.tree.tileAt(0, t.Index))
	if err != nil {
		return nil, err
	}
	for i, leaf := range entries(b[:end]) {
		if tlog.LeafHash(leaf) != hs[i] {
			return nil, fmt.Errorf("%w: %s: entry %d does not have the leaf hash that its tile says", ErrDamaged, t.Path(), t.Index*tlog.TileWidth+int64(i))
		}
	}
	return b[:end], nil
}

// get makes sure that a file is there: as an earlier run left it, or from the
// first source that gives what verify accepts.
func (r *restoration) get(ctx context.Context, t tlog.Tile, verify func([]byte) ([]byte, error)) error {
	if b, err := (local{r.files}).Tile(ctx, t); err == nil {
		if b, err = verify(b); err == nil {
			return r.keep(t, b, local{r.files})
		}
	}
	var errs []error
	for _, s := range r.seen {
		b, err := s.from.Tile(ctx, t)
		if err == nil {
			b, err = verify(b)
		}
		if err == nil {
			return r.keep(t, b, s.from)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		errs = append(errs, fmt.Errorf("%s of %s: %w", t.Path(), s.from, err))
	}
	return errors.Join(errs...)
}

// keep writes a verified file, unless it is there. It is made durable at the
// end: what a crash leaves half written is fetched again, because it does not
// verify.
func (r *restoration) keep(t tlog.Tile, b []byte, from Source) error {
	if _, ok := from.(local); ok {
		r.count.kept.Add(1)
	} else {
		path := r.files.path(t.Path())
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, b, 0o644); err != nil {
			return err
		}
		r.count.fetched.Add(1)
	}
	if r.o.Progress != nil {
		r.o.Progress(r.count.kept.Load()+r.count.fetched.Load(), r.total())
	}
	return nil
}

// finish writes what makes the files a log that Tessera goes on with, and makes
// all of it durable.
func (r *restoration) finish() error {
	return finishLog(r.files, r.seen[0].published)
}

// finishLog writes version, tree state and checkpoint over verified tiles.
func finishLog(f files, p *published) error {
	ts, err := json.Marshal(struct { // as Tessera writes it
		Size uint64 `json:"size"`
		Root []byte `json:"root"`
	}{uint64(p.size), p.root[:]})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(f.path(".state"), 0o755); err != nil {
		return err
	}
	all := map[string][]byte{
		".state/version": []byte(tesseraVersion),
		treeStateName:    ts,
		checkpointName:   p.raw,
	}
	if p.cosigned() {
		// Others watched this log: it must not go on unwatched only because whoever
		// restored it has lost the list of them too (see Cosigned).
		all[cosignedName] = p.raw
	}
	for name, b := range all {
		if err := os.WriteFile(f.path(name), b, 0o644); err != nil {
			return err
		}
	}
	return syncTree(f.dir)
}

// syncTree makes every file and directory below dir durable.
func syncTree(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() && !d.Type().IsRegular() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		return errors.Join(f.Sync(), f.Close())
	})
}

// local is a directory as a source: of what an interrupted run has left.
type local struct{ files files }

func (l local) String() string { return l.files.dir }

// Checkpoint implements Source.
func (l local) Checkpoint(context.Context) ([]byte, error) {
	b, _, err := l.files.checkpoint()
	return b, err
}

// Tile implements Source.
func (l local) Tile(_ context.Context, t tlog.Tile) ([]byte, error) {
	limit := int64(tlog.TileWidth * hashSize)
	if t.Level == tlog.EntriesLevel {
		limit = maxBundle
	}
	b, _, err := l.files.read(t.Path(), limit)
	return b, err
}
