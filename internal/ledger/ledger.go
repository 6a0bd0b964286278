// Package ledger is a node's own log: append, dedup, publication, tiles.
//
// [Open] opens the log directory, of which exactly one process may be the
// holder; [Ledger.Add] returns when the entry is durable and covered by a
// published checkpoint; [Ledger.Handler] serves the log as C2SP tlog-tiles.
// Entries are unique: adding one again returns its first index.
//
// The log itself is kept by Tessera. What this package promises beyond Tessera,
// and how it survives a crash at any point, is in DESIGN.md beside this file.
// It does not look into entries: what they mean is for others to check.
package ledger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/storage/posix"
	"golang.org/x/mod/sumdb/note"

	"vitrine.example/internal/store"
	"vitrine.example/tlog"
)

// Errors that callers tell apart.
var (
	ErrHeld     = errors.New("another process holds this log")
	ErrUnknown  = errors.New("no such entry")
	ErrClosed   = errors.New("the log is closing")
	ErrBusy     = errors.New("too many entries are waiting")
	ErrTooLarge = errors.New("the entry is larger than 65535 bytes")
	// ErrUnpublished says that no checkpoint covered the entry in time. It may
	// have got its index already: add it again to wait on.
	ErrUnpublished = errors.New("no checkpoint covers the entry")
	// ErrDisagree says that database and log directory do not belong together,
	// or that one of them is older than the other may be.
	ErrDisagree = errors.New("the log and the database disagree")
	// ErrDamaged says that the files of the log contradict each other.
	ErrDamaged = errors.New("the log is damaged")
)

// MaxEntry is the largest entry in bytes (C2SP tlog-tiles, "Log entries").
const MaxEntry = 1<<16 - 1

// Defaults and bounds of Options.
const (
	DefaultInterval  = 100 * time.Millisecond
	DefaultBatchSize = 1024
	DefaultBatchAge  = 50 * time.Millisecond
	DefaultPatience  = 10 * time.Second

	republish = time.Minute // a checkpoint of a log that does not grow is renewed

	maxWaiting      = 16 << 10 // distinct entries under way
	maxWaitingBytes = 128 << 20
)

// Options say how a log is kept.
type Options struct {
	Dir        string // of the tiles and the checkpoint
	DB         *store.DB
	Signer     note.Signer   // its name is the origin; it must be a *tlog.Signer or another with Verifier() tlog.Verifier
	Additional []note.Signer // of the same name
	// Earlier keys of the log: what one of them signed, here or as others show
	// it, is the log's, although it signs nothing new.
	Earlier   []tlog.Verifier
	Interval  time.Duration // between checkpoints; default and least 100 ms
	BatchSize int           // default 1,024
	BatchAge  time.Duration // least between batches that are not full, if more than Interval; default 50 ms
	Patience  time.Duration // for the checkpoint, once an entry has its index; default 10 s
	Log       *slog.Logger  // default slog.Default()
	// Cosigner has a say before a checkpoint is published; nil: what is signed
	// is published. See [Ledger.SetCosigner].
	Cosigner Cosigner
	Renew    time.Duration // of the cosignatures of a log that does not grow; default a minute
	// Now is asked before each checkpoint; where it refuses (a clock that ran
	// backwards), nothing is signed. Default time.Now.
	Now func() (time.Time, error)
}

