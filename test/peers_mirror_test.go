package test

import (
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"vitrine.example/internal/mirror"
	"vitrine.example/internal/store/storetest"
	"vitrine.example/internal/witness"
	"vitrine.example/tlog"
)

// A log that Tessera writes is mirrored by us, and Tessera's checker finds the
// copy sound.
func TestTesseraChecksOurMirror(t *testing.T) {
	l := newPeerLog(t)
	var wg sync.WaitGroup
	for i := range 1500 {
		wg.Go(func() {
			if _, err := l.Add(t.Context(), fmt.Appendf(nil, "entry number %d", i)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	_, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s, err := tlog.NewSigner("centre.example/mirror", tlog.Ed25519Cosignature, priv, func() (time.Time, error) { return time.Now(), nil })
	if err != nil {
		t.Fatal(err)
	}
	db := storetest.Open(t, storetest.SQLite(t))
	p, err := witness.NewPending(witness.Options{DB: db})
	if err != nil {
		t.Fatal(err)
	}
	m, err := mirror.New(t.Context(), mirror.Options{Dir: filepath.Join(t.TempDir(), "mirrors"), DB: db, Pending: p, Signers: []*tlog.Signer{s}})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Add(t.Context(), peerOrigin, []tlog.Verifier{l.key}, ""); err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(m.Handler())
	t.Cleanup(srv.Close)
	push := mirror.NewPusher(mirror.Remote{URL: l.url, Client: http.DefaultClient}, http.DefaultClient, slog.Default(),
		mirror.Target{Name: "ours", URL: srv.URL, Keys: m.Verifiers()})
	if err := push.Push(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := push.Progress()[0]; got.Size != 1500 {
		t.Fatalf("mirrored %+v", got)
	}
	copied := *l
	copied.url = srv.URL + "/" + mirror.OriginHash(peerOrigin) + "/"
	copied.fsck(t)
}
