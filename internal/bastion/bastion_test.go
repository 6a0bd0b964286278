package bastion_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"vitrine.example/internal/bastion"
	"vitrine.example/test/peer"
)

func newKey(t *testing.T) (ed25519.PrivateKey, string) {
	t.Helper()
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key, bastion.Hash(pub)
}

func start(t *testing.T, hashes ...string) *peer.Litebastion {
	t.Helper()
	b, err := peer.StartLitebastion(t.Context(), t.TempDir(), hashes...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Stop() })
	return b
}

// serve serves h through a bastion until the test ends.
func serve(t *testing.T, b *peer.Litebastion, key ed25519.PrivateKey, h http.Handler, log *slog.Logger) *bastion.Listener {
	t.Helper()
	l, err := bastion.Listen(bastion.Options{Address: peer.LitebastionHost + ":443", Key: key, Dial: b.Dial, Roots: b.Roots,
		Log: log, Backoff: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: h, ReadTimeout: 15 * time.Second}
	bastion.Prepare(srv)
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := errors.Join(srv.Shutdown(ctx), <-done); !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("stopping: %v", err)
		}
	})
	return l
}

// ask asks until there is an answer 200.
func ask(t *testing.T, b *peer.Litebastion, url, body string) string {
	t.Helper()
	last := ""
	for range 500 {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Forwarded-For", "192.0.2.1, 192.0.2.2")
		res, err := b.Client.Do(r)
		if err != nil {
			last = err.Error()
		} else {
			got, err := io.ReadAll(res.Body)
			_ = res.Body.Close()
			if err == nil && res.StatusCode == http.StatusOK {
				return string(got)
			}
			last = res.Status
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("no answer through the bastion: %s", last)
	return ""
}

// What is served is reached through a real bastion, which says who asks; also
// after the bastion was away, and by many at once.
func TestLitebastion(t *testing.T) {
	key, hash := newKey(t)
	b := start(t, hash)
	l := serve(t, b, key, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		host, _, _ := net.SplitHostPort(r.RemoteAddr)
		fmt.Fprintf(w, "%s %s %s %s %q", r.Proto, r.URL.Path, host, body, r.Header.Values("X-Forwarded-For"))
	}), slog.New(slog.DiscardHandler))
	if want := "https://" + peer.LitebastionHost + "/" + hash + "/"; l.URL() != want {
		t.Errorf("URL %s, want %s", l.URL(), want)
	}
	const want = `HTTP/2.0 /witness/add-checkpoint 127.0.0.1 hello []`
	for range 3 {
		if got := ask(t, b, l.URL()+"witness/add-checkpoint", "hello"); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		b.Stop()
		if err := b.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	ask(t, b, l.URL(), "")
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			if got := ask(t, b, l.URL()+"x", fmt.Sprint(i)); !strings.Contains(got, fmt.Sprintf(" %d ", i)) {
				t.Errorf("%d: %s", i, got)
			}
		})
	}
	wg.Wait()
}

// lines are what was logged.
type lines struct {
	mu  sync.Mutex
	all strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.Write(b)
}

func (l *lines) has(s string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.all.String(), s)
}

// One that the bastion does not let in is told so, and tries again, until it
// stops.
func TestUnknownKey(t *testing.T) {
	key, hash := newKey(t)
	_, other := newKey(t)
	b, log := start(t, other), &lines{}
	l := serve(t, b, key, http.NotFoundHandler(), slog.New(slog.NewTextHandler(log, nil)))
	for range 500 {
		if log.has("does not know the key") && log.has(hash) {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if !log.has("does not know the key") || !log.has(hash) {
		t.Errorf("the log does not say it: %s", log.all.String())
	}
	res, err := b.Client.Get(l.URL())
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode < 400 {
		t.Errorf("status %s", res.Status)
	}
}

// What is no bastion, or has a certificate of nobody that is trusted, gets no
// connection.
func TestNoBastion(t *testing.T) {
	key, hash := newKey(t)
	b, log := start(t, hash), &lines{}
	l, err := bastion.Listen(bastion.Options{Address: peer.LitebastionHost + ":443", Key: key, Dial: b.Dial,
		Log: slog.New(slog.NewTextHandler(log, nil)), Backoff: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	accepted := make(chan error, 1)
	go func() {
		_, err := l.Accept()
		accepted <- err
	}()
	for range 500 {
		if log.has("certificate signed by unknown authority") {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	_ = l.Close()
	if err := <-accepted; !errors.Is(err, net.ErrClosed) || !log.has("certificate signed by unknown authority") {
		t.Errorf("accepted: %v, log %s", err, log.all.String())
	}
	for name, o := range map[string]bastion.Options{
		"no port": {Address: "bastion.example", Key: key},
		"no key":  {Address: "bastion.example:443"},
	} {
		if _, err := bastion.Listen(o); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
