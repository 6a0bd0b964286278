package draft

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/build"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/sumdb/dirhash"

	"vitrine.example/internal/recipe"
)

const goHead = `How to build this again: https://vitrine.example/ (docs/spec/recipe.md explains every key).
A Go module: its toolchain and its modules come from a module proxy.`

// golang writes the recipe of a Go module.
func (d *draft) golang() error {
	text, err := os.ReadFile(filepath.Join(d.Dir, "go.mod"))
	if err != nil {
		return err
	}
	mod, err := modfile.Parse("go.mod", text, nil)
	if err != nil {
		return err
	}
	version, err := d.goVersion(mod)
	if err != nil {
		return err
	}
	d.head = goHead
	d.r.Env = []string{
		"CGO_ENABLED=0", "GOCACHE=/tmp/cache", "GOFLAGS=-mod=readonly", "GOPATH=/tmp/go", "GOPROXY=file:///proxy",
		"GOSUMDB=off", "GOTOOLCHAIN=local", "HOME=/tmp", "PATH=/usr/local/go/bin",
	}
	if err := d.goToolchain(version); err != nil {
		return err
	}
	d.source("/src", 0)
	if _, err := os.Stat(filepath.Join(d.Dir, "vendor", "modules.txt")); errors.Is(err, fs.ErrNotExist) {
		if err := d.goModules(); err != nil {
			return err
		}
	} else if err == nil {
		d.r.Env[2] = "GOFLAGS=-mod=vendor"
	}
	d.file("/tmp/", "", "")
	d.file("/out/", "", "")
	return d.goPrograms(mod)
}

// goVersion is the toolchain to build with.
func (d *draft) goVersion(mod *modfile.File) (string, error) {
	switch {
	case d.Go != "":
		return strings.TrimPrefix(d.Go, "go"), nil
	case mod.Toolchain != nil && strings.HasPrefix(mod.Toolchain.Name, "go1."):
		return strings.TrimPrefix(mod.Toolchain.Name, "go"), nil
	case mod.Go != nil && strings.Count(mod.Go.Version, ".") == 2:
		return mod.Go.Version, nil
	}
	return "", errors.New("go.mod names no whole version of Go: say --go, like --go 1.26.0")
}

// goToolchain pins a toolchain. Where there is a go command, it fetches and
// checks it against its checksum database.
func (d *draft) goToolchain(version string) error {
	v := "v0.0.1-go" + version + ".linux-amd64"
	cmd := exec.CommandContext(d.ctx, "go", "mod", "download", "-json", "golang.org/toolchain@"+v)
	cmd.Dir = d.tmp
	out, err := cmd.Output()
	var m struct{ Zip, Error string }
	if jerr := json.Unmarshal(out, &m); jerr == nil && m.Error != "" {
		return fmt.Errorf("fetching Go %s: %s", version, m.Error)
	}
	if err != nil && !errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("go mod download of Go %s: %w", version, err)
	}
	place := "goproxy:golang.org/toolchain/@v/" + v + ".zip"
	var g *got
	if m.Zip != "" {
		g, err = d.onDisk(m.Zip)
	} else {
		g, err = d.get(place)
	}
	if err != nil {
		return err
	}
	d.input(d.pin(recipe.Input{Name: "Go " + version, At: "/usr/local/go", Unpack: recipe.GoToolchain}, g, place), "")
	return nil
}

