package ledger_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"vitrine.example/internal/ledger"
	"vitrine.example/internal/store/storetest"
	"vitrine.example/tlog"
)

// ask sends a request without letting the client decompress or clean paths.
func ask(t testing.TB, h http.Handler, method, target string, body io.Reader, header ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, target, body)
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func bodyOf(t testing.TB, resp *http.Response) []byte {
	t.Helper()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestHandler(t *testing.T) {
	t.Parallel()
	l := open(t, options(t, t.TempDir(), storetest.Open(t, storetest.SQLite(t))))
	addAll(t, l, leaves(100, 700)) // all of one length
	const (
		octets    = "application/octet-stream"
		plain     = "text/plain; charset=utf-8"
		immutable = "public, max-age=31536000, immutable"
	)
	tests := []struct {
		path       string
		status     int
		typ, cache string
		size       int // of the body, where it matters
	}{
		{"/checkpoint", 200, plain, "no-store", 0},
		{"/tile/0/000", 200, octets, immutable, 8192},
		{"/tile/0/001", 200, octets, immutable, 8192},
		{"/tile/0/002.p/88", 200, octets, immutable, 88 * 32},
		{"/tile/1/000.p/2", 200, octets, immutable, 64},
		{"/tile/0/002.p/1", 200, octets, immutable, 32},         // narrower than the checkpoint's
		{"/tile/0/000.p/255", 200, octets, immutable, 255 * 32}, // full by now
		{"/tile/entries/000", 200, octets, immutable, 0},
		{"/tile/entries/002.p/88", 200, octets, immutable, 0},
		{"/tile/entries/001.p/3", 200, octets, immutable, 3 * (2 + len("leaf 333"))},
		{"/proof/0", 200, plain, "no-store", 0},
		{"/proof/599", 200, plain, "no-store", 0},

		{"/tile/0/002.p/89", 404, plain, "no-store", 0}, // more than is published
		{"/tile/0/002", 404, plain, "no-store", 0},
		{"/tile/0/003.p/1", 404, plain, "no-store", 0},
		{"/tile/1/000", 404, plain, "no-store", 0},
		{"/tile/2/000.p/1", 404, plain, "no-store", 0},
		{"/tile/63/000.p/1", 404, plain, "no-store", 0},
		{"/tile/63/x999/x999/x999/x999/999", 404, plain, "no-store", 0},
		{"/tile/64/000", 404, plain, "no-store", 0},
		{"/tile/00/000", 404, plain, "no-store", 0},
		{"/tile/0/0", 404, plain, "no-store", 0},
		{"/tile/0/x000/000", 404, plain, "no-store", 0},
		{"/tile/0/000.p/0", 404, plain, "no-store", 0},
		{"/tile/0/000.p/256", 404, plain, "no-store", 0},
		{"/tile/0/000.p/01", 404, plain, "no-store", 0},
		{"/tile/0/000.p/1/", 404, plain, "no-store", 0},
		{"/tile/0//000", 404, plain, "no-store", 0},
		{"/tile/../checkpoint", 404, plain, "no-store", 0},
		{"/tile/0/%30%30%30", 404, plain, "no-store", 0}, // another spelling of a path that is there
		{"/tile/0%2f000", 404, plain, "no-store", 0},
		{"/tile/entries/002", 404, plain, "no-store", 0},
		{"/tile/data/000", 404, plain, "no-store", 0},
		{"/tile/", 404, plain, "no-store", 0},
		{"/proof/600", 404, plain, "no-store", 0},
		{"/proof/-1", 404, plain, "no-store", 0},
		{"/proof/+1", 404, plain, "no-store", 0},
		{"/proof/01", 404, plain, "no-store", 0},
		{"/proof/", 404, plain, "no-store", 0},
		{"/proof/9223372036854775808", 404, plain, "no-store", 0},
		{"/proof/1/", 404, plain, "no-store", 0},
		{"/", 404, plain, "no-store", 0},
		{"/checkpoint/", 404, plain, "no-store", 0},
		{"/.state/treeState", 404, plain, "no-store", 0},
		{"/.lock", 404, plain, "no-store", 0},
	}
	for _, tt := range tests {
		resp := ask(t, l.Handler(), "GET", tt.path, nil)
		b, h := bodyOf(t, resp), resp.Header
		if resp.StatusCode != tt.status || h.Get("Content-Type") != tt.typ || h.Get("Cache-Control") != tt.cache {
			t.Errorf("%s: %d, %q, %q", tt.path, resp.StatusCode, h.Get("Content-Type"), h.Get("Cache-Control"))
		}
		if tt.size > 0 && len(b) != tt.size {
			t.Errorf("%s: %d bytes, want %d", tt.path, len(b), tt.size)
		}
		if h.Get("Access-Control-Allow-Origin") != "*" || h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: headers %v", tt.path, h)
		}
		if tt.status == 200 && h.Get("Content-Length") != strconv.Itoa(len(b)) {
			t.Errorf("%s: length %s, want %d", tt.path, h.Get("Content-Length"), len(b))
		}
		head := ask(t, l.Handler(), "HEAD", tt.path, nil)
		if head.StatusCode != tt.status {
			t.Errorf("HEAD %s: %d", tt.path, head.StatusCode)
		}
	}
	for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS"} {
		resp := ask(t, l.Handler(), method, "/checkpoint", nil)
		if resp.StatusCode != 405 || resp.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: %d, allow %q", method, resp.StatusCode, resp.Header.Get("Allow"))
		}
	}
}

