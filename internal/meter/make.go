package meter

import (
	"math"
	"slices"
	"sync/atomic"
)

// NewCounter makes a counter.
func NewCounter(o CounterOpts) Counter { return &counter{meta: about(Opts(o), counterKind)} }

// NewGauge makes a gauge.
func NewGauge(o GaugeOpts) Gauge { return &gauge{meta: about(Opts(o), gaugeKind)} }

// NewHistogram makes a histogram.
func NewHistogram(o HistogramOpts) Histogram {
	return newHistogram(about(o.opts(), histogramKind), o.bounds())
}

// NewGaugeFunc makes a gauge that is measured when it is asked for.
func NewGaugeFunc(o GaugeOpts, f func() float64) Collector {
	return &function{about(Opts(o), gaugeKind), f}
}

// Row is one measurement of [NewGaugeTable].
type Row struct {
	Labels []string // values, in the order of the labels' names
	Value  float64
}

// NewGaugeTable makes a gauge with labels that is measured when it is asked for.
func NewGaugeTable(o GaugeOpts, labels []string, f func() []Row) Collector {
	return &table{about(Opts(o), gaugeKind, labels...), f}
}

// NewCounterFunc makes a counter that is read when it is asked for.
func NewCounterFunc(o CounterOpts, f func() float64) Collector {
	return &function{about(Opts(o), counterKind), f}
}

// CounterVec is a counter for each combination of values of its labels.
type CounterVec struct{ vector[*counter] }

// NewCounterVec makes a counter with labels.
func NewCounterVec(o CounterOpts, labels []string) *CounterVec {
	v := &CounterVec{}
	v.meta, v.names = about(Opts(o), counterKind, labels...), slices.Clone(labels)
	v.create = func(m meta) *counter { return &counter{meta: m} }
	return v
}

// WithLabelValues returns the counter of these values, in the order of the
// labels. It panics where their number is another, as that is a mistake in the
// program.
func (v *CounterVec) WithLabelValues(values ...string) Counter { return v.with(values) }

// GaugeVec is a gauge for each combination of values of its labels.
type GaugeVec struct{ vector[*gauge] }

// NewGaugeVec makes a gauge with labels.
func NewGaugeVec(o GaugeOpts, labels []string) *GaugeVec {
	v := &GaugeVec{}
	v.meta, v.names = about(Opts(o), gaugeKind, labels...), slices.Clone(labels)
	v.create = func(m meta) *gauge { return &gauge{meta: m} }
	return v
}

// WithLabelValues returns the gauge of these values, as [CounterVec.WithLabelValues].
func (v *GaugeVec) WithLabelValues(values ...string) Gauge { return v.with(values) }

// HistogramVec is a histogram for each combination of values of its labels.
type HistogramVec struct{ vector[*histogram] }

// NewHistogramVec makes a histogram with labels.
func NewHistogramVec(o HistogramOpts, labels []string) *HistogramVec {
	v, bounds := &HistogramVec{}, o.bounds()
	v.meta, v.names = about(o.opts(), histogramKind, labels...), slices.Clone(labels)
	v.create = func(m meta) *histogram { return newHistogram(m, bounds) }
	return v
}

// WithLabelValues returns the histogram of these values, as [CounterVec.WithLabelValues].
func (v *HistogramVec) WithLabelValues(values ...string) Histogram { return v.with(values) }

func (o HistogramOpts) opts() Opts { return Opts{o.Name, o.Help, o.ConstLabels} }

// bounds returns the upper bounds that were asked for. +Inf is always there and
// need not be named.
func (o HistogramOpts) bounds() []float64 {
	return slices.DeleteFunc(slices.Sorted(slices.Values(o.Buckets)), func(b float64) bool { return math.IsInf(b, 1) })
}

func newHistogram(m meta, bounds []float64) *histogram {
	return &histogram{meta: m, bounds: bounds, counts: make([]atomic.Uint64, len(bounds)+1)}
}

// about makes the description of a metric, labels being the names of those
// whose values vary.
func about(o Opts, kind string, labels ...string) meta {
	m := meta{family: family{name: o.Name, help: o.Help, kind: kind, labelNames: slices.Clone(labels)}}
	for name, value := range o.ConstLabels {
		m.labels = append(m.labels, label{name, value})
		m.labelNames = append(m.labelNames, name)
	}
	sortLabels(m.labels)
	return m
}
