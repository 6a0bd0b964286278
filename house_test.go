// Package vitrine_test keeps the house in order: the floors that packages
// stand on, what customers' packages may reach, and which modules are used.
package vitrine_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "vitrine.example"

// floors says where each package stands; imports go down only, and packages on
// one floor do not import each other (ARCHITECTURE.md, "Floors"). Floor -1
// holds what even the ground floor may use.
var floors = map[string]int{
	"cmd/vitrine":                  6,
	"internal/centre":              5,
	"internal/web":                 4,
	"examples/verify":              4,
	"verdict":                      3,
	"internal/farm":                3,
	"internal/circle":              3,
	"proof":                        2,
	"internal/projection":          2,
	"internal/ledger":              2,
	"internal/release":             2,
	"internal/quorum":              2,
	"internal/source":              2,
	"internal/mirror":              2,
	"internal/holdings":            2,
	"internal/witness":             2,
	"internal/gossip":              2,
	"internal/rebuild":             2,
	"internal/recipe/draft":        2,
	"internal/witness/conformance": 2,
	"statement":                    1,
	"tlog":                         1,
	"internal/recipe":              1,
	"key":                          0,
	"internal/agent":               0,
	"internal/artifact/binary":     0,
	"internal/artifact":            1,
	"internal/artifact/archive":    0,
	"internal/bastion":             0,
	"internal/backup":              0,
	"internal/clock":               0,
	"internal/content":             0,
	"internal/mldsa44":             0,
	"internal/p256":                0,
	"internal/recipe/layer":        0,
	"internal/sbom":                0,
	"internal/sandbox":             0,
	"internal/snapshot":            0,
	"internal/store":               0,
	"digest":                       -1,
	"internal/meter":               -1,
	"internal/strictjson":          -1,
}

// public are the packages that customers import.
var public = []string{"digest", "key", "statement", "tlog", "proof", "verdict"}

// maxPublicModules is how many modules the public packages may need together.
const maxPublicModules = 10

// maxLines is how long a Go file may be.
const maxLines = 500

type listed struct {
	ImportPath string
	Name       string
	Doc        string
	Standard   bool
	Imports    []string
	Module     *struct{ Path string }
	GoFiles    []string
}

func list(t *testing.T, args ...string) []listed {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Name,Doc,Standard,Imports,Module,GoFiles"}, args...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list %v: %v", args, err)
	}
	var all []listed
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// inHouse returns the path below the module, and whether p is a package of it.
func inHouse(p string) (string, bool) {
	if p == module {
		return ".", true
	}
	return strings.CutPrefix(p, module+"/")
}

// testOnly reports packages that exist for tests and tools and stand on no floor.
func testOnly(p string) bool {
	return strings.HasSuffix(p, "test") || p == "internal/fixture" ||
		p == "." || strings.HasPrefix(p, "test/") || strings.HasPrefix(p, "bench") ||
		strings.HasPrefix(p, "scripts/")
}

func TestFloors(t *testing.T) {
	for _, p := range list(t, "./...") {
		from, _ := inHouse(p.ImportPath)
		if testOnly(from) || len(p.GoFiles) == 0 {
			continue
		}
		floor, ok := floors[from]
		if !ok {
			t.Errorf("%s stands on no floor: add it to floors in house_test.go and to ARCHITECTURE.md", from)
			continue
		}
		for _, imp := range p.Imports {
			to, ours := inHouse(imp)
			if !ours {
				continue
			}
			if testOnly(to) {
				t.Errorf("%s imports %s, which is for tests", from, to)
			} else if floors[to] >= floor {
				t.Errorf("%s (floor %d) imports %s (floor %d): imports go down only", from, floor, to, floors[to])
			}
		}
	}
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	for _, p := range list(t, "./...") {
		if len(p.GoFiles) > 0 && p.Doc == "" {
			t.Errorf("%s has no package comment", p.ImportPath)
		}
	}
}