func TestServedProof(t *testing.T) {
	t.Parallel()
	l := open(t, options(t, t.TempDir(), storetest.Open(t, storetest.SQLite(t))))
	addAll(t, l, leaves(0, 3))
	want, err := l.Proof(t.Context(), 2)
	if err != nil {
		t.Fatal(err)
	}
	got := bodyOf(t, ask(t, l.Handler(), "GET", "/proof/2", nil))
	if !bytes.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	cp, err := l.Checkpoint(t.Context())
	if err != nil || !bytes.HasSuffix(got, cp) {
		t.Errorf("the proof does not end with the checkpoint %q, %v", cp, err)
	}
}

func TestHandlerCompresses(t *testing.T) {
	t.Parallel()
	l := open(t, options(t, t.TempDir(), storetest.Open(t, storetest.SQLite(t))))
	addAll(t, l, leaves(0, 300))
	for _, path := range []string{"/tile/entries/000", "/tile/entries/001.p/44", "/tile/entries/000.p/9", "/tile/entries/000"} {
		want := bodyOf(t, ask(t, l.Handler(), "GET", path, nil))
		for accept, zip := range map[string]bool{
			"gzip": true, "GZIP": true, "x-gzip": true, "br, gzip;q=0.5": true, "identity, gzip ; q=1": true,
			"": false, "identity": false, "gzip;q=0": false, "gzip;q=0.000": false, "br": false, "*": false, "gzip;q=x": false,
		} {
			resp := ask(t, l.Handler(), "GET", path, nil, "Accept-Encoding", accept)
			got := bodyOf(t, resp)
			if (resp.Header.Get("Content-Encoding") == "gzip") != zip || resp.Header.Get("Vary") != "Accept-Encoding" {
				t.Errorf("%s, accepting %q: %v", path, accept, resp.Header)
			}
			if zip {
				got = unzip(t, got)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%s, accepting %q: other bytes", path, accept)
			}
		}
	}
	if resp := ask(t, l.Handler(), "GET", "/tile/0/000", nil, "Accept-Encoding", "gzip"); resp.Header.Get("Content-Encoding") != "" {
		t.Error("hashes are compressed, which is of no use")
	}
}

