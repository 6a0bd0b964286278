package statement_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"vitrine.example/key"
	"vitrine.example/statement"
)

// foreign returns a statement whose predicate is not ours.
func foreign() map[string]any {
	return map[string]any{
		"_type":         "https://in-toto.io/Statement/v1",
		"subject":       []any{map[string]any{"name": "a", "digest": map[string]any{"sha256": sum("a").String()}}},
		"predicateType": "https://slsa.dev/provenance/v1",
		"predicate":     map[string]any{},
	}
}

func parsePayload(t testing.TB, payload []byte) error {
	t.Helper()
	_, err := statement.Parse(wrap(t, payload))
	return err
}

// The rules of a statement, whatever its predicate.
func TestStatementRules(t *testing.T) {
	long := strings.Repeat("x", 5000)
	many := make([]any, 1025)
	for i := range many {
		many[i] = map[string]any{"name": fmt.Sprint(i), "digest": map[string]any{"sha256": sum("a").String()}}
	}
	same := foreign()["subject"].([]any)[0]
	for i, c := range []struct {
		path  string
		value any
		want  string
	}{
		{"_type", "https://in-toto.io/Statement/v0.1", `_type: "https://in-toto.io/Statement/v0.1"`},
		{"_type", remove{}, "_type"},
		{"_type", nil, "at /_type: null"},
		{"_type", 1, "at /_type: a number where a string is due"},
		{"extra", 1, `at /extra: unknown name "extra"`},
		{"Subject", []any{}, `unknown name "Subject"`},
		{"predicateType", remove{}, "predicateType: missing"},
		{"predicateType", "", "predicateType: missing"},
		{"predicateType", "provenance", `predicateType: "provenance" is not an absolute URI`},
		{"predicateType", "//slsa.dev/x", "not an absolute URI"},
		{"predicateType", "https:", "not an absolute URI"},
		{"predicateType", "https:///x", "not an absolute URI"},
		{"predicateType", "HTTPS://slsa.dev/x", "not an absolute URI"},
		{"predicateType", "https://slsa.dev/a b", "not an absolute URI"},
		{"predicateType", "https://slsa.dev/é", "not an absolute URI"},
		{"predicateType", "https://slsa.dev/%zz", "not an absolute URI"},
		{"predicateType", "https://slsa.dev/\x00", "not an absolute URI"},
		{"predicateType", "https://slsa.dev/" + long, "predicateType: 5017 bytes"},
		{"predicateType", "https://vitrine.example/unknown/v1", "is not known"},
		{"predicateType", "https://vitrine.example/release/v2", "is not known"},
		{"predicateType", "https://vitrine.example/", "is not known"},
		{"predicateType", "https://vitrine.example/release/v1", "predicate: product"},
		{"predicateType", "urn:example:x", ""},
		// The grammar of statement.md and no more, so that all readers agree.
		{"predicateType", "x+y-1.z:?", ""},
		{"predicateType", "https://[::1/a", ""},
		{"predicateType", "https://a:port/%2f", ""},
		{"predicateType", "x:/y", "not an absolute URI"},
		{"predicateType", "x://?y", "not an absolute URI"},
		{"predicateType", "1x:y", "not an absolute URI"},
		{"predicateType", ":y", "not an absolute URI"},
		{"predicateType", "x:%4", "not an absolute URI"},
		{"predicateType", "x:a|b", "not an absolute URI"},
		{"subject/0/name", "a\ufffdb", ""},
		{"subject/0/name", "a\u0085b", "U+0085"},
		{"predicate", remove{}, "predicate: missing"},
		{"predicate", nil, "predicate: not an object"},
		{"predicate", []any{}, "predicate: not an object"},
		{"predicate", "x", "predicate: not an object"},
		{"predicate/x", nil, ""},
		{"subject", remove{}, "subject: 0 of them"},
		{"subject", []any{}, "subject: 0 of them, want 1 to 1024"},
		{"subject", nil, "at /subject: null"},
		{"subject", many, "subject: 1025 of them"},
		{"subject", many[:1024], ""},
		{"subject", []any{same, same}, `subject/1: name "a" is that of subject/0 too`},
		{"subject/0", nil, "at /subject/0: null"},
		{"subject/0/name", remove{}, ""},
		{"subject/0/name", strings.Repeat("x", 1024), ""},
		{"subject/0/name", strings.Repeat("x", 1025), "subject/0: name: 1025 bytes"},
		{"subject/0/name", "a\nb", "subject/0: name: "},
		{"subject/0/name", "a\u0085b", "subject/0: name: "},
		{"subject/0/name", "\x1b[31m", "subject/0: name: "},
		{"subject/0/Name", "x", `unknown name "Name"`},
		{"subject/0/uri", "https://example.com/a", ""},
		{"subject/0/uri", "x" + long, "subject/0: uri: 5001 bytes"},
		{"subject/0/downloadLocation", "x" + long, "subject/0: downloadLocation: 5001 bytes"},
		{"subject/0/mediaType", "x" + long, "subject/0: mediaType: 5001 bytes"},
		{"subject/0/mediaType", "text/plain", ""},
		{"subject/0/content", "YQ==", ""},
		{"subject/0/content", "YR==", "at /subject/0/content: base64"},
		{"subject/0/annotations", map[string]any{"a": nil}, ""},
		{"subject/0/annotations", []any{}, "subject/0: annotations: not an object"},
		{"subject/0/annotations", nil, "subject/0: annotations: not an object"},
		{"subject/0/digest", remove{}, "subject/0: digest: no sha256"},
		{"subject/0/digest", map[string]any{}, "subject/0: digest: no sha256"},
		{"subject/0/digest", nil, "at /subject/0/digest: null"},
		{"subject/0/digest/sha256", remove{}, "subject/0: digest: no sha256"},
		{"subject/0/digest/sha256", strings.ToUpper(sum("a").String()), `subject/0: digest/"sha256": 'C' is not a lower-case hexadecimal digit`},
		{"subject/0/digest/sha256", sum("a").String()[1:], `subject/0: digest/"sha256": 63 characters`},
		{"subject/0/digest/sha256", "", `digest/"sha256": 0 characters`},
		{"subject/0/digest/sha256", 1, "at /subject/0/digest/sha256: a number"},
		{"subject/0/digest/SHA256", sum("a").String(), ""}, // an algorithm of that name, beside sha256
		{"subject/0/digest/sha512", sum("a").String(), `digest/"sha512": 64 characters, want [128]`},
		{"subject/0/digest/sha512", strings.Repeat("0a", 64), ""},
		{"subject/0/digest/gitCommit", strings.Repeat("0a", 20), ""},
		{"subject/0/digest/gitCommit", "HEAD", `digest/"gitCommit": 4 characters`},
		{"subject/0/digest/dirHash", "h1:abc=", ""},
		{"subject/0/digest/dirHash", "h1: abc", "not a printable ASCII character"},
		{"subject/0/digest/dirHash", "é", "not a printable ASCII character"},
		{"subject/0/digest/a b", "x", "not the name of an algorithm"},
		{"subject/0/digest/x", strings.Repeat("x", 257), "257 characters"},
	} {
		s := foreign()
		set(t, s, c.path, c.value)
		err := parsePayload(t, encode(t, s))
		if c.want == "" && err != nil {
			t.Errorf("%d: %s = %.80v: %v", i, c.path, c.value, err)
		} else if c.want != "" {
			wantError(t, err, c.want)
			if err != nil && len(err.Error()) > 700 {
				t.Errorf("%s: an error of %d bytes", c.path, len(err.Error()))
			}
		}
	}
}

