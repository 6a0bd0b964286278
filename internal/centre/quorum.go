package centre

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"

	"vitrine.example/internal/ledger"
	"vitrine.example/internal/meter"
	"vitrine.example/internal/quorum"
	"vitrine.example/tlog"
)

// openQuorum makes what has the own checkpoints cosigned, as the policy of the
// configuration says; nil where there is none.
func (n *Node) openQuorum() (err error) {
	n.quorum, err = loadQuorum(n.dir, n.cfg, n.keys.log.Verifier())
	return err
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
	if n.quorum == nil {
		return nil
	}
	return n.quorum
}

// witnesses tells how the witnesses of the own log do.
func (n *Node) witnesses() []quorum.Status {
	if n.quorum == nil {
		return nil
	}
	return n.quorum.Status()
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
