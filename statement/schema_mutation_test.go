package statement_test

import (
	"bytes"
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// constraints are the keywords of a schema that refuse something.
var constraints = []string{
	"type", "required", "additionalProperties", "maxLength", "pattern", "minimum", "maximum", "format",
	"minItems", "maxItems", "uniqueItems", "dependentRequired", "then", "else", "not", "enum", "const", "$ref",
}

// spare are constraints that stand for readers: a `not` with a pattern beside
// them refuses what is no string already.
var spare = map[string]bool{"/$defs/digest/type": true, "/$defs/artifact/properties/name/type": true}

// without returns one copy of the schema for each constraint in it, that
// constraint removed, by its place.
func without(t *testing.T, text []byte) map[string]any {
	t.Helper()
	all := map[string]any{}
	var walk func(v any, place string, visit func(place string, parent map[string]any, name string))
	walk = func(v any, place string, visit func(string, map[string]any, string)) {
		switch v := v.(type) {
		case map[string]any:
			for name := range v {
				if slices.Contains(constraints, name) {
					visit(place+"/"+name, v, name)
				}
			}
			for name, inner := range v {
				if name != "if" && name != "not" { // less of these refuses more
					walk(inner, place+"/"+name, visit)
				}
			}
		case []any:
			for _, inner := range v {
				walk(inner, place, visit)
			}
		}
	}
	load := func() any {
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	var places []string
	walk(load(), "", func(place string, _ map[string]any, _ string) { places = append(places, place) })
	for _, want := range places {
		v := load()
		walk(v, "", func(place string, parent map[string]any, name string) {
			if place == want {
				delete(parent, name)
			}
		})
		all[want] = v
	}
	return all
}

// A schema that lacks any one of its constraints accepts something of the rules'
// documents that the whole schema refuses: the rules leave nothing untested.
func TestEveryConstraintOfTheSchemaIsTested(t *testing.T) {
	text, err := os.ReadFile(schemaDir + "release-v1.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	whole := compileSchema(t, "release-v1.schema.json")
	var refused []any
	add := func(m map[string]any) {
		b, err := json.Marshal(m["predicate"])
		if err != nil {
			t.Fatal(err)
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		if whole.Validate(doc) != nil {
			refused = append(refused, doc)
		}
	}
	payload := sign(t, fullRelease(), newSigner(t, "ed25519")).Payload()
	for _, c := range releaseRules {
		m := decode(t, payload)
		set(t, m["predicate"], c.path, c.value)
		add(m)
	}
	for _, c := range schemaRules {
		m := decode(t, payload)
		for path, value := range c {
			set(t, m["predicate"], path, value)
		}
		add(m)
	}
	refused = append(refused, "no object", []any{})
	mutants := without(t, text)
	if len(mutants) < 50 {
		t.Errorf("only %d constraints found", len(mutants))
	}
	compiled := map[string]*regexp.Regexp{} // Unicode classes take long
	for place, v := range mutants {
		c := jsonschema.NewCompiler()
		c.AssertFormat()
		c.UseRegexpEngine(func(pattern string) (jsonschema.Regexp, error) {
			if compiled[pattern] == nil {
				compiled[pattern] = regexp.MustCompile(pattern)
			}
			return compiled[pattern], nil
		})
		if err := c.AddResource("mutant.json", v); err != nil {
			t.Fatalf("%s: %v", place, err)
		}
		mutant, err := c.Compile("mutant.json")
		if err != nil {
			t.Fatalf("%s: %v", place, err)
		}
		if spare[place] {
			continue
		}
		if !slices.ContainsFunc(refused, func(doc any) bool { return mutant.Validate(doc) == nil }) {
			t.Errorf("no document tells the schema without %s from the whole one", place)
		}
	}
}
