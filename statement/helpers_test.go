package statement_test

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/strictjson"
	"vitrine.example/key"
	"vitrine.example/statement"
)

var golden = []string{"release-p256", "release-ed25519", "provenance-p256"}

func read(t testing.TB, path ...string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(append([]string{"testdata"}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// wantError asks for an error that says all of want.
func wantError(t testing.TB, err error, want ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("no error, want one that says %q", want)
		return
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q does not say %q", err, w)
		}
	}
}

func newSigner(t testing.TB, alg key.Algorithm) *key.Signer {
	t.Helper()
	s, err := key.Generate(alg, nil)
	if err != nil {
		t.Fatal(err)
	}
	k, err := key.NewSigner(s)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func sum(s string) digest.Digest { return digest.Of([]byte(s)) }

// fullRelease has every field.
func fullRelease() *statement.Release {
	previous := sum("previous")
	return &statement.Release{
		Product: "pkg:generic/example.com/sensor", Version: "2.1.0",
		Channel: "stable", Seq: 2, Previous: &previous,
		Published: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
		Artifacts: []statement.Artifact{
			{Name: "sensor.bin", Size: 28, SHA256: sum("image"), SBOM: &statement.Evidence{
				MediaType: "application/vnd.cyclonedx+json", Size: 99, SHA256: sum("sbom")}},
			{Name: "sensor.map", SHA256: sum("map")},
		},
		Source: &statement.Source{Kind: "git", Access: "room", Size: 10240, SHA256: sum("tar"),
			Commit: strings.Repeat("0a", 20), URI: "git+https://git.example.com/sensor.git"},
		Notes: "https://example.com/sensor/2.1.0?lang=en#fixes",
	}
}

func sign(t testing.TB, r *statement.Release, k *key.Signer) *statement.Envelope {
	t.Helper()
	s, err := statement.New(r.Subjects(), r)
	if err != nil {
		t.Fatal(err)
	}
	e, err := statement.Sign(s, k)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// wrap puts a payload into an envelope without asking what it is. The signature
// is none; Parse does not look at it.
func wrap(t testing.TB, payload []byte) []byte {
	t.Helper()
	return encode(t, map[string]any{
		"payload":     base64.StdEncoding.EncodeToString(payload),
		"payloadType": "application/vnd.in-toto+json",
		"signatures":  []any{map[string]any{"keyid": sum("key").String(), "sig": "AAAA"}},
	})
}

// encode writes JSON with names in order and no white space, by the standard
// library; for ASCII names and small integers this is RFC 8785.
func encode(t testing.TB, v any) []byte {
	t.Helper()
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		t.Fatal(err)
	}
	return []byte(strings.TrimSuffix(b.String(), "\n"))
}

// decode reads JSON into maps and slices.
func decode(t testing.TB, b []byte) map[string]any {
	t.Helper()
	var m map[string]any
	dec := json.NewDecoder(strings.NewReader(string(b)))
	dec.UseNumber()
	if err := dec.Decode(&m); err != nil {
		t.Fatal(err)
	}
	return m
}

// at returns the object or array at path in v, and the last name of the path.
func at(t testing.TB, v any, path string) (parent any, last string) {
	t.Helper()
	names := strings.Split(path, "/")
	for _, name := range names[:len(names)-1] {
		switch p := v.(type) {
		case map[string]any:
			v = p[name]
		case []any:
			v = p[int(name[0]-'0')]
		default:
			t.Fatalf("%s: no %q", path, name)
		}
	}
	return v, names[len(names)-1]
}

type remove struct{}

// set sets, adds or removes the value at path.
func set(t testing.TB, v any, path string, value any) {
	t.Helper()
	parent, last := at(t, v, path)
	switch p := parent.(type) {
	case map[string]any:
		if _, ok := value.(remove); ok {
			delete(p, last)
		} else {
			p[last] = value
		}
	case []any:
		p[int(last[0]-'0')] = value
	default:
		t.Fatalf("%s: no such place", path)
	}
}

// canonical encodes m in canonical form, where numbers allow it; others are
// written as they are, for readers to refuse.
func canonical(m map[string]any) ([]byte, error) {
	b, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	if c, err := strictjson.Canonicalize(b, strictjson.Limits{Size: len(b)}); err == nil {
		return c, nil
	}
	return b, nil
}

// envelopeOf is wrap without a test to fail.
func envelopeOf(payload []byte) []byte {
	return []byte(`{"payload":"` + base64.StdEncoding.EncodeToString(payload) +
		`","payloadType":"application/vnd.in-toto+json","signatures":[{"keyid":"` + sum("key").String() + `","sig":"AAAA"}]}`)
}

// predicateMap returns r as maps and slices.
func predicateMap(r *statement.Release) (map[string]any, error) {
	b, err := strictjson.Canonical(r)
	if err != nil {
		return nil, err
	}
	var m map[string]any
	dec := json.NewDecoder(strings.NewReader(string(b)))
	dec.UseNumber()
	return m, dec.Decode(&m)
}

// trySet is set where there is such a place.
func trySet(v any, path string, value any) {
	names := strings.Split(path, "/")
	for _, name := range names[:len(names)-1] {
		switch p := v.(type) {
		case map[string]any:
			v = p[name]
		case []any:
			if len(p) == 0 {
				return
			}
			v = p[0]
		default:
			return
		}
	}
	last := names[len(names)-1]
	switch p := v.(type) {
	case map[string]any:
		if _, ok := value.(remove); ok {
			delete(p, last)
		} else {
			p[last] = value
		}
	case []any:
		if _, ok := value.(remove); !ok && len(p) > 0 {
			p[0] = value
		}
	}
}