func TestManyDigests(t *testing.T) {
	s := foreign()
	for i := range 16 {
		set(t, s, fmt.Sprintf("subject/0/digest/x%d", i), "y")
	}
	wantError(t, parsePayload(t, encode(t, s)), "digest: 17 of them")
	set(t, s, "subject/0/digest/x0", remove{})
	if err := parsePayload(t, encode(t, s)); err != nil {
		t.Error(err)
	}
}

// Two subjects may be nameless, and several names may have one digest.
func TestNamelessSubjects(t *testing.T) {
	s := foreign()
	d := map[string]any{"sha256": sum("a").String()}
	set(t, s, "subject", []any{map[string]any{"digest": d}, map[string]any{"digest": d}, map[string]any{"digest": d, "name": "a"}})
	if err := parsePayload(t, encode(t, s)); err != nil {
		t.Error(err)
	}
}

// Others' payloads are kept as they were signed; what is ambiguous in them is
// refused all the same.
func TestOthersPayloads(t *testing.T) {
	compact := string(encode(t, foreign()))
	var indented bytes.Buffer
	if err := json.Indent(&indented, []byte(compact), "", "  "); err != nil {
		t.Fatal(err)
	}
	e, err := statement.Parse(wrap(t, indented.Bytes()))
	if err != nil || !bytes.Equal(e.Payload(), indented.Bytes()) {
		t.Errorf("indented: %v", err)
	}
	with := func(predicate string) []byte {
		return []byte(strings.Replace(compact, `"predicate":{}`, `"predicate":`+predicate, 1))
	}
	for predicate, want := range map[string]string{
		`{"n":12345678901234567890,"f":1.50}`: "",
		` {"a" : [ ] } `:                      "",
		`{"a":1,"a":2}`:                       `at /predicate/a: name "a" twice`,
		`{"a":[{"b":1,"b":2}]}`:               `at /predicate/a/0/b: name "b" twice`,
		"{\"a\":\"\xff\"}":                    "invalid UTF-8",
		`{"a":"\ud800"}`:                      "invalid surrogate pair",
		`{"a":` + strings.Repeat("[", 30) + strings.Repeat("]", 30) + `}`: "",
		`{"a":` + strings.Repeat("[", 31) + strings.Repeat("]", 31) + `}`: "nested deeper than 32",
	} {
		err := parsePayload(t, with(predicate))
		if want == "" && err != nil {
			t.Errorf("%.60s: %v", predicate, err)
		} else if want != "" {
			wantError(t, err, "payload: ", want)
		}
	}
	wantError(t, parsePayload(t, []byte(strings.Replace(compact, `"_type"`, `"_type":"x","_type"`, 1))), `name "_type" twice`)
	wantError(t, parsePayload(t, []byte(compact+"x")), "after top-level value")
}

