package mirror_test

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"vitrine.example/internal/mirror"
	"vitrine.example/internal/store"
	"vitrine.example/internal/store/storetest"
	"vitrine.example/tlog"
)

// body writes an add-entries request with packages up to a number.
func (l *memLog) body(start, end int64, ticket []byte, packs int) []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(len(l.signer.Name())))
	b = append(b, l.signer.Name()...)
	b = binary.BigEndian.AppendUint64(b, uint64(start))
	b = binary.BigEndian.AppendUint64(b, uint64(end))
	b = binary.BigEndian.AppendUint16(b, uint16(len(ticket)))
	b = append(b, ticket...)
	for at := start; at < end && packs > 0; packs-- {
		first := at / 256 * 256
		to := min(end, first+256)
		for ; at < to; at++ {
			b = append(binary.BigEndian.AppendUint16(b, uint16(len(l.entries[at]))), l.entries[at]...)
		}
		p, err := tlog.Subtree{Start: first, End: to}.Prove(end, l)
		if err != nil {
			panic(err)
		}
		b = append(b, byte(len(p)))
		for _, h := range p {
			b = append(b, h[:]...)
		}
	}
	return b
}

type answer struct {
	code int
	head http.Header
	body string
}

func post(t testing.TB, url, typ, enc string, body io.Reader) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", typ)
	if enc != "" {
		r.Header.Set("Content-Encoding", enc)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // read below
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(b)}
}

func pend(t testing.TB, url string, l *memLog, old, size int64, proof []tlog.Hash) {
	t.Helper()
	q := &tlog.AddCheckpoint{Old: old, Proof: proof, Checkpoint: l.checkpoint(size)}
	if a := post(t, url+"/add-checkpoint", "text/plain", "", bytes.NewReader(q.Marshal())); a.code != http.StatusOK || a.body != "" {
		t.Fatalf("add-checkpoint: %d %q", a.code, a.body)
	}
}

const octets = "application/octet-stream"

// What tlog-mirror says is answered to what.
func TestAnswers(t *testing.T) {
	m, _ := open(t, storetest.Open(t, storetest.SQLite(t)), t.TempDir(), mirror.Limits{Excess: 300})
	l, other := newLog(t, "log.example").grow(1000, "entry"), newLog(t, "other.example").grow(10, "x")
	add(t, m, l)
	url := serve(t, m)
	entries := func(b []byte) answer { return post(t, url+"/add-entries", octets, "", bytes.NewReader(b)) }
	want := func(name string, a answer, code int, body string) {
		t.Helper()
		if a.code != code || !strings.HasPrefix(a.body, body) {
			t.Errorf("%s: %d %q, want %d %q", name, a.code, a.body, code, body)
		}
		if (code == 202 || code == 409) != (a.head.Get("Content-Type") == mirror.InfoType) {
			t.Errorf("%s: Content-Type %q", name, a.head.Get("Content-Type"))
		}
		if a.head.Get("Accept-Encoding") != "gzip" {
			t.Errorf("%s: no Accept-Encoding", name)
		}
	}
	want("unknown log", entries(other.body(0, 10, nil, 9)), 404, "")
	want("no pending checkpoint", entries(l.body(0, 1000, nil, 9)), 422, "")
	pend(t, url, l, 0, 1000, nil)
	if a, err := http.Get(url + "/" + mirror.OriginHash("log.example") + "/checkpoint"); err != nil || a.StatusCode != 404 {
		t.Errorf("a pending checkpoint is served: %v %v", a, err)
	}
	full := l.body(0, 1000, nil, 9)
	want("other type", post(t, url+"/add-entries", "text/plain", "", bytes.NewReader(full)), 415, "")
	want("other encoding", post(t, url+"/add-entries", octets, "br", bytes.NewReader(full)), 415, "")
	want("cut head", entries(full[:20]), 400, "")
	want("nothing", entries(nil), 400, "")
	want("cut first package", entries(full[:500]), 400, "")
	want("start above end", entries(l.body(2, 1, nil, 0)), 400, "")
	want("unknown end", entries(l.body(0, 999, nil, 9)), 409, "1000\n0\n")
	want("end above all", entries(l.body(0, 1<<62+1, nil, 0)), 409, "1000\n0\n")
	want("start above next", entries(l.body(1, 1000, nil, 9)), 409, "1000\n0\n")
	bad := bytes.Clone(full)
	bad[35] ^= 1
	want("other entry", entries(bad), 422, "")
	want("prefix", entries(l.body(0, 1000, nil, 2)), 202, "1000\n512\n")
	want("no package", entries(l.body(512, 1000, nil, 0)), 400, "")
	bad = l.body(512, 1000, nil, 9)
	bad[len(bad)-1] ^= 1
	want("bad second package", entries(bad), 422, "")
	want("what came before is kept", entries(l.body(769, 1000, nil, 9)), 409, "1000\n768\n")
	want("excess", entries(l.body(400, 1000, nil, 9)), 409, "1000\n768\n")
	want("all", entries(l.body(700, 1000, nil, 9)), 200, "— "+mirrorName+" ")
	want("again, empty", entries(l.body(1000, 1000, nil, 0)), 200, "— "+mirrorName+" ")
	sound(t, m, url, l)

	// Compressed, with more behind it that is not looked at.
	l.grow(500, "entry")
	proof, err := proveTree(l, 1500, 1000)
	if err != nil {
		t.Fatal(err)
	}
	pend(t, url, l, 1000, 1500, proof)
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	_, _ = w.Write(append(l.body(1000, 1500, nil, 9), "more"...))
	_ = w.Close()
	want("gzip", post(t, url+"/add-entries", octets, "gzip", &z), 200, "— ")
	want("below the mirror", entries(l.body(900, 1000, nil, 9)), 409, "1500\n1500\n")
	sound(t, m, url, l)
}

