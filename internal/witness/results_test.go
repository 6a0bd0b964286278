package witness_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"vitrine.example/internal/store/storetest"
	"vitrine.example/internal/witness"
	"vitrine.example/internal/witness/conformance"
	"vitrine.example/test/peer"
	"vitrine.example/tlog"
)

// What others fail is fixed here: a check that starts to fail, or to pass, is
// looked into (docs/spec/witness.md says more).
var (
	litewitnessFails = []string{
		"zero-wrong-root", "old-zero-proof", "ml-dsa", "malformed-old-zeros", "malformed-old-plus",
		"malformed-status", "body-8M", "monitor",
	}
	sunlightFails = []string{"two-keys-one-bad", "extension", "body-8M", "monitor-both-keys", "subtree-proof-64"}
)

// The suite runs against other implementations, and the results stand in the
// documents as they are.
func TestForeignWitnesses(t *testing.T) {
	ours := suite(t, newWitness(t, options(t, storetest.Open(t, storetest.SQLite(t)))))
	compareResults(t, ours, suiteLitewitness(t), suiteSunlight(t))
}

func suiteLitewitness(t *testing.T) conformance.Report {
	seed := conformance.NewSeed()
	url, v := litewitness(t, suiteLogs(t, seed))
	return foreign(t, conformance.Target{URL: url, Keys: []tlog.Verifier{v}, Seed: seed}, litewitnessFails)
}

// suiteSunlight: logs have one key each in the lists that it reads.
func suiteSunlight(t *testing.T) conformance.Report {
	seed := conformance.NewSeed()
	s := sunlight(t, suiteLogs(t, seed))
	target := conformance.Target{URL: s.Submission, Monitoring: s.Monitoring, Seed: seed, Client: s.Client}
	for _, k := range s.WitnessKeys {
		v, err := tlog.ParseVerifier(k)
		if err != nil {
			t.Fatal(err)
		}
		target.Keys = append(target.Keys, v)
	}
	return foreign(t, target, sunlightFails)
}

// sunlight starts one that knows these logs, by the first key of each. It ends
// with the test.
func sunlight(t testing.TB, logs []witness.Log) *peer.Sunlight {
	t.Helper()
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
	return s
}

func foreign(t *testing.T, target conformance.Target, want []string) conformance.Report {
	t.Helper()
	r, err := conformance.Run(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	var failed []string
	for _, f := range r.Failed() {
		failed = append(failed, f.ID)
		t.Logf("%s (%s): %s: %s", f.ID, f.Level, f.Text, f.Detail)
	}
	t.Logf("%d passed, %d failed, %d not supported", r.Count(conformance.Pass), len(failed), r.Count(conformance.Skip))
	if !slices.Equal(failed, want) {
		t.Errorf("it fails %q, expected %q", failed, want)
	}
	return r
}

func compareResults(t *testing.T, ours, litewitness, sunlight conformance.Report) {
	t.Helper()
	var b strings.Builder
	b.WriteString("# Results of the conformance suite for witnesses\n\n" +
		"What `internal/witness/conformance` finds (see [witness.md](witness.md)). Written by\n" +
		"`go test ./internal/witness -run ForeignWitnesses -update`, and compared in each run of that test.\n\n" +
		"Sunlight reads its logs from lists, which give each log one key, so a second key of a log is unknown to it.\n\n")
	fmt.Fprintf(&b, "| | passed | failed | not supported |\n|---|---|---|---|\n")
	for _, w := range []struct {
		name string
		r    conformance.Report
	}{{"vitrine", ours}, {"litewitness " + peer.LitewitnessVersion, litewitness}, {"sunlight " + peer.SunlightVersion, sunlight}} {
		fmt.Fprintf(&b, "| %s | %d | %d | %d |\n", w.name, w.r.Count(conformance.Pass), w.r.Count(conformance.Fail), w.r.Count(conformance.Skip))
	}
	b.WriteString("\n| check | section | level | promise | vitrine | litewitness | sunlight |\n|---|---|---|---|---|---|---|\n")
	for i, r := range ours.Results {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s |\n", r.ID, r.Section, r.Level, r.Text, r.Outcome,
			litewitness.Results[i].Outcome, sunlight.Results[i].Outcome)
	}
	const path = "../../docs/spec/witness-results.md"
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != b.String() {
		t.Errorf("%s is not what the suite finds (%v): look, and run with -update", path, err)
	}
}
