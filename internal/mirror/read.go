package mirror

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	xtlog "golang.org/x/mod/sumdb/tlog"

	"vitrine.example/tlog"
)

// Status is a log and how far its copy is.
type Status struct {
	Origin  string    `json:"origin"`
	Size    int64     `json:"size"` // of the mirror checkpoint
	Next    int64     `json:"next"` // first entry that is not on the disk
	Pending int64     `json:"pending"`
	Bytes   int64     `json:"bytes"`
	Signed  time.Time `json:"signed,omitzero"`
	Problem string    `json:"problem,omitempty"`
}

// List returns all logs in the order of their origins.
func (m *Mirror) List(ctx context.Context) ([]Status, error) {
	m.mu.Lock()
	var copies []*logCopy
	for _, c := range m.copies {
		copies = append(copies, c)
	}
	m.mu.Unlock()
	slices.SortFunc(copies, func(a, b *logCopy) int { return strings.Compare(a.origin, b.origin) })
	out := []Status{}
	for _, c := range copies {
		s, err := m.status(ctx, c)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// Get returns one log, or [ErrUnknown].
func (m *Mirror) Get(ctx context.Context, origin string) (Status, error) {
	c, err := m.byOrigin(origin)
	if err != nil {
		return Status{}, err
	}
	return m.status(ctx, c)
}

func (m *Mirror) status(ctx context.Context, c *logCopy) (Status, error) {
	s := c.at()
	out := Status{Origin: c.origin, Size: s.size(), Next: s.next, Bytes: s.bytes, Signed: s.signed}
	p, err := m.o.Pending.Newest(ctx, c.origin)
	if err != nil {
		return out, fmt.Errorf("mirrored log %s: %w", c.origin, err)
	}
	if p != nil {
		out.Pending = p.Size
	}
	if err := c.damaged(); err != nil {
		out.Problem = err.Error()
	}
	return out, nil
}

// Checkpoint returns the mirror checkpoint of a log, as it is served, or nil
// where there is none yet.
func (m *Mirror) Checkpoint(origin string) ([]byte, error) {
	c, err := m.byOrigin(origin)
	if err != nil {
		return nil, err
	}
	return c.at().raw, nil
}

// Log is the mirrored part of a log, for those who follow it.
type Log struct{ c *logCopy }

// Log returns a log to follow, or [ErrUnknown].
func (m *Mirror) Log(origin string) (*Log, error) {
	c, err := m.byOrigin(origin)
	if err != nil {
		return nil, err
	}
	return &Log{c}, nil
}

// Published returns how many entries the mirror checkpoint covers.
func (l *Log) Published(context.Context) (int64, error) { return l.c.at().size(), nil }

// Leaf returns one of these entries.
func (l *Log) Leaf(_ context.Context, index int64) ([]byte, error) {
	if index < 0 || index >= l.c.at().size() {
		return nil, fmt.Errorf("entry %d of %s: %w", index, l.c.origin, ErrUnknown)
	}
	all, err := l.Bundle(index / tlog.TileWidth)
	if err != nil {
		return nil, err
	}
	return all[index%tlog.TileWidth], nil
}

// Bundle returns the entries of a bundle that the mirror checkpoint covers.
func (l *Log) Bundle(index int64) (out [][]byte, err error) {
	width := widthAt(l.c.at().size(), 0, index)
	b, err := l.c.bundle(index, width)
	if err != nil {
		return nil, fmt.Errorf("entry bundle %d of %s: %w", index, l.c.origin, err)
	}
	for at := 0; at < len(b); {
		end, _ := entryEnd(b, at)
		out, at = append(out, b[at+2:end]), end
	}
	return out, nil
}

// Consistency returns the root of the first from entries and the consistency
// proof to size to, 0 < from < to, of what the mirror checkpoint covers.
func (l *Log) Consistency(_ context.Context, from, to int64) (root tlog.Hash, proof []tlog.Hash, err error) {
	s := l.c.at()
	if from <= 0 || from >= to || to > s.size() {
		return root, nil, fmt.Errorf("proving growth of %s from %d to %d entries: %w", l.c.origin, from, to, ErrUnknown)
	}
	r := l.c.hashReader(s.checkpoint.Checkpoint)
	if proof, err = xtlog.ProveTree(to, from, r); err == nil {
		root, err = xtlog.TreeHash(from, r)
	}
	if err != nil {
		return root, nil, fmt.Errorf("proving growth of %s from %d to %d entries: %w", l.c.origin, from, to, err)
	}
	return root, proof, nil
}

// Check reads all of a copy: every entry against its leaf hash, every tile
// against the tile above, and the root against the mirror checkpoint.
func (m *Mirror) Check(ctx context.Context, origin string) error {
	c, err := m.byOrigin(origin)
	if err != nil {
		return err
	}
	if err := c.check(ctx); err != nil {
		return fmt.Errorf("checking the copy of %s: %w", origin, err)
	}
	return nil
}

func (c *logCopy) check(ctx context.Context) error {
	s := c.at()
	for i := int64(0); i*tlog.TileWidth < s.next; i++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := c.checkBundle(i, s.next); err != nil {
			return err
		}
	}
	for level := 0; s.next>>(8*(level+1)) > 0; level++ {
		for i := range s.next >> (8 * (level + 1)) {
			if err := c.checkTile(ctx, level, i); err != nil {
				return err
			}
		}
	}
	if s.checkpoint == nil {
		return nil
	}
	return c.checkRoot(s.checkpoint.Checkpoint)
}

// checkTile compares the root of a full tile with what the tile above says.
func (c *logCopy) checkTile(ctx context.Context, level int, index int64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	b, err := c.tile(level, index, tlog.TileWidth)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	above, err := c.tile(level+1, index/tlog.TileWidth, int(index%tlog.TileWidth)+1)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if splitHashes(above)[index%tlog.TileWidth] != rootOf(splitHashes(b)) {
		return fmt.Errorf("%w: tile %d at level %d does not have the root that the tile above says", ErrDamaged, index, level)
	}
	return nil
}