func (o *Options) complete() error {
	switch {
	case o.Dir == "":
		return errors.New("opening the log: no directory given")
	case o.DB == nil:
		return errors.New("opening the log: no database given")
	case o.Signer == nil:
		return errors.New("opening the log: no signer given")
	}
	for _, s := range o.Additional {
		if s.Name() != o.Signer.Name() {
			return fmt.Errorf("opening the log: additional signer %q does not bear the origin %q", s.Name(), o.Signer.Name())
		}
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return fmt.Errorf("opening the log %s: %w", o.Dir, err)
	}
	o.Dir = dir
	o.Interval = max(o.Interval, DefaultInterval)
	if o.BatchSize <= 0 || o.BatchSize > maxWaiting {
		o.BatchSize = DefaultBatchSize
	}
	if o.BatchAge <= 0 {
		o.BatchAge = DefaultBatchAge
	}
	if o.Patience <= 0 {
		o.Patience = DefaultPatience
	}
	if o.Renew <= 0 {
		o.Renew = republish
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Now == nil {
		o.Now = func() (time.Time, error) { return time.Now(), nil }
	}
	return nil
}

// Entry is where something stands in the log.
type Entry struct {
	Index     int64
	Duplicate bool // it stood there before
}

// Ledger is safe for use by several goroutines.
type Ledger struct {
	o        Options
	origin   string
	epoch    int64 // of this process in the database; the sequencer's after Open
	verifier Verifier
	files    files
	lock     *lock
	signer   *signer
	appender *tessera.Appender
	shutdown func(context.Context) error
	metrics  *metrics
	tiles    *tileCache
	bundles  *bundleCache

	ctx  context.Context // of everything in the background
	stop context.CancelFunc
	work sync.WaitGroup // sequencer and watcher

	inbox     inbox
	signed    atomic.Pointer[published] // Tessera's newest checkpoint, from the disk; nil before the first
	published atomic.Pointer[published] // what is shown and acknowledged; never nil once the log is open
	sequenced atomic.Int64              // entries that have an index for good
	waiters   waiters
	broken    atomic.Bool // the log did other than foreseen: reconcile first
	poke      chan struct{}
	idle      chan struct{} // closed when the sequencer has ended
	ask       chan struct{} // wakes cosign

	publishing sync.Mutex // held while published moves
	cosigner   Cosigner   // guarded by publishing, as are those below
	endRound   context.CancelFunc
	cosignedAt time.Time // zero where this process has published none
	confirmed  *confirmation
}

// Open takes the lock ([ErrHeld]), checks the newest part of the log, brings
// the database up to the log, and starts sequencing. The context bounds the
// opening alone.
//
// A directory without a log becomes an empty one. A database that lost its
// rows is filled again from the log. A log that lacks entries which the
// database knows as published, or holds others in their place, is refused
// ([ErrDisagree]), as is a log whose newest files contradict each other
// ([ErrDamaged]).
func Open(ctx context.Context, o Options) (_ *Ledger, err error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	v, err := verifierOf(o.Signer)
	if err != nil {
		return nil, err
	}
	lk, err := takeLock(o.Dir)
	if err != nil {
		return nil, err
	}
	l := newLedger(o, AnyOf(v, o.Earlier...), lk)
	if err := l.start(ctx); err != nil {
		l.stop()
		return nil, errors.Join(err, lk.release())
	}
	return l, nil
}

func newLedger(o Options, v Verifier, lk *lock) *Ledger {
	l := &Ledger{
		o: o, origin: o.Signer.Name(), verifier: v, files: files{o.Dir}, lock: lk,
		metrics: newMetrics(),
		tiles:   newTileCache(maxCachedTiles),
		bundles: newBundleCache(maxCachedBundles),
		poke:    make(chan struct{}, 1),
		idle:    make(chan struct{}),
		ask:     make(chan struct{}, 1), cosigner: o.Cosigner,
		confirmed: newConfirmation(),
	}
	l.ctx, l.stop = context.WithCancel(context.Background())
	l.inbox.init(o.BatchSize)
	l.signer = newSigner(o, l.wakeWatcher)
	return l
}

// start does what Open promises, once the lock is held.
func (l *Ledger) start(ctx context.Context) error {
	quietTessera(l.o.Log)
	l.files.removeStrays()
	head, err := selfCheck(l.files, l.verifier)
	if err != nil {
		return err
	}
	if err := l.resign(&head); err != nil {
		return err
	}
	if head.checkpoint != nil {
		l.signed.Store(head.checkpoint)
		l.signer.remember(head.checkpoint.size, head.checkpoint.root)
	}
	if c := head.cosigned; c != nil && (head.checkpoint == nil || c.size > head.checkpoint.size) {
		l.signer.remember(c.size, c.root)
	}
	if err := l.startPublished(head); err != nil {
		return err
	}
	if err := l.reconcile(ctx, head.tree()); err != nil {
		return err
	}
	l.sequenced.Store(head.size)
	l.startConfirmation(head.size)
	if err := l.startTessera(); err != nil {
		return err
	}
	l.work.Go(l.watch)
	if err := l.awaitFirst(ctx); err != nil {
		return err
	}
	l.work.Go(l.cosign)
	l.work.Go(l.sequence)
	return nil
}

// flushAge is how long Tessera waits for more entries after the last that it
// got. It gets whole batches, so that waiting is of no use but for the moment
// that handing over takes.
const flushAge = 3 * time.Millisecond

func (l *Ledger) startTessera() (err error) {
	// BUG(tessera v1.0.4): it panics where it cannot lock its own directory
	// (a full disk, an I/O error). Nothing was started then.
	defer func() {
		switch r := recover().(type) {
		case nil:
		case error:
			err = fmt.Errorf("opening the log %s: locking: %w", l.o.Dir, r)
		default:
			panic(r)
		}
	}()
	driver, err := posix.New(l.ctx, posix.Config{Path: l.o.Dir})
	if err != nil {
		return fmt.Errorf("opening the log %s: %w", l.o.Dir, err)
	}
	first, others := l.signer.all()
	a, shutdown, _, err := tessera.NewAppender(l.ctx, driver, tessera.NewAppendOptions().
		WithCheckpointSigner(first, others...).
		WithCheckpointInterval(l.o.Interval).
		WithCheckpointRepublishInterval(max(republish, l.o.Interval)).
		WithBatching(uint(l.o.BatchSize), flushAge))
	if err != nil {
		return fmt.Errorf("opening the log %s: %w", l.o.Dir, err)
	}
	l.appender, l.shutdown = a, shutdown
	return nil
}

// Close stops taking entries, publishes what is sequenced, and frees the lock.
// Where the context ends before that is done, the calls under way fail with
// [ErrClosed] and the lock stays until the process ends, because the log may
// still be written.
func (l *Ledger) Close(ctx context.Context) error {
	if !l.inbox.close() {
		return nil // closed before
	}
	err := l.drain(ctx)
	l.signer.close()
	if err == nil {
		err = l.awaitQuiet(ctx)
	}
	l.stop()
	l.inbox.failAll(ErrClosed)
	if err != nil {
		return fmt.Errorf("closing the log %s: %w", l.o.Dir, err)
	}
	l.work.Wait()
	return l.lock.release()
}

// drain waits until the sequencer has handed over all, and all is published.
func (l *Ledger) drain(ctx context.Context) error {
	select {
	case <-l.idle:
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := l.shutdown(ctx); err != nil {
		return err
	}
	if err := l.awaitNobody(ctx); err != nil {
		return err
	}
	return l.recordPublished(ctx)
}

// Status tells how far the log is.
type Status struct {
	Origin    string    `json:"origin"`
	Sequenced int64     `json:"sequenced"`        // entries that have an index
	Published int64     `json:"published"`        // entries that a checkpoint covers
	At        time.Time `json:"at"`               // when the newest checkpoint was written
	Waiting   int       `json:"waiting"`          // calls of Add under way
	Refusal   string    `json:"refusal,omitzero"` // why the signer refuses, where it does
	// Awaiting says whose cosignatures keep sequenced entries from being
	// published, where they do.
	Awaiting string `json:"awaiting,omitzero"`
	// Unconfirmed says why no entries are taken yet, where they are not.
	Unconfirmed string `json:"unconfirmed,omitzero"`
}

// Status returns how far the log is.
func (l *Ledger) Status(ctx context.Context) (Status, error) {
	p := l.published.Load()
	s := Status{
		Origin:    l.origin,
		Sequenced: max(l.sequenced.Load(), p.size),
		Published: p.size,
		At:        p.at,
		Waiting:   l.inbox.callers(),
		Awaiting:  l.awaiting(),
	}
	if err := l.signer.refusal(); err != nil {
		s.Refusal = err.Error()
	}
	if err := l.unconfirmed(); err != nil {
		s.Unconfirmed = err.Error()
	}
	return s, ctx.Err()
}

// Checkpoint returns the newest published checkpoint; [ErrUnknown] where none was
// published yet.
func (l *Ledger) Checkpoint(ctx context.Context) ([]byte, error) {
	p := l.published.Load()
	if p.raw == nil {
		return nil, fmt.Errorf("%w: no checkpoint is published yet", ErrUnknown)
	}
	return p.raw, ctx.Err()
}
