package web_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/content"
	"vitrine.example/internal/fixture"
	"vitrine.example/internal/projection"
	"vitrine.example/internal/web"
	"vitrine.example/key"
	"vitrine.example/statement"
)

// mirrored is another's log, as a mirror holds it.
type mirrored struct {
	leaves [][]byte
	said   []digest.Digest
	hidden int64 // of them, not published yet
}

func (m *mirrored) Published(context.Context) (int64, time.Time, error) {
	return int64(len(m.leaves)) - m.hidden, time.Date(2030, 1, 3, 0, 0, 0, 0, time.UTC), nil
}

func (m *mirrored) Leaves(_ context.Context, index int64, n int) ([][]byte, error) {
	return m.leaves[index:min(index+int64(n), int64(len(m.leaves)))], nil
}

func (m *mirrored) Envelopes(_ context.Context, _ string, places []projection.Place) ([]digest.Digest, error) {
	out := make([]digest.Digest, len(places))
	for i, p := range places {
		out[i] = m.said[p.Index]
	}
	return out, nil
}

// cosigners are the same for every log.
type cosigners []web.Cosigner

func (c cosigners) Standing(context.Context, string) ([]web.Cosigner, error) { return c, nil }

// other is the origin of another's log, with what must not be taken for HTML.
const other = `asia.example/<i>log`

// twoLogs is a shop that follows another's log, in which a release, a statement
// of a stranger, and a release that only nodes of the circle may have stand.
func twoLogs(t *testing.T) (s *shop, theirs, secret *statement.Envelope) {
	t.Helper()
	s = newShop(t)
	asia := fixture.StatementKey("asia", key.Ed25519)
	stranger := fixture.StatementKey("stranger", key.P256)
	m := &mirrored{}
	release := func(k *key.Signer, version string, c content.Class) *statement.Envelope {
		env := fixture.Release(k, "pkg:generic/theirs", version, "", fixture.File{Name: "theirs.bin", Data: []byte(version)})
		leaf, err := env.Leaf(k.Public())
		if err != nil {
			t.Fatal(err)
		}
		s.Put(t, c, env.Bytes())
		m.leaves, m.said = append(m.leaves, leaf), append(m.said, env.Digest())
		return env
	}
	theirs = release(asia, "7.7.7", content.Public)
	release(stranger, "6.6.6", content.Public)
	secret = release(asia, "5.5.5", content.Circle)
	m.leaves, m.said = append(m.leaves, []byte("garbage")), append(m.said, digest.Digest{})
	keys := func(context.Context) ([]key.Public, error) { return []key.Public{asia.Public()}, nil }
	if err := s.Projection.Follow(t.Context(), other, m, keys, m); err != nil {
		t.Fatal(err)
	}
	s.Catch(t)
	s.o.Standing = cosigners{
		{Name: "europe.example/witness", Kind: web.AsWitness, Size: 2, At: time.Date(2030, 1, 3, 0, 0, 1, 0, time.UTC)},
		{Name: "america.example/mirror", Kind: web.AsMirror, Size: 0},
	}
	s.build(t)
	return s, theirs, secret
}

