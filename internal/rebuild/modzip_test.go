package rebuild_test

import (
	"archive/tar"
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/dirhash"

	"vitrine.example/statement"
)

// Three modules, made again from their sources in the sandbox, have the bytes
// and the h1 that the module proxy serves, and go.sum pins. One was zipped with
// the DEFLATE of Go 1.27, the others with that of Go 1.26 and before.
func TestModuleZipsAreWhatTheProxyServes(t *testing.T) {
	for file, modules := range map[string]map[string]string{
		"go1.26.recipe.toml": {"time": "golang.org/x/time@v0.14.0", "shlex": "github.com/google/shlex@v0.0.0-20191202100458-e7afc7fbc510"},
		"go1.27.recipe.toml": {"sync": "golang.org/x/sync@v0.24.0"},
	} {
		t.Run(file, func(t *testing.T) {
			w := newWorld(t)
			r := w.parse(w.read("testdata/modzip", file))
			toolchain(t, r.Inputs[0].From[0])
			var source bytes.Buffer
			tw := tar.NewWriter(&source)
			files := map[string][]byte{}
			for name, m := range modules {
				files[name+".zip"] = goZip(t, m)
				sourceOf(t, tw, name, files[name+".zip"])
			}
			if err := tw.Close(); err != nil {
				t.Fatal(err)
			}
			w.gather(r)
			x := w.rebuild(r, w.put(source.Bytes()), files, nil)
			x.want(t, statement.Identical)
			for name, m := range modules {
				h1, err := dirhash.HashZip(filepath.Join(x.out, "out", name+".zip"), dirhash.Hash1)
				if err != nil || h1 != pinned(t, m) {
					t.Errorf("%s: %s, %v; go.sum has %s", m, h1, err, pinned(t, m))
				}
			}
		})
	}
}

// toolchain has the go command fetch a toolchain into its cache, checked, so
// that it is not fetched each time.
func toolchain(t *testing.T, place string) {
	t.Helper()
	version := strings.TrimSuffix(place[strings.LastIndexByte(place, '/')+1:], ".zip")
	goZip(t, "golang.org/toolchain@"+version)
}

// pinned is the h1 of a module in our own go.sum.
func pinned(t *testing.T, module string) string {
	t.Helper()
	b, err := os.ReadFile("../../go.sum")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if h1, ok := strings.CutPrefix(line, strings.Replace(module, "@", " ", 1)+" "); ok {
			return strings.TrimSpace(h1)
		}
	}
	t.Fatalf("go.sum has no %s", module)
	return ""
}
