// Package draft writes a first recipe for a project: one that builds, and that
// its people then make theirs.
//
// [Write] looks at a directory, finds out of which kind the project is, asks
// the registries of this machine for what goes in, and pins every digest. Kinds
// are a Go module, an npm package, a Debian source package and a project with a
// Makefile.
//
// Promises: what it fetches is checked against what the project itself pins
// (go.sum, package-lock.json, .dsc) or what apt has verified. Not promised:
// that the outputs are named as the project ships them; the comments of the
// recipe say what to look at.
package draft

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"vitrine.example/internal/recipe"
)

// Kind is a kind of project.
type Kind string

// The kinds.
const (
	Go     Kind = "go"
	NPM    Kind = "npm"
	Debian Kind = "debian"
	Make   Kind = "make"
)

// Kinds returns all kinds.
func Kinds() []Kind { return []Kind{Go, NPM, Debian, Make} }

// Request says what to write a recipe for.
type Request struct {
	Dir       string // of the project
	Kind      Kind   // empty: found out
	Go        string // version of the toolchain, like 1.26.0; empty: as go.mod says
	Node, Npm string // versions; empty: those of this machine
	Packages  []string
	Clock     time.Time
	Configure func(want ...recipe.Registry) recipe.Registries
	Client    *http.Client
	Progress  func(stage string, done, total int64)
}

// StageDraft is the stage that Request.Progress is told.
const StageDraft = "recipe-init"

// ErrKind is the error of a directory whose kind cannot be found out.
var ErrKind = errors.New("no go.mod, package.json, .dsc or Makefile in it: say --kind")

// Detect finds out of which kind the project in dir is.
func Detect(dir string) (Kind, error) {
	for _, x := range []struct {
		glob string
		kind Kind
	}{{"*.dsc", Debian}, {"go.mod", Go}, {"package.json", NPM}, {"Makefile", Make}, {"makefile", Make}, {"GNUmakefile", Make}} {
		found, err := filepath.Glob(filepath.Join(dir, x.glob))
		if err != nil {
			return "", err
		}
		if len(found) > 0 {
			return x.kind, nil
		}
	}
	return "", fmt.Errorf("%s: %w", dir, ErrKind)
}

// Write returns the text of a recipe.
func Write(ctx context.Context, q *Request) ([]byte, error) {
	kind := q.Kind
	if kind == "" {
		var err error
		if kind, err = Detect(q.Dir); err != nil {
			return nil, err
		}
	}
	if !slices.Contains(Kinds(), kind) {
		return nil, fmt.Errorf("no such kind: %.40q: want one of %v", kind, Kinds())
	}
	dir, err := os.MkdirTemp("", "vitrine-draft-*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	d := &draft{Request: q, ctx: ctx, tmp: dir, notes: map[string]string{}}
	d.r = recipe.Recipe{Clock: q.Clock.UTC().Truncate(time.Second), UID: 1000, GID: 1000, CPUs: 2}
	d.notes["clock"] = "the clock of the build: SOURCE_DATE_EPOCH"
	d.from = q.Configure(map[Kind][]recipe.Registry{Go: {recipe.GoProxy}, NPM: {recipe.NPM}}[kind]...)
	write := map[Kind]func() error{Go: d.golang, NPM: d.npm, Debian: d.debian, Make: d.makefile}[kind]
	if err := write(); err != nil {
		return nil, fmt.Errorf("writing a recipe for the %s project in %s: %w", kind, q.Dir, err)
	}
	return d.r.Marshal(d.head, d.notes)
}

// draft is a recipe that is being written.
type draft struct {
	*Request
	ctx   context.Context
	from  recipe.Registries
	r     recipe.Recipe
	head  string
	notes map[string]string
	tmp   string
	n     int   // files in tmp
	done  int64 // bytes
}

// input adds an input, with a comment where there is something to say.
func (d *draft) input(in recipe.Input, note string) {
	if note != "" {
		d.notes[fmt.Sprintf("input.%d", len(d.r.Inputs))] = note
	}
	d.r.Inputs = append(d.r.Inputs, in)
}

// source adds the release's own source.
func (d *draft) source(at string, strip int) {
	d.input(recipe.Input{Name: "source", Source: true, At: at, Unpack: recipe.Tar, Strip: strip}, "the source of the release, as its statement names it")
}

func (d *draft) file(at, text, link string) {
	d.r.Files = append(d.r.Files, recipe.File{At: at, Text: text, Link: link})
}

// step adds a step; note may be empty.
func (d *draft) step(note, dir string, run ...string) {
	if note != "" {
		d.notes[fmt.Sprintf("step.%d", len(d.r.Steps))] = note
	}
	d.r.Steps = append(d.r.Steps, recipe.Step{Run: run, Dir: dir})
}

func (d *draft) output(note, path, artifact string) {
	if note != "" {
		d.notes[fmt.Sprintf("output.%d", len(d.r.Outputs))] = note
	}
	d.r.Outputs = append(d.r.Outputs, recipe.Output{Path: path, Artifact: artifact})
}
