package witness_test

import (
	"flag"
	"net/http/httptest"
	"testing"

	"vitrine.example/internal/witness"
	"vitrine.example/internal/witness/conformance"
)

var table = flag.String("table", "", "write the results of the conformance suite as a table to this file")

// Every check of the suite passes, on both engines.
func TestConformance(t *testing.T) {
	each(t, func(t *testing.T, w *witness.Witness, o witness.Options) {
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
		for _, f := range r.Failed() {
			t.Errorf("%s (%s, %s): %s: %s", f.ID, f.Section, f.Level, f.Text, f.Detail)
		}
		if n := r.Count(conformance.Skip); n > 0 {
			t.Errorf("%d checks call a part not supported", n)
		}
		if n := r.Count(conformance.Pass); n < 100 {
			t.Errorf("%d checks passed, there should be more", n)
		}
		if *table != "" {
			writeTable(t, *table, r)
		}
	})
}
