package centre

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"vitrine.example/internal/projection"
	"vitrine.example/internal/release"
	"vitrine.example/internal/store"
	"vitrine.example/statement"
)

// rebuildMark lies in a node's directory while its database is made again, so
// that a process that ends before the end is followed by one that begins anew.
const rebuildMark = runDir + "/rebuilding"

// Bounds of rebuilding.
const (
	rebuildTimeout = 4 * time.Hour
	rebuildPoll    = 100 * time.Millisecond
)

// Rebuilt tells what the database holds after [Handle.Rebuild].
type Rebuilt struct {
	Entries    int64 `json:"entries"`    // of the log, all of them looked at
	Statements int64 `json:"statements"` // known and checked
	Releases   int64 `json:"releases"`
}

// Rebuild makes what the database holds of the log again, from the log and the
// content store: the tables of the pages, which statement stands behind which
// entry, and which release has which name. Running it again does no harm. progress, where not nil, is told how far the
// pages are, but not while another process serves the node.
func (h *Handle) Rebuild(ctx context.Context, progress func(done, total int64)) (r *Rebuilt, err error) {
	err = h.ask(ctx,
		func(n *Node) error { r, err = n.rebuild(ctx, progress); return err },
		func() error {
			r = &Rebuilt{}
			return h.callWithin(ctx, rebuildTimeout, http.MethodPost, "/rebuild", nil, r)
		})
	return r, err
}

// rebuild is Rebuild in the process that holds the node.
func (n *Node) rebuild(ctx context.Context, progress func(done, total int64)) (*Rebuilt, error) {
	n.remaking.Lock()
	defer n.remaking.Unlock()
	return n.remake(ctx, progress)
}

// remake is rebuild for whoever holds the mutex.
func (n *Node) remake(ctx context.Context, progress func(done, total int64)) (*Rebuilt, error) {
	r, err := n.fill(ctx, progress)
	if err != nil {
		return nil, fmt.Errorf("rebuilding the database from the log: %w", err)
	}
	n.lost.Store(false)
	n.log.Info("rebuilt the database from the log", "entries", r.Entries, "statements", r.Statements, "releases", r.Releases)
	return r, nil
}

func (n *Node) fill(ctx context.Context, progress func(done, total int64)) (*Rebuilt, error) {
	mark := filepath.Join(n.dir, rebuildMark)
	if err := os.WriteFile(mark, nil, 0o600); err != nil {
		return nil, err
	}
	if err := syncDirs(filepath.Dir(mark)); err != nil {
		return nil, err
	}
	if _, err := n.projection.Recover(ctx, n.keys.spoken); err != nil {
		return nil, err
	}
	if err := n.projection.Rebuild(ctx); err != nil {
		return nil, err
	}
	size, err := n.follow(ctx, progress)
	if err != nil {
		return nil, err
	}
	if err := n.claimAgain(ctx); err != nil {
		return nil, err
	}
	counts, err := n.projection.Counts(ctx)
	if err != nil {
		return nil, err
	}
	return &Rebuilt{Entries: size, Statements: counts.Statements, Releases: counts.Releases}, os.Remove(mark)
}

// follow waits until the pages show everything, and returns how much that is.
func (n *Node) follow(ctx context.Context, progress func(done, total int64)) (int64, error) {
	for {
		next, published, err := n.projection.Lag(ctx)
		if progress != nil {
			progress(next, published)
		}
		if err != nil || next >= published {
			return published, err
		}
		if err := pause(ctx, rebuildPoll); err != nil {
			return 0, err
		}
	}
}

// claimBatch is how many names are given in one transaction.
const claimBatch = 4096

