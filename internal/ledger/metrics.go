package ledger

import (
	"time"

	"vitrine.example/internal/meter"
)

// metrics are those of one log.
type metrics struct {
	adds        *meter.CounterVec
	latency     meter.Histogram
	checkpoints meter.Counter
}

func newMetrics() *metrics {
	return &metrics{
		adds: meter.NewCounterVec(meter.CounterOpts{
			Name: "vitrine_log_adds_total",
			Help: "Calls that add an entry, by outcome: new, duplicate, busy or failed.",
		}, []string{"outcome"}),
		latency: meter.NewHistogram(meter.HistogramOpts{
			Name:    "vitrine_log_publish_seconds",
			Help:    "Time from taking an entry to a published checkpoint that covers it.",
			Buckets: []float64{.05, .1, .15, .2, .25, .3, .4, .5, .75, 1, 2.5, 5, 10},
		}),
		checkpoints: meter.NewCounter(meter.CounterOpts{
			Name: "vitrine_log_checkpoints_total",
			Help: "Checkpoints published.",
		}),
	}
}

func (m *metrics) added(outcome string) { m.adds.WithLabelValues(outcome).Inc() }

func (m *metrics) checkpoint(*published) { m.checkpoints.Inc() }

func (m *metrics) publishedCalls(calls []*call) {
	now := time.Now()
	for _, c := range calls {
		if !c.duplicate { // what is there already takes no time
			m.latency.Observe(now.Sub(c.start).Seconds())
		}
	}
}

// Collectors returns the metrics of this log, to be registered once.
func (l *Ledger) Collectors() []meter.Collector {
	gauge := func(name, help string, f func() float64) meter.Collector {
		return meter.NewGaugeFunc(meter.GaugeOpts{Name: name, Help: help}, f)
	}
	return []meter.Collector{
		l.metrics.adds, l.metrics.latency, l.metrics.checkpoints,
		gauge("vitrine_log_sequenced_entries", "Entries that have an index.",
			func() float64 { return float64(l.sequenced.Load()) }),
		gauge("vitrine_log_published_entries", "Entries that a checkpoint covers.",
			func() float64 { return float64(l.published.Load().size) }),
		gauge("vitrine_log_waiting_calls", "Calls that add an entry and have no answer yet.",
			func() float64 { return float64(l.inbox.callers()) }),
		gauge("vitrine_log_queued_entries", "Entries that wait to be sequenced.",
			func() float64 { n, _ := l.inbox.queued(); return float64(n) }),
		gauge("vitrine_log_checkpoint_timestamp_seconds", "When the newest checkpoint was written.",
			func() float64 {
				p := l.published.Load()
				if p.raw == nil {
					return 0
				}
				return float64(p.at.UnixMicro()) / 1e6
			}),
		gauge("vitrine_log_refusing", "1 where a signer refuses to sign.",
			func() float64 {
				if l.signer.refusal() != nil {
					return 1
				}
				return 0
			}),
	}
}
