package mirror_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"vitrine.example/internal/mirror"
	"vitrine.example/internal/store/storetest"
	"vitrine.example/tlog"
)

// journal is a log that may be read while it is written.
type journal struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.Write(p)
}

func (j *journal) count(what string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Count(j.b.String(), what)
}

// A mirror that is away is warned of once, not at every try, and it is said when
// it is there again.
func TestWarnsOnce(t *testing.T) {
	t.Parallel()
	l := newLog(t, "log.example").grow(3, "entry")
	l.checkpoint(3)
	m, _ := open(t, storetest.Open(t, storetest.SQLite(t)), filepath.Join(t.TempDir(), "mirrors"), mirror.Limits{})
	add(t, m, l)
	const tries = 3
	var asked atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) <= tries {
			http.Error(w, "out for lunch", http.StatusServiceUnavailable)
			return
		}
		m.Handler().ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	j := &journal{}
	p := mirror.NewPusher(l, http.DefaultClient, slog.New(slog.NewTextHandler(j, nil)),
		mirror.Target{Name: "m", URL: s.URL, Keys: []tlog.Verifier{signer(t, mirrorName, tlog.Ed25519Cosignature).Verifier()}})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	done := make(chan struct{})
	go func() { defer close(done); p.Run(ctx, time.Second) }()
	for j.count("a mirror is pushed to again") == 0 && ctx.Err() == nil {
		time.Sleep(10 * time.Millisecond)
	}
	cancel()
	<-done
	if n := j.count("out for lunch"); n != 1 {
		t.Errorf("%d warnings for %d tries", n, tries)
	}
	if got := p.Progress()[0]; got.Size != 3 {
		t.Errorf("mirrored %+v", got)
	}
}
