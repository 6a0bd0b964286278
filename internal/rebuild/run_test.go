package rebuild_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
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

// stepProgram is testdata/step, without any library.
func stepProgram(t *testing.T) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "step")
	cmd := exec.Command("go", "build", "-trimpath", "-o", path, "./testdata/step")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// stepRecipe runs testdata/step with these words.
func stepRecipe(program recipe.Content, more string, words ...string) string {
	return fmt.Sprintf(`version = 1
clock = 2026-03-01T12:00:00Z
env = ["WHO=me"]
%s
[[input]]
name = "step"
private = "x"
sha256 = %q
size = %d
at = "/bin/step"
executable = true

[[file]]
at = "/in"
text = "the bytes"

[[file]]
at = "/out/"

[[step]]
run = ["/bin/step", "%s"]

[[output]]
path = "/out/app"
artifact = "app"
`, more, program.SHA256, program.Size, strings.Join(words, `", "`))
}

// The same task makes the same twice; the log is what it printed.
func TestRunTwice(t *testing.T) {
	w := newWorld(t)
	r := w.parse([]byte(stepRecipe(w.put(stepProgram(t)), "", "copy", "/in", "/out/app")))
	var first digest.Digest
	for range 2 {
		x := w.rebuild(r, recipe.Content{}, map[string][]byte{"app": []byte("the bytes")}, nil)
		p := x.want(t, statement.Identical)
		if x.log != "copied 1772366400 me\n" {
			t.Errorf("log %q", x.log)
		}
		if *p.Artifacts[0].Rebuilt != digest.Of([]byte("the bytes")) || x.attempt.Output.IsZero() || !first.IsZero() && first != x.attempt.Output {
			t.Errorf("%+v, output digest %s and %s", p, first, x.attempt.Output)
		}
		first = x.attempt.Output
	}
	x := w.rebuild(r, recipe.Content{}, map[string][]byte{"app": []byte("the bytez")}, nil)
	x.want(t, statement.Different)
}

// Each way to fail has its reason, and is an attempt that can be published.
func TestRunFails(t *testing.T) {
	w := newWorld(t)
	program := w.put(stepProgram(t))
	broken := w.put([]byte("this is no archive, but it is long enough to be looked at"))
	archive := fmt.Sprintf("[[input]]\nname = \"a\"\nprivate = \"x\"\nsha256 = %q\nsize = %d\nat = \"/\"\nunpack = \"zip\"\n", broken.SHA256, broken.Size)
	missing := recipe.Content{SHA256: digest.Of([]byte("nowhere")), Size: 7}
	for name, x := range map[string]struct {
		text   string
		reason statement.Reason
		says   string
	}{
		"status":           {stepRecipe(program, "", "exit", "7"), statement.ReasonExited, "status 7"},
		"no output":        {stepRecipe(program, "", "exit", "0"), statement.ReasonOutputs, "/out/app"},
		"time":             {stepRecipe(program, "[limits]\ntime = \"2s\"", "sleep"), statement.ReasonTime, ""},
		"a missing input":  {stepRecipe(missing, "", "exit", "0"), statement.ReasonInputs, "vitrine recipe fetch"},
		"a broken archive": {stepRecipe(program, archive, "exit", "0"), statement.ReasonInputs, "not a zip file"},
		"a large root":     {stepRecipe(program, "[limits]\nroot = \"1KiB\"", "exit", "0"), statement.ReasonEngine, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := w.parse([]byte(x.text))
			got := w.rebuild(r, recipe.Content{}, map[string][]byte{"app": []byte("the bytes")}, nil)
			got.want(t, statement.Failed)
			if got.attempt.Reason != x.reason || !strings.Contains(got.attempt.Detail, x.says) {
				t.Errorf("%s: %s, want %s: %s", got.attempt.Reason, got.attempt.Detail, x.reason, x.says)
			}
		})
	}
}

// A task of somebody else may be anything.
func TestRunWithoutAJob(t *testing.T) {
	r := rebuild.Runner{Engine: new(sandbox.Embedded), Now: time.Now, Dir: t.TempDir()}
	a, err := r.Run(t.Context(), &rebuild.Task{Limits: recipe.DefaultLimits()}, io.Discard, t.TempDir())
	if err != nil || a.Reason != statement.ReasonRecipe {
		t.Errorf("%+v, %v", a, err)
	}
}

// Who gives up gets an attempt that says so.
func TestRunCancelled(t *testing.T) {
	w := newWorld(t)
	r := w.parse([]byte(stepRecipe(w.put(stepProgram(t)), "", "sleep")))
	job, err := r.Job(recipe.Content{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	runner := rebuild.Runner{Engine: new(sandbox.Embedded), Store: w.store, Now: time.Now, Dir: t.TempDir()}
	log := writerFunc(func(b []byte) {
		if bytes.Contains(b, []byte("sleeping")) {
			stop()
		}
	})
	a, err := runner.Run(ctx, &rebuild.Task{Job: job, Limits: r.Limits}, log, t.TempDir())
	if err != nil || a.Reason != statement.ReasonCancelled {
		t.Errorf("%+v, %v", a, err)
	}
	if left, err := os.ReadDir(runner.Dir); err != nil || len(left) > 0 {
		t.Errorf("%d temporary files are left, %v", len(left), err)
	}
}

type writerFunc func([]byte)

func (f writerFunc) Write(b []byte) (int, error) { f(b); return len(b), nil }

// Content that the disk has changed never goes in.
func TestRunRefusesCorruptContent(t *testing.T) {
	w := newWorld(t)
	dir := filepath.Join(t.TempDir(), "content")
	s, err := content.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	w.store = s
	program := w.put(stepProgram(t))
	found, err := filepath.Glob(filepath.Join(dir, "public", "*", program.SHA256.String()))
	if err != nil || len(found) != 1 {
		t.Fatalf("%v, %v", found, err)
	}
	b := w.read(found[0])
	b[len(b)/2] ^= 1
	if err := os.Chmod(found[0], 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(found[0], b, 0o600); err != nil {
		t.Fatal(err)
	}
	x := w.rebuild(w.parse([]byte(stepRecipe(program, "", "copy", "/in", "/out/app"))), recipe.Content{}, map[string][]byte{"app": []byte("the bytes")}, nil)
	x.want(t, statement.Failed)
	if x.attempt.Reason != statement.ReasonInputs {
		t.Errorf("%s: %s", x.attempt.Reason, x.attempt.Detail)
	}
}
