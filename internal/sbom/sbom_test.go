package sbom

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"vitrine.example/digest"
)

// build makes a real Go binary for a system.
func build(t *testing.T, files map[string]string, env ...string) []byte {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("go", "build", "-trimpath", "-o", "out", ".")
	cmd.Dir, cmd.Env = dir, append(append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off"), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return readFile(t, filepath.Join(dir, "out"))
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// tiny is a program without an import, so that it builds in no time, which uses
// a module that a directory replaces.
var tiny = map[string]string{
	"go.mod":     "module example.org/Tiny/tool\n\ngo 1.22\n\nrequire example.org/dep v1.2.3\n\nreplace example.org/dep => ./dep\n",
	"main.go":    "package main\n\nimport \"example.org/dep\"\n\nfunc main() { println(dep.Word) }\n",
	"dep/go.mod": "module example.org/dep\n\ngo 1.22\n",
	"dep/dep.go": "package dep\n\nconst Word = \"shown\"\n\nfunc init() { println() }\n",
}

// official is the schema that the CycloneDX project publishes with its Go library.
func official(t *testing.T) *jsonschema.Schema {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/CycloneDX/cyclonedx-go").Output()
	if err != nil {
		t.Fatalf("go list -m: %v: run go mod download", err)
	}
	dir := filepath.Join(strings.TrimSpace(string(out)), "schema")
	c := jsonschema.NewCompiler()
	for file, id := range map[string]string{
		"bom-1.6.schema.json":   "http://cyclonedx.org/schema/bom-1.6.schema.json",
		"spdx.schema.json":      "http://cyclonedx.org/schema/spdx.schema.json",
		"jsf-0.82.schemax.json": "http://cyclonedx.org/schema/jsf-0.82.schema.json",
	} {
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(readFile(t, filepath.Join(dir, file))))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.AddResource(id, doc); err != nil {
			t.Fatal(err)
		}
	}
	s, err := c.Compile("http://cyclonedx.org/schema/bom-1.6.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func valid(t *testing.T, s *jsonschema.Schema, doc []byte) {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(doc))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Validate(v); err != nil {
		t.Errorf("not valid CycloneDX 1.6: %v\n%s", err, doc)
	}
}

// part is what the tests look at, read without the library that wrote it.
type part struct {
	Ref, Name, Version, Purl string
	Hashes                   []struct{ Alg, Content string }
	Properties               []struct{ Name, Value string }
}

type bom struct {
	SerialNumber string
	Metadata     struct {
		Timestamp string
		Component part
	}
	Components   []part
	Dependencies []struct {
		Ref       string
		DependsOn []string
	}
}

func (p part) property(name string) string {
	for _, q := range p.Properties {
		if q.Name == name {
			return q.Value
		}
	}
	return ""
}

func parse(t *testing.T, doc []byte) (b bom) {
	t.Helper()
	if err := json.Unmarshal(doc, &b); err != nil {
		t.Fatal(err)
	}
	return b
}

// asWritten reads a document with CycloneDX's own library, which must know every
// field and write the same bytes again.
func asWritten(t *testing.T, doc []byte) {
	t.Helper()
	var b cdx.BOM
	if err := cdx.NewBOMDecoder(bytes.NewReader(doc), cdx.BOMFileFormatJSON).Decode(&b); err != nil {
		t.Fatal(err)
	}
	var again bytes.Buffer
	enc := cdx.NewBOMEncoder(&again, cdx.BOMFileFormatJSON).SetPretty(true).SetEscapeHTML(false)
	if err := enc.EncodeVersion(&b, cdx.SpecVersion1_6); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(doc, again.Bytes()) {
		t.Errorf("CycloneDX's library writes it otherwise:\n%s\nours:\n%s", again.Bytes(), doc)
	}
}

// TestGoBinaries reads binaries of three formats: what the linker wrote must be
// in the document, which must be valid and the same each time.
func TestGoBinaries(t *testing.T) {
	schema := official(t)
	for _, system := range []string{"linux/amd64", "darwin/arm64", "windows/amd64"} {
		t.Run(system, func(t *testing.T) {
			goos, goarch, _ := strings.Cut(system, "/")
			bin := build(t, tiny, "GOOS="+goos, "GOARCH="+goarch)
			d := digest.Of(bin)
			doc, err := Go(bytes.NewReader(bin), d)
			if err != nil {
				t.Fatal(err)
			}
			valid(t, schema, doc)
			asWritten(t, doc)
			if again, err := Go(bytes.NewReader(bin), d); err != nil || !bytes.Equal(doc, again) {
				t.Errorf("the second document differs (%v)", err)
			}
			b := parse(t, doc)
			root := b.Metadata.Component
			if b.Metadata.Timestamp != "" || root.Name != "example.org/Tiny/tool" || root.Purl != "pkg:golang/example.org/tiny/tool" {
				t.Errorf("metadata: %+v", b.Metadata)
			}
			if len(root.Hashes) != 1 || root.Hashes[0].Content != d.String() {
				t.Errorf("hashes: %+v", root.Hashes)
			}
			for k, want := range map[string]string{
				"vitrine:go:build:GOOS": goos, "vitrine:go:build:GOARCH": goarch,
				"vitrine:go:build:-trimpath": "true", "vitrine:go:package": "example.org/Tiny/tool",
			} {
				if got := root.property(k); got != want {
					t.Errorf("%s: %q, want %q", k, got, want)
				}
			}
			if len(b.Components) != 2 || b.Components[0].Name != "stdlib" ||
				b.Components[0].Version != strings.TrimPrefix(strings.Fields(runtime.Version())[0], "go") {
				t.Fatalf("components: %+v", b.Components)
			}
			dep := b.Components[1]
			if dep.Name != "./dep" || dep.Purl != "" || dep.property(propReplaces) != "example.org/dep@v1.2.3" {
				t.Errorf("replaced module: %+v", dep)
			}
			if len(b.Dependencies) != 1 || len(b.Dependencies[0].DependsOn) != 2 {
				t.Errorf("dependencies: %+v", b.Dependencies)
			}
		})
	}
}

// TestRealModule reads a binary with a real module; its sum must be the one of go.sum.
func TestRealModule(t *testing.T) {
	const path = "golang.org/x/mod"
	version, sums, sum := required(t, path)
	bin := build(t, map[string]string{
		"go.mod":  "module example.org/tool\n\ngo 1.22\n\nrequire " + path + " " + version + "\n",
		"go.sum":  sums,
		"main.go": "package main\n\nimport \"" + path + "/semver\"\n\nfunc main() { println(semver.IsValid(\"v1\")) }\n",
	}, "GOFLAGS=-mod=mod", "GOPROXY=off")
	doc, err := Go(bytes.NewReader(bin), digest.Of(bin))
	if err != nil {
		t.Fatal(err)
	}
	valid(t, official(t), doc)
	asWritten(t, doc)
	b := parse(t, doc)
	if len(b.Components) != 2 {
		t.Fatalf("components: %+v", b.Components)
	}
	m := b.Components[1]
	if m.Name != path || m.Version != version || m.property(propSum) != sum || m.Purl != "pkg:golang/"+path+"@"+version {
		t.Errorf("module: %+v, want %s %s", m, version, sum)
	}
}

// required returns the version of a module that this one requires, its lines of
// go.sum, and the sum among them.
func required(t *testing.T, path string) (version, lines, sum string) {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Version}}", path).Output()
	if err != nil {
		t.Fatalf("go list -m: %v: run go mod download", err)
	}
	version = strings.TrimSpace(string(out))
	for line := range strings.Lines(string(readFile(t, filepath.Join("..", "..", "go.sum")))) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == path {
			if lines += line; f[1] == version {
				sum = f[2]
			}
		}
	}
	if sum == "" {
		t.Fatalf("go.sum has no line for %s %s", path, version)
	}
	return version, lines, sum
}

