package web_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/content"
	"vitrine.example/internal/fixture"

	"vitrine.example/key"
	"vitrine.example/proof"
	"vitrine.example/statement"
	"vitrine.example/tlog"
)

// evil is text of strangers that must not become markup, nor turn writing around.
const evil = "<script>alert(1)</script>\u202e\x1b[31m\"'>"

// centres are other organisations' logs, as a mirror holds them, with proofs.
type centres map[string]*fixture.World

func (c centres) Proof(_ context.Context, origin string, index int64) (*tlog.Proof, error) {
	w := c[origin]
	if w == nil {
		return nil, fmt.Errorf("no copy of %s", origin)
	}
	return w.Prove(index, w.Witnesses...), nil
}

// late signs what came to the own checkpoint after it was published.
var late = fixture.New("late", key.P256, "late").Witnesses[0]

func (c centres) More(cp *tlog.SignedCheckpoint) *tlog.SignedCheckpoint {
	s, err := late.SignCheckpoint(cp.Checkpoint)
	if err != nil {
		return cp
	}
	return &tlog.SignedCheckpoint{Checkpoint: cp.Checkpoint, Signatures: append(slices.Clone(cp.Signatures), s)}
}

// newCentre is a log of its own name.
func newCentre(t *testing.T, name string) *fixture.World {
	t.Helper()
	w := fixture.New(name, key.P256)
	seed := sha256.Sum256([]byte(name))
	log, err := tlog.NewSigner(name+".example", tlog.Ed25519, ed25519.NewKeyFromSeed(seed[:]), nil)
	if err != nil {
		t.Fatal(err)
	}
	w.Origin, w.Log = name+".example", log
	return w
}

// follow has the shop follow the log of a world that says things.
func (s *shop) follow(t *testing.T, w *fixture.World, said ...*statement.Envelope) {
	t.Helper()
	m := &mirrored{}
	for _, env := range said {
		leaf, err := env.Leaf(w.Vendor.Public())
		if err != nil {
			t.Fatal(err)
		}
		w.Add(leaf)
		s.Put(t, content.Public, env.Bytes())
		m.leaves, m.said = append(m.leaves, leaf), append(m.said, env.Digest())
	}
	keys := func(context.Context) ([]key.Public, error) { return []key.Public{w.Vendor.Public()}, nil }
	if err := s.Projection.Follow(t.Context(), w.Origin, m, keys, m); err != nil {
		t.Fatal(err)
	}
	s.Catch(t)
}

