package centre

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vitrine.example/internal/release"
)

// quiet discards a node's log.
func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// newNode makes a node's directory that listens anywhere.
func newNode(t testing.TB, o InitOptions) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "node")
	if o.Listen == "" {
		o.Listen = "127.0.0.1:0"
	}
	if o.URL == "" {
		o.URL = "https://log.example.org"
	}
	check(t, Init(t.Context(), dir, o))
	configure(t, dir, "private-peers = true\n") // of tests, which are on this machine
	return dir
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// within bounds a test's waiting.
func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// serve runs the node until the test ends or stop is called.
func serve(t testing.TB, dir string) (addr string, stop func()) {
	t.Helper()
	_, addr, stop = serveNode(t, dir)
	return addr, stop
}

// serveNode is serve, for those who need the node too.
func serveNode(t testing.TB, dir string) (n *Node, addr string, stop func()) {
	t.Helper()
	n, err := Open(within(t), dir, quiet())
	check(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	up, done := make(chan string, 1), make(chan error, 1)
	go func() { done <- n.Serve(ctx, func(a string) { up <- a }) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serving: %v", err)
		}
		closing, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := n.Close(closing); err != nil {
			t.Errorf("closing: %v", err)
		}
	}
	t.Cleanup(stop)
	select {
	case addr = <-up:
	case err := <-done:
		done <- err
		t.Fatalf("serving: %v", err)
	}
	return n, addr, stop
}

// connect returns a handle that is closed when the test ends.
func connect(t testing.TB, dir string) *Handle {
	t.Helper()
	h, err := Connect(within(t), dir, quiet())
	check(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := h.Close(ctx); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	return h
}

// publish releases one small file.
func publish(t testing.TB, h *Handle, version, text string) *release.Published {
	t.Helper()
	path := filepath.Join(t.TempDir(), "app")
	check(t, os.WriteFile(path, []byte(text), 0o600))
	p, err := h.Publisher(nil)
	check(t, err)
	done, err := p.Publish(within(t), release.Request{Product: "pkg:generic/app", Version: version, Artifacts: []string{path}})
	check(t, err)
	return done
}

// get fetches a page.
func get(t testing.TB, url string) (int, http.Header, string) {
	t.Helper()
	res, err := http.Get(url)
	check(t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	check(t, err)
	return res.StatusCode, res.Header, string(b)
}

// TestPublishBothWays: a release is published by a command that opens the node
// itself, and by one that reaches the process which serves it; both appear on
// the pages, and repeating gives the same index.
func TestPublishBothWays(t *testing.T) {
	dir := newNode(t, InitOptions{Name: "Example Ltd", MLDSA: true})
	h := connect(t, dir)
	first := publish(t, h, "1.0.0", "first")
	if s, err := h.Status(within(t)); err != nil || s.Served || s.Ledger.Published != 1 {
		t.Errorf("status of a node held here: %+v, %v", s, err)
	}
	check(t, h.Close(within(t)))

	addr, stop := serve(t, dir)
	h = connect(t, dir)
	second := publish(t, h, "1.1.0", "second")
	if first.Index != 0 || second.Index != 1 || first.Duplicate || second.Duplicate {
		t.Errorf("indexes %d %v, %d %v", first.Index, first.Duplicate, second.Index, second.Duplicate)
	}
	again, err := h.Submit(within(t), first.Envelope.Bytes())
	if err != nil || again.Index != 0 || !again.Duplicate || len(again.Proof) == 0 {
		t.Errorf("again: %+v, %v", again, err)
	}
	s, err := h.Status(within(t))
	if err != nil || !s.Served || s.Ledger.Published != 2 || s.Content < 2 || s.Info.Origin != "log.example.org" || len(s.Info.Log) != 2 {
		t.Errorf("status: %+v, %v", s, err)
	}
	for _, p := range []*release.Published{first, second} {
		code, _, body := get(t, addr+"/release/"+p.Envelope.Digest().String())
		if code != 200 || !strings.Contains(body, p.Release.Version) || !strings.Contains(body, p.Release.Artifacts[0].SHA256.String()) {
			t.Errorf("release page: %d\n%s", code, body)
		}
		code, _, body = get(t, addr+"/statements/"+p.Envelope.Digest().String())
		if code != 200 || body != string(p.Envelope.Bytes()) {
			t.Errorf("raw statement: %d %.100q", code, body)
		}
	}
	if _, _, body := get(t, addr+"/"); !strings.Contains(body, "Example Ltd") || !strings.Contains(body, "1.1.0") {
		t.Errorf("start page:\n%s", body)
	}
	if code, _, body := get(t, addr+"/readyz"); code != 200 {
		t.Errorf("readyz: %d %s", code, body)
	}
	p, err := h.Proof(within(t), 1)
	if err != nil || !strings.Contains(string(p), "index 1\n") {
		t.Errorf("proof: %s, %v", p, err)
	}
	stop()

	// The process that held the node has ended: the same handle goes on.
	third := publish(t, h, "1.2.0", "third")
	if third.Index != 2 {
		t.Errorf("after the server stopped: index %d", third.Index)
	}
	r, err := CheckLog(within(t), dir, nil)
	if err != nil || len(r.Faults) != 0 || r.Size != 3 {
		t.Errorf("log check: %+v, %v", r, err)
	}
}