// TestOtherLogs: what stands in another's log is shown with the log that it
// stands in, and never with a proof of the node's own.
func TestOtherLogs(t *testing.T) {
	s, theirs, secret := twoLogs(t)
	base := "/logs/" + digest.Of([]byte(other)).String()
	d, escaped := theirs.Digest().String(), "asia.example/&lt;i&gt;log"
	for _, c := range []struct {
		path string
		code int
		has  string
	}{
		{"/logs", 200, escaped},
		{"/logs", 200, "1 entry has no statement here that fits"},
		{"/logs", 200, "europe.example/witness"},
		{base, 200, escaped},
		{base, 200, base + "/0"},
		{base, 200, "not one of those of the log&#39;s owner"},
		{base + "?before=1", 200, base + "/0"},
		{base + "?before=01", 400, "not well formed"},
		{base + "/0", 200, "hashedRekordV002"},
		{base + "/3", 200, "garbage"},
		{base + "/4", 404, "nothing at this address"},
		{base + "/x", 400, "not well formed"},
		{"/logs/" + digest.Of([]byte("unknown")).String(), 404, "nothing at this address"},
		{"/logs/x", 404, "nothing at this address"},
		{"/release/" + d, 200, escaped},
		{"/release/" + d, 200, "not yet covered"},
		{"/release/" + d, 200, "america.example/mirror"},
		{"/statement/" + d, 200, "that log and its mirrors give the proof"},
		{"/release/" + secret.Digest().String(), 404, "nothing at this address"},
		{"/statement/" + secret.Digest().String(), 404, "nothing at this address"},
		{"/releases", 200, "1.0.0"},
		{"/releases?log=" + url.QueryEscape(other), 200, "7.7.7"},
		{"/releases?log=all", 200, "7.7.7"},
		{"/releases?log=all", 200, "1.0.0"},
		{"/releases?log=all&after=x", 400, "not well formed"},
		{"/releases?log=all&after=1.x.1", 404, "nothing at this address"},
		{"/releases?log=nowhere", 404, "nothing at this address"},
		{"/api/v1/logs", 200, `"missing":1`},
		{"/api/v1" + base, 200, `"problem":"the key that signed`},
		{"/api/v1/logs/x", 422, ""},
		{"/api/v1/releases?log=" + url.QueryEscape(other), 200, "7.7.7"},
		{"/api/v1/releases/" + d, 200, `"kind":"mirror"`},
	} {
		w := s.do(http.MethodGet, c.path)
		if w.Code != c.code || !strings.Contains(w.Body.String(), c.has) {
			t.Errorf("%s: %d, want %d and %q:\n%s", c.path, w.Code, c.code, c.has, w.Body)
		}
		if strings.Contains(w.Body.String(), "<i>log") && !strings.HasPrefix(c.path, "/api") {
			t.Errorf("%s: an origin was taken for HTML", c.path)
		}
	}
	for _, path := range []string{"/releases", "/releases?log=" + url.QueryEscape(other)} {
		if b := s.do(http.MethodGet, path).Body.String(); strings.Contains(b, "7.7.7") == (path == "/releases") {
			t.Errorf("%s mixes logs:\n%s", path, b)
		}
	}
	for _, path := range []string{"/release/" + d, "/statement/" + d, base + "/0"} {
		if b := s.do(http.MethodGet, path).Body.String(); strings.Contains(b, "/proof/") || strings.Contains(b, "tlog-proof@v1") {
			t.Errorf("%s shows a proof of the wrong log", path)
		}
	}
	var a struct{ Log, Proof string }
	if err := json.Unmarshal(s.do(http.MethodGet, "/api/v1/statements/"+d).Body.Bytes(), &a); err != nil || a.Log != other || a.Proof != "" {
		t.Errorf("statement: %+v, %v", a, err)
	}
}

// TestPagesOfAllReleases: every release is on exactly one page.
func TestPagesOfAllReleases(t *testing.T) {
	s, _, _ := twoLogs(t)
	for i := range 60 {
		s.Submit(t, s.Sign(t, &statement.Release{
			Product: "pkg:generic/many", Version: "1." + strings.Repeat("1", i+1), Published: time.Date(2030, 1, 2, 3, 4, i%3, 0, time.UTC),
			Artifacts: []statement.Artifact{{Name: "f", Size: int64(i), SHA256: digest.Of([]byte{byte(i)})}},
		}))
	}
	s.Catch(t)
	seen := map[string]int{}
	pages := 0
	for path := "/releases?log=all"; path != ""; pages++ {
		b := s.do(http.MethodGet, path).Body.String()
		for _, part := range strings.Split(b, `href="/release/`)[1:] {
			seen[part[:64]]++
		}
		_, next, _ := strings.Cut(b, `rel="next" href="`)
		path, _, _ = strings.Cut(next, `"`)
		path = strings.ReplaceAll(path, "&amp;", "&")
	}
	if len(seen) != 62 || pages != 3 {
		t.Errorf("%d releases on %d pages, want 62 on 3", len(seen), pages)
	}
	for d, n := range seen {
		if n != 1 {
			t.Errorf("%s was shown %d times", d, n)
		}
	}
}
