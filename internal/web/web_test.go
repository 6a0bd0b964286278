package web_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"vitrine.example/digest"
	"vitrine.example/internal/content"
	"vitrine.example/internal/projection/projectiontest"
	"vitrine.example/internal/web"
	"vitrine.example/proof"
	"vitrine.example/statement"
	"vitrine.example/tlog"
)

// shop is a node with a few things in its log.
type shop struct {
	*projectiontest.Node
	o        web.Options
	h        http.Handler
	release  *statement.Envelope
	file     []byte // published, held here
	secret   []byte // source, not public
	noise    int64
	notReady []string
}

func newShop(t *testing.T) *shop {
	t.Helper()
	s := &shop{Node: projectiontest.New(t), file: []byte("the shipped file\n"), secret: []byte("the source")}
	s.Put(t, content.Public, s.file)
	s.Put(t, content.Room, s.secret)
	sbom := []byte(`{"bomFormat":"CycloneDX"}`)
	s.Put(t, content.Public, sbom)
	s.release = s.Sign(t, &statement.Release{
		Product: "pkg:generic/app", Version: "1.0.0", Channel: "stable", Seq: 1,
		Published: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC),
		Artifacts: []statement.Artifact{{Name: "it's <b>app.bin", Size: int64(len(s.file)), SHA256: digest.Of(s.file), SBOM: &statement.Evidence{
			MediaType: "application/vnd.cyclonedx+json", Size: int64(len(sbom)), SHA256: digest.Of(sbom)}}},
		Source: &statement.Source{Kind: "directory", Access: "room", Size: int64(len(s.secret)), SHA256: digest.Of(s.secret)},
		Notes:  "https://example.org/notes",
	})
	s.Submit(t, s.release)
	s.noise = s.Add(t, []byte{0, 1, 2, 0xff})
	s.Add(t, statement.CommitmentLeaf(digest.Of([]byte("x"))))
	s.Catch(t)
	s.o = web.Options{
		Info: web.Info{
			Name: "Example <i>Ltd</i>", URL: "https://log.example", Origin: projectiontest.Origin, Software: "vitrine test",
			Log: []string{s.Log.Verifier().String()}, Statement: []string{string(s.Key.Public().PEM())},
		},
		Ledger: s.Ledger, Content: s.Content, Projection: s.Projection,
		Ready:  func(context.Context) []string { return s.notReady },
		Logger: slog.New(slog.DiscardHandler), Now: time.Now,
	}
	s.build(t)
	return s
}

func (s *shop) build(t *testing.T) {
	t.Helper()
	var err error
	if s.h, err = web.New(s.o); err != nil {
		t.Fatal(err)
	}
}

func (s *shop) do(method, target string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.h.ServeHTTP(w, r)
	return w
}

