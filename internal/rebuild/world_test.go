package rebuild_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/content"
	"vitrine.example/internal/rebuild"
	"vitrine.example/internal/recipe"
	"vitrine.example/internal/sandbox"
	"vitrine.example/statement"
)

func TestMain(m *testing.M) {
	sandbox.Enter()
	os.Exit(m.Run())
}

// world is a content store, and directories for the jobs of one test.
type world struct {
	*testing.T
	store *content.Store
	dir   string
	local []string // files of this machine that are inputs
}

func newWorld(t *testing.T) *world {
	t.Helper()
	s, err := content.Open(filepath.Join(t.TempDir(), "content"))
	if err != nil {
		t.Fatal(err)
	}
	return &world{T: t, store: s, dir: t.TempDir()}
}

// parse reads a recipe.
func (w *world) parse(text []byte) *recipe.Recipe {
	w.Helper()
	r, err := recipe.Parse(text)
	if err != nil {
		w.Fatal(err)
	}
	return r
}

func (w *world) read(path ...string) []byte {
	w.Helper()
	b, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		w.Fatal(err)
	}
	return b
}

// put stores some bytes.
func (w *world) put(b []byte) recipe.Content {
	w.Helper()
	in, err := w.store.Put(context.Background(), content.Public, bytes.NewReader(b), int64(len(b)))
	if err != nil {
		w.Fatal(err)
	}
	return recipe.Content{SHA256: in.Digest, Size: in.Size}
}

// gather fetches what a recipe needs, from wherever this machine gets it.
func (w *world) gather(r *recipe.Recipe) {
	w.Helper()
	ctx := context.Background()
	g := recipe.Gatherer{
		Store: w.store, Registries: recipe.Configured(ctx, os.Getenv, r.Uses()...), Client: http.DefaultClient,
		Partial: filepath.Join(w.dir, "partial"), Local: w.local,
	}
	if _, err := g.Gather(ctx, r); err != nil {
		w.Fatal(err)
	}
}

// shipped is a shipped artifact.
func shipped(name string, b []byte) rebuild.Shipped {
	return rebuild.Shipped{Name: name, SHA256: digest.Of(b), Size: int64(len(b))}
}

// ran is a rebuild from its order to its result.
type ran struct {
	order   *rebuild.Order
	attempt *rebuild.Attempt
	result  *rebuild.Result
	log     string
	out     string // directory
}

// rebuild builds a recipe and compares with what was shipped.
func (w *world) rebuild(r *recipe.Recipe, source recipe.Content, files map[string][]byte, ex rebuild.Explainer) *ran {
	w.Helper()
	job, err := r.Job(source)
	if err != nil {
		w.Fatal(err)
	}
	x := &ran{order: &rebuild.Order{
		Release: digest.Of([]byte("release")), Recipe: r.Digest(), Outputs: r.Outputs, Task: rebuild.Task{Job: job, Limits: r.Limits},
	}, out: w.TempDir()}
	dir := w.TempDir()
	for _, o := range r.Outputs {
		b := files[o.Artifact]
		if b == nil || slices.ContainsFunc(x.order.Shipped, func(s rebuild.Shipped) bool { return s.Name == o.Artifact }) {
			continue
		}
		x.order.Shipped = append(x.order.Shipped, shipped(o.Artifact, b))
		if err := os.WriteFile(filepath.Join(dir, o.Artifact), b, 0o600); err != nil {
			w.Fatal(err)
		}
	}
	runner := rebuild.Runner{Engine: new(sandbox.Embedded), Store: w.store, Now: time.Now, Dir: w.TempDir()}
	var log bytes.Buffer
	x.attempt, err = runner.Run(context.Background(), &x.order.Task, &log, x.out)
	if err != nil {
		w.Fatal(err)
	}
	x.log = log.String()
	judge := rebuild.Judge{Explainer: ex, Dir: w.TempDir(), Shipped: func(_ context.Context, s rebuild.Shipped) (string, error) {
		return filepath.Join(dir, s.Name), nil
	}}
	var private []digest.Digest
	for _, in := range r.Inputs {
		if in.Private != "" {
			private = append(private, in.SHA256)
		}
	}
	if x.result, err = judge.Judge(context.Background(), x.order, x.attempt, x.out, private); err != nil {
		w.Fatal(err)
	}
	return x
}

// want asks for an outcome, and for a statement that says it.
func (x *ran) want(t *testing.T, outcome statement.Outcome) *statement.Rebuild {
	t.Helper()
	if x.result.Outcome != outcome {
		t.Fatalf("%s, want %s: %s %s\n%s\n%s", x.result.Outcome, outcome, x.attempt.Reason, x.attempt.Detail, x.result.Explanation, x.log)
	}
	var evidence *statement.Evidence
	if x.result.Explanation != nil {
		evidence = &statement.Evidence{MediaType: rebuild.ExplanationType, Size: int64(len(x.result.Explanation)), SHA256: digest.Of(x.result.Explanation)}
	}
	p, err := x.result.Statement(x.order, []rebuild.Said{{Attempt: x.attempt, Outcome: outcome}}, evidence)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := statement.New(p.Subjects(), p); err != nil {
		t.Fatal(err)
	}
	return p
}

// goZip returns the zip of a module as the module proxy serves it.
func goZip(t *testing.T, module string) []byte {
	t.Helper()
	cmd := exec.Command("go", "mod", "download", "-json", module)
	cmd.Dir = t.TempDir() // outside of any module
	out, err := cmd.Output()
	var m struct{ Zip, Error string }
	if jerr := json.Unmarshal(out, &m); err != nil || jerr != nil {
		t.Fatalf("go mod download %s: %v, %v: %s", module, err, jerr, m.Error)
	}
	b, err := os.ReadFile(m.Zip)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// sourceOf makes of the zip of a module what a clone of its repository has:
// other order and times, and things that no module zip takes along.
func sourceOf(t *testing.T, tw *tar.Writer, dir string, b []byte) {
	t.Helper()
	zr, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	add := func(name string, b []byte) {
		h := &tar.Header{Name: dir + "/" + name, Mode: 0o644, Size: int64(len(b)), ModTime: time.Unix(1_600_000_000+int64(len(b)), 0)}
		if err := tw.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := tw.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	add(".git/HEAD", []byte("ref: refs/heads/main\n"))
	add("nested/go.mod", []byte("module nested\n"))
	add("nested/nested.go", []byte("package nested\n"))
	add("vendor/example.com/x/x.go", []byte("package x\n"))
	for _, f := range slices.Backward(zr.File) {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		_, at, _ := strings.Cut(f.Name, "@")
		_, name, _ := strings.Cut(at, "/")
		add(name, b)
	}
}