// TestReplacement follows a replacement by another module.
func TestReplacement(t *testing.T) {
	c := module(&debug.Module{
		Path: "example.org/a", Version: "v1.0.0", Sum: "h1:wrong=",
		Replace: &debug.Module{Path: "example.org/b/v2", Version: "v2.1.0", Sum: "h1:right="},
	})
	if c.Name != "example.org/b/v2" || c.PackageURL != "pkg:golang/example.org/b/v2@v2.1.0" {
		t.Errorf("component: %+v", c)
	}
	want := []string{"vitrine:go:h1=h1:right=", "vitrine:go:replaces=example.org/a@v1.0.0"}
	for i, p := range c.Properties {
		if p.Name+"="+p.Value != want[i] {
			t.Errorf("property %d: %+v, want %s", i, p, want[i])
		}
	}
}

// TestNone: everything that is not a Go binary is ErrNone, whatever it is.
func TestNone(t *testing.T) {
	bin := build(t, tiny, "GOOS=linux", "GOARCH=amd64")
	for name, b := range map[string][]byte{
		"empty": {}, "text": []byte("#!/bin/sh\necho hello\n"), "zeros": make([]byte, 1<<16),
		"elf magic alone": []byte("\x7fELF"), "pe magic alone": []byte("MZ"), "mach-o magic alone": []byte("\xcf\xfa\xed\xfe"),
		"half a binary": bin[:len(bin)/2], "C program": readFile(t, "/bin/true"),
	} {
		if doc, err := Go(bytes.NewReader(b), digest.Of(b)); !errors.Is(err, ErrNone) {
			t.Errorf("%s: %v, %d bytes", name, err, len(doc))
		}
	}
}

type broken struct{ err error }

func (b broken) ReadAt([]byte, int64) (int, error) { return 0, b.err }

// TestReadError: a disk that fails is not taken for a file without an SBOM.
func TestReadError(t *testing.T) {
	want := errors.New("the disk is on fire")
	if _, err := Go(broken{want}, digest.Digest{}); !errors.Is(err, want) || errors.Is(err, ErrNone) {
		t.Errorf("error: %v", err)
	}
	if _, err := Go(broken{io.EOF}, digest.Digest{}); !errors.Is(err, ErrNone) {
		t.Errorf("error: %v", err)
	}
}

// FuzzGo flips and cuts a real binary: a document must be valid JSON, anything
// else is ErrNone.
func FuzzGo(f *testing.F) {
	self, err := os.Executable()
	if err != nil {
		f.Fatal(err)
	}
	head := make([]byte, 1<<16)
	file, err := os.Open(self)
	if err != nil {
		f.Fatal(err)
	}
	defer file.Close()
	if _, err := io.ReadFull(file, head); err != nil {
		f.Fatal(err)
	}
	f.Add(head)
	f.Add([]byte("MZ"))
	f.Fuzz(func(t *testing.T, b []byte) {
		doc, err := Go(bytes.NewReader(b), digest.Of(b))
		switch {
		case err == nil && !json.Valid(doc):
			t.Errorf("not JSON: %q", doc)
		case err != nil && !errors.Is(err, ErrNone):
			t.Errorf("error: %v", err)
		}
	})
}
