package meter_test

import (
	"bytes"
	"math"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"pgregory.net/rapid"

	"vitrine.example/internal/meter"
)

// What metrics of ours and of the client have in common.
type adder interface{ Add(float64) }
type observer interface{ Observe(float64) }

// theirs returns what Prometheus's client shows.
func theirs(r *prometheus.Registry) string {
	w := httptest.NewRecorder()
	promhttp.HandlerFor(r, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	return w.Body.String()
}

// Whatever is counted, the text is byte for byte that of Prometheus's client.
func TestTextIsThatOfTheClient(t *testing.T) {
	value := rapid.OneOf(rapid.Float64(), rapid.SampledFrom([]float64{0, 1, -1, .5, 5, 1e6, 1e21, math.Inf(1), math.Inf(-1), math.NaN()}))
	word := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", "a", "b", `"`, `\`, "\n", `\n`, "ä", "{}", ",", "="}))
	rapid.Check(t, func(t *rapid.T) {
		help, fixed := word.Draw(t, "help"), word.Draw(t, "fixed")
		buckets := []float64{.001, .5, 5, 1e6, math.Inf(1)}
		names := []string{"zone", "code"}

		ours, our := meter.NewRegistry(), struct {
			c  meter.Counter
			g  meter.Gauge
			h  meter.Histogram
			cv *meter.CounterVec
			gv *meter.GaugeVec
			hv *meter.HistogramVec
		}{
			meter.NewCounter(meter.CounterOpts{Name: "b_total", Help: help}),
			meter.NewGauge(meter.GaugeOpts{Name: "a:gauge", Help: help, ConstLabels: meter.Labels{"fixed": fixed, "also": "1"}}),
			meter.NewHistogram(meter.HistogramOpts{Name: "c_seconds", Help: help, Buckets: buckets}),
			meter.NewCounterVec(meter.CounterOpts{Name: "f_total", Help: help, ConstLabels: meter.Labels{"m": fixed}}, names),
			meter.NewGaugeVec(meter.GaugeOpts{Name: "e", Help: help}, names),
			meter.NewHistogramVec(meter.HistogramOpts{Name: "d_seconds", Help: help, Buckets: buckets}, names),
		}
		ours.MustRegister(our.c, our.g, our.h, our.cv, our.gv, our.hv)

		peer, their := prometheus.NewRegistry(), struct {
			c  prometheus.Counter
			g  prometheus.Gauge
			h  prometheus.Histogram
			cv *prometheus.CounterVec
			gv *prometheus.GaugeVec
			hv *prometheus.HistogramVec
		}{
			prometheus.NewCounter(prometheus.CounterOpts{Name: "b_total", Help: help}),
			prometheus.NewGauge(prometheus.GaugeOpts{Name: "a:gauge", Help: help, ConstLabels: prometheus.Labels{"fixed": fixed, "also": "1"}}),
			prometheus.NewHistogram(prometheus.HistogramOpts{Name: "c_seconds", Help: help, Buckets: buckets}),
			prometheus.NewCounterVec(prometheus.CounterOpts{Name: "f_total", Help: help, ConstLabels: prometheus.Labels{"m": fixed}}, names),
			prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "e", Help: help}, names),
			prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "d_seconds", Help: help, Buckets: buckets}, names),
		}
		peer.MustRegister(their.c, their.g, their.h, their.cv, their.gv, their.hv)

		for range rapid.IntRange(0, 20).Draw(t, "steps") {
			v, a, b := value.Draw(t, "value"), word.Draw(t, "zone"), word.Draw(t, "code")
			up := float64(rapid.IntRange(0, 1<<30).Draw(t, "up")) // the client adds parts of one apart, and rounds otherwise
			for _, c := range []adder{our.c, their.c, our.cv.WithLabelValues(a, b), their.cv.WithLabelValues(a, b)} {
				c.Add(up)
			}
			for _, g := range []adder{our.g, their.g, our.gv.WithLabelValues(a, b), their.gv.WithLabelValues(a, b)} {
				g.Add(v)
			}
			if !math.IsNaN(v) { // which the client does not know where to count
				for _, h := range []observer{our.h, their.h, our.hv.WithLabelValues(a, b), their.hv.WithLabelValues(a, b)} {
					h.Observe(v)
				}
			}
		}
		if got, want := string(ours.Text()), theirs(peer); got != want {
			t.Fatalf("ours:\n%s\ntheirs:\n%s", got, want)
		}
	})
}

// What goes wrong is a mistake in the program and is found at once.
func TestRegisterRefuses(t *testing.T) {
	counter := func(name string, labels ...string) meter.Collector {
		return meter.NewCounterVec(meter.CounterOpts{Name: name}, labels)
	}
	for name, c := range map[string]meter.Collector{
		"none of Prometheus":      counter("a-b"),
		"digit first":             counter("1a"),
		"the name is none":        counter(""),
		"the name is taken":       counter("taken"),
		`"a:b" cannot be a label`: counter("x", "a:b"),
		`"__a" cannot be a label`: counter("x", "__a"),
		`"" cannot be a label`:    counter("x", ""),
		"the label a twice":       counter("x", "a", "a"),
		"the label c twice":       meter.NewGaugeVec(meter.GaugeOpts{Name: "x", ConstLabels: meter.Labels{"c": "1"}}, []string{"c"}),
		`"le" cannot be a label`:  meter.NewHistogramVec(meter.HistogramOpts{Name: "x"}, []string{"le"}),
	} {
		r := meter.NewRegistry()
		r.MustRegister(counter("taken"))
		if err := r.Register(c); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v, want %q", err, name)
		}
	}
	for name, f := range map[string]func(){
		"a counter that goes down": func() { meter.NewCounter(meter.CounterOpts{Name: "x"}).Add(-1) },
		"a counter of NaN":         func() { meter.NewCounter(meter.CounterOpts{Name: "x"}).Add(math.NaN()) },
		"too few values":           func() { meter.NewCounterVec(meter.CounterOpts{Name: "x"}, []string{"a"}).WithLabelValues() },
		"a name that is taken":     func() { meter.NewRegistry().MustRegister(counter("x"), counter("x")) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s passes", name)
				}
			}()
			f()
		}()
	}
}

// Counting from many goroutines loses nothing, and what is shown meanwhile adds
// up.
func TestManyAtOnce(t *testing.T) {
	const workers, each = 8, 2000
	v := meter.NewHistogramVec(meter.HistogramOpts{Name: "h", Help: "h", Buckets: []float64{1, 2}}, []string{"l"})
	c := meter.NewCounter(meter.CounterOpts{Name: "c", Help: "c"})
	r := meter.NewRegistry()
	r.MustRegister(v, c)
	var work sync.WaitGroup
	for w := range workers {
		work.Go(func() {
			for i := range each {
				v.WithLabelValues(strconv.Itoa(i % 3)).Observe(float64((w + i) % 4))
				c.Inc()
			}
		})
	}
	done := make(chan struct{})
	go func() { work.Wait(); close(done) }()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		all := values(t, r.Text())
		for _, l := range []string{"0", "1", "2"} {
			inf, n := all[`h_bucket{l="`+l+`",le="+Inf"}`], all[`h_count{l="`+l+`"}`]
			if inf != n || all[`h_bucket{l="`+l+`",le="2"}`] > inf {
				t.Fatalf("label %s: +Inf %v, count %v", l, inf, n)
			}
		}
	}
	all := values(t, r.Text())
	sum := all[`h_count{l="0"}`] + all[`h_count{l="1"}`] + all[`h_count{l="2"}`]
	if sum != workers*each || all["c"] != workers*each {
		t.Errorf("%v observed and %v counted of %d", sum, all["c"], workers*each)
	}
}

// values reads lines of the text format.
func values(t *testing.T, text []byte) map[string]float64 {
	t.Helper()
	all := map[string]float64{}
	for line := range bytes.Lines(text) {
		name, value, ok := strings.Cut(strings.TrimSuffix(string(line), "\n"), "} ")
		if name += "}"; !ok {
			name, value, ok = strings.Cut(strings.TrimSuffix(string(line), "\n"), " ")
		}
		if name == "#" {
			continue
		}
		v, err := strconv.ParseFloat(value, 64)
		if err != nil || !ok {
			t.Fatalf("line %q: %v", line, err)
		}
		all[name] = v
	}
	return all
}

// What the runtime and the system are asked for agrees with what Prometheus's
// client finds, in names, kinds and size.
func TestProcess(t *testing.T) {
	r := meter.NewRegistry()
	r.MustRegister(meter.Runtime(), meter.Process())
	peer := prometheus.NewRegistry()
	peer.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	text := string(r.Text())
	other := theirs(peer)
	got, want := values(t, []byte(text)), map[string]float64{}
	for line := range strings.Lines(other) {
		if strings.HasPrefix(line, "#") || strings.Contains(line, "{") {
			continue
		}
		for name, v := range values(t, []byte(line)) {
			want[name] = v
		}
	}
	if len(got) < 20 {
		t.Errorf("only %d values:\n%s", len(got), text)
	}
	for name, v := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("Prometheus's client knows no %s", name)
		}
		switch name {
		case "process_max_fds":
			if v != want[name] {
				t.Errorf("%s is %v, the client says %v", name, v, want[name])
			}
		case "process_start_time_seconds":
			if math.Abs(v-want[name]) > 1 || math.Abs(v-float64(time.Now().Unix())) > 3600 {
				t.Errorf("%s is %v, the client says %v", name, v, want[name])
			}
		case "process_resident_memory_bytes", "process_virtual_memory_bytes", "go_memstats_sys_bytes":
			if v < want[name]/4 || v > want[name]*4 || v == 0 {
				t.Errorf("%s is %v, the client says %v", name, v, want[name])
			}
		}
	}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "# TYPE") && !strings.Contains(other, line) {
			t.Errorf("Prometheus's client does not say %q", line)
		}
	}
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if more := values(t, r.Text()); more["process_open_fds"] != got["process_open_fds"]+1 {
		t.Errorf("%v files are open after one more, before: %v", more["process_open_fds"], got["process_open_fds"])
	}
}

// The handler answers as Prometheus expects.
func TestHandler(t *testing.T) {
	r := meter.NewRegistry()
	r.MustRegister(meter.NewGaugeFunc(meter.GaugeOpts{Name: "g", Help: "G."}, func() float64 { return 1.5 }),
		meter.NewCounterFunc(meter.CounterOpts{Name: "c", Help: "C."}, func() float64 { return 2 }))
	w := httptest.NewRecorder()
	r.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	want := "# HELP c C.\n# TYPE c counter\nc 2\n# HELP g G.\n# TYPE g gauge\ng 1.5\n"
	if w.Code != 200 || w.Header().Get("Content-Type") != meter.ContentType || w.Body.String() != want {
		t.Errorf("%d %q\n%s", w.Code, w.Header(), w.Body)
	}
}

func TestGaugeTable(t *testing.T) {
	r := meter.NewRegistry()
	rows := []meter.Row{{[]string{`a"`}, 1}, {[]string{"b"}, 2}, {[]string{"too", "many"}, 3}}
	r.MustRegister(meter.NewGaugeTable(meter.GaugeOpts{Name: "x", Help: "h", ConstLabels: meter.Labels{"z": "1"}}, []string{"log"},
		func() []meter.Row { return rows }))
	want := "# HELP x h\n# TYPE x gauge\nx{log=\"a\\\"\",z=\"1\"} 1\nx{log=\"b\",z=\"1\"} 2\n"
	if got := string(r.Text()); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if rows = nil; len(r.Text()) > 0 {
		t.Errorf("without rows: %q", r.Text())
	}
}