// goModules pins what go.sum names, as the files of a module proxy.
func (d *draft) goModules() error {
	text, err := os.ReadFile(filepath.Join(d.Dir, "go.sum"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // a module that needs no other
	} else if err != nil {
		return err
	}
	needed, err := d.goNeeds()
	if err != nil {
		return err
	}
	for n, line := range strings.Split(string(text), "\n") {
		if strings.TrimSpace(line) == "" {
			continue
		}
		f := strings.Fields(line)
		if len(f) != 3 {
			return fmt.Errorf("go.sum: line %d: want three words", n+1)
		}
		if !strings.HasSuffix(f[1], "/go.mod") && !needed(f[0]) {
			continue
		}
		err := d.goModule(f[0], f[1], f[2])
		if errors.Is(err, errNowhere) && strings.HasSuffix(f[1], "/go.mod") {
			// A go.mod of a module that no package comes from; most builds never ask.
			d.head += fmt.Sprintf("\nLeft out, as no module proxy here has it: go.mod of %s %s", f[0], strings.TrimSuffix(f[1], "/go.mod"))
			continue
		}
		if err != nil {
			return fmt.Errorf("go.sum: line %d: %w", n+1, err)
		}
	}
	return nil
}

// goNeeds tells which modules the go command opens to build the packages that
// were named: those whose path begins an import path. All, where none was named.
func (d *draft) goNeeds() (func(module string) bool, error) {
	if len(d.Packages) == 0 {
		return func(string) bool { return true }, nil
	}
	args := []string{"list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}"}
	for _, p := range d.Packages {
		args = append(args, "./"+strings.TrimPrefix(p, "./"))
	}
	cmd := exec.CommandContext(d.ctx, "go", args...)
	cmd.Dir = d.Dir
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0", "GOFLAGS=-mod=readonly")
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if errors.Is(err, exec.ErrNotFound) {
		return func(string) bool { return true }, nil
	} else if err != nil {
		return nil, fmt.Errorf("go list of %s: %w: %.500s", strings.Join(d.Packages, ", "), err, said.Bytes())
	}
	imports := strings.Fields(string(out))
	return func(m string) bool {
		return slices.ContainsFunc(imports, func(i string) bool { return i == m || strings.HasPrefix(i, m+"/") })
	}, nil
}

func (d *draft) goModule(name, version, h1 string) error {
	version, isMod := strings.CutSuffix(version, "/go.mod")
	p, err := module.EscapePath(name)
	if err != nil {
		return err
	}
	v, err := module.EscapeVersion(version)
	if err != nil {
		return err
	}
	file := p + "/@v/" + v + ".zip"
	if isMod {
		file = p + "/@v/" + v + ".mod"
	}
	g, err := d.get("goproxy:" + file)
	if err != nil {
		return err
	}
	have, err := goSum(g.path, isMod)
	if err != nil {
		return err
	}
	if have != h1 {
		return fmt.Errorf("%s@%s: what the module proxy gives is %s, and go.sum has %s: find out who changed it", name, version, have, h1)
	}
	d.input(d.pin(recipe.Input{Name: file, At: "/proxy/" + file}, g, "goproxy:"+file), "")
	return nil
}

func goSum(file string, isMod bool) (string, error) {
	if !isMod {
		return dirhash.HashZip(file, dirhash.Hash1)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	return dirhash.Hash1([]string{"go.mod"}, func(string) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(b)), nil
	})
}

// goPrograms adds the step that builds the programs of the module.
func (d *draft) goPrograms(mod *modfile.File) error {
	dirs, err := d.mainPackages()
	if err != nil {
		return err
	}
	if len(dirs) == 0 {
		return errors.New("there is no program in it (package main): write the steps yourself, or name packages with --package")
	}
	run := []string{"/usr/local/go/bin/go", "build", "-trimpath", "-buildvcs=false", "-o", "/out/"}
	for i, dir := range dirs {
		run = append(run, "./"+strings.TrimPrefix(dir, "./"))
		name, note := path.Base(dir), ""
		if dir == "." {
			name = programName(mod.Module.Mod.Path)
		}
		if i == 0 {
			note = "artifact: the name of the shipped file"
		}
		d.output(note, "/out/"+name, name)
	}
	d.step("flags as the release was built with: look at `go version -m FILE`", "/src", run...)
	return nil
}

// programName is what the go command calls the program of a module's root.
func programName(modulePath string) string {
	prefix, _, ok := module.SplitPathVersion(modulePath)
	if !ok {
		prefix = modulePath
	}
	return path.Base(prefix)
}

// mainPackages are those named, or those below cmd, or the root, or all.
func (d *draft) mainPackages() ([]string, error) {
	if len(d.Packages) > 0 {
		return d.Packages, nil
	}
	ctxt := build.Default
	ctxt.GOOS, ctxt.GOARCH, ctxt.CgoEnabled = "linux", "amd64", false
	var all []string
	err := filepath.WalkDir(d.Dir, func(p string, e fs.DirEntry, err error) error {
		if err != nil || !e.IsDir() {
			return err
		}
		rel, err := filepath.Rel(d.Dir, p)
		if err != nil {
			return err
		}
		if _, err := os.Stat(filepath.Join(p, "go.mod")); err == nil && rel != "." {
			return filepath.SkipDir // another module
		}
		if name := e.Name(); rel != "." && (name == "testdata" || name == "vendor" || name[0] == '.' || name[0] == '_') {
			return filepath.SkipDir
		}
		if pkg, err := ctxt.ImportDir(p, 0); err == nil && pkg.Name == "main" {
			all = append(all, filepath.ToSlash(rel))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if slices.Contains(all, ".") {
		return []string{"."}, nil
	}
	if below := slices.DeleteFunc(slices.Clone(all), func(s string) bool { return !strings.HasPrefix(s, "cmd/") }); len(below) > 0 {
		return below, nil
	}
	return all, nil
}
