// Package centre is a node: it wires keys, content, database, log, projection
// and pages together, starts them, and stops them.
//
// [Init] makes a node's directory, [Open] opens it, [Node.Serve] runs it.
// [Connect] reaches the node of a directory whether it is being served or not.
// It is the only package that knows all parts.
//
// Promises: one process at a time holds a node ([ledger.ErrHeld]); what
// [Node.Submit] acknowledged is in the log, durable, under a published
// checkpoint; submitting the same bytes again, after a crash at any point too,
// gives the same index; nothing is signed while the clock stands before a time
// that was signed ([clock.ErrBackwards]). Keys and passwords are never logged.
package centre

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/mod/sumdb/note"

	"vitrine.example/internal/clock"
	"vitrine.example/internal/content"
	"vitrine.example/internal/gossip"
	"vitrine.example/internal/holdings"
	"vitrine.example/internal/ledger"
	"vitrine.example/internal/meter"
	"vitrine.example/internal/mirror"
	"vitrine.example/internal/projection"
	"vitrine.example/internal/store"
	"vitrine.example/internal/web"
	"vitrine.example/internal/witness"
)

// Bounds of waiting.
const (
	openTimeout   = time.Minute            // for the log's first checkpoint and repairs
	heldPatience  = 3 * time.Second        // for a holder of the log that may be reached instead
	endPatience   = 15 * time.Second       // for a holder to end: a command waits 10 s for a publication
	heldPause     = 100 * time.Millisecond // between tries
	settleTimeout = 15 * time.Second       // for requests under way when a node stops
)

// Info is a node's public description (docs/spec/node.md), at /node.json.
type Info = web.Info

// Node is an open node; it holds the lock of its log.
type Node struct {
	dir        string
	cfg        *Config
	log        *slog.Logger
	dialer     *peerDialer
	peers      *http.Client // talks to other nodes
	keys       *keys
	described  atomic.Pointer[Info] // nil: as the keys say
	rotating   sync.Mutex           // of steps of rotations
	clock      *clock.Guard
	db         *store.DB
	content    *content.Store
	quorum     ownQuorum
	ledger     *ledger.Ledger
	projection *projection.Projection
	witness    *witness.Witness // nil: the node is none
	onFork     atomic.Pointer[func(string, witness.Evidence)]
	metrics    *meter.Registry
	gossip     *gossip.Gossip
	gossiping  gossiping
	held       contentCount
	circle     membership
	neighbours neighbours
	mirror     *mirror.Mirror     // nil: none
	pending    *witness.Pending   // checkpoints of the mirror
	holdings   *holdings.Holdings // nil where there is no mirror
	stale      stale
	jobs       *jobs
	farm       farming
	cosigned   cosigned

	control  *controlServer
	remaking sync.Mutex    // of the database from the log
	lost     atomic.Bool   // the database was lost, and is not made again yet
	mended   chan struct{} // closed when that was tried
	stopping atomic.Bool
	serving  atomic.Pointer[string] // the address of the pages, once they are served
	stop     context.CancelFunc     // of what runs in the background
	work     sync.WaitGroup
	closed   atomic.Bool
}

// Open opens the node in dir. Where log is nil, the node logs to standard error
// as its configuration says. While another process holds the node it tries
// again for some seconds, until a command that found nobody and holds the node
// itself has ended, and then fails with [ledger.ErrHeld]. A process that serves it
// does not end by itself: that is told at once.
func Open(ctx context.Context, dir string, log *slog.Logger) (*Node, error) {
	for start := time.Now(); ; {
		n, err := open(ctx, dir, log)
		if err == nil || !errors.Is(err, ledger.ErrHeld) || time.Since(start) > endPatience {
			return n, err
		}
		if where := servedAt(ctx, dir); where != "" {
			return nil, fmt.Errorf("%w: it serves the node on %s", err, where)
		}
		if err := pause(ctx, heldPause); err != nil {
			return nil, err
		}
	}
}

// pause waits, or fails with the context's error.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// open opens the node once.
func open(ctx context.Context, dir string, log *slog.Logger) (*Node, error) {
	if _, err := os.Stat(filepath.Join(dir, ConfigFile)); err == nil {
		if err := wantLog(dir); err != nil {
			return nil, fmt.Errorf("opening the node %s: %w", dir, err)
		}
	}
	return openAny(ctx, dir, log)
}