// TestAddresses: every address answers as it should, with the right type.
func TestAddresses(t *testing.T) {
	s := newShop(t)
	rel, file, secret := s.release.Digest().String(), digest.Of(s.file).String(), digest.Of(s.secret).String()
	unknown := digest.Of([]byte("unknown")).String()
	const page, js, problem, text = "text/html; charset=utf-8", "application/json", "application/problem+json", "text/plain; charset=utf-8"
	for _, c := range []struct {
		path string
		code int
		typ  string
		has  string
	}{
		{"/", 200, page, "Example &lt;i&gt;Ltd&lt;/i&gt;"},
		{"/", 200, page, strings.Split(s.Log.Verifier().String(), "+")[1]},
		{"/", 200, page, "1.0.0"},
		{"/releases", 200, page, "/release/" + rel},
		{"/releases?product=pkg:generic/app", 200, page, "/release/" + rel},
		{"/releases?product=pkg:generic/other", 200, page, "No release"},
		{"/releases?before=0", 400, page, "not well formed"},
		{"/releases?before=01", 400, page, "not well formed"},
		{"/releases?before=-1", 400, page, "not well formed"},
		{"/releases?before=99999999999999999999", 400, page, "not well formed"},
		{"/release/" + rel, 200, page, file},
		{"/release/" + rel, 200, page, "/content/" + file},
		{"/release/" + rel, 200, page, secret}, // the commitment, not the content
		{"/release/" + rel, 200, page, "never leaves a reading room"},
		{"/release/" + rel, 200, page, `&#39;it&#39;\&#39;&#39;s &lt;b&gt;app.bin.vitrine&#39;`},
		{"/release/" + unknown, 404, page, "nothing at this address"},
		{"/release/" + strings.ToUpper(rel), 400, page, "not well formed"},
		{"/release/x", 400, page, "not well formed"},
		{"/log", 200, page, "/log/2"},
		{"/log?before=1", 200, page, "/log/0"},
		{"/log?before=x", 400, page, "not well formed"},
		{"/log/0", 200, page, "hashedRekordV002"},
		{fmt.Sprint("/log/", s.noise), 200, page, "00 01 02 ff"},
		{"/log/2", 200, page, "a commitment to 32 bytes"},
		{"/log/3", 404, page, "nothing at this address"},
		{"/log/00", 400, page, "not well formed"},
		{"/log/+1", 400, page, "not well formed"},
		{"/log/9223372036854775808", 400, page, "not well formed"},
		{"/statement/" + rel, 200, page, "c2sp.org/tlog-proof@v1"},
		{"/statement/" + unknown, 404, page, "nothing at this address"},
		{"/statements/" + rel, 200, js, `"payloadType":"application/vnd.in-toto+json"`},
		{"/statements/" + unknown, 404, problem, ""},
		{"/statements/" + file, 404, problem, ""}, // public content, but no statement
		{"/statements/..%2f..%2fvitrine.toml", 400, problem, ""},
		{"/content/" + file, 200, "application/octet-stream", string(s.file)},
		{"/content/" + secret, 404, problem, "nothing at this address"},
		{"/content/" + unknown, 404, problem, "nothing at this address"},
		{"/content/" + file[:63], 400, problem, ""},
		{"/bundle/" + file, 200, proof.MediaType, ""},
		{"/bundle/" + secret, 404, problem, ""},
		{"/bundle/" + unknown, 404, problem, ""},
		{"/node.json", 200, js, `"origin": "log.example"`},
		{"/checkpoint", 200, text, "log.example\n3\n"},
		{"/proof/0", 200, text, "c2sp.org/tlog-proof@v1"},
		{"/healthz", 200, text, "ok"},
		{"/readyz", 200, text, "ready"},
		{"/robots.txt", 200, text, "User-agent"},
		{"/favicon.svg", 200, "image/svg+xml", "<svg"},
		{"/favicon.ico", 200, "image/svg+xml", "<svg"},
		{"/nothing", 404, page, "Not Found"},
		{"/static/", 404, page, "Not Found"},
		{"/add", 404, page, "Not Found"},
		{"/metrics", 404, page, "Not Found"},
		{"/api/v1/node", 200, js, `"published":3`},
		{"/api/v1/releases", 200, js, rel},
		{"/api/v1/releases?sha256=" + file, 200, js, rel},
		{"/api/v1/releases?sha256=" + unknown, 200, js, `"releases":[]`},
		{"/api/v1/releases?sha256=x", 422, problem, ""},
		{"/api/v1/releases?limit=0", 422, problem, ""},
		{"/api/v1/releases?limit=101", 422, problem, ""},
		{"/api/v1/releases?nonsense=1", 422, problem, ""},
		{"/api/v1/releases/" + rel, 200, js, `"artifacts":[{`},
		{"/api/v1/releases/" + unknown, 404, problem, ""},
		{"/api/v1/releases/x", 422, problem, ""},
		{"/api/v1/statements/" + rel, 200, js, `"proof":"c2sp.org/tlog-proof@v1`},
		{"/api/v1/statements/" + unknown, 404, problem, ""},
		{"/api/v1/log", 200, js, `"kind":"other"`},
		{"/api/v1/log?before=1&limit=1", 200, js, `"index":0`},
		{"/api/v1/nothing", 404, problem, ""},
		{"/api/", 404, problem, ""},
		{"/api/v1/openapi.json", 200, "application/openapi+json", `"openapi":"3.1`},
	} {
		w := s.do("GET", c.path)
		if w.Code != c.code || w.Header().Get("Content-Type") != c.typ || !strings.Contains(w.Body.String(), c.has) {
			t.Errorf("GET %s: %d %s, want %d %s with %q\n%.600s", c.path, w.Code, w.Header().Get("Content-Type"), c.code, c.typ, c.has, w.Body)
		}
		head := s.do("HEAD", c.path)
		if head.Code != c.code {
			t.Errorf("HEAD %s: %d, want %d", c.path, head.Code, c.code)
		}
	}
}