// cutter cuts the bodies of requests at a place, once each.
type cutter struct {
	next func() int64
}

func (c cutter) RoundTrip(r *http.Request) (*http.Response, error) {
	if n := c.next(); n >= 0 && strings.HasSuffix(r.URL.Path, "/add-entries") {
		body := r.Body
		r = r.Clone(r.Context())
		r.Body = struct {
			io.Reader
			io.Closer
		}{io.MultiReader(io.LimitReader(body, n), broken{}), body}
	}
	return http.DefaultTransport.RoundTrip(r)
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("the connection is cut") }

// Uploads are cut at 1,000 random bytes, the mirror is opened again in between,
// and the copy is sound at each end.
func TestCutUploads(t *testing.T) {
	const cuts = 1000
	rng := rand.New(rand.NewPCG(1, 2))
	db, dir := storetest.Open(t, storetest.SQLite(t)), t.TempDir()
	m, _ := open(t, db, dir, mirror.Limits{})
	l := newLog(t, "log.example")
	add(t, m, l)
	var handler http.Handler
	var serving sync.RWMutex // what a cut request still does ends before the mirror is opened again
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		serving.RLock()
		defer serving.RUnlock()
		handler.ServeHTTP(w, r)
	}))
	defer s.Close()
	handler = m.Handler()
	cut := int64(-1)
	p := pusher(l, s.URL, &http.Client{Transport: cutter{func() int64 { return cut }}}, t)
	for done := 0; done < cuts; {
		l.grow(1+rng.IntN(1500), "entry")
		for range 1 + rng.IntN(40) {
			cut = rng.Int64N(40_000)
			if err := p.Push(t.Context()); err != nil {
				done++
			} else {
				break
			}
		}
		if rng.IntN(4) == 0 {
			serving.Lock()
			m, _ = open(t, db, dir, mirror.Limits{})
			handler = m.Handler()
			serving.Unlock()
		}
		if err := m.Check(t.Context(), l.signer.Name()); err != nil {
			t.Fatalf("after %d cuts: %v", done, err)
		}
	}
	cut = -1
	if err := p.Push(t.Context()); err != nil {
		t.Fatal(err)
	}
	sound(t, m, s.URL, l)
}

// Several clients push at once, from different places.
func TestConcurrentUploads(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		m, _ := open(t, db, t.TempDir(), mirror.Limits{PerLog: 8})
		l := newLog(t, "log.example").grow(5000, "entry")
		add(t, m, l)
		url := serve(t, m)
		pend(t, url, l, 0, 5000, nil)
		var wg sync.WaitGroup
		for range 6 {
			wg.Go(func() {
				if a := post(t, url+"/add-entries", octets, "", bytes.NewReader(l.body(0, 5000, nil, 99))); a.code != 200 {
					t.Errorf("%d %q", a.code, a.body)
				}
			})
		}
		wg.Wait()
		sound(t, m, url, l)
	})
}

// A client that pauses keeps nobody waiting, gets an early answer where there is
// one to give, and is cut off.
func TestSlowClient(t *testing.T) {
	m, _ := open(t, storetest.Open(t, storetest.SQLite(t)), t.TempDir(), mirror.Limits{Package: 300 * time.Millisecond, PerLog: 2})
	l := newLog(t, "log.example").grow(700, "entry")
	add(t, m, l)
	url := serve(t, m)
	pend(t, url, l, 0, 700, nil)
	slow := func(b []byte) answer {
		r, w := io.Pipe()
		go func() { _, _ = w.Write(b) }() // and never closes
		defer w.Close()                   //nolint:errcheck // nobody reads
		return post(t, url+"/add-entries", octets, "", r)
	}
	if a := slow(l.body(5, 700, nil, 0)); a.code != http.StatusConflict {
		t.Errorf("early answer: %d %q", a.code, a.body)
	}
	if a := slow(l.body(0, 700, nil, 1)); a.code != http.StatusAccepted || !strings.HasPrefix(a.body, "700\n256\n") {
		t.Errorf("after a pause: %d %q", a.code, a.body)
	}
	if err := pusher(l, url, http.DefaultClient, t).Push(t.Context()); err != nil {
		t.Fatal(err)
	}
	sound(t, m, url, l)
}