// openAny is open, also for a node that has no log yet.
func openAny(ctx context.Context, dir string, log *slog.Logger) (n *Node, err error) {
	cfg, err := LoadConfig(dir)
	if err != nil {
		return nil, err
	}
	if log == nil {
		log = cfg.logger(os.Stderr)
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, fmt.Errorf("opening the node: %w", err)
	}
	n = &Node{dir: dir, cfg: cfg, log: log, dialer: newPeerDialer(cfg), mended: make(chan struct{})}
	n.peers = newPeerClient(n.dialer)
	n.neighbours = neighbours{changed: make(chan struct{}, 1), follows: map[string]string{}}
	n.gossiping.wake = make(chan struct{}, 1)
	n.stale.asked = make(chan struct{})
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	if err := n.openParts(ctx); err != nil {
		return nil, fmt.Errorf("opening the node %s: %w", dir, errors.Join(err, n.release(ctx)))
	}
	n.start()
	return n, nil
}

// openParts opens everything in the order in which it is needed. The log is
// opened as soon as can be, because it is what keeps other processes out.
func (n *Node) openParts(ctx context.Context) (err error) {
	if n.clock, err = clock.Open(filepath.Join(n.dir, clockFile), nil); err != nil {
		return fmt.Errorf("clock: %w", err)
	}
	if n.keys, err = loadKeys(n.dir, n.cfg, n.signingTime); err != nil {
		return err
	}
	if n.db, err = store.Open(ctx, n.cfg.Database.in(n.dir)); err != nil {
		return err
	}
	if err = n.openFarm(ctx); err != nil {
		return err
	}
	if err = n.loadCircle(ctx); err != nil {
		return err
	}
	if err = n.openQuorum(); err != nil {
		return err
	}
	if n.ledger, err = ledger.Open(ctx, n.ledgerOptions()); err != nil {
		return err
	}
	if n.content, err = content.Open(filepath.Join(n.dir, contentDir)); err != nil {
		return err
	}
	if n.projection, err = projection.New(ctx, n.projectionOptions()); err != nil {
		return err
	}
	if err := n.openWitness(ctx); err != nil {
		return err
	}
	if err = n.openMirror(ctx); err != nil {
		return err
	}
	if err = n.openHoldings(ctx); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(n.dir, runDir), privateMode); err != nil {
		return err
	}
	bereft, err := n.bereft(ctx)
	if err != nil {
		return err
	}
	n.lost.Store(bereft)
	n.jobs = newJobs(n)
	if err := n.openGossip(); err != nil {
		return err
	}
	if n.metrics, err = n.newMetrics(); err != nil {
		return err
	}
	n.control, err = n.startControl()
	return err
}

func (n *Node) ledgerOptions() ledger.Options {
	o := ledger.Options{
		Dir:      filepath.Join(n.dir, logDir),
		DB:       n.db,
		Signer:   clocked{n.keys.log, n.signingTime},
		Interval: n.cfg.interval,
		Log:      n.log,
		Cosigner: n.cosigner(),
		Earlier:  n.keys.earlier,
	}
	for _, s := range n.keys.extra {
		o.Additional = append(o.Additional, note.Signer(clocked{s, n.signingTime}))
	}
	return o
}

// start begins what runs in the background until Close.
func (n *Node) start() {
	ctx, stop := context.WithCancel(context.Background())
	n.stop = stop
	n.work.Go(func() { n.projection.Run(ctx) })
	n.work.Go(func() { n.mend(ctx) })
	n.work.Go(func() { n.resume(ctx) })
	n.work.Go(func() { n.followCircle(ctx) })
	n.work.Go(func() { n.meetCircle(ctx) })
	n.work.Go(func() { n.gossip.Run(ctx, nil) })
	n.work.Go(func() { n.followForks(ctx) })
	n.work.Go(func() { n.fetch(ctx) })
	n.work.Go(func() { n.watchOwn(ctx) })
	n.work.Go(func() { n.gatherCosigned(ctx) })
	if _, err := n.clock.Now(); err != nil {
		n.log.Error("nothing will be signed", "err", err)
	}
}

// Close finishes what is under way, publishes what is sequenced, and frees
// everything. Calling it again does nothing.
func (n *Node) Close(ctx context.Context) error {
	if n.closed.Swap(true) {
		return nil
	}
	n.stopping.Store(true)
	var err error
	if n.control != nil {
		err = n.control.close(ctx)
	}
	n.stop()
	n.work.Wait()
	return errors.Join(err, n.release(ctx))
}

// release frees what openParts has opened.
func (n *Node) release(ctx context.Context) error {
	var errs []error
	if n.ledger != nil {
		errs = append(errs, n.ledger.Close(ctx))
	}
	if n.witness != nil {
		errs = append(errs, n.witness.Close())
	}
	n.quorum.close()
	errs = append(errs, n.farm.close())
	if n.db != nil {
		errs = append(errs, n.db.Close())
	}
	return errors.Join(errs...)
}
