package witness_test

import (
	"testing"

	"vitrine.example/internal/witness"
	"vitrine.example/internal/witness/conformance"
	"vitrine.example/test/peer"
	"vitrine.example/tlog"
)

// litewitness starts one that knows these logs, and returns its URL and key. It
// ends with the test.
func litewitness(t testing.TB, logs []witness.Log) (string, tlog.Verifier) {
	t.Helper()
	var known []peer.WitnessedLog
	for _, l := range logs {
		w := peer.WitnessedLog{Origin: l.Origin}
		for _, k := range l.Keys {
			w.Keys = append(w.Keys, k.String())
		}
		known = append(known, w)
	}
	l, err := peer.StartLitewitness(t.Context(), t.TempDir(), witnessName, known)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Stop() })
	v, err := tlog.NewVerifier(witnessName, tlog.Ed25519Cosignature, l.Key)
	if err != nil {
		t.Fatal(err)
	}
	return l.URL, v
}

// suiteLogs are the logs that the suite plays.
func suiteLogs(t testing.TB, seed string) (out []witness.Log) {
	t.Helper()
	logs, err := conformance.Logs(seed)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range logs {
		out = append(out, witness.Log{Origin: l.Origin, Keys: l.Keys})
	}
	return out
}
