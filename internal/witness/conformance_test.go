package witness_test

import (
	"flag"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"vitrine.example/internal/store/storetest"
	"vitrine.example/internal/witness"
	"vitrine.example/internal/witness/conformance"
)

var update = flag.Bool("update", false, "write docs/spec/witness-results.md")

// Every check of the suite passes, on both engines.
func TestConformance(t *testing.T) {
	each(t, func(t *testing.T, w *witness.Witness, o witness.Options) {
		r := suite(t, w)
		for _, f := range r.Failed() {
			t.Errorf("%s (%s, %s): %s: %s", f.ID, f.Section, f.Level, f.Text, f.Detail)
		}
		if n := r.Count(conformance.Skip); n > 0 {
			t.Errorf("%d checks call a part not supported", n)
		}
		if n := r.Count(conformance.Pass); n < 100 {
			t.Errorf("%d checks passed, there should be more", n)
		}
	})
}

// Whatever a witness answers, and from whichever moment on, the suite ends with a
// report that finds faults.
func TestSuiteSurvivesAnyWitness(t *testing.T) {
	w := newWitness(t, options(t, storetest.Open(t, storetest.SQLite(t))))
	for _, honest := range []int64{0, 5, 8, 40} {
		for _, status := range []int{200, 404, 409, 422} {
			seed, n := conformance.NewSeed(), atomic.Int64{}
			for _, l := range suiteLogs(t, seed) {
				if err := w.Add(t.Context(), l); err != nil {
					t.Fatal(err)
				}
			}
			srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				if n.Add(1) <= honest {
					w.Handler().ServeHTTP(rw, r)
					return
				}
				rw.WriteHeader(status)
				_, _ = rw.Write([]byte("0\n"))
			}))
			r, err := conformance.Run(t.Context(), conformance.Target{URL: srv.URL, Keys: w.Verifiers(), Seed: seed})
			srv.Close()
			if err != nil || len(r.Failed()) == 0 {
				t.Errorf("%d after %d good answers: %v, %d failed", status, honest, err, len(r.Failed()))
			}
		}
	}
}

// A log that has shown another root of size 0 is still cosigned at size 0: no
// growth can turn that into a fork, so it is no suspect that waits for one.
func TestZeroIsCosignedAgain(t *testing.T) {
	w := newWitness(t, options(t, storetest.Open(t, storetest.SQLite(t))))
	seed := conformance.NewSeed()
	for _, l := range suiteLogs(t, seed) {
		if err := w.Add(t.Context(), l); err != nil {
			t.Fatal(err)
		}
	}
	srv := httptest.NewServer(w.Handler())
	defer srv.Close()
	for range 2 {
		r, err := conformance.Run(t.Context(), conformance.Target{URL: srv.URL, Keys: w.Verifiers(), Seed: seed})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range r.Results {
			if strings.HasPrefix(c.ID, "zero-") && c.Outcome != conformance.Pass {
				t.Errorf("%s: %s", c.ID, c.Detail)
			}
		}
	}
}

// suite plays the suite against ours.
func suite(t *testing.T, w *witness.Witness) conformance.Report {
	t.Helper()
	seed := conformance.NewSeed()
	for _, l := range suiteLogs(t, seed) {
		if err := w.Add(t.Context(), l); err != nil {
			t.Fatal(err)
		}
	}
	srv := httptest.NewServer(w.Handler())
	defer srv.Close()
	r, err := conformance.Run(t.Context(), conformance.Target{URL: srv.URL, Keys: w.Verifiers(), Seed: seed})
	if err != nil {
		t.Fatal(err)
	}
	return r
}
