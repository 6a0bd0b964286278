package witness

import (
	"strconv"
	"time"

	"vitrine.example/internal/meter"
)

type metrics struct {
	requests *meter.CounterVec
	seconds  *meter.HistogramVec
	evidence *meter.CounterVec
	growth   meter.Counter
	last     meter.Gauge
}

func newMetrics() *metrics {
	return &metrics{
		requests: meter.NewCounterVec(meter.CounterOpts{
			Name: "vitrine_witness_requests_total",
			Help: "Requests to the witness, by call and status.",
		}, []string{"call", "code"}),
		seconds: meter.NewHistogramVec(meter.HistogramOpts{
			Name:    "vitrine_witness_seconds",
			Help:    "Time to answer a request that has been read, by call.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5},
		}, []string{"call"}),
		evidence: meter.NewCounterVec(meter.CounterOpts{
			Name: "vitrine_witness_evidence_total",
			Help: "Checkpoints kept as evidence, by kind: fork or suspect.",
		}, []string{"kind"}),
		growth: meter.NewCounter(meter.CounterOpts{
			Name: "vitrine_witness_growth_total",
			Help: "Checkpoints cosigned that were larger than the one before.",
		}),
		last: meter.NewGauge(meter.GaugeOpts{
			Name: "vitrine_witness_cosigned_timestamp_seconds",
			Help: "When a checkpoint was cosigned last.",
		}),
	}
}

func (m *metrics) served(call string, code int, took time.Duration) {
	m.requests.WithLabelValues(call, strconv.Itoa(code)).Inc()
	m.seconds.WithLabelValues(call).Observe(took.Seconds())
}

// Collectors returns the metrics of this witness, to be registered once.
func (w *Witness) Collectors() []meter.Collector {
	m := w.metrics
	return []meter.Collector{m.requests, m.seconds, m.evidence, m.growth, m.last}
}
