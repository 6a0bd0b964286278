package statement_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"

	"vitrine.example/statement"
)

const schemaDir = "../docs/spec/"

func compileSchema(t testing.TB, file string) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	s, err := c.Compile(schemaDir + file)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// differences are the rules of release/v1 that its schema cannot say. Where the
// schema accepts what Validate refuses, one of them must apply; the other way
// round there is none.
var differences = []struct {
	rule, reason string
	applies      func(p predicate) bool
}{
	{"product is a canonical package URL without version", "what is canonical is for an algorithm (purl-spec), not a pattern",
		func(p predicate) bool { return statement.CheckProduct(p.Product) != nil }},
	{"artifact names are unique", "a schema compares whole items, not one name of them",
		func(p predicate) bool {
			seen := map[string]bool{}
			for _, a := range p.Artifacts {
				if seen[a.Name] {
					return true
				}
				seen[a.Name] = true
			}
			return false
		}},
	{"artifact names have at most 255 bytes", "a schema counts characters",
		func(p predicate) bool {
			for _, a := range p.Artifacts {
				if len(a.Name) > 255 && utf8.RuneCountInString(a.Name) <= 255 {
					return true
				}
			}
			return false
		}},
}

// predicate is what the differences look at.
type predicate struct {
	Product   string
	Artifacts []struct{ Name string }
}

// agree asks the schema and the reader about one statement's predicate and
// reports whether both say the same.
func agree(t rapid.TB, schema *jsonschema.Schema, m map[string]any) (bySchema, byUs bool) {
	t.Helper()
	text, err := json.Marshal(m["predicate"])
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	errSchema := schema.Validate(doc)
	_, errUs := statement.Parse(wrapValue(t, m))
	switch {
	case (errSchema == nil) == (errUs == nil):
	case errSchema != nil:
		t.Fatalf("%s\nis accepted, and the schema says %v", text, errSchema)
	default:
		var p predicate
		if err := json.Unmarshal(text, &p); err != nil {
			t.Fatal(err)
		}
		for _, d := range differences {
			if d.applies(p) {
				return true, false
			}
		}
		t.Fatalf("%s\nis accepted by the schema, and refused by us: %v", text, errUs)
	}
	return errSchema == nil, errUs == nil
}

// wrapValue is wrap for rapid's kind of test.
func wrapValue(t rapid.TB, m map[string]any) []byte {
	payload, err := canonical(m)
	if err != nil {
		t.Fatal(err)
	}
	return envelopeOf(payload)
}

// Every rule of the table stands in the schema too, or among the differences.
func TestSchemaAgreesOnRules(t *testing.T) {
	schema := compileSchema(t, "release-v1.schema.json")
	accepted := 0
	for _, c := range releaseRules {
		m := decode(t, sign(t, fullRelease(), newSigner(t, "ed25519")).Payload())
		set(t, m["predicate"], c.path, c.value)
		fitSubjects(m)
		if _, ok := agree(t, schema, m); ok {
			accepted++
		}
	}
	for _, c := range schemaRules {
		m := decode(t, sign(t, fullRelease(), newSigner(t, "ed25519")).Payload())
		for path, value := range c {
			set(t, m["predicate"], path, value)
		}
		fitSubjects(m)
		if bySchema, byUs := agree(t, schema, m); bySchema || byUs {
			t.Errorf("%.200v: accepted", c)
		}
	}
	if accepted < 20 {
		t.Errorf("only %d of %d were valid", accepted, len(releaseRules))
	}
}

// values are put anywhere: what is right in one place is wrong in others.
func values() []any {
	all := []any{nil, true, 0, 1, -1, 2, 1.5, 1e20, "", "x", []any{}, map[string]any{}}
	for _, c := range releaseRules {
		if _, ok := c.value.(remove); !ok {
			all = append(all, c.value)
		}
	}
	return append(all, fullRelease().Published.Format(time.RFC3339), strings.Repeat("0a", 20), strings.Repeat("0a", 32))
}

// Changed at random, releases are valid for both or for neither.
func TestSchemaAgrees(t *testing.T) {
	schema := compileSchema(t, "release-v1.schema.json")
	var paths []string
	for _, c := range releaseRules {
		paths = append(paths, c.path)
	}
	pool := values()
	var both, neither int
	rapid.Check(t, func(t *rapid.T) {
		r := anyRelease().Draw(t, "release")
		m, err := predicateMap(r)
		if err != nil {
			t.Fatal(err)
		}
		for range rapid.IntRange(0, 2).Draw(t, "changes") {
			path := rapid.SampledFrom(paths).Draw(t, "path")
			value := rapid.SampledFrom(pool).Draw(t, "value")
			if rapid.Bool().Draw(t, "remove") {
				value = remove{}
			}
			trySet(m, path, value)
		}
		whole := map[string]any{"_type": statement.Type, "predicateType": statement.ReleaseType, "predicate": m}
		fitSubjects(whole)
		if a, b := agree(t, schema, whole); a && b {
			both++
		} else if !a && !b {
			neither++
		}
	})
	if both == 0 || neither == 0 {
		t.Errorf("%d accepted by both, %d refused by both", both, neither)
	}
}

// The subjects are not the schema's business; whether they fit is said in
// release-v1.md and tested in TestReleaseNeedsItsSubjects.
func TestDifferencesAreReal(t *testing.T) {
	schema := compileSchema(t, "release-v1.schema.json")
	for i, c := range []struct {
		path  string
		value any
	}{
		{"product", "pkg:generic/sensor@1.0"},
		{"artifacts/0/name", "sensor.map"},
		{"artifacts/0/name", strings.Repeat("é", 128)},
	} {
		m := decode(t, sign(t, fullRelease(), newSigner(t, "ed25519")).Payload())
		set(t, m["predicate"], c.path, c.value)
		fitSubjects(m)
		if bySchema, byUs := agree(t, schema, m); !bySchema || byUs {
			t.Errorf("difference %q is none", differences[i].rule)
		}
	}
}