// TestPagesAreComplete parses every page strictly as XML-like HTML: what is
// opened is closed, nothing from the log becomes markup, ids are unique.
func TestPagesAreComplete(t *testing.T) {
	s := newShop(t)
	rel := s.release.Digest().String()
	for _, p := range []string{"/", "/releases", "/release/" + rel, "/log", "/log/0", "/log/1", "/log/2", "/statement/" + rel, "/nothing"} {
		body := s.do("GET", p).Body.String()
		if err := wellFormed(body); err != nil {
			t.Errorf("%s: %v\n%s", p, err, body)
		}
		for _, never := range []string{"<script", "style=", "<i>Ltd", "<b>app", "ZgotmplZ", "<nil>", "%!", "http://"} {
			if strings.Contains(body, never) {
				t.Errorf("%s has %q", p, never)
			}
		}
		if strings.Count(body, "<h1") != 1 || !strings.Contains(body, `<html lang="en">`) || !strings.Contains(body, "<title>") {
			t.Errorf("%s: want one h1, a title and a language", p)
		}
	}
}

// TestHeaders: no answer, whatever its status, lacks what keeps a browser tame.
func TestHeaders(t *testing.T) {
	s := newShop(t)
	for _, p := range []string{"/", "/nothing", "/log/x", "/node.json", "/api/v1/node", "/api/v1/x", "/content/x", "/checkpoint", "/tile/0/000.p/3", "/healthz", "/proof/99"} {
		h := s.do("GET", p).Header()
		for k, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer",
			"Strict-Transport-Security": "max-age=31536000", "Cross-Origin-Opener-Policy": "same-origin",
		} {
			if h.Get(k) != want {
				t.Errorf("%s: %s: %q, want %q", p, k, h.Get(k), want)
			}
		}
		csp := h.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'self'", "script-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"} {
			if !strings.Contains(csp, want) {
				t.Errorf("%s: policy %q lacks %s", p, csp, want)
			}
		}
		if h.Get("Set-Cookie") != "" {
			t.Errorf("%s sets a cookie", p)
		}
	}
	s.o.Info.URL = "http://localhost:8080"
	s.build(t)
	if v := s.do("GET", "/").Header().Get("Strict-Transport-Security"); v != "" {
		t.Errorf("plain http promises TLS: %q", v)
	}
	h := s.do("GET", "/content/"+digest.Of(s.file).String()).Header()
	for k, want := range map[string]string{
		"Content-Security-Policy": "default-src 'none'; sandbox", "Content-Disposition": "attachment; filename=" + digest.Of(s.file).String(),
		"ETag": `"` + digest.Of(s.file).String() + `"`, "Access-Control-Allow-Origin": "*", "X-Content-Type-Options": "nosniff",
	} {
		if h.Get(k) != want {
			t.Errorf("content: %s: %q, want %q", k, h.Get(k), want)
		}
	}
	if w := s.do("GET", "/content/"+digest.Of(s.file).String(), "If-None-Match", h.Get("ETag")); w.Code != 304 || w.Body.Len() != 0 {
		t.Errorf("content that the client has: %d, %d bytes", w.Code, w.Body.Len())
	}
}