// TestWhatCustomersTrustIsSmall looks at every package below the public ones
// that is not of the standard library: none may import the network, SQL or
// processes, and the modules are few. (crypto/x509 itself knows net.IP; what
// the standard library does inside is not counted.)
func TestWhatCustomersTrustIsSmall(t *testing.T) {
	forbidden := []string{"net", "net/http", "net/rpc", "database/sql", "os/exec", "plugin", "unsafe"}
	// golang.org/x/sys and its like may use unsafe; our own packages may not.
	args := []string{"-deps"}
	for _, p := range public {
		args = append(args, "./"+p)
	}
	modules := map[string]bool{}
	for _, p := range list(t, args...) {
		if p.Standard {
			continue
		}
		_, ours := inHouse(p.ImportPath)
		if !ours && p.Module != nil {
			modules[p.Module.Path] = true
		}
		for _, imp := range p.Imports {
			if slices.Contains(forbidden, imp) && (ours || imp != "unsafe") {
				t.Errorf("%s, which public packages need, imports %s", p.ImportPath, imp)
			}
		}
	}
	if len(modules) > maxPublicModules {
		t.Errorf("public packages need %d modules, at most %d are allowed: %v", len(modules), maxPublicModules, modules)
	}
}

var dependencyRow = regexp.MustCompile("^\\| `([^`]+)` \\| [^|]+ \\| [^|]+ \\|")

// TestEveryDependencyHasAReason holds go.mod against docs/dependencies.md.
func TestEveryDependencyHasAReason(t *testing.T) {
	want := directFromGoMod(t)
	doc, err := os.ReadFile("docs/dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	var have []string
	for line := range strings.Lines(string(doc)) {
		if m := dependencyRow.FindStringSubmatch(line); m != nil {
			have = append(have, m[1])
		}
	}
	for _, m := range want {
		if !slices.Contains(have, m) {
			t.Errorf("docs/dependencies.md does not say why %s is needed, and under which licence", m)
		}
	}
	for _, m := range have {
		if !slices.Contains(want, m) {
			t.Errorf("docs/dependencies.md lists %s, which go.mod does not require directly", m)
		}
	}
}

func directFromGoMod(t *testing.T) []string {
	t.Helper()
	out, err := exec.Command("go", "mod", "edit", "-json").Output()
	if err != nil {
		t.Fatal(err)
	}
	var mod struct {
		Require []struct {
			Path     string
			Indirect bool
		}
	}
	if err := json.Unmarshal(out, &mod); err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, r := range mod.Require {
		if !r.Indirect {
			paths = append(paths, r.Path)
		}
	}
	return paths
}

func walkGo(t *testing.T, f func(path string, src []byte)) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "zz_deps" || d.Name() == "dist" || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if !d.IsDir() && strings.HasSuffix(path, ".go") {
			src, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			f(path, src)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestFilesAreShort(t *testing.T) {
	walkGo(t, func(path string, src []byte) {
		if n := bytes.Count(src, []byte("\n")); n > maxLines {
			t.Errorf("%s has %d lines, at most %d are allowed", path, n, maxLines)
		}
	})
}

// TestExportedNamesAreExplained asks for a comment on each exported
// declaration of the public packages.
func TestExportedNamesAreExplained(t *testing.T) {
	for _, dir := range public {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v, %d files", dir, err, len(files))
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range unexplained(f) {
				t.Errorf("%s: %s has no doc comment", file, name)
			}
		}
	}
}

// TestNothingIsSkippedSilently refuses tests that step aside when a tool is
// missing: they must fail with the command that installs it.
func TestNothingIsSkippedSilently(t *testing.T) {
	skip := regexp.MustCompile(`\.(Skip|SkipNow|Skipf)\(`)
	walkGo(t, func(path string, src []byte) {
		sc := bufio.NewScanner(bytes.NewReader(src))
		sc.Buffer(nil, 1<<20)
		for n := 1; sc.Scan(); n++ {
			if path != "house_test.go" && skip.Match(sc.Bytes()) {
				t.Errorf("%s:%d skips a test", path, n)
			}
		}
	})
}