// Ours have one encoding: every other is refused, with the place.
func TestOurPayloadsHaveOneEncoding(t *testing.T) {
	payload := string(sign(t, fullRelease(), newSigner(t, key.P256)).Payload())
	if err := parsePayload(t, []byte(payload)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ old, new, want string }{
		{`{"_type"`, `{ "_type"`, "line 1, column 2"},
		{`}]}`, "}]}\n", "not in canonical form"},
		{`"name":"sensor.bin","sbom"`, `"name":"sens\u006fr.bin","sbom"`, "at /predicate/artifacts/0/name: not in canonical form"},
		{`"2026-03-01T12:00:00Z"`, `"2026-03-01T12:00:00.000Z"`, "at /predicate/published: not in canonical form"},
		{`"2026-03-01T12:00:00Z"`, `"2026-03-01T12:00:00+00:00"`, "published"},
		{`"2026-03-01T12:00:00Z"`, `"2026-03-01T12:00:00-00:00"`, "published"},
		{`"2026-03-01T12:00:00Z"`, `"2026-03-01t12:00:00Z"`, "published"},
		{`"size":28`, `"size":28.0`, "at /artifacts/0/size: number 28.0 where an integer is due"},
		{`"size":28`, `"size":2.8e1`, "number 2.8e1 where an integer is due"},
		{`"size":0`, `"size":-0`, "at /predicate/artifacts/1/size: not in canonical form"},
		{`"seq":2`, `"seq":2,"zeta":1`, `at /zeta: unknown name "zeta"`},
		{`"version":`, `"Version":`, `unknown name "Version"`},
		{`"name":"sensor.map"}]}`, `"name":"sensor.map","uri":""}]}`, "at /subject/1/uri: not in canonical form"},
		{`"name":"sensor.map"}]}`, `"name":"sensor.map","content":""}]}`, "not in canonical form"},
		{`"commit":"`, `"Commit":"","commit":"`, "unknown name"},
		{`"sbom":{`, `"sbom":null,"x":{`, "null is not allowed"},
	} {
		if strings.Count(payload, c.old) != 1 {
			t.Fatalf("%s stands %d times in %s", c.old, strings.Count(payload, c.old), payload)
		}
		wantError(t, parsePayload(t, []byte(strings.Replace(payload, c.old, c.new, 1))), c.want)
	}
	// Empty for absent is a second way to say nothing.
	r := fullRelease()
	r.Channel, r.Seq, r.Previous, r.Source, r.Notes = "", 0, nil, nil, ""
	payload = string(sign(t, r, newSigner(t, key.P256)).Payload())
	for _, empty := range []string{`"channel":""`, `"seq":0`, `"notes":""`, `"previous":null`, `"source":null`} {
		m := decode(t, []byte(payload))
		p := decode(t, []byte("{"+empty+"}"))
		for name, v := range p {
			set(t, m, "predicate/"+name, v)
		}
		if err := parsePayload(t, encode(t, m)); err == nil {
			t.Errorf("%s: accepted", empty)
		}
	}
}

