package ledger

import (
	"context"
	"fmt"
	"path/filepath"

	"vitrine.example/internal/store"
	"vitrine.example/tlog"
)

// maxFaults bounds a Report; a damaged log can have a fault in each entry.
const maxFaults = 100

// Report is the outcome of Check.
type Report struct {
	Origin   string   `json:"origin"`
	Size     int64    `json:"size"`
	Root     string   `json:"root"`
	Entries  int64    `json:"entries"`  // rows in the database, of the entries checked
	Reserved int64    `json:"reserved"` // rows beyond them: under way, or left by a process that was killed
	Faults   []string `json:"faults"`   // empty where all is well
}

// Check reads the whole log in dir, rebuilds every tile and the root, and
// compares the database with it: that each entry has the row that says where it
// stands, and there is no other row, so that no entry is there twice. It
// changes nothing and may run while a node serves the log; then it checks what
// was published when it began. db may be nil: then the log alone is checked.
//
// What is wrong is in the Report; the error says that the checking could not
// be done.
func Check(ctx context.Context, dir string, v Verifier, db *store.DB, progress func(done, total int64)) (*Report, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	c := &checker{files: files{abs}, db: db, report: &Report{Origin: v.Name(), Faults: []string{}}}
	if err := c.begin(v); err != nil {
		return nil, fmt.Errorf("checking the log %s: %w", dir, err)
	}
	for c.at < c.tree.size {
		if err := c.bundle(ctx); err != nil {
			return nil, fmt.Errorf("checking the log %s: %w", dir, err)
		}
		if progress != nil {
			progress(c.at, c.tree.size)
		}
	}
	c.finish()
	c.cosigned(v)
	if err := c.database(ctx); err != nil {
		return nil, fmt.Errorf("checking the log %s: %w", dir, err)
	}
	return c.report, nil
}

// checker rebuilds a log from its entries.
type checker struct {
	files  files
	db     *store.DB
	report *Report
	tree   *tree
	root   tlog.Hash     // that the checkpoint says
	at     int64         // entries read
	rows   [][]tlog.Hash // by level: the hashes of the tile that is being rebuilt
}

func (c *checker) fault(format string, args ...any) {
	switch n := len(c.report.Faults); {
	case n < maxFaults:
		c.report.Faults = append(c.report.Faults, fmt.Sprintf(format, args...))
	case n == maxFaults:
		c.report.Faults = append(c.report.Faults, "more faults are not listed")
	}
}

// begin fixes what is checked: the log at the size of its checkpoint.
func (c *checker) begin(v Verifier) error {
	c.tree = newTree(c.files, 0, nil)
	p, err := c.files.readPublished(v)
	switch {
	case err != nil:
		c.fault("%v", err)
		return nil
	case p == nil:
		return fmt.Errorf("%w: there is no checkpoint", ErrUnknown)
	}
	c.tree.size, c.root = p.size, p.root
	c.report.Size, c.report.Root = p.size, p.root.String()
	// After the checkpoint: the tree state is never behind it.
	switch ts, ok, err := c.files.treeState(); {
	case err != nil:
		c.fault("%v", err)
	case !ok:
		c.fault("%s is missing: the log cannot be continued", treeStateName)
	case ts.Size < p.size:
		c.fault("%s has %d entries, the checkpoint %d", treeStateName, ts.Size, p.size)
	}
	return nil
}

// cosigned compares the checkpoint that others have cosigned with the tiles.
func (c *checker) cosigned(v Verifier) {
	p, ok, err := c.files.readCosigned(v)
	switch {
	case err != nil:
		c.fault("%v", err)
		return
	case !ok || p.raw == nil:
		return
	}
	t := c.tree
	if p.size > t.size { // it moved on while we read: the tree state covers it
		ts, ok, err := c.files.treeState()
		if err != nil || !ok || p.size > ts.Size {
			c.fault("%s: it has %d entries, which is more than the log has", cosignedName, p.size)
			return
		}
		t = newTree(c.files, ts.Size, nil)
	}
	if err := t.hasRoot(p.size, p.root); err != nil {
		c.fault("%s: %v", cosignedName, err)
	}
}

// bundle checks the next entry bundle and what it completes.
func (c *checker) bundle(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	first := c.at
	at := c.tree.tileAt(tlog.EntriesLevel, first/tlog.TileWidth)
	c.at += int64(at.Width)
	var hashes []tlog.Hash
	b, err := c.files.bundle(at)
	if err != nil {
		// Go on with what the tile says, to find other faults.
		c.fault("%s: %v", at.Path(), err)
		hashes, err = c.files.hashes(c.tree.tileAt(0, at.Index)) // compared with those above
		if err != nil {
			hashes = make([]tlog.Hash, at.Width) // wrong, but what follows stays in its place
		}
	} else {
		for _, leaf := range entries(b) {
			hashes = append(hashes, tlog.LeafHash(leaf))
		}
	}
	for _, h := range hashes {
		c.push(0, h)
	}
	return c.compareRows(ctx, first, hashes)
}

// push adds a hash to the tile that is being rebuilt at a level; a full tile is
// compared, and its root goes up.
func (c *checker) push(level int, h tlog.Hash) {
	if level == len(c.rows) {
		c.rows = append(c.rows, nil)
	}
	c.rows[level] = append(c.rows[level], h)
	if len(c.rows[level]) < tlog.TileWidth {
		return
	}
	full := &expanded{rows: [][]tlog.Hash{c.rows[level]}}
	c.rows[level] = nil
	c.compareTile(level, full.rows[0])
	c.push(level+1, full.row(8)[0])
}

// compareTile compares a rebuilt tile with the file: the one before the entries
// read so far end.
func (c *checker) compareTile(level int, want []tlog.Hash) {
	at := tlog.Tile{Level: level, Index: (c.at>>(8*level) - 1) / tlog.TileWidth, Width: len(want)}
	got, err := c.files.hashes(at)
	if err != nil {
		c.fault("%s: %v", at.Path(), err)
		return
	}
	for i := range want {
		if got[i] != want[i] {
			c.fault("%s: hash %d is %v and should be %v", at.Path(), i, got[i], want[i])
			return
		}
	}
}

// finish compares the partial tiles and the root.
func (c *checker) finish() {
	if len(c.report.Faults) > 0 && c.tree.size == 0 {
		return
	}
	for level, row := range c.rows {
		if len(row) > 0 {
			c.compareTile(level, row)
		}
	}
	if root := rootOf(c.rows); root != c.root {
		c.fault("the entries have the root %v, the checkpoint says %v", root, c.root)
	}
}
