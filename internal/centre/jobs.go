package centre

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"vitrine.example/internal/farm"
	"vitrine.example/internal/meter"
	"vitrine.example/internal/recipe"
	"vitrine.example/internal/sandbox"
)

// A node that is served rebuilds what it follows (docs/spec/rebuild.md, "A node"):
//
//	orders   sees releases in its projection and puts them into the queue
//	worker   builds them, in the node or elsewhere
//	says     signs what came of each order once, and logs it
//	hears    reads in its own log what it has said, and raises alerts
//
// Each step reads what the one before has made durable, and may be repeated.

// How often the steps look around.
const (
	jobsPause   = time.Second      // between looks
	wantedPause = 10 * time.Second // between looks at what something is missing for
	jobsRest    = time.Minute      // after a look that failed
	maxSlots    = 64
	buildDir    = "build" // what the own worker builds, below the node's directory
)

// errEngine says that nothing can be built on this machine.
var errEngine = errors.New("releases cannot be rebuilt here")

// checkRebuild checks the list of logs.
func checkRebuild(list []string) error {
	if len(list) > 512 {
		return errors.New("more than 512 logs")
	}
	for i, s := range list {
		switch {
		case s == "*" && len(list) > 1:
			return errors.New(`"*" means all logs and stands alone`)
		case slices.Contains(list[:i], s):
			return fmt.Errorf("%.80q twice", s)
		case s == "*":
		case s == "" || len(s) > 255 || slices.ContainsFunc([]byte(s), func(c byte) bool { return c <= ' ' || c >= 0x7f }):
			return fmt.Errorf(`%.80q is not the origin of a log, such as vendor.example, nor "*"`, s)
		}
	}
	return nil
}

func checkEngine(s string) error {
	if s != "embedded" && s != "gvisor" {
		return fmt.Errorf("%.40q is neither embedded nor gvisor", s)
	}
	return nil
}

// rebuilds reports whether the releases of a log are rebuilt.
func (c *Config) rebuilds(origin string) bool {
	return slices.Contains(c.Rebuild, origin) || slices.Equal(c.Rebuild, []string{"*"})
}

// engine is what the own worker builds in.
func (c *Config) engine() sandbox.Engine {
	if c.RebuildEngine == "gvisor" {
		return new(sandbox.GVisor)
	}
	return new(sandbox.Embedded)
}

// jobs are the rebuilds of a node.
type jobs struct {
	n      *Node
	docket *farm.Docket

	gathering  sync.Mutex        // one recipe's inputs at a time
	registries recipe.Registries // of this machine; nil: not asked yet

	seen   map[string]int64 // by log: up to where its releases were noted; of order alone
	looked time.Time        // when order looked for what was missing

	mu    sync.Mutex
	heard int64            // up to where the own log was heard
	late  map[string]int64 // by log: where a statement came late
}

func newJobs(n *Node) *jobs {
	return &jobs{
		n: n, docket: &farm.Docket{DB: n.db, Now: time.Now}, seen: map[string]int64{}, late: map[string]int64{}, heard: -1,
	}
}

// startJobs begins to rebuild, where that is configured; stop ends it and waits.
func (n *Node) startJobs(ctx context.Context) (stop func(), err error) {
	ctx, cancel := context.WithCancel(ctx)
	var work sync.WaitGroup
	stop = func() { cancel(); work.Wait() }
	if len(n.cfg.Rebuild) > 0 && n.cfg.RebuildSlots > 0 {
		if err := n.cfg.engine().Check(ctx); err != nil {
			cancel()
			return nil, fmt.Errorf("%w: the engine %s: %w", errEngine, n.cfg.RebuildEngine, err)
		}
		if err := n.returnLeft(ctx); err != nil {
			cancel()
			return nil, err
		}
		w := n.worker()
		work.Go(func() {
			if err := w.Run(ctx); err != nil && ctx.Err() == nil {
				n.log.Error("the worker ended", "err", err)
			}
		})
	}
	work.Go(func() { n.jobs.run(ctx) })
	return stop, nil
}

// returnLeft gives back what this node's own worker was building when an earlier
// process ended: nobody else has its name, and one process holds the node.
func (n *Node) returnLeft(ctx context.Context) error {
	for before := int64(0); ; {
		rows, err := n.Queue().List(ctx, before, nil, farm.MaxRows)
		if err != nil || len(rows) == 0 {
			return err
		}
		for _, r := range rows {
			if before = r.ID; r.State != farm.Leased || r.Worker != n.cfg.origin {
				continue
			}
			if err := n.Queue().Return(ctx, r.ID, r.Epoch); err != nil && !errors.Is(err, farm.ErrLost) {
				return err
			}
		}
	}
}

// worker is the node's own.
func (n *Node) worker() *farm.Worker {
	return &farm.Worker{
		Name: n.cfg.origin, Office: n.office(),
		Engine: n.cfg.engine(), Explainer: Explainer(), Dir: filepath.Join(n.dir, buildDir),
		Slots: int(n.cfg.RebuildSlots), Idle: jobsPause, Now: time.Now, Log: n.log,
	}
}

// run takes all steps until ctx ends. What is said of a release must be known
// before it is ordered or said again.
func (j *jobs) run(ctx context.Context) {
	if j.n.whole(ctx) != nil {
		return
	}
	for wait := time.Duration(0); pause(ctx, wait) == nil; wait = jobsPause {
		if err := j.hear(ctx); err == nil {
			break
		} else if ctx.Err() == nil {
			j.n.log.Error("reading what was said of rebuilds", "err", err)
		}
	}
	var work sync.WaitGroup
	for _, step := range []struct {
		doing string
		do    func(context.Context) error
	}{
		{"ordering rebuilds", j.order}, {"publishing rebuilds", j.say}, {"reading what was said of rebuilds", j.hear},
	} {
		work.Go(func() { j.repeat(ctx, step.doing, step.do) })
	}
	work.Wait()
}

func (j *jobs) repeat(ctx context.Context, doing string, do func(context.Context) error) {
	wait := jobsPause
	for pause(ctx, wait) == nil {
		wait = jobsPause
		if err := do(ctx); err != nil && ctx.Err() == nil {
			j.n.log.Error(doing, "err", err)
			wait = jobsRest
		}
	}
}

// arrived is told that a statement came long after its entry was read.
func (j *jobs) arrived(origin string, index int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if have, ok := j.late[origin]; !ok || index < have {
		j.late[origin] = index
	}
}

// jobMetrics measure the queue and what it came to.
func (n *Node) jobMetrics() []meter.Collector {
	return []meter.Collector{
		meter.NewGaugeTable(meter.GaugeOpts{Name: "vitrine_rebuild_orders", Help: "Rebuilds by how far they are."}, []string{"state"}, func() (rows []meter.Row) {
			ctx, cancel := context.WithTimeout(context.Background(), gaugeTimeout)
			defer cancel()
			all, err := n.Queue().Counts(ctx)
			if err != nil {
				return nil
			}
			for s := farm.Waiting; s <= farm.GivenUp; s++ {
				rows = append(rows, meter.Row{Labels: []string{s.String()}, Value: float64(all[s])})
			}
			return rows
		}),
		gauge("vitrine_rebuild_alerts", "Releases that are not what their source makes, though those before were, and that nobody has acknowledged.",
			func(ctx context.Context) (float64, error) {
				all, err := n.jobs.docket.Alerts(ctx)
				return float64(len(all)), err
			}),
	}
}