// explain is an explanation as an explainer writes it, with hostile texts.
func explain(t *testing.T) []byte {
	t.Helper()
	report := map[string]any{
		"schema": "https://vitrine.example/explain/v1", "verdict": "different", "rung": "sections",
		"shipped":  map[string]any{"name": "app", "format": "ELF, amd64, Go 1.26.0", "size": 11_000_000, "sha256": digest.Of([]byte("a"))},
		"rebuilt":  map[string]any{"name": "app", "format": evil, "size": 11_000_000, "sha256": digest.Of([]byte("b"))},
		"compared": map[string]any{"files": 2, "members": 12, "read": 22_000_000, "inflated": 5_000},
		"facts":    []any{map[string]any{"name": "h1", "shipped": "h1:abc", "rebuilt": "h1:def"}},
		"causes": []any{map[string]any{"name": "mtime", "where": "app.tgz → app.tar", "members": 3, "example": "./usr/bin/" + evil,
			"shipped": "2026-01-02", "rebuilt": "1970-01-01", "proved": true, "proof": "set in the rebuilt file, it gives the shipped bytes"},
			map[string]any{"name": evil, "shipped": "x", "rebuilt": "", "proved": false, "proof": ""}},
		"differences": []any{map[string]any{"where": "app → .text", "what": "function main.limit differs", "shipped": "40 bytes", "rebuilt": "40 bytes",
			"hunks": []any{map[string]any{"title": "main.limit, main.go:12 " + evil, "lines": []string{
				"  MOVL $0, AX", "- CMPQ CX, $100", "- JLT 2", "+ CMPQ CX, $1000 " + evil, "  RET"}, "more": 2}}},
			map[string]any{"what": "only shipped", "shipped": "extra.bin", "rebuilt": ""}},
		"omitted": 7, "unread": []string{"x: " + evil}, "ignored": []string{}, "unknown": map[string]any{"deep": evil},
	}
	member := map[string]any{"outcome": "different", "note": evil, "report": report}
	b, err := json.Marshal(map[string]any{"artifacts": []any{
		map[string]any{"name": "it's <b>app.bin", "outcome": "different", "note": "one function differs", "report": report},
		map[string]any{"name": "odd", "outcome": evil, "report": map[string]any{"schema": "another"}},
		map[string]any{"name": "pack.tgz", "outcome": "different", "members": []any{
			map[string]any{"path": "bin/app", "how": "different", "report": member, "shipped": digest.Of([]byte("m")), "rebuilt": digest.Of([]byte("n"))},
			map[string]any{"path": evil, "how": "private"},
		}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// rebuildingShop is a shop whose release three others have built again.
func rebuildingShop(t *testing.T) (s *shop, said []*statement.Envelope, why []byte) {
	t.Helper()
	s = newShop(t)
	why = explain(t)
	journal := []byte("cc -o app main.c\n")
	s.Put(t, content.Public, why)
	s.Put(t, content.Public, journal)
	x := &statement.Evidence{MediaType: "application/vnd.vitrine.explanation+json", Size: int64(len(why)), SHA256: digest.Of(why)}
	l := &statement.Evidence{MediaType: "text/plain", Size: int64(len(journal)), SHA256: digest.Of(journal)}
	proofs := centres{}
	for name, v := range map[string]fixture.Said{
		"ams": {Outcome: statement.Identical, Log: l},
		"cpt": {Outcome: statement.Different, Explanation: x, Detail: "main.limit differs", Tries: 1},
		"tyo": {Outcome: statement.Failed, Detail: "x"},
	} {
		w := newCentre(t, name)
		env := v.Sign(w.Vendor, s.release)
		list := []*statement.Envelope{env}
		if v.Outcome == statement.Identical {
			list = append(list, v.Provenance(w.Vendor, s.release, "https://"+w.Origin))
		}
		s.follow(t, w, list...)
		said, proofs[w.Origin] = append(said, env), w
	}
	s.o.Proofs = proofs
	s.build(t)
	return s, said, why
}

// TestRebuildPages: every page shows what was said and by whom, and nothing of it
// becomes markup.
func TestRebuildPages(t *testing.T) {
	s, said, why := rebuildingShop(t)
	release := s.release.Digest().String()
	x := digest.Of(why).String()
	unknown := digest.Of([]byte("unknown")).String()
	pages := map[string][]string{
		"/release/" + release: {"Built again", "the same bytes, to the last bit", "it could not be built", "main.limit differs", "attempts do not agree",
			"/explanation/" + x, "Provenance", "Build log", "outcome identical"},
		"/rebuilds":                    {"outcome different", "app 1.0.0", `aria-current="page"`},
		"/rebuilds?outcome=failed":     {"outcome failed"},
		"/rebuilds?release=" + release: {"Of one", "outcome identical"},
		"/explanation/" + x: {"function main.limit differs", "CMPQ CX, $100", "CMPQ CX, $1000", "&lt;script&gt;", "proved", "not proved",
			"times at which files were packed", "7 more differences", "2 more lines", "pack.tgz → bin/app", "a form that is not known here", "nothing"},
		"/jobs": {"This node rebuilds nothing"},
	}
	for _, e := range said {
		pages["/rebuild/"+e.Digest().String()] = []string{"Attempts", release, e.Digest().String()}
	}
	for path, want := range pages {
		r := s.do("GET", path)
		body := r.Body.String()
		if err := wellFormed(body); err != nil || r.Code != 200 {
			t.Errorf("%s: %d %v\n%s", path, r.Code, err, body)
		}
		for _, w := range want {
			if !strings.Contains(body, w) {
				t.Errorf("%s lacks %q", path, w)
			}
		}
		for _, never := range []string{"<script", "style=", "<b>app", "\u202e", "\x1b", "ZgotmplZ", "<nil>", "%!"} {
			if strings.Contains(body, never) {
				t.Errorf("%s has %q", path, never)
			}
		}
		if p := r.Header().Get("Content-Security-Policy"); !strings.Contains(p, "default-src 'self'; script-src 'none'") {
			t.Errorf("%s: policy %q", path, p)
		}
	}
	for path, code := range map[string]int{
		"/rebuild/" + unknown: 404, "/rebuild/" + release: 404, "/rebuild/x": 400, "/explanation/" + unknown: 404,
		"/explanation/" + digest.Of(s.file).String(): 404, // public, and explains nothing
		"/rebuilds?outcome=good":                     400, "/rebuilds?release=x": 400, "/rebuilds?after=1": 400, "/jobs/1": 404, "/jobs/x": 400, "/jobs/1/log": 404,
	} {
		if got := s.do("GET", path).Code; got != code {
			t.Errorf("%s: %d, want %d", path, got, code)
		}
	}
}

// TestStrangeExplanations: whatever is said to explain something is shown, within
// bounds, or not at all.
func TestStrangeExplanations(t *testing.T) {
	long := strings.Repeat("x", 3000)
	deep := `{"artifacts":[{"name":"d","report":` + strings.Repeat(`{"a":`, 5000) + `1` + strings.Repeat(`}`, 5000) + `}]}`
	many := `{"artifacts":[` + strings.Repeat(`{"name":"`+long+`"},`, 200) + `{}]}`
	lines := `{"artifacts":[{"name":"l","report":{"schema":"https://vitrine.example/explain/v1","differences":[{"what":"w","hunks":[{"title":"t","lines":[` +
		strings.Repeat(`"- y",`, 50_000) + `"+ z"]}]}]}}]}`
	for name, x := range map[string]struct{ raw, want string }{
		"not JSON":      {"<b>\x00nothing", "a form that is not known here"},
		"empty":         {"{}", "a form that is not known here"},
		"a list":        {"[1]", "a form that is not known here"},
		"wrong types":   {`{"artifacts":[{"name":5}]}`, "a form that is not known here"},
		"deep":          {deep, "has a form that is not known here"},
		"many files":    {many, "137 more files"},
		"many lines":    {lines, "48,501 more lines"},
		"broken prefix": {`{"artifacts":[{"name":"b","report":{"schema":"https://vitrine.example/explain/v1","differences":[{"what":"w","hunks":[{"lines":["","-","+","- "]}]}]}}]}`, "Not explained"},
		"negative":      {`{"artifacts":[{"name":"n","report":{"schema":"https://vitrine.example/explain/v1","omitted":-5,"compared":{"read":-1},"shipped":{"size":-9}}}]}`, "0 bytes"},
		"not held":      {"", "is not held here"},
	} {
		s := newShop(t)
		why := []byte(x.raw)
		e := &statement.Evidence{MediaType: "application/vnd.vitrine.explanation+json", Size: int64(len(why)), SHA256: digest.Of(why)}
		if x.raw == "" {
			e.Size = 1
			e.SHA256 = digest.Of([]byte("nobody has it"))
		} else {
			s.Put(t, content.Public, why)
		}
		w := newCentre(t, "ams")
		s.follow(t, w, fixture.Said{Outcome: statement.Different, Explanation: e}.Sign(w.Vendor, s.release))
		r := s.do("GET", "/explanation/"+e.SHA256.String())
		body := r.Body.String()
		if err := wellFormed(body); err != nil || r.Code != 200 || !strings.Contains(body, x.want) {
			t.Errorf("%s: %d %v, want %q\n%.3000s", name, r.Code, err, x.want, body)
		}
		if len(body) > 1<<20 {
			t.Errorf("%s: a page of %d bytes", name, len(body))
		}
	}
}

// TestBundleOfRebuilds: the bundle of a file, and of a release by its statement,
// has what others say of building it again, each with a proof under their own
// log's checkpoint; one whose log cannot be proved is left out.
func TestBundleOfRebuilds(t *testing.T) {
	s, said, _ := rebuildingShop(t)
	want := map[digest.Digest]bool{s.release.Digest(): true}
	for _, e := range said {
		want[e.Digest()] = true
	}
	for _, d := range []digest.Digest{digest.Of(s.file), s.release.Digest()} {
		r := s.do("GET", "/bundle/"+d.String())
		b, err := proof.Parse(r.Body.Bytes())
		if err != nil || len(b.Statements) != 4 {
			t.Fatalf("%v: %s", err, r.Body)
		}
		for i := range b.Statements {
			l := &b.Statements[i]
			k := s.Key.Public()
			if w := s.o.Proofs.(centres)[l.Proof.Checkpoint.Origin]; w != nil {
				k = w.Vendor.Public()
			} else if _, err := late.Verifier().Verify(l.Proof.Checkpoint); err != nil {
				t.Errorf("what came late to the own checkpoint is not there: %v", err)
			}
			if err := l.Verify(k); err != nil || !want[l.Envelope.Digest()] {
				t.Errorf("statement %d: %v", i, err)
			}
		}
	}
	for origin := range s.o.Proofs.(centres) {
		delete(s.o.Proofs.(centres), origin)
		break
	}
	b, err := proof.Parse(s.do("GET", "/bundle/"+digest.Of(s.file).String()).Body.Bytes())
	if err != nil || len(b.Statements) != 3 {
		t.Errorf("with a log that cannot be proved: %v", err)
	}
}

// TestBundleOfAnotherLog: a centre gives the bundle of a release that stands in
// another's log, bounded, however often somebody says something of it.
func TestBundleOfAnotherLog(t *testing.T) {
	s := newShop(t)
	file := fixture.File{Name: "theirs.bin", Data: []byte("theirs")}
	vendor := newCentre(t, "vendor2")
	release := fixture.Release(vendor.Vendor, "pkg:generic/theirs", "2.0", "", file)
	s.follow(t, vendor, release, release) // the same entry twice
	loud := newCentre(t, "loud")
	var all []*statement.Envelope
	for i := range 20 {
		all = append(all, fixture.Said{Outcome: statement.Identical, At: fixture.Epoch.Add(time.Duration(i) * time.Minute)}.Sign(loud.Vendor, release))
	}
	s.follow(t, loud, all...)
	if code := s.do("GET", "/bundle/"+file.Digest().String()).Code; code != 404 {
		t.Errorf("without proofs: %d", code)
	}
	s.o.Proofs = centres{vendor.Origin: vendor, loud.Origin: loud}
	s.build(t)
	for _, d := range []digest.Digest{file.Digest(), release.Digest()} {
		r := s.do("GET", "/bundle/"+d.String())
		b, err := proof.Parse(r.Body.Bytes())
		if err != nil || len(b.Statements) != 3 {
			t.Fatalf("%v: %d %.300s", err, r.Code, r.Body)
		}
		if b.Statements[0].Envelope.Digest() != release.Digest() || b.Statements[1].Envelope.Digest() != all[19].Digest() || b.Statements[2].Envelope.Digest() != all[18].Digest() {
			t.Errorf("want the release and the newest two of the loud one")
		}
	}
	if body := s.do("GET", "/release/"+release.Digest().String()).Body.String(); !strings.Contains(body, "/bundle/"+file.Digest().String()) {
		t.Error("the page of the release does not lead to its bundle")
	}
}

// TestRebuildAPI: programs get the same.
func TestRebuildAPI(t *testing.T) {
	s, said, why := rebuildingShop(t)
	type answer struct {
		Rebuilds []struct {
			Statement, Log, Outcome, Detail, Provenance, BuildLog string
			Flaky                                                 bool
			Explanation                                           struct{ SHA256 string }
			Artifacts                                             []struct{ Name, Outcome string }
		}
		After string
	}
	get := func(path string) (a answer) {
		t.Helper()
		r := s.do("GET", path)
		if err := json.Unmarshal(r.Body.Bytes(), &a); err != nil || r.Code != 200 {
			t.Fatalf("%s: %d %v %s", path, r.Code, err, r.Body)
		}
		return a
	}
	of := get("/api/v1/releases/" + s.release.Digest().String() + "/rebuilds")
	if len(of.Rebuilds) != 3 || len(of.Rebuilds[0].Artifacts) != 1 {
		t.Fatalf("%+v", of)
	}
	for _, r := range of.Rebuilds {
		if r.Outcome == "identical" && (r.Provenance == "" || r.BuildLog == "") ||
			r.Outcome == "different" && (r.Explanation.SHA256 != digest.Of(why).String() || !r.Flaky || r.Detail != "main.limit differs") {
			t.Errorf("%+v", r)
		}
	}
	seen := map[string]bool{}
	for path := "/api/v1/rebuilds?limit=1"; ; {
		a := get(path)
		if len(a.Rebuilds) == 1 {
			seen[a.Rebuilds[0].Statement] = true
		}
		if a.After == "" {
			break
		}
		path = "/api/v1/rebuilds?limit=1&after=" + a.After
	}
	if len(seen) != len(said) {
		t.Errorf("%d of %d one by one", len(seen), len(said))
	}
	if a := get("/api/v1/rebuilds?outcome=failed"); len(a.Rebuilds) != 1 {
		t.Errorf("%+v", a)
	}
	one := s.do("GET", "/api/v1/rebuilds/"+said[0].Digest().String())
	if one.Code != 200 || !bytes.Contains(one.Body.Bytes(), []byte(`"outcome":`)) {
		t.Errorf("%d %s", one.Code, one.Body)
	}
	for path, code := range map[string]int{
		"/api/v1/rebuilds?outcome=x": 422, "/api/v1/rebuilds?release=x": 422, "/api/v1/rebuilds?after=x": 400,
		"/api/v1/rebuilds/" + s.release.Digest().String():                         404,
		"/api/v1/releases/" + digest.Of([]byte("unknown")).String() + "/rebuilds": 200, // nobody said anything
	} {
		if got := s.do("GET", path).Code; got != code {
			t.Errorf("%s: %d, want %d", path, got, code)
		}
	}
}
