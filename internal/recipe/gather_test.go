package recipe_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/content"
	"vitrine.example/internal/recipe"
)

// registry serves files, and breaks answers off after so many bytes as often as
// it is told.
type registry struct {
	mu     sync.Mutex
	files  map[string][]byte
	breaks int // answers that break off
	after  int // bytes of each
	asked  int
	ranges int // requests that continued
	whole  bool
}

func (g *registry) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked++
	b, ok := g.files[q.URL.Path]
	if !ok {
		http.NotFound(w, q)
		return
	}
	if g.whole {
		q.Header.Del("Range")
	}
	if q.Header.Get("Range") != "" {
		g.ranges++
	}
	if g.breaks > 0 {
		g.breaks--
		var start int
		if _, err := fmt.Sscanf(q.Header.Get("Range"), "bytes=%d-", &start); err == nil {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", start, len(b)-1, len(b)))
			w.WriteHeader(http.StatusPartialContent)
		}
		_, _ = w.Write(b[start : start+g.after])
		if f, ok := w.(http.Flusher); ok {
			f.Flush()
		}
		panic(http.ErrAbortHandler)
	}
	http.ServeContent(w, q, "", time.Time{}, bytes.NewReader(b))
}

// fetching is a registry, a store and a gatherer.
type fetching struct {
	*registry
	store *content.Store
	g     recipe.Gatherer
}

func newFetching(t *testing.T, files map[string][]byte) *fetching {
	t.Helper()
	x := &fetching{registry: &registry{files: files}}
	srv := httptest.NewServer(x.registry)
	t.Cleanup(srv.Close)
	var err error
	if x.store, err = content.Open(filepath.Join(t.TempDir(), "content")); err != nil {
		t.Fatal(err)
	}
	x.g = recipe.Gatherer{
		Store: x.store, Client: srv.Client(), Partial: filepath.Join(t.TempDir(), "partial"),
		Registries: recipe.Registries{recipe.NPM: {srv.URL + "/"}},
	}
	return x
}

// recipeOf is a recipe with inputs, each from npm under its name.
func recipeOf(inputs map[string][]byte) string {
	text := "version = 1\nclock = 2026-03-01T12:00:00Z\n[[step]]\nrun = [\"/a\"]\n[[output]]\npath = \"/o\"\nartifact = \"o\"\n"
	for _, name := range []string{"a", "b", "c"} {
		if b, ok := inputs[name]; ok {
			text += fmt.Sprintf("[[input]]\nname = %q\nfrom = [\"npm:%s\"]\nsha256 = %q\nsize = %d\nat = \"/%s\"\n", name, name, digest.Of(b), len(b), name)
		}
	}
	return text
}

func (x *fetching) has(t *testing.T, want ...[]byte) {
	t.Helper()
	n := 0
	if err := x.store.Walk(context.Background(), func(content.Info) error { n++; return nil }); err != nil {
		t.Fatal(err)
	}
	if n != len(want) {
		t.Errorf("%d files in the store, want %d", n, len(want))
	}
	for _, b := range want {
		if have, _, err := x.store.ReadAll(context.Background(), digest.Of(b), 1<<20); err != nil || !bytes.Equal(have, b) {
			t.Errorf("not in the store: %v", err)
		}
	}
	if left, err := os.ReadDir(x.g.Partial); err == nil && len(left) > 0 {
		t.Errorf("%d partial files are left", len(left))
	}
}

var big = bytes.Repeat([]byte("0123456789abcdef"), 10_000)

// All is fetched once, and not again; progress counts to the end.
func TestGather(t *testing.T) {
	x := newFetching(t, map[string][]byte{"/a": big, "/b": []byte("b"), "/c": {}})
	r := mustParse(t, recipeOf(map[string][]byte{"a": big, "b": []byte("b"), "c": {}}))
	var last, total int64
	x.g.Progress = func(_ string, d, n int64) { last, total = d, n }
	got, err := x.g.Gather(context.Background(), r)
	if err != nil || got.Fetched != 3 || got.Inputs != 3 || last != total || total != int64(len(big)+1) {
		t.Errorf("%+v, %v, %d of %d", got, err, last, total)
	}
	x.has(t, big, []byte("b"), nil)
	asked := x.asked
	if got, err = x.g.Gather(context.Background(), r); err != nil || got.Fetched != 0 || x.asked != asked {
		t.Errorf("again: %+v, %v, %d requests more", got, err, x.asked-asked)
	}
}

// An answer that breaks off is continued where it was.
func TestGatherContinues(t *testing.T) {
	x := newFetching(t, map[string][]byte{"/a": big})
	x.breaks, x.after = 3, 50_000
	r := mustParse(t, recipeOf(map[string][]byte{"a": big}))
	if _, err := x.g.Gather(context.Background(), r); err != nil {
		t.Fatal(err)
	}
	if x.ranges == 0 {
		t.Error("it began again from the start")
	}
	x.has(t, big)
}