// TestOnlyReading: what is not reading is refused before anything looks at it.
func TestOnlyReading(t *testing.T) {
	s := newShop(t)
	for _, m := range []string{"POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "BREW"} {
		for _, p := range []string{"/", "/add", "/api/v1/node", "/checkpoint"} {
			if w := s.do(m, p); w.Code != 405 || w.Header().Get("Allow") != "GET, HEAD" {
				t.Errorf("%s %s: %d, Allow %q", m, p, w.Code, w.Header().Get("Allow"))
			}
		}
	}
	r := httptest.NewRequest("GET", "/", strings.NewReader("a body"))
	w := httptest.NewRecorder()
	s.h.ServeHTTP(w, r)
	if w.Code != 413 {
		t.Errorf("a body: %d, want 413", w.Code)
	}
	if w := s.do("GET", "/"+strings.Repeat("a", 3000)); w.Code != 414 {
		t.Errorf("a long path: %d, want 414", w.Code)
	}
	if w := s.do("GET", "/releases?product="+strings.Repeat("a", 3000)); w.Code != 414 {
		t.Errorf("a long query: %d, want 414", w.Code)
	}
}

// TestHostilePaths: nothing outside of the content store can be named.
func TestHostilePaths(t *testing.T) {
	s := newShop(t)
	for _, p := range []string{
		"/content/../vitrine.toml", "/content/%2e%2e/%2e%2e/etc/passwd", "/content/" + strings.Repeat("0", 63) + "%00",
		"/tile/../../keys/log.pem", "/tile/%2e%2e%2f%2e%2e%2fkeys%2flog.pem", "/tile/0/..%2f..%2fcheckpoint", "//etc/passwd", "/static/../templates/start.html",
		"/log/1%00", "/log/1%0d%0aX-Evil:1", "/proof/-1", "/proof/1e3", "/proof/%31%2f..", "/statements/" + strings.Repeat("g", 64),
	} {
		w := s.do("GET", p)
		if w.Code == 200 || w.Code >= 500 {
			t.Errorf("%s: %d", p, w.Code)
		}
		if strings.Contains(w.Body.String(), "PRIVATE KEY") || w.Header().Get("X-Evil") != "" {
			t.Errorf("%s: %s", p, w.Body)
		}
	}
}

