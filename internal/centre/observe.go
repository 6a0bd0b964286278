package centre

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"vitrine.example/internal/clock"
	"vitrine.example/internal/content"
	"vitrine.example/internal/meter"
	"vitrine.example/internal/store"
)

// When a node calls itself not ready.
const (
	maxBehind = 10_000      // entries that the pages do not show
	minFree   = 64 << 20    // bytes on the disk of the log
	countAge  = time.Minute // how old a count of the content may be
)

// unready returns why the node cannot do all of its work, in words for
// strangers; the log has the details.
func (n *Node) unready(ctx context.Context) []string {
	var why []string
	add := func(text string, err error) {
		why = append(why, text)
		n.log.Warn("not ready", "reason", text, "err", err)
	}
	if n.stopping.Load() {
		add("the node is stopping", nil)
	}
	if _, err := n.clock.Now(); errors.Is(err, clock.ErrBackwards) {
		add("the clock ran backwards: nothing is signed", err)
	} else if err != nil {
		add("the clock cannot be trusted: nothing is signed", err)
	}
	if n.lost.Load() {
		add("the database was lost and is made again from the log", nil)
	}
	if n.witness != nil && n.witness.Lost() != "" {
		add("the witness has lost its state: nothing is cosigned until it is recovered", errors.New(n.witness.Lost()))
	}
	if s, err := n.ledger.Status(ctx); err != nil {
		add("the log does not answer", err)
	} else if s.Refusal != "" {
		add("checkpoints are not signed", errors.New(s.Refusal))
	} else if s.Unconfirmed != "" {
		add("the log takes no entries until a quorum of its witnesses has confirmed that it is the newest", errors.New(s.Unconfirmed))
	}
	if err := n.quorum.shut(); err != nil {
		add("nothing is published: nobody is known who has to cosign", err)
	}
	if err := n.db.View(ctx, func(context.Context, *store.Tx) error { return nil }); err != nil {
		add("the database does not answer", err)
	}
	if next, published, err := n.projection.Lag(ctx); err != nil {
		add("the pages do not follow the log", err)
	} else if published-next > maxBehind {
		add("the pages are far behind the log", nil)
	}
	if free, err := freeBytes(n.dir); err == nil && free < minFree {
		add("the disk is nearly full", nil)
	}
	return why
}

// freeBytes returns how much this process may still write to the disk of path.
func freeBytes(path string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return 0, fmt.Errorf("asking for the free space of %s: %w", path, err)
	}
	return int64(s.Bavail) * int64(s.Bsize), nil
}

// contentCount counts stored content, not more often than is sensible.
type contentCount struct {
	mu    sync.Mutex
	at    time.Time
	took  time.Duration
	n     int64
	bytes int64
}

func (c *contentCount) count(ctx context.Context, s *content.Store) (int64, error) {
	n, _, err := c.both(ctx, s)
	return n, err
}

// both counts anew where counting is quick or the last count is old.
func (c *contentCount) both(ctx context.Context, s *content.Store) (n, bytes int64, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if age := time.Since(c.at); !c.at.IsZero() && age < countAge && age < 100*c.took {
		return c.n, c.bytes, nil
	}
	start := time.Now()
	err = s.Walk(ctx, func(i content.Info) error {
		n, bytes = n+1, bytes+i.Size
		return nil
	})
	if err != nil {
		return 0, 0, fmt.Errorf("counting the content: %w", err)
	}
	c.n, c.bytes, c.at, c.took = n, bytes, time.Now(), time.Since(start)
	return n, bytes, nil
}

// newMetrics registers what a node measures of itself.
func (n *Node) newMetrics() (*meter.Registry, error) {
	r := meter.NewRegistry()
	all := slices.Concat(
		n.ledger.Collectors(),
		lagMetrics(n.projection),
		n.witnessCollectors(),
		n.quorumMetrics(),
		n.gossipMetrics(),
		n.holdingsMetrics(),
		n.jobMetrics(),
	)
	all = append(all,
		meter.Runtime(),
		meter.Process(),
		meter.NewGaugeFunc(meter.GaugeOpts{
			Name: "vitrine_build_info", Help: "Always 1; the labels tell what runs.",
			ConstLabels: meter.Labels{"software": software(), "go": runtime.Version(), "database": n.db.Engine()},
		}, func() float64 { return 1 }),
		gauge("vitrine_content_objects", "Stored digests.", func(ctx context.Context) (float64, error) {
			c, _, err := n.held.both(ctx, n.content)
			return float64(c), err
		}),
		gauge("vitrine_content_bytes", "Stored bytes.", func(ctx context.Context) (float64, error) {
			_, b, err := n.held.both(ctx, n.content)
			return float64(b), err
		}),
		gauge("vitrine_database_bytes", "Size of the SQLite file; 0 with another engine.", n.databaseBytes),
		gauge("vitrine_disk_free_bytes", "Free space on the disk of the node.", func(context.Context) (float64, error) {
			b, err := freeBytes(n.dir)
			return float64(b), err
		}),
		gauge("vitrine_clock_ok", "1 while the clock is trusted, 0 while it ran backwards and nothing is signed.", n.clockOK),
	)
	for _, c := range all {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("registering metrics: %w", err)
		}
	}
	return r, nil
}

// gaugeTimeout bounds how long one measurement may take.
const gaugeTimeout = 5 * time.Second

// gauge measures when it is asked; what cannot be measured is -1.
func gauge(name, help string, f func(context.Context) (float64, error)) meter.Collector {
	return meter.NewGaugeFunc(meter.GaugeOpts{Name: name, Help: help}, func() float64 {
		ctx, cancel := context.WithTimeout(context.Background(), gaugeTimeout)
		defer cancel()
		v, err := f(ctx)
		if err != nil {
			return -1
		}
		return v
	})
}

func (n *Node) clockOK(context.Context) (float64, error) {
	if _, err := n.clock.Now(); err != nil {
		return 0, nil
	}
	return 1, nil
}

func (n *Node) databaseBytes(context.Context) (float64, error) {
	if n.cfg.Database.postgres() {
		return 0, nil
	}
	var s unix.Stat_t
	if err := unix.Stat(n.cfg.Database.in(filepath.Clean(n.dir)), &s); err != nil {
		return 0, err
	}
	return float64(s.Size), nil
}
