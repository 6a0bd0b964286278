package ledger

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"vitrine.example/internal/store"
	"vitrine.example/tlog"
)

// Source gives the files of a log from elsewhere. Nothing that it gives is
// trusted, and it must bound what it gives by itself.
type Source interface {
	// String says where it is, for people.
	String() string
	// Checkpoint returns the newest checkpoint that is there.
	Checkpoint(ctx context.Context) ([]byte, error)
	// Tile returns a tile or bundle, of the width asked for or wider.
	Tile(ctx context.Context, t tlog.Tile) ([]byte, error)
}

var (
	// ErrFork says that two checkpoints of the log's own key cannot both be true.
	ErrFork = errors.New("this log has two histories")
	// ErrBehind says that somebody holds a checkpoint of the log that is newer
	// than the log: what is here must not be continued.
	ErrBehind = fmt.Errorf("%w: this log is older than what others have seen", ErrDisagree)
	// ErrThere says that there is a log where one was to be restored.
	ErrThere = errors.New("there is a log already")
)

// DefaultParallel is how many files are fetched at the same time.
const DefaultParallel = 8

// restoringSuffix names the directory beside a log in which it is restored.
const restoringSuffix = ".restoring"

// RestoreOptions say what to restore and from where.
type RestoreOptions struct {
	Dir      string    // where the log is to be; missing, or without a log
	Verifier Verifier  // of the log's own key
	Sources  []Source  // all are asked for their checkpoint, and the newest is restored
	DB       *store.DB // what it knows as published must be in the log; may be nil
	Parallel int       // files at the same time; default 8
	// Entries is given the verified entries of each bundle, in order, before
	// the log is put in place. May be nil.
	Entries func(ctx context.Context, first int64, entries [][]byte) error
	// Ready is called when all is verified, just before the log is put in place;
	// where it fails, the log is not. May be nil.
	Ready    func(*Restored) error
	Progress func(done, total int64) // in files; may be nil
}

// Restored is the outcome of Restore.
type Restored struct {
	Origin  string `json:"origin"`
	Size    int64  `json:"size"`
	Root    string `json:"root"`
	From    string `json:"from"`    // the source of the checkpoint
	Fetched int64  `json:"fetched"` // files
	Kept    int64  `json:"kept"`    // files that an interrupted restoration had fetched
}

// Restore rebuilds a lost log from elsewhere: the newest checkpoint that any of
// the sources has under the log's own key, and every tile and entry below it,
// each verified before it is kept. The log is put in place whole or not at all;
// what was fetched stays in a directory beside it until then, so that another
// call goes on where this one ended.
//
// It refuses where two sources contradict each other ([ErrFork]), where one has
// seen more than all of them give ([ErrBehind]), where the database knows of
// entries that are not there ([ErrDisagree]), and where a log is in place
// already ([ErrThere]). Which sources are enough to know the newest checkpoint
// only the caller can know.
func Restore(ctx context.Context, o RestoreOptions) (_ *Restored, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("restoring the log %s: %w", o.Dir, err)
		}
	}()
	if len(o.Sources) == 0 {
		return nil, errors.New("no source given")
	}
	if o.Dir, err = filepath.Abs(o.Dir); err != nil {
		return nil, err
	}
	if o.Parallel <= 0 {
		o.Parallel = DefaultParallel
	}
	if err := vacant(o.Dir); err != nil {
		return nil, err
	}
	lk, err := takeLock(o.Dir + restoringSuffix)
	if err != nil {
		return nil, err
	}
	r := &restoration{o: o, files: files{o.Dir + restoringSuffix}}
	out, err := r.run(ctx)
	if errors.Is(err, ErrFork) { // nothing of either history stays
		err = errors.Join(err, os.RemoveAll(r.files.dir))
	}
	return out, errors.Join(err, lk.release())
}

// restoration is a Restore under way.
type restoration struct {
	o     RestoreOptions
	files files // beside the place of the log
	seen  []sighting
	tree  *tree // of the newest checkpoint
	count counter
}

// sighting is a checkpoint and where it was seen.
type sighting struct {
	from Source
	*published
}

func (r *restoration) run(ctx context.Context) (*Restored, error) {
	if err := r.look(ctx); err != nil {
		return nil, err
	}
	r.tree = newTree(r.files, r.seen[0].size, newTileCache(maxCachedTiles))
	if err := r.fetch(ctx); err != nil {
		return nil, err
	}
	if err := r.known(ctx); err != nil {
		return nil, err
	}
	if err := r.tell(ctx); err != nil {
		return nil, err
	}
	newest := r.seen[0]
	out := &Restored{
		Origin: r.o.Verifier.Name(), Size: newest.size, Root: newest.root.String(), From: newest.from.String(),
		Fetched: r.count.fetched.Load(), Kept: r.count.kept.Load(),
	}
	if err := r.finish(); err != nil {
		return nil, err
	}
	if r.o.Ready != nil {
		if err := r.o.Ready(out); err != nil {
			return nil, err
		}
	}
	return out, r.place()
}

