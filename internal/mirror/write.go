package mirror

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"vitrine.example/tlog"
)

// syncers is how many files are synced at once: the file system then makes one
// journal entry of many.
const syncers = 8

// file is one to be written.
type file struct {
	path string
	b    []byte
}

// write saves packages that were verified, without gaps, and returns when they
// are durable. "If some entry has already been written to the log or the pending
// entry list, the mirror MUST skip saving that entry."
func (c *logCopy) write(ctx context.Context, packs []*pack) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	if err := c.damaged(); err != nil {
		return err
	}
	was := c.at()
	raw, hashes, err := fresh(packs, was.next)
	if err != nil || len(hashes) == 0 {
		return err
	}
	added := int64(len(raw))
	if was.bytes+added > c.m.o.Limits.LogBytes || c.m.totalBytes()+added > c.m.o.Limits.TotalBytes {
		return fmt.Errorf("%s: %w", c.origin, ErrFull)
	}
	now := *was
	now.next, now.bytes = was.next+int64(len(hashes)), was.bytes+added
	files, err := c.files(was.next, now.next, raw, hashes)
	if err != nil {
		return err
	}
	if err := c.writeFiles(files); err != nil {
		return fmt.Errorf("writing to the copy of %s: %w", c.origin, err)
	}
	if err := c.saveNext(ctx, was, &now); err != nil {
		return err
	}
	c.state.Store(&now)
	c.removePartials(was.next, now.next)
	return nil
}

// fresh joins what the copy does not have yet.
func fresh(packs []*pack, next int64) (raw []byte, hashes []tlog.Hash, err error) {
	for _, p := range packs {
		if p.end <= next {
			continue
		}
		skip := next - p.start
		if skip < 0 {
			return nil, nil, fmt.Errorf("entries from %d on, but the next is %d", p.start, next)
		}
		from := 0
		if skip > 0 {
			from = p.ends[skip-1]
		}
		raw, hashes = append(raw, p.raw[from:]...), append(hashes, p.hashes[skip:]...)
		next = p.end
	}
	return raw, hashes, nil
}

// files makes the bundles and tiles that change when a tree grows from one size
// to another.
func (c *logCopy) files(from, to int64, raw []byte, hashes []tlog.Hash) (out []file, err error) {
	if w := widthAt(from, 0, from/tlog.TileWidth); w > 0 {
		before, err := c.bundle(from/tlog.TileWidth, w)
		if err != nil {
			return nil, err
		}
		raw = append(before[:len(before):len(before)], raw...)
	}
	out = append(out, c.bundleFiles(from, to, raw)...)
	for level := 0; len(hashes) > 0; level++ {
		first := from >> (8 * level) / tlog.TileWidth
		if w := widthAt(from, level, first); w > 0 {
			before, err := c.tile(level, first, w)
			if err != nil {
				return nil, err
			}
			hashes = append(splitHashes(before), hashes...)
		}
		var above []tlog.Hash
		for i := first; len(hashes) > 0; i++ {
			n := min(len(hashes), tlog.TileWidth)
			b := make([]byte, 0, n*tlogHashSize)
			for _, h := range hashes[:n] {
				b = append(b, h[:]...)
			}
			out = append(out, file{tlog.Tile{Level: level, Index: i, Width: n}.Path(), b})
			if n == tlog.TileWidth {
				above = append(above, rootOf(hashes[:n]))
			}
			hashes = hashes[n:]
		}
		hashes = above
	}
	return out, nil
}

// bundleFiles cuts entries into bundles; the first begins with a bundle.
func (c *logCopy) bundleFiles(from, to int64, raw []byte) (out []file) {
	for i := from / tlog.TileWidth; i*tlog.TileWidth < to; i++ {
		w, at := widthAt(to, 0, i), 0
		for range w {
			at += 2 + int(binary.BigEndian.Uint16(raw[at:]))
		}
		out = append(out, file{tlog.Tile{Level: tlog.EntriesLevel, Index: i, Width: w}.Path(), raw[:at]})
		raw = raw[at:]
	}
	return out
}

