package mirror

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	xtlog "golang.org/x/mod/sumdb/tlog"

	"vitrine.example/tlog"
)

// maxEntry is the largest entry: its length is a uint16.
const maxEntry = 1<<16 - 1

// logCopy is the copy of one log.
type logCopy struct {
	m      *Mirror
	origin string
	hash   [sha256.Size]byte
	dir    string
	places *places

	writing sync.Mutex // one batch or checkpoint at a time
	state   atomic.Pointer[state]
	dirs    map[string]bool // made and synced; under writing

	mu     sync.Mutex
	broken error
}

// state is how far a copy is. It is replaced, never changed.
type state struct {
	next       int64                  // first entry that is not on the disk
	bytes      int64                  // of the entries before it
	checkpoint *tlog.SignedCheckpoint // the mirror checkpoint, or nil
	raw        []byte                 // the same as it is served
	signed     time.Time
}

// size is that of the mirror checkpoint.
func (s *state) size() int64 {
	if s.checkpoint == nil {
		return 0
	}
	return s.checkpoint.Size
}

func (c *logCopy) at() *state {
	if s := c.state.Load(); s != nil {
		return s
	}
	return &state{}
}

func (c *logCopy) damage(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.broken = err
}

func (c *logCopy) damaged() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.broken
}

// widthAt returns how many hashes (or entries) a tree of a size has in a tile.
func widthAt(size int64, level int, index int64) int {
	shift := 8 * max(level, 0)
	if shift >= 63 {
		return 0
	}
	return int(min(max(size>>shift-index*tlog.TileWidth, 0), tlog.TileWidth))
}

// read returns the file that has at least width hashes or entries of a tile. A
// partial tile lies on the disk in one width, which changes while the log grows.
func (c *logCopy) read(level int, index int64, width int) ([]byte, error) {
	for {
		next := c.at().next
		t := tlog.Tile{Level: level, Index: index, Width: widthAt(next, level, index)}
		if t.Width < width {
			return nil, fmt.Errorf("%s: %w: it is not mirrored yet", t.Path(), ErrUnknown)
		}
		b, err := os.ReadFile(filepath.Join(c.dir, filepath.FromSlash(t.Path())))
		if errors.Is(err, fs.ErrNotExist) && c.at().next != next {
			continue
		}
		return b, err
	}
}

// tile returns the first width hashes of a tile.
func (c *logCopy) tile(level int, index int64, width int) ([]byte, error) {
	b, err := c.read(level, index, width)
	if err != nil {
		return nil, err
	}
	if len(b) < width*tlogHashSize {
		return nil, fmt.Errorf("%w: tile %d at level %d has %d bytes", ErrDamaged, index, level, len(b))
	}
	return b[:width*tlogHashSize], nil
}

const tlogHashSize = sha256.Size

// bundle returns the first width entries of a bundle, each with its length in
// front.
func (c *logCopy) bundle(index int64, width int) ([]byte, error) {
	b, err := c.read(tlog.EntriesLevel, index, width)
	if err != nil {
		return nil, err
	}
	at := 0
	for range width {
		end, ok := entryEnd(b, at)
		if !ok {
			return nil, fmt.Errorf("%w: entry bundle %d ends within an entry", ErrDamaged, index)
		}
		at = end
	}
	return b[:at], nil
}

// entryEnd returns where the entry ends that begins at a place of a bundle.
func entryEnd(b []byte, at int) (int, bool) {
	if len(b)-at < 2 {
		return 0, false
	}
	end := at + 2 + int(binary.BigEndian.Uint16(b[at:]))
	return end, end <= len(b)
}

// splitHashes reads the hashes of a tile.
func splitHashes(b []byte) []tlog.Hash {
	out := make([]tlog.Hash, len(b)/tlogHashSize)
	for i := range out {
		copy(out[i][:], b[i*tlogHashSize:])
	}
	return out
}

// tiles is the copy as golang.org/x/mod reads it, which checks each tile against
// the root.
type tiles struct{ c *logCopy }

// Height implements xtlog.TileReader.
func (tiles) Height() int { return 8 }

// ReadTiles implements xtlog.TileReader.
func (t tiles) ReadTiles(want []xtlog.Tile) (out [][]byte, err error) {
	for _, w := range want {
		b, err := t.c.tile(w.L, w.N, w.W)
		if err != nil {
			return nil, err
		}
		out = append(out, b)
	}
	return out, nil
}

// SaveTiles implements xtlog.TileReader.
func (tiles) SaveTiles([]xtlog.Tile, [][]byte) {}

// hashReader reads the hashes of the tree of a checkpoint.
func (c *logCopy) hashReader(cp tlog.Checkpoint) xtlog.HashReader {
	return xtlog.TileHashReader(xtlog.Tree{N: cp.Size, Hash: cp.Root}, tiles{c})
}

// checkRoot makes sure that the tiles on the disk have the root of a checkpoint.
func (c *logCopy) checkRoot(cp tlog.Checkpoint) error {
	root := tlog.EmptyRoot()
	if cp.Size > 0 {
		var err error
		if root, err = xtlog.TreeHash(cp.Size, c.hashReader(cp)); err != nil {
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		}
	}
	if root != cp.Root {
		return fmt.Errorf("%w: the tiles do not have the root of %s", ErrDamaged, cp)
	}
	return nil
}

// checkEdge looks at what changed last: the right edge of the tree, and the last
// entry bundle.
func (c *logCopy) checkEdge() error {
	s := c.at()
	if s.checkpoint != nil {
		if err := c.checkRoot(s.checkpoint.Checkpoint); err != nil {
			return err
		}
	}
	if s.next == 0 {
		return nil
	}
	return c.checkBundle((s.next-1)/tlog.TileWidth, s.next)
}

// checkBundle compares the entries of a bundle with their leaf hashes.
func (c *logCopy) checkBundle(index, size int64) error {
	width := widthAt(size, 0, index)
	t, err := c.tile(0, index, width)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	b, err := c.bundle(index, width)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	at := 0
	for i, h := range splitHashes(t) {
		end, _ := entryEnd(b, at)
		if tlog.LeafHash(b[at+2:end]) != h {
			return fmt.Errorf("%w: entry %d does not have the leaf hash of its tile", ErrDamaged, index*tlog.TileWidth+int64(i))
		}
		at = end
	}
	return nil
}
