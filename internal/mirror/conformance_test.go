package mirror_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"vitrine.example/internal/mirror"
	"vitrine.example/internal/store"
	"vitrine.example/internal/store/storetest"
	"vitrine.example/internal/witness/conformance"
	"vitrine.example/test/peer"
	"vitrine.example/tlog"
)

var update = flag.Bool("update", false, "write docs/spec/mirror-results.md")

// sunlightFails are the checks that this version does not pass, and sunlightRaces
// that which it fails in most runs.
var sunlightFails = []string{"early-answer"}

const sunlightRaces = "equal"

// Every check of the suite for mirrors passes, on both engines.
func TestConformance(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		r := suite(t, db)
		for _, f := range r.Failed() {
			t.Errorf("%s (%s, %s): %s: %s", f.ID, f.Section, f.Level, f.Text, f.Detail)
		}
		if n := r.Count(conformance.Pass); n != len(r.Results) || n < 60 {
			t.Errorf("%d of %d checks passed", n, len(r.Results))
		}
	})
}

// suite plays the suite against ours.
func suite(t *testing.T, db *store.DB) conformance.Report {
	t.Helper()
	m, _ := open(t, db, t.TempDir(), mirror.Limits{})
	seed := conformance.NewSeed()
	logs, err := conformance.MirrorLogs(seed)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range logs {
		if err := m.Add(t.Context(), l.Origin, l.Keys, ""); err != nil {
			t.Fatal(err)
		}
	}
	r, err := conformance.RunMirror(t.Context(), conformance.Target{URL: serve(t, m), Keys: m.Verifiers(), Seed: seed})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// The suite runs against the mirror of Sunlight, and the results stand in the
// documents as they are.
func TestSunlight(t *testing.T) {
	ours := suite(t, storetest.Open(t, storetest.SQLite(t)))
	seed := conformance.NewSeed()
	logs, err := conformance.MirrorLogs(seed)
	if err != nil {
		t.Fatal(err)
	}
	var vkeys []string
	for _, l := range logs {
		vkeys = append(vkeys, l.Keys[0].String())
	}
	s, err := peer.StartSunlight(t.Context(), t.TempDir(), vkeys)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	target := conformance.Target{URL: s.Submission, Monitoring: s.Mirrored, Seed: seed, Client: s.Client}
	for _, k := range s.MirrorKeys {
		v, err := tlog.ParseVerifier(k)
		if err != nil {
			t.Fatal(err)
		}
		target.Keys = append(target.Keys, v)
	}
	theirs, err := conformance.RunMirror(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	var failed []string
	for _, f := range theirs.Failed() {
		if f.ID != sunlightRaces {
			failed = append(failed, f.ID)
		}
		t.Logf("%s (%s): %s: %s", f.ID, f.Level, f.Text, f.Detail)
	}
	if !slices.Equal(failed, sunlightFails) {
		t.Errorf("it fails %q, expected %q", failed, sunlightFails)
	}
	compareResults(t, ours, theirs)
}

func compareResults(t *testing.T, ours, theirs conformance.Report) {
	t.Helper()
	for i, r := range theirs.Results {
		if r.ID == sunlightRaces {
			theirs.Results[i].Outcome = conformance.Fail
		}
	}
	var b strings.Builder
	b.WriteString("# Results of the conformance suite for mirrors\n\n" +
		"What `conformance.RunMirror` of `internal/witness/conformance` finds (see [mirror.md](mirror.md)). Written by\n" +
		"`go test ./internal/mirror -run Sunlight -update`, and compared in each run of that test.\n\n" +
		"| | passed | failed | not supported |\n|---|---|---|---|\n")
	fmt.Fprintf(&b, "| vitrine | %d | %d | %d |\n", ours.Count(conformance.Pass), ours.Count(conformance.Fail), ours.Count(conformance.Skip))
	fmt.Fprintf(&b, "| sunlight %s | %d | %d | %d |\n\n", peer.SunlightVersion, theirs.Count(conformance.Pass), theirs.Count(conformance.Fail), theirs.Count(conformance.Skip))
	fmt.Fprintf(&b, "Sunlight answers 500 to some of several clients that send the same entries to its local directory at once, "+
		"in most runs and not in all (`%s`, counted as failed); sent again, they are taken.\n\n", sunlightRaces)
	b.WriteString("| check | section | level | promise | vitrine | sunlight |\n|---|---|---|---|---|---|\n")
	for i, r := range ours.Results {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", r.ID, r.Section, r.Level, r.Text, r.Outcome, theirs.Results[i].Outcome)
	}
	const path = "../../docs/spec/mirror-results.md"
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != b.String() {
		t.Errorf("%s is not what the suite finds (%v): look, and run with -update", path, err)
	}
}
