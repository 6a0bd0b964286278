package main

import (
	"context"
	"crypto/ed25519"
	"path/filepath"
	"testing"

	"vitrine.example/internal/centre"
	"vitrine.example/tlog"
)

// mirrorExample has the node in dir mirror log.example.org, serves another node
// that mirrors it, and returns what the examples find in their environment.
func mirrorExample(t *testing.T, dir string) []string {
	t.Helper()
	do := func(node string, q centre.MirrorAsk) *centre.MirrorAnswer {
		h, err := centre.Connect(t.Context(), node, nil)
		if err != nil {
			t.Fatal(err)
		}
		a, err := h.Mirror(t.Context(), q)
		if cerr := h.Close(t.Context()); err != nil || cerr != nil {
			t.Fatal(err, cerr)
		}
		return a
	}
	do(filepath.Join(dir, "node"), centre.MirrorAsk{Do: "add", Origin: "log.example.org", Keys: []string{logVkey(t)}})
	h, err := centre.Connect(t.Context(), filepath.Join(dir, "node"), nil)
	if err != nil {
		t.Fatal(err)
	}
	info := h.Info()
	if err := h.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(dir, "other")
	if err := centre.Init(t.Context(), other, centre.InitOptions{Listen: "127.0.0.1:0", URL: "https://other.example"}); err != nil {
		t.Fatal(err)
	}
	a := do(other, centre.MirrorAsk{Do: "add", Origin: info.Origin, Keys: info.Log})
	n, err := centre.Open(t.Context(), other, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	at, ended := make(chan string, 1), make(chan error, 1)
	go func() { ended <- n.Serve(ctx, func(addr string) { at <- addr }) }()
	t.Cleanup(func() {
		stop()
		<-ended
		_ = n.Close(context.Background())
	})
	return []string{"LOG_VKEY=" + logVkey(t), "MIRROR_VKEY=" + a.Keys[0], "MIRROR_URL=" + <-at + "/mirror"}
}

// logVkey returns the key of a log that nobody runs.
func logVkey(t *testing.T) string {
	t.Helper()
	v, err := tlog.NewVerifier("log.example.org", tlog.Ed25519, ed25519.NewKeyFromSeed(make([]byte, 32)).Public())
	if err != nil {
		t.Fatal(err)
	}
	return v.String()
}
