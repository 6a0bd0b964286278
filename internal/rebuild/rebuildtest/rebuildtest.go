// Package rebuildtest has a build that tests can run in a sandbox: a program
// without any library that writes a text in capitals, and the recipe for it.
package rebuildtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"

	"vitrine.example/digest"
	"vitrine.example/internal/recipe"
)

const source = `package main

import (
	"bytes"
	"fmt"
	"os"
)

func main() {
	b, err := os.ReadFile(os.Args[1])
	if err == nil && bytes.Contains(b, []byte("broken")) {
		err = fmt.Errorf("%s is broken", os.Args[1])
	}
	if err == nil {
		fmt.Println("writing", os.Args[2])
		err = os.WriteFile(os.Args[2], bytes.ToUpper(b), 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
`

// Artifact is what the recipe makes of the file "text" in the source.
const Artifact = "capitals.txt"

// Tool returns the program, which is compiled once.
var Tool = sync.OnceValues(func() (bin []byte, err error) {
	dir, err := os.MkdirTemp("", "upper-*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if err := os.WriteFile(filepath.Join(dir, "upper.go"), []byte(source), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.Command("go", "build", "-o", "upper", "upper.go")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("compiling: %w: %s", err, out)
	}
	return os.ReadFile(filepath.Join(dir, "upper"))
})

// Write makes a source with a text and the recipe in dir, and below registry what
// the recipe needs. It returns the value of GOPROXY with which that is found.
func Write(dir, registry, text string) (goproxy string, err error) {
	bin, err := Tool()
	if err != nil {
		return "", err
	}
	for path, b := range map[string][]byte{
		filepath.Join(registry, "tools", "upper"): bin,
		filepath.Join(dir, "text"):                []byte(text + "\n"),
		filepath.Join(dir, recipe.FileName):       Recipe(bin),
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return "", err
		}
		if err := os.WriteFile(path, b, 0o644); err != nil {
			return "", err
		}
	}
	return "file://" + registry, nil
}

// Recipe says how the artifact is made with the program.
func Recipe(bin []byte) []byte {
	return fmt.Appendf(nil, `version = 1
clock = 2026-01-01T00:00:00Z
cpus = 1

[limits]
memory = "256MiB"
disk = "16MiB"
time = "1m"

[[input]]
name = "upper"
from = ["goproxy:tools/upper"]
sha256 = "%s"
size = %d
at = "/bin/upper"
executable = true

[[input]]
name = "source"
source = true
at = "/src"
unpack = "tar"

[[file]]
at = "/out/"

[[step]]
run = ["/bin/upper", "/src/text", "/out/capitals.txt"]

[[output]]
path = "/out/capitals.txt"
artifact = "capitals.txt"
`, digest.Of(bin), len(bin))
}
