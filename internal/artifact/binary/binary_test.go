package binary_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"vitrine.example/internal/artifact/binary"
)

// variant is a way to build the program of testdata/prog.
type variant struct {
	os, arch string
	flags    []string
	ldflags  string
	dir      string            // of the sources; "" is /prog in a directory of its own
	edit     map[string]string // old text to new, in any of its files
	git      bool              // in a git repository
}

var builds sync.Map // key of a variant → func() ([]byte, error)

var builtSoFar atomic.Int32

// shared is where programs are built; TestMain removes it.
var shared string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "binary")
	if err != nil {
		panic(err)
	}
	shared = dir
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// build builds a variant, once in a run of the tests.
func build(t testing.TB, v variant) []byte {
	t.Helper()
	f, _ := builds.LoadOrStore(fmt.Sprintf("%+v", v), sync.OnceValues(func() ([]byte, error) { return v.build() }))
	b, err := f.(func() ([]byte, error))()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (v variant) build() ([]byte, error) {
	root := fmt.Sprintf("%s/%04d", shared, builtSoFar.Add(1)) // all of one length
	dir := filepath.Join(root, "src"+v.dir)
	if err := v.sources(dir); err != nil {
		return nil, err
	}
	if v.git {
		for _, args := range [][]string{{"init", "-q"}, {"add", "."},
			{"-c", "user.name=a", "-c", "user.email=a@example.test", "commit", "-qm", fmt.Sprint(v.ldflags)}} {
			if out, err := exec.Command("git", append([]string{"-C", dir}, args...)...).CombinedOutput(); err != nil {
				return nil, fmt.Errorf("git %v: %w: %s", args, err, out)
			}
		}
	}
	out := filepath.Join(root, "prog")
	cmd := exec.Command("go", append(append([]string{"build", "-o", out, "-ldflags=" + v.ldflags}, v.flags...), ".")...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off", "GOOS="+or(v.os, "linux"), "GOARCH="+or(v.arch, "amd64"))
	if text, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build: %w: %s", err, text)
	}
	return os.ReadFile(out)
}

func or(s, d string) string {
	if s == "" {
		return d
	}
	return s
}

// sources copies the program and applies the edits, each of which must apply once.
func (v variant) sources(dir string) error {
	applied := 0
	err := filepath.WalkDir("testdata/prog", func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		text := string(b)
		for from, to := range v.edit {
			applied += strings.Count(text, from)
			text = strings.ReplaceAll(text, from, to)
		}
		rel, _ := filepath.Rel("testdata/prog", path)
		to := filepath.Join(dir, rel)
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			return err
		}
		return os.WriteFile(to, []byte(text), 0o600)
	})
	if err == nil && applied != len(v.edit) {
		err = fmt.Errorf("%d of %d edits apply", applied, len(v.edit))
	}
	return err
}

func file(b []byte, name string) binary.File {
	return binary.File{ReaderAt: bytes.NewReader(b), Size: int64(len(b)), Name: name}
}

func compare(t testing.TB, a, b []byte, o binary.Options) binary.Result {
	t.Helper()
	r, err := binary.Compare(context.Background(), file(a, "a"), file(b, "b"), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// changed lists the functions that a result names, sorted.
func changed(r binary.Result) (names []string) {
	for _, f := range r.Functions {
		names = append(names, f.Name)
	}
	slices.Sort(names)
	return names
}

func causes(r binary.Result) (names []string) {
	for _, c := range r.Causes {
		if c.Proved {
			names = append(names, c.Name)
		} else {
			names = append(names, c.Name+" (not proved)")
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// platforms are those whose code is read: each format and each processor.
var platforms = []variant{
	{os: "linux", arch: "amd64"}, {os: "linux", arch: "arm64"},
	{os: "windows", arch: "amd64"}, {os: "darwin", arch: "arm64"}, {os: "darwin", arch: "amd64"},
}

func (v variant) with(ldflags string, flags ...string) variant {
	v.ldflags, v.flags = ldflags, append([]string{"-buildvcs=false"}, flags...)
	return v
}
