package witness

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	evidence *prometheus.CounterVec
	growth   prometheus.Counter
	last     prometheus.Gauge
}

func newMetrics() *metrics {
	return &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "vitrine_witness_requests_total",
			Help: "Requests to the witness, by call and status.",
		}, []string{"call", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "vitrine_witness_seconds",
			Help:    "Time to answer a request that has been read, by call.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5},
		}, []string{"call"}),
		evidence: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "vitrine_witness_evidence_total",
			Help: "Checkpoints kept as evidence, by kind: fork or suspect.",
		}, []string{"kind"}),
		growth: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "vitrine_witness_growth_total",
			Help: "Checkpoints cosigned that were larger than the one before.",
		}),
		last: prometheus.NewGauge(prometheus.GaugeOpts{
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
func (w *Witness) Collectors() []prometheus.Collector {
	m := w.metrics
	return []prometheus.Collector{m.requests, m.seconds, m.evidence, m.growth, m.last}
}