func unzip(t testing.TB, b []byte) []byte {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Entries that have an index but no checkpoint are not served.
func TestHandlerServesThePublishedAlone(t *testing.T) {
	t.Parallel()
	var refuse atomic.Bool
	o := options(t, t.TempDir(), storetest.Open(t, storetest.SQLite(t)))
	o.Patience = 100 * time.Millisecond
	o.Now = func() (time.Time, error) {
		if refuse.Load() {
			return time.Time{}, errors.New("no")
		}
		return time.Now(), nil
	}
	l := open(t, o)
	addAll(t, l, leaves(0, 3))
	refuse.Store(true)
	if _, err := l.Add(t.Context(), []byte("leaf 3")); err == nil {
		t.Fatal("it was acknowledged")
	}
	for _, path := range []string{"/tile/0/000.p/4", "/tile/entries/000.p/4", "/proof/3"} {
		if resp := ask(t, l.Handler(), "GET", path, nil); resp.StatusCode != 404 {
			t.Errorf("%s: %d", path, resp.StatusCode)
		}
	}
	refuse.Store(false)
}

// A tile that was damaged makes no proof, and no leaf is given for another.
func TestDamagedTilesAreNotServed(t *testing.T) {
	t.Parallel()
	m := makeLog(t, storetest.Open(t, storetest.SQLite(t)), 600)
	l := open(t, options(t, m.dir, m.db))
	flip(t, m.dir+"/tile/0/000") // the hash of entry 128
	flip(t, m.dir+"/tile/entries/001")
	if _, err := l.Proof(t.Context(), 5); !errors.Is(err, ledger.ErrDamaged) {
		t.Errorf("a proof from a damaged tile: %v", err)
	}
	if resp := ask(t, l.Handler(), "GET", "/proof/128", nil); resp.StatusCode != 500 {
		t.Errorf("/proof/128: %d", resp.StatusCode)
	}
	bad := 0
	for i := range int64(256) {
		if _, err := l.Leaf(t.Context(), 256+i); errors.Is(err, ledger.ErrDamaged) {
			bad++
		}
	}
	if bad == 0 {
		t.Error("all entries of a damaged bundle are given")
	}
	remove(t, m.dir, "tile/entries/001")
	if _, err := l.Leaf(t.Context(), 300); !errors.Is(err, ledger.ErrDamaged) {
		t.Errorf("an entry of a lost bundle: %v", err)
	}
}

func TestAddHandler(t *testing.T) {
	t.Parallel()
	l := open(t, options(t, t.TempDir(), storetest.Open(t, storetest.SQLite(t))))
	h := l.AddHandler()
	for want, leaf := range []string{"a", "b", strings.Repeat("x", ledger.MaxEntry)} {
		for range 2 { // the second time it is a duplicate
			resp := ask(t, h, "POST", "/add", strings.NewReader(leaf))
			if b := bodyOf(t, resp); resp.StatusCode != 200 || string(b) != strconv.Itoa(want) {
				t.Errorf("%.10s: %d, %q", leaf, resp.StatusCode, b)
			}
		}
		if ix, err := l.Find(t.Context(), tlog.LeafHash([]byte(leaf))); err != nil || ix != int64(want) {
			t.Errorf("%.10s: %d, %v", leaf, ix, err)
		}
	}
	resp := ask(t, h, "POST", "/add", bytes.NewReader(make([]byte, ledger.MaxEntry+1)))
	if resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("too large: %d", resp.StatusCode)
	}
	if resp := ask(t, h, "GET", "/add", nil); resp.StatusCode != 405 || resp.Header.Get("Allow") != "POST" {
		t.Errorf("GET: %d", resp.StatusCode)
	}
	if resp := ask(t, h, "POST", "/add/", nil); resp.StatusCode != 404 {
		t.Errorf("/add/: %d", resp.StatusCode)
	}
	closeLog(t, l)
	resp = ask(t, h, "POST", "/add", strings.NewReader("late"))
	if resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
		t.Errorf("closed: %d, %v", resp.StatusCode, resp.Header)
	}
}
