package centre

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"vitrine.example/internal/circle"
	"vitrine.example/internal/ledger"
	"vitrine.example/internal/meter"
	"vitrine.example/internal/quorum"
	"vitrine.example/tlog"
)

// ownQuorum is who has to cosign the own log.
type ownQuorum struct {
	mu     sync.Mutex
	now    *quorum.Quorum // nil: nobody
	who    string         // the policy, to know a change
	closed error          // why nothing may be published, where it is not known who has to cosign
}

func (o *ownQuorum) get() *quorum.Quorum {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.now
}

// shut says why nothing may be published, or nil.
func (o *ownQuorum) shut() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.closed
}

// set puts another in its place, and ends what the one before keeps open.
func (o *ownQuorum) set(q *quorum.Quorum, who string, closed error) {
	o.mu.Lock()
	was := o.now
	o.now, o.who, o.closed = q, who, closed
	o.mu.Unlock()
	if was != nil && was != q {
		was.Close()
	}
}

func (o *ownQuorum) close() { o.set(nil, "", nil) }

// is reports whether that is how it is already.
func (o *ownQuorum) is(q *quorum.Quorum, closed error) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.now == q && (o.closed == nil) == (closed == nil) && (closed == nil || o.closed.Error() == closed.Error())
}

// openQuorum makes what has the own checkpoints cosigned: as the policy of the
// configuration says, or else as the circle does; nobody where there is neither.
// It has to be there before the log is opened, which would publish without it.
func (n *Node) openQuorum() error {
	if n.cfg.WitnessPolicy != "" {
		q, err := loadQuorum(n.dir, n.cfg, n.keys)
		n.quorum.set(q, n.cfg.WitnessPolicy, nil)
		return err
	}
	q, who, closed, err := n.circleQuorum()
	if err != nil {
		return err
	}
	if closed != nil {
		n.log.Error("nothing is published", "err", closed)
	}
	n.quorum.set(q, who, closed)
	return nil
}

// circleQuorum is the quorum that the circle asks for now; nil where it asks for
// none. closed is why nobody can be asked who has to be ([circlePolicy]).
func (n *Node) circleQuorum() (q *quorum.Quorum, who string, closed, err error) {
	h, err := n.Circle(context.Background())
	if err != nil && !errors.Is(err, circle.ErrNone) {
		return nil, "", nil, err
	}
	was, err := ledger.Cosigned(filepath.Join(n.dir, logDir))
	if err != nil {
		return nil, "", nil, err
	}
	p, err := circlePolicy(h, n.cfg.origin, was, time.Now())
	switch {
	case errors.Is(err, errClosed), errors.Is(err, circle.ErrNoKeys):
		return nil, "", err, nil
	case err != nil || p == nil:
		return nil, "", nil, err
	}
	p.Logs = nil // the keys of the own log are the node's to know
	who = string(p.Marshal())
	if n.quorum.same(who) {
		return n.quorum.get(), who, nil, nil
	}
	q, err = quorum.New(quorum.Options{Log: n.keys.log.Verifier(), Earlier: n.keys.earlier, Policy: p, Agent: software(), Dial: n.dialer.dial, Logger: n.log})
	return q, who, nil, err
}

func (o *ownQuorum) same(who string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.now != nil && o.who == who
}

// meetQuorum has the own log cosigned by those who have to now.
func (n *Node) meetQuorum() error {
	if n.cfg.WitnessPolicy != "" {
		return nil // the configuration is asked first
	}
	q, who, closed, err := n.circleQuorum()
	if err != nil || n.quorum.is(q, closed) {
		return err // whoever cosigned until now goes on
	}
	c := cosignerOf(q, closed)
	if err := n.ledger.SetCosigner(c); err != nil {
		return err
	}
	n.quorum.set(q, who, closed)
	switch {
	case closed != nil:
		n.log.Error("nothing is published", "err", closed)
	case c == nil:
		n.log.Warn("the own log is published without witnesses from now on, as the circle's list says with which this node agreed")
	default:
		n.log.Info("who cosigns the own log has changed", "awaiting", c.Awaiting())
	}
	return nil
}

func loadQuorum(dir string, cfg *Config, k *keys) (*quorum.Quorum, error) {
	if cfg.WitnessPolicy == "" {
		return nil, nil
	}
	path := cfg.WitnessPolicy
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("witness-policy: %w", err)
	}
	defer f.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(&limited{f, tlog.MaxPolicy}); err != nil {
		return nil, fmt.Errorf("witness-policy: reading %s: %w", path, err)
	}
	p, err := tlog.ParsePolicy(b.Bytes())
	if err != nil {
		return nil, fmt.Errorf("witness-policy: %s: %w", path, err)
	}
	q, err := quorum.New(quorum.Options{Log: k.log.Verifier(), Earlier: k.earlier, Policy: p, Agent: software(), Dial: cfg.hosts.dial})
	if err != nil {
		return nil, fmt.Errorf("witness-policy: %s: %w", path, err)
	}
	return q, nil
}

// cosigner returns what has the own log cosigned.
func (n *Node) cosigner() ledger.Cosigner { return cosignerOf(n.quorum.get(), n.quorum.shut()) }

// cosignerOf returns a quorum as the ledger wants it: no interface around nil.
func cosignerOf(q *quorum.Quorum, closed error) ledger.Cosigner {
	switch {
	case q != nil:
		return q
	case closed != nil:
		return nobody{closed}
	}
	return nil
}

// witnesses tells how the witnesses of the own log do.
func (n *Node) witnesses() []quorum.Status {
	if q := n.quorum.get(); q != nil {
		return q.Status()
	}
	return nil
}

func checkOptionalPath(s string) error {
	if s == "" {
		return nil
	}
	return checkPath(s)
}

// quorumMetrics measure the witnesses of the own log.
func (n *Node) quorumMetrics() []meter.Collector {
	table := func(name, help string, f func(quorum.Status) float64) meter.Collector {
		return meter.NewGaugeTable(meter.GaugeOpts{Name: name, Help: help}, []string{"url"}, func() (rows []meter.Row) {
			for _, w := range n.witnesses() {
				rows = append(rows, meter.Row{Labels: []string{w.URL}, Value: f(w)})
			}
			return rows
		})
	}
	return []meter.Collector{
		meter.NewGaugeFunc(meter.GaugeOpts{
			Name: "vitrine_log_publication_closed", Help: "1 where nothing is published because nobody is known who has to cosign the own log.",
		}, func() float64 {
			if n.quorum.shut() != nil {
				return 1
			}
			return 0
		}),
		table("vitrine_log_witness_failing", "1 where the witness did not cosign when it was asked last.", func(w quorum.Status) float64 {
			if w.Error != "" {
				return 1
			}
			return 0
		}),
		table("vitrine_log_witness_latency_seconds", "How long the last answer of the witness took.",
			func(w quorum.Status) float64 { return w.Latency.Seconds() }),
		table("vitrine_log_witness_entries", "Entries of the own log that the witness cosigned last, as far as is known.",
			func(w quorum.Status) float64 { return float64(w.Size) }),
	}
}
