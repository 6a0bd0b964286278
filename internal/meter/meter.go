// Package meter counts what a program does and shows it to Prometheus.
//
// Counters, gauges and histograms, with and without labels, are registered in a
// [Registry], whose handler answers in the text format 0.0.4. Names and calls
// are those of Prometheus's own client, which the tests hold this package
// against. The client itself is not linked in: its packages fill tables and read
// /proc before main begins, and every `vitrine verify` would pay for that
// (bench/README.md).
//
// Promises: everything may be used by many goroutines at once, counting takes no
// lock, and what is shown of a histogram adds up. Labels must have few values:
// each combination is kept for good.
package meter

import (
	"math"
	"slices"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
)

// Labels are fixed labels of a metric.
type Labels map[string]string

// Opts name a metric and say what it means.
type Opts struct {
	Name, Help  string
	ConstLabels Labels
}

// CounterOpts are the options of a counter.
type CounterOpts Opts

// GaugeOpts are the options of a gauge.
type GaugeOpts Opts

// HistogramOpts are the options of a histogram.
type HistogramOpts struct {
	Name, Help  string
	ConstLabels Labels
	Buckets     []float64 // upper bounds, ascending, without +Inf
}

// Collector is what a registry takes: a metric of this package.
type Collector interface {
	describe() []family
	collect() []family
}

// Kinds of metrics, as the text format calls them.
const (
	counterKind   = "counter"
	gaugeKind     = "gauge"
	histogramKind = "histogram"
	summaryKind   = "summary"
)

// family is everything under one name.
type family struct {
	name, help, kind string
	labelNames       []string
	samples          []sample
}

// sample is one line.
type sample struct {
	suffix string // of the name
	labels []label
	value  float64
}

type label struct{ name, value string }

// number is a float64 that many may add to.
type number struct{ bits atomic.Uint64 }

func (n *number) load() float64   { return math.Float64frombits(n.bits.Load()) }
func (n *number) store(v float64) { n.bits.Store(math.Float64bits(v)) }

func (n *number) add(v float64) {
	for {
		old := n.bits.Load()
		if n.bits.CompareAndSwap(old, math.Float64bits(math.Float64frombits(old)+v)) {
			return
		}
	}
}

// meta is what a metric is called, with the values of its labels.
type meta struct {
	family
	labels []label
}

func (m *meta) about() []label     { return m.labels }
func (m *meta) describe() []family { return []family{m.family} }

func (m *meta) filled(all []sample) []family {
	f := m.family
	f.samples = all
	return []family{f}
}

// Counter only grows. Add panics where it would not, as that is a mistake in
// the program.
type Counter interface {
	Collector
	Inc()
	Add(v float64)
}

// Gauge goes up and down.
type Gauge interface {
	Collector
	Set(v float64)
	Add(v float64)
	Inc()
	Dec()
}

// Histogram counts values by size.
type Histogram interface {
	Collector
	Observe(v float64)
}

type counter struct {
	meta
	n number
}

func (c *counter) Inc() { c.n.add(1) }

func (c *counter) Add(v float64) {
	if !(v >= 0) {
		panic("meter: " + c.name + " cannot go down")
	}
	c.n.add(v)
}

func (c *counter) samples() []sample { return []sample{{labels: c.labels, value: c.n.load()}} }
func (c *counter) collect() []family { return c.filled(c.samples()) }

type gauge struct {
	meta
	n number
}

func (g *gauge) Set(v float64)     { g.n.store(v) }
func (g *gauge) Add(v float64)     { g.n.add(v) }
func (g *gauge) Inc()              { g.n.add(1) }
func (g *gauge) Dec()              { g.n.add(-1) }
func (g *gauge) samples() []sample { return []sample{{labels: g.labels, value: g.n.load()}} }
func (g *gauge) collect() []family { return g.filled(g.samples()) }

// function is measured when it is asked for.
type function struct {
	meta
	f func() float64
}

func (f *function) collect() []family {
	return f.filled([]sample{{labels: f.labels, value: f.f()}})
}

// table is measured when it is asked for, a value for each combination of labels.
type table struct {
	meta
	f func() []Row
}

func (t *table) collect() []family {
	var all []sample
	for _, r := range t.f() {
		if len(r.Labels) != len(t.labelNames)-len(t.labels) {
			continue // a mistake in the program; nothing is better than a line that means another thing
		}
		labels := slices.Clone(t.labels)
		for i, v := range r.Labels {
			labels = append(labels, label{t.labelNames[i], v})
		}
		sortLabels(labels)
		all = append(all, sample{labels: labels, value: r.Value})
	}
	return t.filled(all)
}

type histogram struct {
	meta
	bounds []float64
	counts []atomic.Uint64 // one more than bounds: what is larger than all
	sum    number
}

func (h *histogram) Observe(v float64) {
	h.counts[sort.SearchFloat64s(h.bounds, v)].Add(1) // the first bound that is not below v
	h.sum.add(v)
}

// samples writes the buckets so that each holds those below it, and the count
// is that of the last.
func (h *histogram) samples() []sample {
	sum, n := h.sum.load(), uint64(0)
	out := make([]sample, 0, len(h.counts)+2)
	for i := range h.counts {
		n += h.counts[i].Load()
		bound := math.Inf(1)
		if i < len(h.bounds) {
			bound = h.bounds[i]
		}
		le := append(slices.Clip(h.labels), label{"le", shown(bound)})
		out = append(out, sample{"_bucket", le, float64(n)})
	}
	return append(out, sample{"_sum", h.labels, sum}, sample{"_count", h.labels, float64(n)})
}

func (h *histogram) collect() []family { return h.filled(h.samples()) }

// member is a metric of a vector.
type member interface {
	about() []label
	samples() []sample
}

// vector is a metric for each combination of values of its labels.
type vector[M member] struct {
	meta   // its labels are the constant ones
	names  []string
	create func(meta) M
	all    sync.Map // joined values → M
}

// with returns the metric of these values, a new one where there is none yet.
func (v *vector[M]) with(values []string) M {
	if len(values) != len(v.names) {
		panic("meter: " + v.name + " has the labels " + strings.Join(v.names, ", ") + ", and not as many values were given")
	}
	key := strings.Join(values, "\xff") // which is in no UTF-8 text
	if m, ok := v.all.Load(key); ok {
		return m.(M)
	}
	m := meta{v.family, slices.Clone(v.labels)}
	for i, value := range values {
		m.labels = append(m.labels, label{v.names[i], strings.Clone(value)})
	}
	sortLabels(m.labels)
	made, _ := v.all.LoadOrStore(key, v.create(m))
	return made.(M)
}

// collect shows the metrics in the order of their labels' values.
func (v *vector[M]) collect() []family {
	var found []M
	v.all.Range(func(_, m any) bool {
		found = append(found, m.(M))
		return true
	})
	slices.SortFunc(found, func(a, b M) int {
		return slices.CompareFunc(a.about(), b.about(), func(x, y label) int { return strings.Compare(x.value, y.value) })
	})
	var all []sample
	for _, m := range found {
		all = append(all, m.samples()...)
	}
	return v.filled(all)
}

func sortLabels(l []label) {
	slices.SortFunc(l, func(a, b label) int { return strings.Compare(a.name, b.name) })
}
