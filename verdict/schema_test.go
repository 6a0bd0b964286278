package verdict_test

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"vitrine.example/key"
	"vitrine.example/verdict"
)

func TestJSONMatchesSchema(t *testing.T) {
	text, err := os.ReadFile("../docs/spec/verdict.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("verdict.schema.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("verdict.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	check := func(b []byte) error {
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		return schema.Validate(v)
	}
	for _, tt := range scenes {
		s := newScene(key.Ed25519)
		tt.alter(s)
		b, err := verdict.Evaluate(s.policy, s.input).JSON()
		if err != nil {
			t.Fatal(err)
		}
		if err := check(b); err != nil {
			t.Errorf("%s: %v\n%s", tt.name, err, b)
		}
		if !bytes.HasSuffix(b, []byte("}\n")) || bytes.Count(b, []byte("\n")) != 1 {
			t.Errorf("%s: not one line:\n%s", tt.name, b)
		}
	}
	// The schema refuses what is no verdict.
	for _, bad := range []string{
		`{}`, `{"schema":"x","accepted":true}`,
		strings.Replace(string(mustJSON(t)), `"accepted":true`, `"accepted":"yes"`, 1),
		strings.Replace(string(mustJSON(t)), `"accepted":true`, `"accepted":true,"more":1`, 1),
		strings.Replace(string(mustJSON(t)), `"id":"file"`, `"id":"luck"`, 1),
	} {
		if check([]byte(bad)) == nil {
			t.Errorf("the schema accepts %s", bad)
		}
	}
}

func mustJSON(t *testing.T) []byte {
	t.Helper()
	s := newScene(key.Ed25519)
	b, err := verdict.Evaluate(s.policy, s.input).JSON()
	if err != nil {
		t.Fatal(err)
	}
	return b
}