// claimAgain gives every release of the log its name, the first one first. What the
// projection says of them it has checked just now.
func (n *Node) claimAgain(ctx context.Context) error {
	pages := make(chan []projection.Release, 1)
	reading, ctx := errgroup.WithContext(ctx)
	reading.Go(func() error { // while those before are written
		defer close(pages)
		for above := int64(-1); ; {
			some, err := n.projection.Names(ctx, above, claimBatch)
			if err != nil || len(some) == 0 {
				return err
			}
			above = some[len(some)-1].Index
			select {
			case pages <- some:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	})
	reading.Go(func() error {
		for some := range pages {
			if err := n.claimPage(ctx, some); err != nil {
				return err
			}
		}
		return nil
	})
	return reading.Wait()
}

// claimPage gives some names.
func (n *Node) claimPage(ctx context.Context, some []projection.Release) error {
	names := make([]release.Named, len(some))
	for i, r := range some {
		names[i] = release.Named{
			Statement: r.Statement, Product: r.Product, Channel: r.Channel, Version: r.Version, Seq: r.Seq, Previous: r.Previous,
		}
	}
	err := n.db.Update(ctx, func(ctx context.Context, tx *store.Tx) error { return release.AdmitAll(ctx, tx, names) })
	if errors.Is(err, release.ErrConflict) {
		return n.claimEach(ctx, some)
	}
	return err
}

// claimEach gives names where one at least is taken: whoever comes later has none.
func (n *Node) claimEach(ctx context.Context, some []projection.Release) error {
	for part := range slices.Chunk(some, claimEachBatch) {
		envs := make([]*statement.Envelope, len(part))
		for i, r := range part {
			raw, err := n.content.ReadPublic(ctx, r.Statement, statement.MaxSize)
			if err != nil {
				return err
			}
			if envs[i], err = statement.Parse(raw); err != nil {
				return fmt.Errorf("statement %s: %w", r.Statement, err)
			}
		}
		if err := n.claimAll(ctx, envs); err != nil {
			return err
		}
	}
	return nil
}

// claimEachBatch is how many names are tried together where one is taken.
const claimEachBatch = 256

// claimAll gives names in one transaction; where one is taken, one by one.
func (n *Node) claimAll(ctx context.Context, envs []*statement.Envelope) error {
	err := n.db.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
		for _, env := range envs {
			if err := release.Admit(ctx, tx, env); err != nil {
				return err
			}
		}
		return nil
	})
	if !errors.Is(err, release.ErrConflict) {
		return err
	}
	if len(envs) == 1 {
		n.log.Warn("a release of the log has no name of its own", "sha256", envs[0].Digest(), "err", err)
		return nil
	}
	for i := range envs {
		if err := n.claimAll(ctx, envs[i:i+1]); err != nil {
			return err
		}
	}
	return nil
}

// bereft reports whether the database was lost, or a rebuild did not end: the
// log has entries that the database has never heard of.
func (n *Node) bereft(ctx context.Context) (bool, error) {
	if _, err := os.Stat(filepath.Join(n.dir, rebuildMark)); err == nil {
		return true, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	s, err := n.ledger.Status(ctx)
	if err != nil || s.Published == 0 {
		return false, err
	}
	return n.projection.Empty(ctx)
}

// mend makes the database again where it was lost.
func (n *Node) mend(ctx context.Context) {
	defer close(n.mended)
	n.remaking.Lock()
	defer n.remaking.Unlock()
	if !n.lost.Load() {
		return // or somebody was faster
	}
	n.log.Warn("the database does not know the log; it is made again")
	if _, err := n.remake(ctx, nil); err != nil && ctx.Err() == nil {
		n.log.Error("nothing is logged until this is mended", "err", err)
	}
}

// errLost keeps a node from releasing what it has released already.
var errLost = errors.New("the database was lost and could not be made again: look into the node's journal, then run `vitrine projection rebuild`")

// whole waits until the database knows what was released.
func (n *Node) whole(ctx context.Context) error {
	if !n.lost.Load() {
		return nil
	}
	select {
	case <-n.mended:
	case <-ctx.Done():
		return fmt.Errorf("waiting for the database to be made again: %w", ctx.Err())
	}
	if n.lost.Load() {
		return errLost
	}
	return nil
}