// So is one of an earlier run, from a server that cannot continue too; and what
// an earlier run left that is not the beginning of it is fetched again.
func TestGatherContinuesAnEarlierRun(t *testing.T) {
	for name, c := range map[string]struct {
		left  []byte
		whole bool
	}{
		"the beginning":         {big[:70_000], false},
		"from the start":        {big[:70_000], true},
		"something else":        {bytes.Repeat([]byte("x"), 70_000), false},
		"all of something else": {bytes.Repeat([]byte("x"), len(big)), false},
		"more than it is":       {bytes.Repeat([]byte("x"), len(big)+1), false},
		"all of it":             {big, false},
	} {
		t.Run(name, func(t *testing.T) {
			x := newFetching(t, map[string][]byte{"/a": big})
			x.whole = c.whole
			if err := os.MkdirAll(x.g.Partial, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(x.g.Partial, digest.Of(big).String()+".part"), c.left, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := x.g.Gather(context.Background(), mustParse(t, recipeOf(map[string][]byte{"a": big}))); err != nil {
				t.Fatal(err)
			}
			x.has(t, big)
		})
	}
}

// What cannot be had, or is something else, is refused with its line, after
// everything else was fetched; nothing of it is kept.
func TestGatherRefuses(t *testing.T) {
	want := map[string][]byte{"a": []byte("aaaa"), "b": []byte("b")}
	for name, c := range map[string]struct {
		serves map[string][]byte
		is     error
		says   []string
	}{
		"nothing there": {map[string][]byte{"/b": []byte("b")}, recipe.ErrUnavailable, []string{"line 10: input.0.from: a: cannot be had", "404", "--local"}},
		"another file":  {map[string][]byte{"/a": []byte("aaax"), "/b": []byte("b")}, recipe.ErrMismatch, []string{"line 11: input.0.sha256: a", "nothing was kept"}},
		"a longer file": {map[string][]byte{"/a": []byte("aaaaa"), "/b": []byte("b")}, recipe.ErrMismatch, []string{"line 11", "more than the 4 bytes"}},
		"a shorter one": {map[string][]byte{"/a": []byte("aaa"), "/b": []byte("b")}, recipe.ErrMismatch, []string{"line 11", "no more than 3 bytes"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := newFetching(t, c.serves)
			_, err := x.g.Gather(context.Background(), mustParse(t, recipeOf(want)))
			if !errors.Is(err, c.is) {
				t.Fatalf("%v, want %v", err, c.is)
			}
			for _, s := range c.says {
				if !strings.Contains(err.Error(), s) {
					t.Errorf("%v does not say %q", err, s)
				}
			}
			if have, _, err := x.store.ReadAll(context.Background(), digest.Of([]byte("b")), 10); err != nil || string(have) != "b" {
				t.Errorf("what could be had was not kept: %v", err)
			}
			if _, err := x.store.Stat(digest.Of(want["a"])); !errors.Is(err, content.ErrUnknown) {
				t.Errorf("it was kept: %v", err)
			}
		})
	}
}

// The second place is asked where the first has nothing; a file of this
// machine comes before both.
func TestGatherElsewhere(t *testing.T) {
	x := newFetching(t, map[string][]byte{"/z": []byte("a")})
	text := strings.Replace(recipeOf(map[string][]byte{"a": []byte("a")}), `["npm:a"]`, `["debian:pool/a", "npm:a", "npm:z"]`, 1)
	if _, err := x.g.Gather(context.Background(), mustParse(t, text)); err != nil {
		t.Fatal(err)
	}
	x.has(t, []byte("a"))

	y := newFetching(t, nil)
	file := filepath.Join(t.TempDir(), "any")
	if err := os.WriteFile(file, []byte("a"), 0o600); err != nil {
		t.Fatal(err)
	}
	y.g.Local = []string{file}
	private := strings.Replace(text, `from = ["debian:pool/a", "npm:a", "npm:z"]`, `private = "ask"`, 1)
	if _, err := y.g.Gather(context.Background(), mustParse(t, private)); err != nil {
		t.Fatal(err)
	}
	if in, err := y.store.Stat(digest.Of([]byte("a"))); err != nil || in.Class != content.Room || y.asked != 0 {
		t.Errorf("%+v, %v, %d requests", in, err, y.asked)
	}
}

// The environment comes before the registries' own programs.
func TestConfigured(t *testing.T) {
	env := map[string]string{"GOPROXY": "https://a.example|direct,off,file:///b", "npm_config_registry": "https://n.example/", recipe.DebianEnv: "https://d.example https://e.example"}
	r := recipe.Configured(context.Background(), func(k string) string { return env[k] }, recipe.GoProxy, recipe.NPM, recipe.Debian)
	if n := len(r[recipe.GoProxy]); n < 2 || r[recipe.GoProxy][n-2] != "https://a.example" || r[recipe.GoProxy][n-1] != "file:///b" {
		t.Errorf("module proxies: %v", r[recipe.GoProxy])
	}
	if got := r.URLs(recipe.Place{Registry: recipe.NPM, Path: "x/-/x-1.0.0.tgz"}); len(got) != 1 || got[0] != "https://n.example/x/-/x-1.0.0.tgz" {
		t.Errorf("npm: %v", got)
	}
	if got := r.URLs(recipe.Place{Registry: recipe.Debian, Path: "pool/g++.deb"}); len(got) != 2 || got[1] != "https://e.example/pool/g%2B%2B.deb" {
		t.Errorf("debian: %v", got)
	}
}
