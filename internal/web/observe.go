package web

import (
	"net/http"
	"strconv"

	"vitrine.example/internal/meter"
)

// observe counts and times requests, and logs them for whoever looks closely.
// Clients' addresses are nobody's business and are not logged.
func observe(o Options, next http.Handler) http.Handler {
	requests := meter.NewCounterVec(meter.CounterOpts{
		Name: "vitrine_http_requests_total", Help: "Requests answered, by address and status.",
	}, []string{"pattern", "code"})
	seconds := meter.NewHistogramVec(meter.HistogramOpts{
		Name: "vitrine_http_request_seconds", Help: "Time to answer a request.",
		Buckets: []float64{.001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10},
	}, []string{"pattern"})
	flying := meter.NewGauge(meter.GaugeOpts{
		Name: "vitrine_http_requests_in_flight", Help: "Requests being answered.",
	})
	if o.Metrics != nil {
		o.Metrics.MustRegister(requests, seconds, flying)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		flying.Inc()
		start := o.Now()
		rec := &recorder{ResponseWriter: w, code: http.StatusOK}
		defer func() {
			flying.Dec()
			pattern := r.Pattern // one of a fixed list: bounded
			if pattern == "" {
				pattern = "none"
			}
			took := o.Now().Sub(start)
			requests.WithLabelValues(pattern, strconv.Itoa(rec.code)).Inc()
			seconds.WithLabelValues(pattern).Observe(took.Seconds())
			o.Logger.Debug("request", "method", r.Method, "path", r.URL.Path, "code", rec.code, "took", took)
		}()
		next.ServeHTTP(rec, r)
	})
}

// recorder remembers the status code.
type recorder struct {
	http.ResponseWriter
	code  int
	wrote bool
}

func (r *recorder) WriteHeader(code int) {
	if !r.wrote {
		r.code, r.wrote = code, true
	}
	r.ResponseWriter.WriteHeader(code)
}

func (r *recorder) Write(b []byte) (int, error) {
	r.wrote = true
	return r.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