// A pending checkpoint that is kept no longer is known from its ticket; nothing
// is known from a ticket that the mirror did not make.
func TestTicket(t *testing.T) {
	db, dir := storetest.Open(t, storetest.SQLite(t)), t.TempDir()
	m, _ := open(t, db, dir, mirror.Limits{})
	l := newLog(t, "log.example").grow(1400, "entry")
	add(t, m, l)
	url := serve(t, m)
	pend(t, url, l, 0, 100, nil)
	first := post(t, url+"/add-entries", octets, "", bytes.NewReader(l.body(50, 100, nil, 9)))
	ticket := unbase64(t, strings.Split(first.body, "\n")[2])
	for n := int64(101); n < 1300; n++ { // beyond what is kept
		proof, err := proveTree(l, n, n-1)
		if err != nil {
			t.Fatal(err)
		}
		pend(t, url, l, n-1, n, proof)
	}
	m, _ = open(t, db, dir, mirror.Limits{})
	url = serve(t, m)
	for _, tt := range []struct {
		ticket []byte
		code   int
	}{{nil, 409}, {l.checkpoint(100).Marshal(), 409}, {append(bytes.Clone(ticket[:len(ticket)-1]), 'x'), 409}, {ticket, 200}} {
		a := post(t, url+"/add-entries", octets, "", bytes.NewReader(l.body(0, 100, tt.ticket, 9)))
		if a.code != tt.code {
			t.Errorf("ticket of %d bytes: %d %q, want %d", len(tt.ticket), a.code, a.body, tt.code)
		}
	}
}

// What is over the limit is refused with 507, and does no harm.
func TestFull(t *testing.T) {
	db, dir := storetest.Open(t, storetest.SQLite(t)), t.TempDir()
	m, _ := open(t, db, dir, mirror.Limits{LogBytes: 1000})
	l := newLog(t, "log.example").grow(700, "entry")
	add(t, m, l)
	url := serve(t, m)
	if err := pusher(l, url, http.DefaultClient, t).Push(t.Context()); err == nil || !strings.Contains(err.Error(), "507") {
		t.Errorf("a full mirror: %v", err)
	}
	m, _ = open(t, db, dir, mirror.Limits{})
	url = serve(t, m)
	if err := pusher(l, url, http.DefaultClient, t).Push(t.Context()); err != nil {
		t.Fatal(err)
	}
	sound(t, m, url, l)
}

// A copy that was changed on the disk is found at the start, and neither grows
// nor is signed.
func TestDamage(t *testing.T) {
	db, dir := storetest.Open(t, storetest.SQLite(t)), t.TempDir()
	m, _ := open(t, db, dir, mirror.Limits{})
	l := newLog(t, "log.example").grow(700, "entry")
	add(t, m, l)
	if err := pusher(l, serve(t, m), http.DefaultClient, t).Push(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"tile/entries/002.p/188", "tile/0/002.p/188", "tile/1/000.p/2", "tile/entries/000"} {
		file := filepath.Join(dir, mirror.OriginHash("log.example"), path)
		good, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		bad := bytes.Clone(good)
		bad[len(bad)/2] ^= 1
		if err := os.WriteFile(file, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		m, _ = open(t, db, dir, mirror.Limits{})
		if err := m.Check(t.Context(), "log.example"); !errors.Is(err, mirror.ErrDamaged) {
			t.Errorf("%s: the check says %v", path, err)
		}
		if s, err := m.Get(t.Context(), "log.example"); err != nil || (s.Problem == "") != (path == "tile/entries/000") {
			t.Errorf("%s: %+v, %v", path, s, err)
		}
		if err := os.WriteFile(file, good, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// A mirror that answers without end, or with nonsense, costs little.
func TestHostileMirror(t *testing.T) {
	l := newLog(t, "log.example").grow(700, "entry")
	for name, serve := range map[string]http.HandlerFunc{
		"a gigabyte": func(w http.ResponseWriter, _ *http.Request) {
			b := make([]byte, 1<<20)
			for range 1024 {
				if _, err := w.Write(b); err != nil {
					return
				}
			}
		},
		"a conflict for ever": func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "add-checkpoint") {
				return
			}
			w.Header().Set("Content-Type", mirror.InfoType)
			w.WriteHeader(http.StatusConflict)
			_, _ = io.WriteString(w, "700\n0\n\n")
		},
		"another's signature": func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "add-checkpoint") {
				return
			}
			_, _ = io.Copy(io.Discard, r.Body)
			_, _ = w.Write(l.checkpoint(700).Signatures[0].Marshal())
		},
	} {
		s := httptest.NewServer(serve)
		if err := pusher(l, s.URL, http.DefaultClient, t).Push(t.Context()); err == nil {
			t.Errorf("%s: no error", name)
		}
		s.Close()
	}
}
