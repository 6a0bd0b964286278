package artifact_test

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// TestReportsKeepTheirSchema holds reports of each verdict against the schema.
func TestReportsKeepTheirSchema(t *testing.T) {
	raw, err := os.ReadFile("../../docs/spec/explain.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("explain.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("explain.json")
	if err != nil {
		t.Fatal(err)
	}
	r := newRoom(t)
	all := []file{{name: "v.example/a@v1.0.0/go.mod", body: "one\n", mode: 0o644, kind: '0', time: day}}
	more := []file{all[0], {name: "v.example/a@v1.0.0/b", body: "two\n", mode: 0o755, kind: '0', time: day}}
	other := []file{all[0]}
	other[0].body = "1\n"
	for name, p := range map[string][2][]byte{
		"identical": {tarOf(t, all), tarOf(t, all)},
		"explained": {gzipOf(t, tarOf(t, more), 9), gzipOf(t, tarOf(t, more), 1)},
		"modules":   {zipOf(t, all, ""), zipOf(t, other, "")},
		"members":   {zipOf(t, more, ""), zipOf(t, all, "comment")},
		"text":      {[]byte("one\n"), []byte("two\n")},
		"bytes":     {[]byte("\x00\x01"), []byte("\x00\x02")},
		"unread":    {[]byte("\x1f\x8b\x08broken"), []byte("\x1f\x8b\x08broken, too")},
	} {
		rep := r.compare(t, p[0], p[1])
		text, err := json.Marshal(rep)
		if err != nil {
			t.Fatal(err)
		}
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(v); err != nil {
			t.Errorf("%s: %v\n%s", name, err, text)
		}
	}
}
