package recipe

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"

	"vitrine.example/digest"
)

// Parse reads a recipe, strictly: errors name the line, the key and what to do.
func Parse(b []byte) (*Recipe, error) {
	if len(b) > MaxSize {
		return nil, fmt.Errorf("recipe: %d bytes, at most %d are allowed", len(b), MaxSize)
	}
	if !utf8.Valid(b) {
		return nil, errors.New("recipe: not UTF-8")
	}
	r := new(Recipe)
	if err := toml.NewDecoder(bytes.NewReader(b)).Decode(r); err != nil {
		return nil, fmt.Errorf("recipe: %w", stumbled(err))
	}
	at, err := keysOf(b)
	if err != nil {
		return nil, fmt.Errorf("recipe: %w", err)
	}
	r.fill()
	if key, err := r.check(); err != nil {
		return nil, fmt.Errorf("recipe: %w", at.place(key, err))
	}
	r.digest, r.at = digest.Of(b), at
	return r, nil
}

// fill sets what may be left out.
func (r *Recipe) fill() {
	fill(&r.Hostname, "rebuild")
	fill(&r.CPUs, 1)
	fill(&r.Shell, "/bin/sh")
	r.Limits = r.Limits.orDefault()
	r.Clock = r.Clock.UTC()
	for i := range r.Steps {
		s := &r.Steps[i]
		fill(&s.Dir, "/")
		if len(s.Env) == 0 {
			s.Env = nil
		}
	}
}

// stumbled says where the TOML reader gave up.
func stumbled(err error) error {
	bad, ok := errors.AsType[*toml.DecodeError](err)
	if !ok {
		return err
	}
	row, column := bad.Position()
	what := strings.TrimPrefix(bad.Error(), "toml: ")
	if key := strings.Join(bad.Key(), "."); key != "" {
		what = key + ": " + what
	}
	return fmt.Errorf("line %d, column %d: %s", row, column, what)
}

// keys says on which line each key of a recipe stands: "clock",
// "input.3.sha256", and of a table its head, "input.3".
type keys map[string]int

// known are all keys without their numbers, and those of them that are tables.
var known, tables = func() (map[string]bool, map[string]bool) {
	known, tables := map[string]bool{}, map[string]bool{}
	describe(reflect.TypeFor[Recipe](), "", known, tables)
	return known, tables
}()

func describe(t reflect.Type, prefix string, known, tables map[string]bool) {
	for i := range t.NumField() {
		name := t.Field(i).Tag.Get("toml")
		if name == "" {
			continue
		}
		known[prefix+name] = true
		inner := t.Field(i).Type
		if inner.Kind() == reflect.Slice {
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct && prefix == "" && name != "clock" {
			tables[name] = true
			describe(inner, name+".", known, tables)
		}
	}
}

// keysOf finds the lines of a file that the TOML reader accepted, and refuses
// keys that no recipe has. The reader itself would take them in another case.
func keysOf(b []byte) (keys, error) {
	at := keys{}
	var p unstable.Parser
	p.Reset(b)
	count := map[string]int{}
	table, numbered := "", ""
	for p.NextExpression() {
		e := p.Expression()
		name, line := nameOf(&p, e)
		switch e.Kind {
		case unstable.Table, unstable.ArrayTable:
			if !tables[name] {
				return nil, noSuchKey(line, name)
			}
			table, numbered = name+".", name+"."
			if e.Kind == unstable.ArrayTable {
				numbered = fmt.Sprintf("%s.%d.", name, count[name])
				count[name]++
			}
			at[strings.TrimSuffix(numbered, ".")] = line
		case unstable.KeyValue:
			if !known[table+name] {
				return nil, noSuchKey(line, table+name)
			}
			if tables[table+name] {
				return nil, fmt.Errorf("line %d: %s: write it as a table of its own, under a line [%s] or [[%s]]", line, name, name, name)
			}
			at[numbered+name] = line
		}
	}
	return at, p.Error()
}

func nameOf(p *unstable.Parser, e *unstable.Node) (string, int) {
	var words []string
	line := 0
	for k := e.Key(); k.Next(); {
		if line == 0 {
			line = p.Shape(k.Node().Raw).Start.Line
		}
		words = append(words, string(k.Node().Data))
	}
	return strings.Join(words, "."), line
}

func noSuchKey(line int, name string) error {
	return fmt.Errorf("line %d: %.80q: no such key: remove it, or look for its name in docs/spec/recipe.md", line, name)
}

// place puts the line of the key before an error.
func (at keys) place(key string, err error) error {
	name := key
	for k := key; k != ""; {
		if line := at[k]; line > 0 {
			return fmt.Errorf("line %d: %s: %w", line, name, err)
		}
		i := strings.LastIndexByte(k, '.')
		if i < 0 {
			break
		}
		k = k[:i]
	}
	return fmt.Errorf("%s: %w", name, err)
}
