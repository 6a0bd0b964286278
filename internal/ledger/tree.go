package ledger

import (
	"fmt"
	"sync"

	xtlog "golang.org/x/mod/sumdb/tlog"

	"vitrine.example/tlog"
)

// parseHash reads a base64 hash that Tessera wrote.
func parseHash(s string) (tlog.Hash, error) { return xtlog.ParseHash(s) }

// tree is a log of a certain size, read from its tiles. All that it reads is
// what was written when the log had that size: files beyond the size may be
// left over from a batch that was never finished.
type tree struct {
	files files
	size  int64
	cache *tileCache // may be nil
}

func newTree(f files, size int64, c *tileCache) *tree { return &tree{f, size, c} }

// tileAt returns the tile at a place with as many hashes as the tree has there.
func (t *tree) tileAt(level int, index int64) tlog.Tile {
	return tlog.Tile{Level: level, Index: index, Width: widthAt(t.size, level, index)}
}

// widthAt returns how many hashes (or entries) a tree of a size has in a tile.
func widthAt(size int64, level int, index int64) int {
	shift := 8 * max(level, 0)
	if shift >= 63 {
		return 0
	}
	return int(min(max(size>>shift-index*tlog.TileWidth, 0), tlog.TileWidth))
}

// expanded is a tile with the nodes above its hashes: rows[0] are the hashes,
// and never change, as others read them meanwhile; nodes[r-1] are those of 2^r.
type expanded struct {
	rows  [][]tlog.Hash
	nodes [][]tlog.Hash
	above sync.Once
}

func (e *expanded) width() int { return len(e.rows[0]) }

// row returns rows[r]; it computes what is above the hashes at first need.
func (e *expanded) row(r int) []tlog.Hash {
	e.above.Do(func() {
		for below := e.rows[0]; len(below) > 1; {
			up := make([]tlog.Hash, len(below)/2)
			for i := range up {
				up[i] = xtlog.NodeHash(below[2*i], below[2*i+1])
			}
			e.nodes = append(e.nodes, up)
			below = up
		}
	})
	if r == 0 {
		return e.rows[0]
	}
	if r > len(e.nodes) {
		return nil
	}
	return e.nodes[r-1]
}

// tile returns the tile at a place with at least as many hashes as the tree
// has there.
func (t *tree) tile(level int, index int64) (*expanded, error) {
	want := t.tileAt(level, index)
	if want.Width == 0 {
		return nil, fmt.Errorf("tile %d at level %d is beyond a tree of %d entries", index, level, t.size)
	}
	k := tileKey{level, index}
	if e := t.cache.get(k); e != nil && e.width() >= want.Width {
		return e, nil
	}
	hs, err := t.files.hashes(want)
	if err != nil {
		return nil, err
	}
	e := &expanded{rows: [][]tlog.Hash{hs}}
	t.cache.put(k, e)
	return e, nil
}

// ReadHashes implements tlog.HashReader of golang.org/x/mod over tiles. It
// does not authenticate what it reads.
func (t *tree) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, ix := range indexes {
		level, n := xtlog.SplitStoredHashIndex(ix)
		h, err := t.node(level, n)
		if err != nil {
			return nil, err
		}
		out[i] = h
	}
	return out, nil
}

// node returns the root of the n-th subtree of 2^level leaves.
func (t *tree) node(level int, n int64) (tlog.Hash, error) {
	r := level % 8
	index := n >> (8 - r)
	e, err := t.tile(level/8, index)
	if err != nil {
		return tlog.Hash{}, err
	}
	row, at := e.row(r), n-index<<(8-r)
	if at >= int64(len(row)) {
		return tlog.Hash{}, fmt.Errorf("%w: tile %d at level %d has %d hashes, which is too few", ErrDamaged, index, level/8, e.width())
	}
	return row[at], nil
}

// root returns the root of the tree when it had size entries.
func (t *tree) root(size int64) (tlog.Hash, error) {
	if size == 0 {
		return tlog.EmptyRoot(), nil
	}
	return xtlog.TreeHash(size, t)
}

// checkEdge makes sure that the rightmost files agree: each tile with the hash
// of the last full tile below it, and the last bundle with the last tile of
// leaf hashes.
func (t *tree) checkEdge() error {
	for level := 0; t.size>>(8*level) > 0 && level < 8; level++ {
		last := (t.size>>(8*level) - 1) / tlog.TileWidth
		if level == 0 {
			if err := t.checkBundle(last); err != nil {
				return err
			}
		}
		if full := t.size >> (8 * (level + 1)); full > 0 {
			if err := t.checkTile(level, full-1); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkTile compares the root of a full tile with what the tile above says.
func (t *tree) checkTile(level int, index int64) error {
	e, err := t.tile(level, index)
	if err != nil {
		return err
	}
	above, err := t.node(8*(level+1), index)
	if err != nil {
		return err
	}
	if row := e.row(8); len(row) != 1 || row[0] != above {
		return fmt.Errorf("%w: %s does not have the root that the tile above says", ErrDamaged, t.tileAt(level, index).Path())
	}
	return nil
}

// checkBundle compares an entry bundle with its tile of leaf hashes.
func (t *tree) checkBundle(index int64) error {
	e, err := t.tile(0, index)
	if err != nil {
		return err
	}
	at := t.tileAt(tlog.EntriesLevel, index)
	b, err := t.files.bundle(at)
	if err != nil {
		return err
	}
	for i, leaf := range entries(b) {
		if tlog.LeafHash(leaf) != e.rows[0][i] {
			return fmt.Errorf("%w: entry %d does not have the leaf hash that its tile says", ErrDamaged, index*tlog.TileWidth+int64(i))
		}
	}
	return nil
}