// note is a predicate of somebody else's, made with New.
type note struct {
	Text  string  `json:"text"`
	N     float64 `json:"n"`
	wrong error
	typ   string
}

func (n *note) PredicateType() string              { return n.typ }
func (n *note) Validate([]statement.Subject) error { return n.wrong }

func TestNewWithOthersPredicate(t *testing.T) {
	subject := []statement.Subject{statement.NewSubject("a", sum("a"))}
	k := newSigner(t, key.Ed25519)
	s, err := statement.New(subject, &note{Text: "t", typ: "https://example.com/note/v1"})
	if err != nil {
		t.Fatal(err)
	}
	subject[0].Digest["sha256"] = "changed"
	e, err := statement.Sign(s, k)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"_type":"https://in-toto.io/Statement/v1","predicate":{"n":0,"text":"t"},"predicateType":"https://example.com/note/v1","subject":[{"digest":{"sha256":"` +
		sum("a").String() + `"},"name":"a"}]}`
	if string(e.Payload()) != want {
		t.Errorf("%s\nwant\n%s", e.Payload(), want)
	}
	_, err = e.Statement().Release()
	wantError(t, err, `predicateType "https://example.com/note/v1"`, "release/v1")

	good := []statement.Subject{statement.NewSubject("a", sum("a"))}
	for _, c := range []struct {
		p       statement.Predicate
		subject []statement.Subject
		want    string
	}{
		{&note{typ: "https://example.com/n", wrong: errors.New("is wrong")}, good, "is wrong"},
		{&note{typ: ""}, good, "predicateType: missing"},
		{&note{typ: "https://vitrine.example/note/v1"}, good, "is not known"},
		{&note{typ: "https://vitrine.example/release/v1"}, good, `unknown name "n"`},
		{&note{typ: "https://example.com/n", N: 1 << 60}, good, "beyond"},
		{&note{typ: "https://example.com/n", Text: "\xff"}, good, "invalid UTF-8"},
		{&note{typ: "https://example.com/n"}, nil, "subject: 0 of them"},
		{&note{typ: "https://example.com/n"}, []statement.Subject{{Name: "a"}}, "no sha256"},
		{&note{typ: "https://example.com/n", Text: strings.Repeat("x", 1<<20)}, good, "at most 1048576"},
		{fullRelease(), good, "one for each"},
	} {
		_, err := statement.New(c.subject, c.p)
		wantError(t, err, c.want)
	}
	// A payload that fits, whose envelope does not.
	s, err = statement.New(good, &note{typ: "https://example.com/n", Text: strings.Repeat("x", 1<<20-1000)})
	if err != nil {
		t.Fatal(err)
	}
	_, err = statement.Sign(s, k)
	wantError(t, err, "at most 1048576")
	// One that was changed after New.
	s.PredicateType = "nothing"
	_, err = statement.Sign(s, k)
	wantError(t, err, "predicateType")
	_, err = statement.Sign(&statement.Statement{}, k)
	wantError(t, err, "_type")
}
