package witness_test

import (
	"bytes"
	"flag"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"vitrine.example/internal/witness"
	"vitrine.example/internal/witness/conformance"
)

var table = flag.String("table", "", "write the results of the conformance suite as a table to this file")

// Every check of the suite passes, on both engines.
func TestConformance(t *testing.T) {
	each(t, func(t *testing.T, w *witness.Witness, o witness.Options) {
		seed := conformance.NewSeed()
		logs, err := conformance.Logs(seed)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range logs {
			if err := w.Add(t.Context(), witness.Log{Origin: l.Origin, Keys: l.Keys}); err != nil {
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
		var b bytes.Buffer
		if err := r.WriteTable(&b); err != nil {
			t.Fatal(err)
		}
		if *table != "" {
			if err := os.WriteFile(filepath.Clean(*table), b.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	})
}
