package web_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/content"
	"vitrine.example/internal/meter"
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
		{"/releases?product=pkg:generic/other", 200, page, "No release of this product"},
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
	r := meter.NewRegistry()
	s.o.Metrics = r
	s.build(t)
	for i := range 50 {
		s.do("GET", fmt.Sprint("/nonsense/", i))
		s.do("GET", fmt.Sprint("/log/", 1000+i))
		s.do(fmt.Sprint("M", i), "/")
		s.do("GET", fmt.Sprint("/api/v1/nonsense/", i))
	}
	found := map[string]int{}
	for line := range strings.Lines(string(r.Text())) {
		name, _, _ := strings.Cut(line, " ")
		name, _, _ = strings.Cut(name, "{")
		found[name]++
	}
	if n := found["vitrine_http_requests_total"]; n == 0 || n > 6 {
		t.Errorf("%d counters for 4 kinds of requests", n)
	}
	if found["vitrine_http_requests_in_flight"] != 1 || found["vitrine_http_request_seconds_count"] == 0 {
		t.Errorf("metrics: %v", found)
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
