package test

import (
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"testing"

	"vitrine.example/internal/mirror"
	"vitrine.example/test/peer"
	"vitrine.example/tlog"
)

// Our log is pushed to the mirror of Sunlight, by several requests, and while it
// grows; Tessera's checker finds the copy there sound.
func TestSunlightMirrorsOurLog(t *testing.T) {
	l := newPeerLog(t)
	s, err := peer.StartSunlight(t.Context(), t.TempDir(), []string{l.key.String()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	keys := make([]tlog.Verifier, len(s.MirrorKeys))
	for i, k := range s.MirrorKeys {
		if keys[i], err = tlog.ParseVerifier(k); err != nil {
			t.Fatal(err)
		}
	}
	push := mirror.NewPusher(mirror.Remote{URL: l.url, Client: http.DefaultClient}, s.Client, slog.Default(),
		mirror.Target{Name: "sunlight", URL: s.Submission, Keys: keys})
	size := int64(0)
	for _, n := range []int{1, 300, 9000} {
		addMany(t, l, n)
		if err := push.Push(t.Context()); err != nil {
			t.Fatal(err)
		}
		size += int64(n)
		if got := push.Progress()[0]; got.Size != size || got.Lag != 0 {
			t.Fatalf("mirrored %+v, want %d entries", got, size)
		}
	}
	copied := *l
	copied.url = s.Mirrored + "/" + mirror.OriginHash(peerOrigin) + "/"
	copied.fsck(t)
}

// addMany adds entries that were not there.
func addMany(t *testing.T, l *peerLog, n int) {
	t.Helper()
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			if _, err := l.Add(t.Context(), fmt.Appendf(nil, "entry %d of %d", i, n)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}
