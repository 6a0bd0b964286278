package centre

import (
	"context"
	"errors"
	"fmt"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/holdings"
	"vitrine.example/internal/meter"
	"vitrine.example/internal/mirror"
	"vitrine.example/internal/projection"
	"vitrine.example/statement"
)

// parseDeadline reads withheld-after.
func parseDeadline(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, fmt.Errorf("%.40q is not a time such as 24h", s)
	}
	if d < time.Minute || d > 8760*time.Hour {
		return 0, fmt.Errorf("%s is not between 1m and 8760h", d)
	}
	return d, nil
}

// openHoldings opens what is held of others' logs, where there is a mirror. Whose
// logs that are is told by [holdings.Holdings.SetMembers].
func (n *Node) openHoldings(ctx context.Context) (err error) {
	if n.mirror == nil {
		return nil
	}
	n.holdings, err = holdings.New(ctx, holdings.Options{
		DB: n.db, Content: n.content, Origin: n.cfg.origin, Open: n.openMirrored, Client: n.peers,
		Agent: "vitrine/" + Version, Reporter: reporter{n}, WithheldAfter: n.cfg.withheld,
		ContentBytes: n.cfg.MirrorContentBytes, Log: n.log, Now: time.Now, Arrived: n.arrived,
	})
	return err
}

// openMirrored opens a log of the mirror.
func (n *Node) openMirrored(origin string) (holdings.Log, error) {
	l, err := n.mirror.Log(origin)
	if errors.Is(err, mirror.ErrUnknown) {
		return nil, fmt.Errorf("%w: %w", holdings.ErrUnknown, err)
	}
	return l, err
}

// fetch fetches what mirrored logs name until ctx is done.
func (n *Node) fetch(ctx context.Context) {
	if n.holdings != nil {
		n.holdings.Run(ctx)
	}
}

// arrived tells the pages that a statement is held. They find it by and by where
// this fails.
func (n *Node) arrived(ctx context.Context, origin string, index int64) {
	defer n.jobs.arrived(origin, index)
	err := n.projection.Arrived(ctx, origin, index)
	if err != nil && !errors.Is(err, projection.ErrUnknown) && ctx.Err() == nil {
		n.log.Warn("the pages were not told of a statement", "origin", origin, "index", index, "err", err)
	}
}

// reporter says in the node's own log what is withheld.
type reporter struct{ n *Node }

// Sign implements holdings.Reporter.
func (r reporter) Sign(_ context.Context, w *statement.Withheld) (*statement.Envelope, error) {
	if _, err := r.n.signingTime(); err != nil {
		return nil, err
	}
	s, err := statement.New(w.Subjects(), w)
	if err != nil {
		return nil, err
	}
	return statement.Sign(s, r.n.keys.statement)
}

// Submit implements holdings.Reporter.
func (r reporter) Submit(ctx context.Context, envelope []byte) error {
	_, err := r.n.Submit(ctx, envelope)
	return err
}

// heldEnvelopes is what is held, as the projection asks for it.
type heldEnvelopes struct{ h *holdings.Holdings }

// Envelopes implements projection.Source.
func (s heldEnvelopes) Envelopes(ctx context.Context, origin string, places []projection.Place) ([]digest.Digest, error) {
	out := make([]digest.Digest, len(places))
	for i := 0; i < len(places); {
		// Places come in their order: one question for those that lie close.
		from, end := places[i].Index, i+1
		for end < len(places) && places[end].Index > places[end-1].Index && places[end].Index-from < heldRange {
			end++
		}
		found, err := s.h.Digests(ctx, origin, from, places[end-1].Index+1)
		if err != nil {
			return nil, err
		}
		for ; i < end; i++ {
			out[i] = found[places[i].Index]
		}
	}
	return out, nil
}

// heldRange is how many entries are asked for at once.
const heldRange = 8192

// holdingsStatus is what status shows of it.
func (n *Node) holdingsStatus(ctx context.Context) ([]holdings.Status, error) {
	if n.holdings == nil {
		return nil, nil
	}
	return n.holdings.List(ctx)
}

// holdingsMetrics measure what is missing of each mirrored log. What cannot be
// measured is left out.
func (n *Node) holdingsMetrics() []meter.Collector {
	if n.holdings == nil {
		return nil
	}
	table := func(name, help string, f func(*holdings.Status) float64) meter.Collector {
		return meter.NewGaugeTable(meter.GaugeOpts{Name: name, Help: help}, []string{"log"}, func() (rows []meter.Row) {
			ctx, cancel := context.WithTimeout(context.Background(), gaugeTimeout)
			defer cancel()
			all, err := n.holdings.List(ctx)
			if err != nil {
				return nil
			}
			for i := range all {
				rows = append(rows, meter.Row{Labels: []string{all[i].Origin}, Value: f(&all[i])})
			}
			return rows
		})
	}
	return []meter.Collector{
		table("vitrine_holdings_behind_entries", "Mirrored entries of a log that were not looked at yet.",
			func(s *holdings.Status) float64 { return float64(s.Published - s.Looked) }),
		table("vitrine_holdings_missing_statements", "Statements of a log that are not held here.",
			func(s *holdings.Status) float64 { return float64(s.Missing()) }),
		table("vitrine_holdings_missing_content", "Public files that releases of a log name and that are wanted.",
			func(s *holdings.Status) float64 { return float64(s.Content) }),
		table("vitrine_holdings_missing_seconds", "Seconds since the oldest of what is missing was first asked for.",
			func(s *holdings.Status) float64 {
				if s.Since.IsZero() {
					return 0
				}
				return max(time.Since(s.Since).Seconds(), 0)
			}),
		table("vitrine_holdings_withheld", "What is missing of a log after its deadline.",
			func(s *holdings.Status) float64 { return float64(s.Withheld) }),
		table("vitrine_holdings_bytes", "Bytes that were fetched of what a log names.",
			func(s *holdings.Status) float64 { return float64(s.Bytes) }),
	}
}
