package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"vitrine.example/internal/strictjson"
	"vitrine.example/tlog"
)

// Names in the directory of the log that Tessera gives.
const (
	checkpointName = "checkpoint"
	treeStateName  = ".state/treeState"
)

// Bounds of what is read from the disk. What Tessera wrote is smaller.
const (
	maxTreeState = 4 << 10
	maxBundle    = tlog.TileWidth * (2 + MaxEntry)
	hashSize     = len(tlog.Hash{})
)

// files reads the files of a log.
type files struct{ dir string }

func (f files) path(name string) string { return filepath.Join(f.dir, filepath.FromSlash(name)) }

// read reads a file of at most limit bytes.
func (f files) read(name string, limit int64) ([]byte, time.Time, error) {
	h, err := os.OpenFile(f.path(name), os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, time.Time{}, err
	}
	defer h.Close() //nolint:errcheck // nothing was written
	fi, err := h.Stat()
	if err != nil {
		return nil, time.Time{}, err
	}
	if fi.Size() > limit {
		return nil, time.Time{}, fmt.Errorf("%w: %s has %d bytes, want at most %d", ErrDamaged, h.Name(), fi.Size(), limit)
	}
	b := make([]byte, fi.Size())
	if _, err := io.ReadFull(h, b); err != nil {
		return nil, time.Time{}, fmt.Errorf("reading %s: %w", h.Name(), err)
	}
	return b, fi.ModTime(), nil
}

// checkpoint returns the checkpoint, unverified, and when it was written.
func (f files) checkpoint() ([]byte, time.Time, error) {
	return f.read(checkpointName, tlog.MaxCheckpoint)
}

// treeState is what Tessera has integrated, published or not.
type treeState struct {
	Size int64  `json:"size"`
	Root []byte `json:"root"`
}

// treeState reads Tessera's tree state; ok is false where there is none.
func (f files) treeState() (s treeState, ok bool, err error) {
	raw, _, err := f.read(treeStateName, maxTreeState)
	if errors.Is(err, os.ErrNotExist) {
		return s, false, nil
	} else if err != nil {
		return s, false, err
	}
	if err := strictjson.Unmarshal(raw, &s, strictjson.Limits{}); err != nil {
		return s, false, fmt.Errorf("%w: %s: %w", ErrDamaged, f.path(treeStateName), err)
	}
	if s.Size < 0 || len(s.Root) != hashSize {
		return s, false, fmt.Errorf("%w: %s: size %d with a root of %d bytes", ErrDamaged, f.path(treeStateName), s.Size, len(s.Root))
	}
	return s, true, nil
}

// tile reads a tile or bundle as it is at a tree of the given width there. A
// partial one may be gone after a full one has come (tlog-tiles, "Partial
// Tiles"); then that is read, and has more than was asked for.
func (f files) tile(t tlog.Tile) ([]byte, error) {
	limit := int64(tlog.TileWidth * hashSize)
	if t.Level == tlog.EntriesLevel {
		limit = maxBundle
	}
	b, _, err := f.read(t.Path(), limit)
	if errors.Is(err, os.ErrNotExist) && t.Width < tlog.TileWidth {
		t.Width = tlog.TileWidth
		b, _, err = f.read(t.Path(), limit)
	}
	return b, err
}

// hashes reads a tile and returns exactly its hashes.
func (f files) hashes(t tlog.Tile) ([]tlog.Hash, error) {
	b, err := f.tile(t)
	if err != nil {
		return nil, err
	}
	if len(b)%hashSize != 0 || len(b) < t.Width*hashSize {
		return nil, fmt.Errorf("%w: %s has %d bytes, want %d", ErrDamaged, t.Path(), len(b), t.Width*hashSize)
	}
	hs := make([]tlog.Hash, t.Width)
	for i := range hs {
		copy(hs[i][:], b[i*hashSize:])
	}
	return hs, nil
}

// bundle reads an entry bundle and returns exactly its first Width entries.
func (f files) bundle(t tlog.Tile) ([]byte, error) {
	b, err := f.tile(t)
	if err != nil {
		return nil, err
	}
	end, err := bundleEnd(b, t.Width)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrDamaged, t.Path(), err)
	}
	return b[:end], nil
}

// bundleEnd returns how many bytes the first n entries of a bundle take
// (tlog-tiles, "Log entries": big-endian uint16 length-prefixed entries).
func bundleEnd(b []byte, n int) (int, error) {
	at := 0
	for i := range n {
		if len(b)-at < 2 {
			return 0, fmt.Errorf("it ends after %d of %d entries", i, n)
		}
		at += 2 + int(binary.BigEndian.Uint16(b[at:]))
		if at > len(b) {
			return 0, fmt.Errorf("entry %d of %d is cut off", i, n)
		}
	}
	return at, nil
}

// entries returns the entries of a bundle that bundleEnd has accepted.
func entries(b []byte) [][]byte {
	var out [][]byte
	for len(b) > 0 {
		n := 2 + int(binary.BigEndian.Uint16(b))
		out = append(out, b[2:n:n])
		b = b[n:]
	}
	return out
}

// syncDir makes renames within the directory durable.
func (f files) syncDir() error {
	d, err := os.Open(f.dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// isStray reports names of files that Tessera leaves behind when it is killed
// while it writes: the name that the file was to have, and a number.
//
// BUG(ledger): in a directory of partial tiles a name of up to three digits
// may be a stray as well. It is one in ten million, and harmless, because
// partial tiles are only read at widths that were written whole.
func isStray(name string) bool {
	word := strings.TrimRight(name, "0123456789")
	digits := len(name) - len(word)
	switch word {
	case "checkpoint", "treeState", "version", "gcState":
		return digits > 0
	case "":
		return digits > 3 // a tile has 3 digits, a partial one up to 3
	}
	return false
}

// removeStrays removes what a killed process left on the right edge of the log.
func (f files) removeStrays() {
	dirs := []string{f.dir, f.path(".state")}
	ts, _, err := f.treeState()
	if err != nil {
		return // selfCheck will say why
	}
	for level := tlog.EntriesLevel; level < 8; level++ {
		for _, n := range []int64{ts.Size, ts.Size + maxWaiting} {
			t := tlog.Tile{Level: level, Index: n >> (8 * (max(level, 0) + 1)), Width: 1}
			partials := filepath.Dir(f.path(t.Path()))
			dirs = append(dirs, partials, filepath.Dir(partials))
		}
	}
	for _, d := range dirs {
		list, err := os.ReadDir(d)
		if err != nil {
			continue // there is no such directory yet
		}
		for _, e := range list {
			if e.Type().IsRegular() && isStray(e.Name()) {
				_ = os.Remove(filepath.Join(d, e.Name())) // tried again next time
			}
		}
	}
}
