package statement_test

import (
	"strings"
	"testing"
	"time"

	"vitrine.example/digest"
	"vitrine.example/key"
	"vitrine.example/statement"
)

// aReport is a valid report of an envelope that did not come and of content
// that came late.
func aReport() *statement.Withheld {
	place := statement.WithheldPlace{URL: "https://a.example", Asked: 2, Answer: "absent"}
	return &statement.Withheld{Origin: "a.example", At: circleTime, Items: []statement.WithheldItem{
		{Kind: statement.ItemStatement, Index: 0, SHA256: digest.Of([]byte("leaf")),
			Since: circleTime.Add(-time.Hour), Asked: 3, From: []statement.WithheldPlace{place}},
		{Kind: statement.ItemContent, Index: 0, SHA256: digest.Of([]byte("content")),
			Since: circleTime.Add(-time.Hour), Asked: 2, From: []statement.WithheldPlace{place}, Arrived: circleTime},
	}}
}

func TestWithheldRoundTrip(t *testing.T) {
	w := aReport()
	s, err := statement.New(w.Subjects(), w)
	if err != nil {
		t.Fatal(err)
	}
	env, err := statement.Sign(s, newSigner(t, key.P256))
	if err != nil {
		t.Fatal(err)
	}
	again, err := statement.Parse(env.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	back, err := again.Statement().Withheld()
	if err != nil || len(back.Items) != 2 || back.Items[1].Arrived != circleTime {
		t.Errorf("%+v, %v", back, err)
	}
	if _, err := again.Statement().Release(); err == nil {
		t.Error("a report was read as a release")
	}
	if err := schemaSays(t, "withheld-v1.schema.json", w); err != nil {
		t.Error(err)
	}
}

// What Validate refuses; where schema is set, the schema refuses it too.
func TestHostileReports(t *testing.T) {
	for name, x := range map[string]struct {
		change func(w *statement.Withheld)
		says   string
		schema bool
	}{
		"origin with a port":   {func(w *statement.Withheld) { w.Origin = "a.example:1" }, "origin", true},
		"local time":           {func(w *statement.Withheld) { w.At = circleTime.In(time.FixedZone("x", 3600)) }, "at", true},
		"no items":             {func(w *statement.Withheld) { w.Items = nil }, "items", true},
		"too many items":       {func(w *statement.Withheld) { w.Items = make([]statement.WithheldItem, 257) }, "items", true},
		"another kind":         {func(w *statement.Withheld) { w.Items[0].Kind = "room" }, "kind", true},
		"index below 0":        {func(w *statement.Withheld) { w.Items[0].Index = -1 }, "index", true},
		"no digest":            {func(w *statement.Withheld) { w.Items[0].SHA256 = digest.Digest{} }, "sha256", true},
		"never asked":          {func(w *statement.Withheld) { w.Items[0].Asked = 0 }, "asked", true},
		"no time":              {func(w *statement.Withheld) { w.Items[0].Since = time.Time{} }, "since", true},
		"asked after it":       {func(w *statement.Withheld) { w.Items[0].Since = circleTime.Add(time.Second) }, "since", false},
		"came before":          {func(w *statement.Withheld) { w.Items[1].Arrived = w.Items[1].Since.Add(-time.Second) }, "arrived", false},
		"comes after it":       {func(w *statement.Withheld) { w.Items[1].Arrived = circleTime.Add(time.Second) }, "arrived", false},
		"asked nobody":         {func(w *statement.Withheld) { w.Items[0].From = nil }, "from", true},
		"asked too many":       {func(w *statement.Withheld) { w.Items[0].From = make([]statement.WithheldPlace, 9) }, "from", true},
		"a file":               {func(w *statement.Withheld) { w.Items[0].From[0].URL = "file:///x" }, "url", true},
		"never asked there":    {func(w *statement.Withheld) { w.Items[0].From[0].Asked = 0 }, "asked", true},
		"another answer":       {func(w *statement.Withheld) { w.Items[0].From[0].Answer = "no" }, "answer", true},
		"one item twice":       {func(w *statement.Withheld) { w.Items[1] = w.Items[0] }, "twice", false},
		"subject of another":   {func(w *statement.Withheld) { w.Items[0].SHA256 = digest.Of([]byte("y")) }, "subject", false},
		"subject of another's": {func(w *statement.Withheld) { w.Origin = "b.example" }, "subject", false},
	} {
		t.Run(name, func(t *testing.T) {
			w := aReport()
			subject := w.Subjects()
			x.change(w)
			err := w.Validate(subject)
			if err == nil || !strings.Contains(err.Error(), x.says) {
				t.Fatalf("%v, want %q", err, x.says)
			}
			if bySchema := schemaSays(t, "withheld-v1.schema.json", w); x.schema != (bySchema != nil) {
				t.Errorf("the schema says %v, want a refusal: %t", bySchema, x.schema)
			}
		})
	}
}
