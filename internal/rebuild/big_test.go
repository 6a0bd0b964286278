//go:build big

// Rebuilds of what others have published, from sources that they have published
// elsewhere: minutes, and hundreds of megabytes from the registries of this
// machine. `make test BIG=1` runs them.

package rebuild_test

import (
	"context"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/recipe"
	"vitrine.example/internal/recipe/draft"
	"vitrine.example/statement"
)

// configured are the registries of this machine.
func configured(want ...recipe.Registry) recipe.Registries {
	return recipe.Configured(context.Background(), os.Getenv, want...)
}

// published fetches what somebody has published; sum, where not empty, pins it.
func published(t *testing.T, place, sum string) []byte {
	t.Helper()
	p, err := recipe.ParsePlace(place)
	if err != nil {
		t.Fatal(err)
	}
	var last error
	for _, u := range configured(p.Registry).URLs(p) {
		resp, err := http.Get(u)
		if err != nil {
			last = err
			continue
		}
		b, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Logf("%s: %s, %v", place, resp.Status, err)
			continue
		}
		if sum != "" && digest.Of(b).String() != sum {
			t.Fatalf("%s is %s, want %s", place, digest.Of(b), sum)
		}
		return b
	}
	t.Fatalf("%s cannot be had: %v", place, last)
	return nil
}

// drafted is the recipe that `vitrine recipe init` writes.
func (w *world) drafted(q draft.Request) *recipe.Recipe {
	w.Helper()
	q.Configure, q.Client = configured, http.DefaultClient
	text, err := draft.Write(context.Background(), &q)
	if err != nil {
		w.Fatal(err)
	}
	return w.parse(text)
}

// A Debian package of the release that this machine runs is built from its
// source package, bit for bit, by the recipe that init writes.
func TestBigDebianPackageIsWhatItsSourceMakes(t *testing.T) {
	const name = "distro-info-data"
	out, err := exec.Command("apt-cache", "show", "--no-all-versions", name).Output()
	if err != nil {
		t.Fatalf("apt-cache show: %v: run apt-get update", err)
	}
	fields := map[string]string{}
	for line := range strings.Lines(string(out)) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), ": "); ok {
			fields[k] = v
		}
	}
	deb := published(t, "debian:"+fields["Filename"], fields["SHA256"])
	pool, dir := path.Dir(fields["Filename"]), t.TempDir()
	for _, ext := range []string{".dsc", ".tar.xz"} {
		file := name + "_" + fields["Version"] + ext
		if err := os.WriteFile(filepath.Join(dir, file), published(t, "debian:"+pool+"/"+file, ""), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	w := newWorld(t)
	r := w.drafted(draft.Request{Dir: dir, Kind: draft.Debian, Clock: time.Unix(1_700_000_000, 0)})
	w.gather(r)
	w.rebuild(r, recipe.Content{}, map[string][]byte{path.Base(fields["Filename"]): deb}, nil).want(t, statement.Identical)
}

// An npm package, as the registry has it, is what `npm pack` makes of the
// sources that Debian keeps: the vendor's git archive of the same version.
func TestBigNpmPackageIsWhatItsSourceMakes(t *testing.T) {
	shipped := published(t, "npm:ini/-/ini-3.0.1.tgz", "38f90c94a5bc847fd79d177fe67f4ab48c782f1915a963fdf411a6f723c13790")
	archive := published(t, "debian:pool/main/n/node-ini/node-ini_3.0.1.orig.tar.gz", "")
	dir := t.TempDir()
	file := filepath.Join(t.TempDir(), "source.tar.gz")
	if err := os.WriteFile(file, archive, 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("tar", "xzf", file, "-C", dir, "--strip-components=1").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	w := newWorld(t)
	r := w.drafted(draft.Request{Dir: dir, Kind: draft.NPM, Node: "18.7.0", Npm: "8.16.0", Clock: time.Unix(1_660_000_000, 0)})
	for i := range r.Inputs {
		if r.Inputs[i].Source { // the archive itself has a directory around it
			r.Inputs[i].Strip = 1
		}
	}
	w.gather(r)
	w.rebuild(r, w.put(archive), map[string][]byte{"ini-3.0.1.tgz": shipped}, nil).want(t, statement.Identical)
}

// A published Go program inside an npm package is what its module makes with
// the exact toolchain; so are the other members.
func TestBigGoProgramInAnNpmPackage(t *testing.T) {
	shipped := published(t, "npm:@esbuild/linux-x64/-/linux-x64-0.25.12.tgz", "f7efc127658a108dcda9d4210b01804ee8f5d6b3acbd6d63f20aa51d3b50bd5f")
	w := newWorld(t)
	r := w.parse(w.read("testdata/esbuild.recipe.toml"))
	toolchain(t, r.Inputs[0].From[0])
	w.gather(r)
	x := w.rebuild(r, recipe.Content{}, map[string][]byte{"linux-x64-0.25.12.tgz": shipped}, nil)
	x.want(t, statement.Explained)
	if n := strings.Count(string(x.result.Explanation), `"how":"identical"`); n != 3 {
		t.Errorf("%d members are identical, want all 3: %s", n, x.result.Explanation)
	}
}

// What init writes for a Makefile and for a Go module builds.
func TestBigDraftsBuild(t *testing.T) {
	for kind, files := range map[draft.Kind]map[string]string{
		draft.Make: {"Makefile": "project: project.c\n\tcc -o project project.c\n", "project.c": "int main(void) { return 0; }\n"},
		draft.Go:   {"go.mod": "module project.example/project\n\ngo 1.26.0\n", "main.go": "package main\n\nfunc main() {}\n"},
	} {
		t.Run(string(kind), func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "project")
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			for name, text := range files {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			tar, err := exec.Command("tar", "cf", "-", "-C", dir, ".").Output()
			if err != nil {
				t.Fatal(err)
			}
			w := newWorld(t)
			r := w.drafted(draft.Request{Dir: dir, Kind: kind, Clock: time.Unix(1_700_000_000, 0)})
			w.gather(r)
			first := w.rebuild(r, w.put(tar), map[string][]byte{"project": []byte("?")}, nil)
			first.want(t, statement.Different)
			program := w.read(first.out, r.Outputs[0].Path)
			w.rebuild(r, w.put(tar), map[string][]byte{"project": program}, nil).want(t, statement.Identical)
		})
	}
}
