//go:build linux

package sandbox_test

import (
	"archive/tar"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vitrine.example/internal/sandbox"
)

// layer writes a tar file of the entries.
func layer(t *testing.T, entries ...tar.Header) string {
	t.Helper()
	path := filepath.Join(openDir(t), "layer.tar")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := tar.NewWriter(f)
	for _, h := range entries {
		body := h.PAXRecords["VITRINE.body"]
		h.PAXRecords = nil
		h.Size = int64(len(body))
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// file is a header of a file with its content.
func file(name, body string, mode int64) tar.Header {
	return tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, ModTime: time.Unix(1e9, 0), Uid: 7, Gid: 8,
		PAXRecords: map[string]string{"VITRINE.body": body}}
}

func entry(kind byte, name, link string, mode int64) tar.Header {
	return tar.Header{Typeflag: kind, Name: name, Linkname: link, Mode: mode, ModTime: time.Unix(1e9+1, 0), Uid: 7, Gid: 8}
}

// TestSameJobSameOutput has a job write down all that it sees: it sees the
// same on every engine.
func TestSameJobSameOutput(t *testing.T) {
	base := layer(t,
		entry(tar.TypeDir, "./", "", 0o755), entry(tar.TypeDir, "etc/", "", 0o755), file("etc/passwd", "root:x:0:0::/:/bin/sh\n", 0o644),
		entry(tar.TypeDir, "usr/", "", 0o755), entry(tar.TypeDir, "usr/lib/", "", 0o711), entry(tar.TypeSymlink, "lib", "usr/lib", 0o777),
		file("usr/lib/su", "su", 0o4755), entry(tar.TypeDir, "tmp/", "", 0o700))
	upper := layer(t, file("lib/above", "through the link", 0o600), file("etc/passwd", "changed\n", 0o640),
		entry(tar.TypeLink, "etc/again", "etc/passwd", 0o640), entry(tar.TypeDir, "dev/", "", 0o700))
	for _, id := range []int{0, 1000} {
		var first, firstName string
		each(t, func(t *testing.T, e engine) {
			job := attack(t, "facts", "an argument")
			job.Root = []sandbox.Layer{{Tar: base}, {Tar: upper}, {Tar: upper, At: "/opt/x"}}
			job.UID, job.GID = id, id
			job.Env = []string{"PATH=/bin", "LANG=C.UTF-8", "TZ=UTC"}
			job.Outputs = []string{"/facts"}
			o := e.must(t, job)
			if !o.OK() {
				t.Fatalf("%+v\n%s", o.Result, o.log)
			}
			facts := read(t, filepath.Join(o.outDir, "facts"))
			if firstName == "" {
				first, firstName = facts, e.name
				t.Logf("%s", facts)
			} else if facts != first {
				t.Errorf("%s saw\n%s\nbut here it is\n%s", firstName, first, facts)
			}
			for _, want := range []string{"SOURCE_DATE_EPOCH=1700000000", "host build dir /work cpus 1", "umask 0022",
				"/usr/lib/above 100600 ", "/etc/again 100640 ", "/opt/x/lib/above ", "/attack 100555 "} {
				if !strings.Contains(facts, want) {
					t.Errorf("%q is missing in\n%s", want, facts)
				}
			}
		})
	}
}

// TestCompile compiles a package with the real compiler: the same bytes come
// out on every engine, and outside. (bench/sandbox builds whole programs.)
func TestCompile(t *testing.T) {
	src := filepath.Join(openDir(t), "main.go")
	if err := os.WriteFile(src, []byte("package hello\n\nfunc Sum(n []int) (s int) {\n\tfor _, i := range n {\n\t\ts += i\n\t}\n\treturn s\n}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	goroot := strings.TrimSpace(string(out))
	env := []string{"PATH=/usr/local/go/bin", "HOME=/tmp", "GOTOOLCHAIN=local", "GOTELEMETRY=off", "GOENV=off", "GOCACHE=/tmp/cache"}
	args := func(dir, out string) []string {
		return []string{"tool", "compile", "-trimpath", dir + "=>", "-p", "hello", "-o", out, filepath.Join(dir, "main.go")}
	}
	bare := filepath.Join(openDir(t), "hello.o")
	cmd := exec.Command(filepath.Join(goroot, "bin/go"), args(filepath.Dir(src), bare)...)
	cmd.Env = env
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	want := read(t, bare)
	each(t, func(t *testing.T, e engine) {
		job := attack(t)
		job.Root = []sandbox.Layer{{Dir: goroot, At: "/usr/local/go"}}
		job.Inputs = []sandbox.Input{{At: "/src/main.go", File: src}}
		job.Argv = append([]string{"/usr/local/go/bin/go"}, args("/src", "/hello.o")...)
		job.Env, job.Outputs = env, []string{"/hello.o"}
		job.Limits = sandbox.DefaultLimits()
		o := e.must(t, job)
		if !o.OK() {
			t.Fatalf("%+v\n%s", o.Result, o.log)
		}
		if got := read(t, filepath.Join(o.outDir, "hello.o")); got != want {
			t.Errorf("%d other bytes come out than the %d outside", len(got), len(want))
		}
	})
}