// look asks every source for its checkpoint and puts the newest first. A source
// that does not answer ends it: it might have the newest.
func (r *restoration) look(ctx context.Context) error {
	for _, s := range r.o.Sources {
		raw, err := s.Checkpoint(ctx)
		if err != nil {
			return fmt.Errorf("checkpoint of %s: %w: leave this source out only if no newer checkpoint can be there", s, err)
		}
		p, err := parsePublished(raw, r.o.Verifier)
		if err != nil {
			return fmt.Errorf("checkpoint of %s: %w", s, err)
		}
		r.seen = append(r.seen, sighting{s, p})
	}
	slices.SortStableFunc(r.seen, func(a, b sighting) int { return int(max(-1, min(1, b.size-a.size))) })
	for i, s := range r.seen[1:] {
		if prev := r.seen[i]; s.size == prev.size && s.root != prev.root {
			return forked(prev, s.from.String(), s.size, s.root)
		}
	}
	return nil
}

func forked(a sighting, where string, size int64, root tlog.Hash) error {
	return fmt.Errorf("%w: at %d entries %s signs for the root %v, which the %d entries of %s do not have: keep both, and ask who else holds this log's key",
		ErrFork, size, where, root, a.size, a.from)
}

// compare makes sure that every older checkpoint belongs to the same history.
// The tiles must be there.
func (r *restoration) compare() error {
	for _, s := range r.seen[1:] {
		root, err := r.tree.root(s.size)
		if err != nil {
			return err
		}
		if root != s.root {
			return forked(r.seen[0], s.from.String(), s.size, s.root)
		}
	}
	return nil
}

// known makes sure that the log has what the database knows as published.
func (r *restoration) known(ctx context.Context) error {
	if r.o.DB == nil {
		return nil
	}
	var s state
	err := r.o.DB.View(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		s, err = getState(ctx, tx)
		return err
	})
	switch {
	case err != nil:
		return fmt.Errorf("asking the database: %w", err)
	case s.origin != "" && s.origin != r.o.Verifier.Name():
		return fmt.Errorf("%w: the database belongs to the log %q", ErrDisagree, s.origin)
	case s.size > r.tree.size:
		return fmt.Errorf("%w: the database knows %d published entries, the newest source has %d: find a source that is newer", ErrBehind, s.size, r.tree.size)
	case s.size == 0:
		return nil
	}
	if root, err := r.tree.root(s.size); err != nil {
		return err
	} else if root != s.root {
		return fmt.Errorf("%w: at %d entries the database knows the root %v, and %s has %v", ErrFork, s.size, s.root, r.seen[0].from, root)
	}
	return nil
}

// tell gives all entries to the caller.
func (r *restoration) tell(ctx context.Context) error {
	if r.o.Entries == nil {
		return nil
	}
	for i := int64(0); i*tlog.TileWidth < r.tree.size; i++ {
		b, err := r.files.bundle(r.tree.tileAt(tlog.EntriesLevel, i))
		if err != nil {
			return err
		}
		if err := r.o.Entries(ctx, i*tlog.TileWidth, entries(b)); err != nil {
			return err
		}
	}
	return nil
}

// vacant makes sure that there is no log in dir: nothing but what locks leave.
func vacant(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist) && path == dir:
			return nil
		case err != nil:
			return err
		case d.IsDir() || isLeftover(d.Name()):
			return nil
		}
		return fmt.Errorf("%w: it has %s: move the directory away first", ErrThere, path)
	})
}

// isLeftover reports files that say nothing of a log.
func isLeftover(name string) bool {
	return name == lockName || name == "version" || filepath.Ext(name) == ".lock"
}

// place gives the restored log its name. Its lock is held meanwhile, and moves
// along.
func (r *restoration) place() error {
	if err := vacant(r.o.Dir); err != nil {
		return err
	}
	if err := os.RemoveAll(r.o.Dir); err != nil {
		return fmt.Errorf("removing what is left of the old one: %w", err)
	}
	if err := os.Rename(r.files.dir, r.o.Dir); err != nil {
		return err
	}
	return files{filepath.Dir(r.o.Dir)}.syncDir()
}
