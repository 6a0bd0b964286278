//go:build !race

package farm_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/rebuild"
	"vitrine.example/internal/recipe"
	"vitrine.example/internal/sandbox"
	"vitrine.example/statement"
)

// A program with the race detector is not static, and cannot start itself again
// in a sandbox: this test is for the others.

// The whole way, in a real sandbox.
func TestEmbeddedEngine(t *testing.T) {
	e := &sandbox.Embedded{}
	check(t, e.Check(t.Context()))
	dir := t.TempDir()
	check(t, os.WriteFile(filepath.Join(dir, "main.go"), []byte(`package main
import ("os"; "fmt")
func main() { fmt.Println("building"); os.MkdirAll("/out", 0o755); if os.WriteFile("/out/app", []byte(os.Args[1]), 0o644) != nil { os.Exit(3) } }
`), 0o600))
	build := exec.Command("go", "build", "-o", "app", "main.go")
	build.Dir, build.Env = dir, append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	bin, err := os.ReadFile(filepath.Join(dir, "app"))
	check(t, err)
	c := newCentre(t, time.Minute)
	tool := c.put(string(bin))
	tool.At, tool.Executable = "/bin/make", true
	a := ask(1)
	a.Order.Shipped = []rebuild.Shipped{{Name: "app", SHA256: digest.Of([]byte("hello")), Size: 5}}
	a.Order.Outputs = []recipe.Output{{Artifact: "app", Path: "/out/app"}}
	a.Order.Task.Job.Inputs = []recipe.Placed{tool}
	a.Order.Task.Job.Steps = []recipe.Step{{Run: []string{"/bin/make", "hello"}, Dir: "/"}}
	id := add(t, c.queue, a)
	worker(t, client(t, "w", c), e)
	if out := c.decided(id); out.Row.Outcome != statement.Identical || string(c.log(id)) != "building\n" {
		t.Errorf("attempts %+v, log %q", out.Tried, c.log(id))
	}
}
