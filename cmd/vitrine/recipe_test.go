package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"

	"vitrine.example/digest"
)

// copier is the program of testdata/copy, built once, without any library.
var copier struct {
	sync.Once
	b   []byte
	err error
}

func buildCopier() ([]byte, error) {
	copier.Do(func() {
		dir, err := os.MkdirTemp("", "vitrine-copy-*")
		if err != nil {
			copier.err = err
			return
		}
		defer os.RemoveAll(dir)
		cmd := exec.Command("go", "build", "-o", filepath.Join(dir, "copy"), "./testdata/copy")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			copier.err = fmt.Errorf("%w\n%s", err, out)
			return
		}
		copier.b, copier.err = os.ReadFile(filepath.Join(dir, "copy"))
	})
	return copier.b, copier.err
}

// recipeOf builds app.tar.gz by copying it out of the source.
const recipeOf = `version = 1
clock = 2026-03-01T12:00:00Z

[[input]]
name = "copy"
private = "a program that copies; ask the vendor"
sha256 = "%s"
size = %d
at = "/bin/copy"
executable = true

[[input]]
name = "source"
source = true
at = "/src"
unpack = "tar"

[[file]]
at = "/out/"

[[step]]
run = ["/bin/copy", "/src/app.txt", "/out/app.tar.gz"]

[[output]]
path = "/out/app.tar.gz"
artifact = "app.tar.gz"
`

// makeRecipe writes vitrine.recipe.toml, copy, app.tar.gz and src into dir.
func makeRecipe(dir string) error {
	b, err := buildCopier()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(dir, "src"), 0o755); err != nil {
		return err
	}
	for name, text := range map[string]string{
		"vitrine.recipe.toml": fmt.Sprintf(recipeOf, digest.Of(b), len(b)),
		"copy":                string(b),
		"app.tar.gz":          "the bytes of app\n",
		"src/app.txt":         "the bytes of app\n",
		"src/go.mod":          "module app.example/app\n\ngo 1.26.0\n",
		"src/main.go":         "package main\n\nfunc main() {}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			return err
		}
	}
	return nil
}

// makerecipe makes what `vitrine rebuild` needs in the directory of a script.
func makerecipe(ts *testscript.TestScript, _ bool, _ []string) {
	ts.Check(makeRecipe(ts.MkAbs(".")))
	ts.Setenv("XDG_CACHE_HOME", ts.MkAbs("cache"))
}
