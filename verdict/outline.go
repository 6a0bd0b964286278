package verdict

import (
	"bytes"
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// tableKeys are the keys of each table of a policy file, in the order in which
// they are written; the empty name is the top of the file.
var tableKeys = map[string][]string{
	"":          {"version", "product", "channel", "versions", "max-age", "accept-forks"},
	"log":       {"key"},
	"witness":   {"name", "key", "organisation", "country", "continent"},
	"group":     {"name", "require", "of"},
	"witnesses": {"require", "of", "continents"},
	"signer":    {"name", "key", "may", "organisation", "country", "continent"},
	"rebuilds":  {"require", "continents", "explained"},
}

// lists are the tables that are written [[name]].
var lists = []string{"log", "witness", "group", "signer"}

// outline is where each key of a policy file stands: its line by its path.
type outline struct {
	lines  map[string]int
	counts map[string]int // of each list
}

func (o *outline) has(path string) bool { return o.lines[path] > 0 }

// locate adds the line to an error: that of its key, else that of the table
// that lacks the key.
func (o *outline) locate(e *PolicyError) *PolicyError {
	if e.Line > 0 {
		return e
	}
	e.Line = o.lines[e.Path]
	if e.Line == 0 {
		table, _, _ := strings.Cut(e.Path, ".")
		e.Line = o.lines[table]
		if e.Line == 0 && o.counts[table] > 0 {
			e.Line = o.lines[fmt.Sprintf("%s[1]", table)]
		}
	}
	return e
}

// readOutline walks the syntax tree once before anything is decoded: it knows
// lines, and it is stricter than the decoder, which matches keys in any case
// and takes several spellings of one table.
func readOutline(b []byte) (*outline, *PolicyError) {
	o := &outline{lines: make(map[string]int), counts: make(map[string]int)}
	starts := lineStarts(b)
	lineOf := func(n *unstable.Node) int {
		off := int(n.Raw.Offset)
		return sort.Search(len(starts), func(i int) bool { return starts[i] > off })
	}
	var table, prefix string
	var p unstable.Parser
	p.Reset(b)
	for p.NextExpression() {
		e := p.Expression()
		it := e.Key()
		if !it.Next() {
			continue
		}
		k := it.Node()
		name, line := string(k.Data), lineOf(k)
		if it.Next() {
			return nil, onLine(line, at(name, ErrSyntax, "dotted keys are not used; write [%.80s]", name))
		}
		switch e.Kind {
		case unstable.Table, unstable.ArrayTable:
			if _, ok := tableKeys[name]; !ok || name == "" {
				return nil, unknown(line, name, "table", append([]string{"witnesses", "rebuilds"}, lists...))
			}
			if isList := slices.Contains(lists, name); isList != (e.Kind == unstable.ArrayTable) {
				return nil, onLine(line, at(name, ErrSyntax, "write %s", header(name)))
			}
			table, prefix = name, name
			if e.Kind == unstable.ArrayTable {
				o.counts[name]++
				prefix = fmt.Sprintf("%s[%d]", name, o.counts[name])
			}
			if o.has(prefix) {
				return nil, onLine(line, at(name, ErrSyntax, "the table stands twice, first in line %d", o.lines[prefix]))
			}
			o.lines[prefix] = line
			prefix += "."
		case unstable.KeyValue:
			if !slices.Contains(tableKeys[table], name) {
				return nil, unknown(line, prefix+name, "key", tableKeys[table])
			}
			if o.has(prefix + name) {
				return nil, onLine(line, at(prefix+name, ErrSyntax, "the key stands twice, first in line %d", o.lines[prefix+name]))
			}
			o.lines[prefix+name] = line
		}
	}
	if err := p.Error(); err != nil {
		return nil, onLine(errorLine(b, err, starts), at("", ErrSyntax, "%s", tomlText(err)))
	}
	return o, nil
}

// noneEmpty refuses keys with an empty value: leaving a key out says the same,
// and one that was meant to be filled in would ask for nothing.
func (o *outline) noneEmpty(f *policyFile) *PolicyError {
	empty := map[string]bool{
		"product":       f.Product == "",
		"channel":       f.Channel == "",
		"versions":      len(f.Versions) == 0,
		"max-age":       f.MaxAge == "",
		"accept-forks":  len(f.AcceptForks) == 0,
		"witnesses.of":  len(f.Quorum.Of) == 0,
		"group[1].name": false,
	}
	for i, w := range f.Witnesses {
		empty[path("witness", i, "organisation")] = w.Organisation == ""
		empty[path("witness", i, "country")] = w.Country == ""
		empty[path("witness", i, "continent")] = w.Continent == ""
	}
	for i, s := range f.Signers {
		empty[path("signer", i, "organisation")] = s.Organisation == ""
		empty[path("signer", i, "country")] = s.Country == ""
		empty[path("signer", i, "continent")] = s.Continent == ""
	}
	var found []string
	for path, is := range empty {
		if is && o.has(path) {
			found = append(found, path)
		}
	}
	if len(found) == 0 {
		return nil
	}
	slices.SortFunc(found, func(a, b string) int { return o.lines[a] - o.lines[b] })
	return at(found[0], ErrValue, "empty; leave the line out where nothing is asked")
}

func unknown(line int, path, what string, known []string) *PolicyError {
	return onLine(line, at(clean(path), ErrUnknownKey, "no such %s; known here: %s", what, strings.Join(known, ", ")))
}

func onLine(line int, e *PolicyError) *PolicyError {
	e.Line = line
	return e
}

func header(table string) string {
	if slices.Contains(lists, table) {
		return "[[" + table + "]]"
	}
	return "[" + table + "]"
}

func lineStarts(b []byte) []int {
	starts := []int{0}
	for i, c := range b {
		if c == '\n' {
			starts = append(starts, i+1)
		}
	}
	return starts
}

// errorLine finds the line that a parser's error points at.
func errorLine(b []byte, err error, starts []int) int {
	pe, ok := err.(*unstable.ParserError)
	if !ok {
		return 0
	}
	off := cap(b) - cap(pe.Highlight)
	if len(pe.Highlight) == 0 && cap(pe.Highlight) == 0 {
		off = len(bytes.TrimRight(b, " \t\r\n"))
	}
	if off < 0 || off > len(b) {
		return 0
	}
	return sort.Search(len(starts), func(i int) bool { return starts[i] > off })
}
