package centre

import (
	"context"

	"vitrine.example/internal/meter"
	"vitrine.example/internal/projection"
)

// lagMetrics measure how far the pages are behind each log that they follow.
// What cannot be measured is left out.
func lagMetrics(p *projection.Projection) []meter.Collector {
	table := func(name, help string, f func(projection.State) float64) meter.Collector {
		return meter.NewGaugeTable(meter.GaugeOpts{Name: name, Help: help}, []string{"log"}, func() (rows []meter.Row) {
			ctx, cancel := context.WithTimeout(context.Background(), gaugeTimeout)
			defer cancel()
			all, err := p.Logs(ctx)
			if err != nil {
				return nil
			}
			for _, s := range all {
				rows = append(rows, meter.Row{Labels: []string{s.Origin}, Value: f(s)})
			}
			return rows
		})
	}
	return []meter.Collector{
		table("vitrine_projection_behind_entries", "Published entries of a log that the pages do not show yet.",
			func(s projection.State) float64 { return float64(s.Behind()) }),
		table("vitrine_projection_behind_seconds", "Seconds since the oldest of these was first seen.",
			func(s projection.State) float64 { return s.Late.Seconds() }),
		table("vitrine_projection_missing_statements", "Entries of a log whose statement is not held here, or does not fit.",
			func(s projection.State) float64 { return float64(s.Missing) }),
		table("vitrine_projection_failing", "1 while a log cannot be followed.", func(s projection.State) float64 {
			if s.Problem != nil {
				return 1
			}
			return 0
		}),
	}
}