// writeFiles writes and syncs files and the directories they are in. A file is
// of no meaning before the database says that it is there, so it needs no other
// name meanwhile; and what the database says is there is never written again.
func (c *logCopy) writeFiles(files []file) error {
	dirs := map[string]bool{}
	for _, f := range files {
		dir := filepath.Dir(filepath.Join(c.dir, filepath.FromSlash(f.path)))
		if err := c.makeDir(dir, dirs); err != nil {
			return err
		}
		dirs[dir] = true
	}
	errs := make([]error, len(files))
	var wg sync.WaitGroup
	turn := make(chan struct{}, syncers)
	for i, f := range files {
		turn <- struct{}{}
		wg.Go(func() {
			defer func() { <-turn }()
			errs[i] = writeSynced(filepath.Join(c.dir, filepath.FromSlash(f.path)), f.b)
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for dir := range dirs {
		if err := syncDir(dir); err != nil {
			return err
		}
	}
	for dir := range dirs {
		c.dirs[dir] = true
	}
	return nil
}

// makeDir makes a directory, and notes those above it that have to be synced.
func (c *logCopy) makeDir(dir string, dirty map[string]bool) error {
	if c.dirs == nil {
		c.dirs = map[string]bool{}
	}
	if c.dirs[dir] {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for above := dir; above != filepath.Dir(c.m.o.Dir) && len(above) > 1; above = filepath.Dir(above) {
		dirty[above] = true
	}
	return nil
}

func writeSynced(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// removePartials removes partial tiles that wider ones have taken the place of.
// What stays after a crash does no harm.
func (c *logCopy) removePartials(from, to int64) {
	for level := tlog.EntriesLevel; level < 8; level++ {
		index := from >> (8 * max(level, 0)) / tlog.TileWidth
		t := tlog.Tile{Level: level, Index: index, Width: widthAt(from, level, index)}
		if t.Width == 0 || t.Width == widthAt(to, level, index) {
			continue
		}
		path := filepath.Join(c.dir, filepath.FromSlash(t.Path()))
		_ = os.Remove(path)
		_ = os.Remove(filepath.Dir(path)) // where it is empty
		delete(c.dirs, filepath.Dir(path))
	}
}

// finish makes cp, whose entries are in the copy, the mirror checkpoint, and
// returns the mirror's signature lines; nil where a larger one is already.
func (c *logCopy) finish(ctx context.Context, cp *tlog.SignedCheckpoint) ([]byte, error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	was := c.at()
	if cp.Size < was.size() {
		return nil, nil
	}
	if err := c.damaged(); err != nil {
		return nil, err
	}
	if err := c.checkRoot(cp.Checkpoint); err != nil {
		c.damage(err)
		return nil, err
	}
	signed := &tlog.SignedCheckpoint{Checkpoint: cp.Checkpoint, Signatures: append([]tlog.Signature(nil), cp.Signatures...)}
	var lines []byte
	for _, s := range c.m.o.Signers {
		if s.Verifier().Type() == tlog.MLDSA44Cosignature && len(cp.Extensions) > 0 {
			continue // it would not cover them
		}
		sig, err := s.SignCheckpoint(cp.Checkpoint)
		if err != nil {
			return nil, fmt.Errorf("signing %s: %w", cp.Checkpoint, err)
		}
		signed.Signatures = append(signed.Signatures, sig)
		lines = append(lines, sig.Marshal()...)
	}
	if len(lines) == 0 {
		return nil, fmt.Errorf("signing %s: no key of the mirror covers extension lines", cp.Checkpoint)
	}
	now := *was
	now.checkpoint, now.raw, now.signed = signed, signed.Marshal(), c.m.o.Now().UTC()
	if err := c.saveCheckpoint(ctx, &now); err != nil {
		return nil, err
	}
	c.state.Store(&now)
	return bytes.Clone(lines), nil
}
