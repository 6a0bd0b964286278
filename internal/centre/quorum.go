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
	mu  sync.Mutex
	now *quorum.Quorum // nil: nobody
	who string         // the policy, to know a change

	// closed says why nothing may be published, where it is not known who has to
	// cosign; of whoever opens the node, then of meetCircle.
	closed error
}

func (o *ownQuorum) get() *quorum.Quorum {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.now
}

// set puts another in its place, and ends what the one before keeps open.
func (o *ownQuorum) set(q *quorum.Quorum, who string) {
	o.mu.Lock()
	was := o.now
	o.now, o.who = q, who
	o.mu.Unlock()
	if was != nil {
		was.Close()
	}
}

func (o *ownQuorum) close() { o.set(nil, "") }

// openQuorum makes what has the own checkpoints cosigned: as the policy of the
// configuration says, or else as the circle does; nobody where there is neither.
// It has to be there before the log is opened, which would publish without it.
func (n *Node) openQuorum() error {
	if n.cfg.WitnessPolicy != "" {
		q, err := loadQuorum(n.dir, n.cfg, n.keys.log.Verifier())
		n.quorum.set(q, n.cfg.WitnessPolicy)
		return err
	}
	q, who, err := n.circleQuorum()
	switch {
	case errors.Is(err, circle.ErrNoKeys):
		n.quorum.closed = err
	case err != nil:
		return err
	case q == nil:
		if n.quorum.closed, err = n.forgotten(); err != nil {
			return err
		}
	}
	if n.quorum.closed != nil {
		n.log.Error("nothing is published", "err", n.quorum.closed)
	}
	n.quorum.set(q, who)
	return nil
}

// forgotten returns errForgotten where the log was cosigned and it is not known
// any more by whom: the circle was lost with the database.
func (n *Node) forgotten() (why, err error) {
	if _, err := n.Circle(context.Background()); !errors.Is(err, circle.ErrNone) {
		return nil, err
	}
	was, err := ledger.Cosigned(filepath.Join(n.dir, logDir))
	if was && err == nil {
		return errForgotten, nil
	}
	return nil, err
}

// errForgotten is why nothing is published then.
var errForgotten = errors.New("the log was cosigned by a circle or a witness-policy that this node does not know any more: run `vitrine circle join`, or set witness-policy, or remove log/cosigned to publish without witnesses from now on")

// nobody cosigns nothing, for a reason: it keeps a log from being published
// without those who have to cosign it.
type nobody struct{ why error }

func (n nobody) Cosign(context.Context, *tlog.SignedCheckpoint, func(int64) ([]tlog.Hash, error)) (*tlog.SignedCheckpoint, error) {
	return nil, n.why
}

func (n nobody) Awaiting() string { return "nobody who could cosign: " + n.why.Error() }

// circleQuorum is the quorum that the circle asks for now; nil where it asks for
// none, or the node is no confirmed member.
func (n *Node) circleQuorum() (*quorum.Quorum, string, error) {
	h, err := n.Circle(context.Background())
	if errors.Is(err, circle.ErrNone) {
		return nil, "", nil
	} else if err != nil {
		return nil, "", err
	}
	if m, ok := h.Current.Member(n.cfg.origin); !ok || m.State != circle.Confirmed {
		return nil, "", nil
	}
	p, err := h.Current.WitnessPolicy(n.cfg.origin, time.Now())
	if err != nil {
		return nil, "", err
	}
	if p.Quorum == tlog.QuorumNone {
		return nil, "", nil
	}
	p.Logs = nil // the keys of the own log are the node's to know
	who := string(p.Marshal())
	if n.quorum.same(who) {
		return n.quorum.get(), who, nil
	}
	q, err := quorum.New(quorum.Options{Log: n.keys.log.Verifier(), Policy: p, Agent: software(), Dial: n.cfg.hosts.dial, Logger: n.log})
	return q, who, err
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
	q, who, err := n.circleQuorum()
	if err != nil || q == n.quorum.get() && n.quorum.closed == nil {
		return err // whoever cosigned until now goes on
	}
	if n.quorum.closed != nil {
		if _, err := n.Circle(context.Background()); errors.Is(err, circle.ErrNone) {
			return nil
		}
		n.quorum.closed = nil
	}
	var c ledger.Cosigner
	if q != nil {
		c = q
	}
	if err := n.ledger.SetCosigner(c); err != nil {
		return err
	}
	n.quorum.set(q, who)
	n.log.Info("who cosigns the own log has changed", "awaiting", awaited(c))
	return nil
}

// awaited says whose cosignatures a checkpoint needs.
func awaited(c ledger.Cosigner) string {
	if c == nil {
		return "nobody"
	}
	return c.Awaiting()
}

func loadQuorum(dir string, cfg *Config, log tlog.Verifier) (*quorum.Quorum, error) {
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
	q, err := quorum.New(quorum.Options{Log: log, Policy: p, Agent: software(), Dial: cfg.hosts.dial})
	if err != nil {
		return nil, fmt.Errorf("witness-policy: %s: %w", path, err)
	}
	return q, nil
}

// cosigner returns the quorum as the ledger wants it: no interface around nil.
func (n *Node) cosigner() ledger.Cosigner {
	if q := n.quorum.get(); q != nil {
		return q
	}
	if n.quorum.closed != nil {
		return nobody{n.quorum.closed}
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