// TestBundle: what the address gives is a bundle of this release that verifies
// under the newest checkpoint.
func TestBundle(t *testing.T) {
	s := newShop(t)
	again := s.Sign(t, &statement.Release{
		Product: "pkg:generic/app", Version: "1.0.1", Published: time.Date(2030, 1, 3, 0, 0, 0, 0, time.UTC),
		Artifacts: []statement.Artifact{{Name: "same.bin", Size: int64(len(s.file)), SHA256: digest.Of(s.file)}},
	})
	s.Submit(t, again)
	s.Catch(t)
	w := s.do("GET", "/bundle/"+digest.Of(s.file).String())
	if got, want := w.Header().Get("Content-Disposition"), "attachment; filename=same.bin.vitrine"; got != want {
		t.Errorf("disposition %q, want %q", got, want)
	}
	b, err := proof.Parse(w.Body.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if len(b.Statements) != 2 {
		t.Fatalf("%d statements, want both releases of the file", len(b.Statements))
	}
	policy := tlog.Policy{Logs: []tlog.PolicyLog{{Key: s.Log.Verifier()}}, Quorum: "none"}
	for i, l := range b.Statements {
		if err := l.Verify(s.Key.Public()); err != nil {
			t.Errorf("statement %d: %v", i, err)
		}
		if _, err := policy.Check(l.Proof.Checkpoint); err != nil {
			t.Errorf("checkpoint of %d: %v", i, err)
		}
		if l.Proof.Checkpoint.Size != 4 {
			t.Errorf("proof %d is under size %d, want the newest, 4", i, l.Proof.Checkpoint.Size)
		}
	}
}

// TestDamagedContent: a client never gets a whole answer with wrong bytes.
func TestDamagedContent(t *testing.T) {
	s := newShop(t)
	srv := httptest.NewServer(s.h)
	defer srv.Close()
	for _, size := range []int{1, 1000, 256 << 10, 256<<10 + 1, 512 << 10, 700_000} {
		data := bytes.Repeat([]byte{byte(size)}, size)
		d := s.Put(t, content.Public, data)
		whole, err := fetch(srv.URL + "/content/" + d.String())
		if err != nil || !bytes.Equal(whole, data) {
			t.Errorf("%d bytes: %d, %v", size, len(whole), err)
		}
		path := filepath.Join(s.Dir, "content", "public", d.String()[:2], d.String())
		data[size-1] ^= 1
		if err := os.Chmod(path, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := fetch(srv.URL + "/content/" + d.String()); err == nil {
			t.Errorf("%d damaged bytes were served as %d whole ones", size, len(got))
		}
	}
}

func fetch(url string) ([]byte, error) {
	res, err := http.Get(url)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != 200 {
		err = errors.New(res.Status)
	}
	return b, err
}

// TestRates: a client that asks too often is told so, others are not, and the
// table of clients is bounded.
func TestRates(t *testing.T) {
	s := newShop(t)
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	s.o.Now = func() time.Time { return now }
	s.o.Rate, s.o.Burst = 1, 3
	s.o.Proxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.0.0.1/32")}
	s.build(t)
	ask := func(peer string, forwarded ...string) int {
		r := httptest.NewRequest("GET", "/healthz", nil)
		r.RemoteAddr = peer
		for _, f := range forwarded {
			r.Header.Add("X-Forwarded-For", f)
		}
		w := httptest.NewRecorder()
		s.h.ServeHTTP(w, r)
		if w.Code == 429 && (w.Header().Get("Retry-After") == "" || w.Header().Get("Content-Type") != "application/problem+json") {
			t.Errorf("429 without its headers: %v", w.Header())
		}
		return w.Code
	}
	spend := func(peer string, forwarded ...string) (served int) {
		for served < 10 && ask(peer, forwarded...) == 200 {
			served++
		}
		return served
	}
	for _, c := range []struct {
		why       string
		peer      string
		forwarded []string
		want      int
	}{
		{"a stranger has the burst", "192.0.2.1:1", nil, 3},
		{"and no more from another port", "192.0.2.1:2", nil, 0},
		{"a stranger cannot speak for others", "192.0.2.1:3", []string{"198.51.100.1"}, 0},
		{"another stranger is not concerned", "192.0.2.2:1", nil, 3},
		{"a program here is not limited", "127.0.0.1:1", nil, 10},
		{"nor is one on ::1", "[::1]:1", nil, 10},
		{"a proxy here speaks for its client", "127.0.0.1:1", []string{"203.0.113.1"}, 3},
		{"the nearest hop counts, not what the client wrote", "127.0.0.1:1", []string{"203.0.113.9, 203.0.113.1"}, 0},
		{"a second header is a nearer hop", "127.0.0.1:1", []string{"203.0.113.10", "203.0.113.1"}, 0},
		{"through two proxies", "127.0.0.1:1", []string{"203.0.113.20, 10.0.0.1"}, 3},
		{"a client that calls itself loopback is limited", "127.0.0.1:1", []string{"203.0.113.30, 127.0.0.1"}, 3},
		{"nonsense in the header counts for the proxy", "10.0.0.1:1", []string{"nonsense"}, 3},
		{"one IPv6 network is one client", "[2001:db8::1]:1", nil, 3},
		{"whatever its address", "[2001:db8::ffff]:1", nil, 0},
		{"another network is another", "[2001:db8:0:1::1]:1", nil, 3},
		{"IPv4 in IPv6 is IPv4", "[::ffff:192.0.2.1]:1", nil, 0},
		{"no address at all", "@", nil, 3},
	} {
		if got := spend(c.peer, c.forwarded...); got != c.want {
			t.Errorf("%s: %d requests were served, want %d", c.why, got, c.want)
		}
	}
	now = now.Add(2 * time.Second)
	if got := spend("192.0.2.1:1"); got != 2 {
		t.Errorf("after two seconds %d requests, want 2", got)
	}
}

func TestNotReady(t *testing.T) {
	s := newShop(t)
	s.notReady = []string{"the clock ran backwards", "the disk is full"}
	if w := s.do("GET", "/readyz"); w.Code != 503 || w.Body.String() != "the clock ran backwards\nthe disk is full\n" {
		t.Errorf("readyz: %d %q", w.Code, w.Body)
	}
	if w := s.do("GET", "/healthz"); w.Code != 200 {
		t.Errorf("healthz: %d", w.Code)
	}
}

// TestPaging: following "older" visits everything once.
func TestPaging(t *testing.T) {
	s := newShop(t)
	for i := range 60 {
		go func() { _, _ = s.Ledger.Add(context.Background(), fmt.Append(nil, "filler ", i)) }()
	}
	for {
		st, err := s.Ledger.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if st.Published == 63 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	s.Catch(t)
	seen := map[int64]bool{}
	for before := int64(0); ; {
		var page struct {
			Entries []struct{ Index int64 }
			Before  int64
			Size    int64
		}
		w := s.do("GET", fmt.Sprint("/api/v1/log?limit=7&before=", before))
		if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil || w.Code != 200 {
			t.Fatalf("%d %s: %v", w.Code, w.Body, err)
		}
		for _, e := range page.Entries {
			if seen[e.Index] {
				t.Errorf("entry %d twice", e.Index)
			}
			seen[e.Index] = true
		}
		if before = page.Before; before == 0 {
			break
		}
	}
	if len(seen) != 63 {
		t.Errorf("%d entries seen, want 63", len(seen))
	}
	first := s.do("GET", "/log").Body.String()
	if !strings.Contains(first, `href="/log?before=13"`) || strings.Contains(first, ">Newer<") || !strings.Contains(first, `href="/log/62"`) {
		t.Errorf("first page:\n%s", first)
	}
	last := s.do("GET", "/log?before=13").Body.String()
	if strings.Contains(last, ">Older<") || !strings.Contains(last, `href="/log?before=63"`) || !strings.Contains(last, `href="/log/0"`) {
		t.Errorf("last page:\n%s", last)
	}
}

// TestMetrics: requests are counted under addresses of a fixed list, whatever
// strangers ask for.
func TestMetrics(t *testing.T) {
	s := newShop(t)
	r := prometheus.NewRegistry()
	s.o.Metrics = r
	s.build(t)
	for i := range 50 {
		s.do("GET", fmt.Sprint("/nonsense/", i))
		s.do("GET", fmt.Sprint("/log/", 1000+i))
		s.do(fmt.Sprint("M", i), "/")
		s.do("GET", fmt.Sprint("/api/v1/nonsense/", i))
	}
	all, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]int{}
	for _, f := range all {
		found[f.GetName()] = len(f.GetMetric())
	}
	if n := found["vitrine_http_requests_total"]; n == 0 || n > 6 {
		t.Errorf("%d counters for 4 kinds of requests", n)
	}
	if found["vitrine_http_requests_in_flight"] != 1 || found["vitrine_http_request_seconds"] == 0 {
		t.Errorf("metrics: %v", found)
	}
}

// TestServerLimits: large headers are refused on the wire.
func TestServerLimits(t *testing.T) {
	s := newShop(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := web.NewServer(s.h, slog.New(slog.DiscardHandler))
	if srv.ReadHeaderTimeout == 0 || srv.ReadTimeout == 0 || srv.WriteTimeout == 0 || srv.IdleTimeout == 0 {
		t.Error("a time-out is missing")
	}
	go func() { _ = srv.Serve(web.LimitListener(l)) }()
	defer srv.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: x\r\nX: %s\r\n\r\n", strings.Repeat("a", 64<<10))
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("64 KiB of header: %s", res.Status)
	}
}

// TestStyle: the style sheet is found under the digest that the pages name.
func TestStyle(t *testing.T) {
	s := newShop(t)
	body := s.do("GET", "/").Body.String()
	_, rest, _ := strings.Cut(body, `<link rel="stylesheet" href="`)
	url, _, _ := strings.Cut(rest, `"`)
	w := s.do("GET", url)
	sum := fmt.Sprintf("%x", sha256.Sum256(w.Body.Bytes()))
	if w.Code != 200 || w.Header().Get("Content-Type") != "text/css; charset=utf-8" || !strings.Contains(url, sum[:16]) || !strings.Contains(w.Header().Get("Cache-Control"), "immutable") {
		t.Errorf("style %s: %d %v, digest %s", url, w.Code, w.Header(), sum[:16])
	}
	if strings.Contains(w.Body.String(), "http") || strings.Contains(w.Body.String(), "@import") {
		t.Error("the style fetches something")
	}
}
