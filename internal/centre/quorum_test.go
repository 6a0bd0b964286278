package centre

import (
	"crypto/ed25519"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"vitrine.example/internal/store/storetest"
	"vitrine.example/internal/witness"
	"vitrine.example/tlog"
)

// A node whose witness is away opens, serves its pages and says what is
// awaited; it publishes by itself when the witness is there.
func TestWitnessPolicy(t *testing.T) {
	dir := newNode(t, InitOptions{Name: "Example"})
	cfg, err := LoadConfig(dir)
	check(t, err)
	logs, err := logVerifiers(dir, cfg)
	check(t, err)
	log := logs[0]
	s, err := tlog.NewSigner("w.example/witness", tlog.Ed25519Cosignature, ed25519.NewKeyFromSeed(make([]byte, 32)),
		func() (time.Time, error) { return time.Now(), nil })
	check(t, err)
	w, err := witness.New(witness.Options{DB: storetest.Open(t, storetest.SQLite(t)), Signers: []*tlog.Signer{s}, Log: quiet()})
	check(t, err)
	check(t, w.Add(t.Context(), witness.Log{Origin: log.Name(), Keys: []tlog.Verifier{log}}))
	var up atomic.Bool
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if up.Load() {
			w.Handler().ServeHTTP(rw, r)
			return
		}
		http.Error(rw, "away", http.StatusServiceUnavailable)
	}))
	t.Cleanup(srv.Close)

	dir = witnessed(t, dir, fmt.Sprintf("witness w %s %s\nquorum w\n", s.Verifier(), srv.URL))
	check(t, os.Remove(filepath.Join(dir, logDir, "checkpoint"))) // a log that never had one
	addr, _ := serve(t, dir)
	if code, _, _ := get(t, addr+"/checkpoint"); code != http.StatusNotFound {
		t.Errorf("/checkpoint: status %d before anything is published", code)
	}
	for _, path := range []string{"/", "/log", "/api/v1/node"} {
		if code, _, body := get(t, addr+path); code != http.StatusOK {
			t.Errorf("%s: status %d: %.200s", path, code, body)
		}
	}
	if _, _, body := get(t, addr+"/"); !strings.Contains(body, "awaiting 1 of 1 witnesses (missing: w)") {
		t.Error("the page does not say what is awaited")
	}
	h := connect(t, dir)
	st, err := h.Status(within(t))
	check(t, err)
	if len(st.Witnesses) != 1 || st.Witnesses[0].Names[0] != "w" || st.Ledger.Awaiting == "" {
		t.Errorf("status %+v", st)
	}
	up.Store(true)
	publish(t, h, "1.0", "text")
	_, _, body := get(t, addr+"/checkpoint")
	c, err := tlog.ParseCheckpoint([]byte(body))
	check(t, err)
	if _, err := s.Verifier().Verify(c); err != nil {
		t.Errorf("the published checkpoint is not cosigned: %v", err)
	}
}

// witnessed writes a policy into a node's directory and its configuration.
func witnessed(t testing.TB, dir, policy string) string {
	t.Helper()
	check(t, os.WriteFile(filepath.Join(dir, "witnesses.policy"), []byte(policy), 0o600))
	f, err := os.OpenFile(filepath.Join(dir, ConfigFile), os.O_APPEND|os.O_WRONLY, 0)
	check(t, err)
	_, err = f.WriteString("\nwitness-policy = \"witnesses.policy\"\n")
	check(t, err)
	check(t, f.Close())
	return dir
}

func TestWitnessPolicyRefused(t *testing.T) {
	for policy, want := range map[string]string{
		"quorum w\n": "witness-policy", "witness": "witness-policy",
		"log other.example+3b24a8ad+AYqI49vUgEVi3R9zpJWEDdnQ8lFqhCw8ccAmDmcphRNs\nquorum none\n": "witness-policy",
	} {
		_, err := Open(within(t), witnessed(t, newNode(t, InitOptions{}), policy), quiet())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", policy, err)
		}
	}
}
