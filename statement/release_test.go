package statement_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"vitrine.example/digest"
	"vitrine.example/key"
	"vitrine.example/statement"
)

func anyDigest() *rapid.Generator[digest.Digest] {
	return rapid.Map(rapid.SliceOfN(rapid.Byte(), 32, 32), func(b []byte) digest.Digest {
		b[0] |= 1
		return digest.Digest(b)
	})
}

func anySize() *rapid.Generator[int64] { return rapid.Int64Range(0, 1<<53-1) }

const visible = `[\pL\pN\pP\pS]([\pL\pN\pP\pS ]{0,20}[\pL\pN\pP\pS])?`

func anyEvidence() *rapid.Generator[*statement.Evidence] {
	return rapid.Custom(func(t *rapid.T) *statement.Evidence {
		return &statement.Evidence{
			MediaType: rapid.StringMatching(`[a-z0-9]{1,10}/[a-z0-9][a-z0-9+.-]{0,20}`).Draw(t, "media type"),
			Size:      anySize().Draw(t, "size"),
			SHA256:    anyDigest().Draw(t, "digest"),
		}
	})
}

func anySource() *rapid.Generator[*statement.Source] {
	return rapid.Custom(func(t *rapid.T) *statement.Source {
		s := &statement.Source{
			Kind:   rapid.SampledFrom([]string{"git", "directory", "archive"}).Draw(t, "kind"),
			Access: rapid.SampledFrom([]string{"public", "circle", "room"}).Draw(t, "access"),
			Size:   anySize().Draw(t, "size"),
			SHA256: anyDigest().Draw(t, "digest"),
			URI:    rapid.StringMatching(`(|(https?|git\+https)://[a-z0-9]{1,9}(\.[a-z]{1,5})?(:[0-9]{1,5})?(/[A-Za-z0-9._~%:@!$&-]{0,9}){0,3})`).Draw(t, "uri"),
		}
		s.URI = strings.ReplaceAll(s.URI, "%", "%2F")
		if s.Kind == "git" {
			s.Commit = rapid.StringMatching(`|[0-9a-f]{40}|[0-9a-f]{64}`).Draw(t, "commit")
		}
		return s
	})
}

// anyRelease draws valid releases.
func anyRelease() *rapid.Generator[*statement.Release] {
	return rapid.Custom(func(t *rapid.T) *statement.Release {
		r := &statement.Release{
			Product:   "pkg:generic/" + rapid.StringMatching(`([a-z0-9]{1,8}/)?[a-z0-9][a-z0-9._-]{0,20}`).Draw(t, "product"),
			Version:   rapid.StringMatching(visible).Draw(t, "version"),
			Published: time.Unix(rapid.Int64Range(946684800, 253402300799).Draw(t, "published"), 0).UTC(),
			Notes:     rapid.StringMatching(`|https?://[a-z]{1,8}\.[a-z]{2,3}(/[a-z]{0,8})?(\?[a-z=&]{0,8})?(#[a-z]{0,8})?`).Draw(t, "notes"),
		}
		if rapid.Bool().Draw(t, "in a channel") {
			r.Channel = rapid.StringMatching(`[a-z0-9-]{1,64}`).Draw(t, "channel")
			if r.Seq = rapid.Int64Range(1, 1<<53-1).Draw(t, "seq"); r.Seq > 1 {
				previous := anyDigest().Draw(t, "previous")
				r.Previous = &previous
			}
		}
		names := rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) string {
			return strings.NewReplacer("/", "-", `\`, "-").Replace(rapid.StringMatching(visible).Draw(t, "name")) + "x"
		}), 1, 5, func(s string) string { return s }).Draw(t, "names")
		for _, name := range names {
			a := statement.Artifact{Name: name, Size: anySize().Draw(t, "size"), SHA256: anyDigest().Draw(t, "digest")}
			if rapid.Bool().Draw(t, "with SBOM") {
				a.SBOM = anyEvidence().Draw(t, "SBOM")
			}
			r.Artifacts = append(r.Artifacts, a)
		}
		if rapid.Bool().Draw(t, "with source") {
			r.Source = anySource().Draw(t, "source")
		}
		if rapid.Bool().Draw(t, "with recipe") {
			r.Recipe = anyEvidence().Draw(t, "recipe")
		}
		return r
	})
}

// releaseRules are the rules of a release predicate one by one: a change of
// fullRelease, and what the error says; nothing where it stays valid.
var releaseRules = []struct {
	path  string
	value any
	want  string
}{
	{"product", remove{}, "product: "},
	{"product", "", "product: "},
	{"product", "sensor", "product: "},
	{"product", "pkg:", "product: "},
	{"product", "pkg:generic", "product: "},
	{"product", "pkg:generic/", "product: "},
	{"product", "pkg:generic/sensor", ""},
	{"product", "pkg:golang/vitrine.example/cmd/vitrine", ""},
	{"product", "pkg:npm/%40scope/name", ""},
	{"product", "pkg:deb/debian/curl?arch=amd64&distro=bookworm", ""},
	{"product", "pkg:deb/debian/curl?distro=bookworm&arch=amd64", "is not the canonical package URL, which is"},
	{"product", "pkg:golang/example.com/mod#cmd/x", ""},
	{"product", "pkg:golang/example.com/mod#/cmd/x/", "is not the canonical package URL"},
	{"product", "pkg:generic/sensor@1.0", `names a version: leave "@1.0" out`},
	{"product", "pkg:generic/sensor@", "product: "},
	{"product", "PKG:generic/sensor", "product: "},
	{"product", "pkg:GENERIC/sensor", "product: "},
	{"product", "pkg://generic/sensor", "product: "},
	{"product", "pkg:generic//sensor", "product: "},
	{"product", "pkg:generic/sensor/", "product: "},
	{"product", "pkg:generic/%73ensor", "product: "},
	{"product", "pkg:github/Example/Sensor", "product: "},
	{"product", "pkg:generic/sen sor", "product: "},
	{"product", "pkg:generic/sénsor", "product: "},
	{"product", "pkg:generic/" + strings.Repeat("x", 1012), ""},
	{"product", "pkg:generic/" + strings.Repeat("x", 1013), "product: "},
	{"product", 1, "at /product: a number"},
	{"version", remove{}, "version: "},
	{"version", "", "version: "},
	{"version", " 1", "no space at either end"},
	{"version", "1 ", "version: "},
	{"version", "1 beta", ""},
	{"version", "2.0 édition 🔒", ""},
	{"version", "1\n", "version: "},
	{"version", "1\t2", "version: "},
	{"version", "1\u00a02", "version: "},
	{"version", "1\u202e2", "version: "},
	{"version", "1\u200b", "version: "},
	{"version", strings.Repeat("é", 128), ""},
	{"version", strings.Repeat("1", 129), "version: "},
	{"channel", remove{}, "seq: without a channel"},
	{"channel", "", "without a channel"},
	{"channel", "Stable", "channel: "},
	{"channel", "a b", "channel: "},
	{"channel", strings.Repeat("a", 64), ""},
	{"channel", strings.Repeat("a", 65), "channel: "},
	{"seq", remove{}, "seq: 0, want 1 or more with a channel"},
	{"seq", 0, "seq: 0"},
	{"seq", -1, "seq: -1"},
	{"seq", 1, "previous: the first of a channel (seq 1) has none"},
	{"seq", 3, ""},
	{"seq", 9007199254740991, ""},
	{"seq", 9007199254740992, "seq: 9007199254740992"},
	{"seq", "2", "at /seq: a string where an integer is due"},
	{"seq", 1.5, "at /seq: number 1.5 where an integer is due"},
	{"previous", remove{}, "previous: missing: seq 2 needs the digest of the statement of seq 1"},
	{"previous", strings.Repeat("0", 64), "previous: missing, or all zero"},
	{"previous", "x", "at /previous: digest"},
	{"previous", strings.Repeat("A", 64), "at /previous: digest"},
	{"previous", nil, "at /previous: null"},
	{"published", remove{}, "published: year 1"},
	{"published", "2026-03-01", "published"},
	{"published", "2026-03-01T12:00:00", "published"},
	{"published", "2026-03-01T12:00:00+01:00", "published: 2026-03-01T12:00:00+01:00 is not in UTC"},
	{"published", "2026-03-01T12:00:00.5Z", "is not in whole seconds"},
	{"published", "2026-02-29T12:00:00Z", "published"},
	{"published", "2028-02-29T12:00:00Z", ""},
	{"published", "2026-03-01T24:00:00Z", "published"},
	{"published", "2026-06-30T23:59:60Z", "published"},
	{"published", "1999-12-31T23:59:59Z", "published: year 1999, want 2000 to 9999"},
	{"published", "2000-01-01T00:00:00Z", ""},
	{"published", "9999-12-31T23:59:59Z", ""},
	{"published", "10000-01-01T00:00:00Z", "published"},
	{"published", 1772366400, "at /published: "},
	{"artifacts", remove{}, "artifacts: 0 of them"},
	{"artifacts", []any{}, "artifacts: 0 of them, want 1 to 1024"},
	{"artifacts/0", nil, "at /artifacts/0: null"},
	{"artifacts/0/name", remove{}, "artifacts/0: name: "},
	{"artifacts/0/name", "", "artifacts/0: name: "},
	{"artifacts/0/name", ".", "artifacts/0: name: "},
	{"artifacts/0/name", "..", "artifacts/0: name: "},
	{"artifacts/0/name", "...", ""},
	{"artifacts/0/name", ".hidden", ""},
	{"artifacts/0/name", "a/b", "artifacts/0: name: "},
	{"artifacts/0/name", "/a", "artifacts/0: name: "},
	{"artifacts/0/name", `a\b`, "artifacts/0: name: "},
	{"artifacts/0/name", "a\x00b", "artifacts/0: name: "},
	{"artifacts/0/name", "a\u202egpj.exe", "artifacts/0: name: "},
	{"artifacts/0/name", "données (1).bin", ""},
	{"artifacts/0/name", strings.Repeat("x", 255), ""},
	{"artifacts/0/name", strings.Repeat("x", 256), "artifacts/0: name: "},
	{"artifacts/0/name", strings.Repeat("é", 128), "artifacts/0: name: "},
	{"artifacts/0/name", "sensor.map", `artifacts/1: name "sensor.map" twice`},
	{"artifacts/0/size", remove{}, ""}, // of the Go type only: see TestSizeIsWritten
	{"artifacts/0/size", -1, "artifacts/0: size: -1"},
	{"artifacts/0/size", 9007199254740991, ""},
	{"artifacts/0/size", 9007199254740992, "artifacts/0: size: "},
	{"artifacts/0/sha256", remove{}, "artifacts/0: sha256: missing"},
	{"artifacts/0/sha256", strings.Repeat("0", 64), "artifacts/0: sha256: missing, or all zero"},
	{"artifacts/0/sha256", strings.Repeat("A", 64), "at /artifacts/0/sha256: digest"},
	{"artifacts/0/md5", "x", `unknown name "md5"`},
	{"recipe", map[string]any{}, "recipe: mediaType: "},
	{"artifacts/0/sbom", remove{}, ""},
	{"artifacts/0/sbom", nil, "at /artifacts/0/sbom: null"},
	{"artifacts/0/sbom", map[string]any{}, "artifacts/0: sbom: mediaType: "},
	{"artifacts/0/sbom/mediaType", "sbom", "artifacts/0: sbom: mediaType: "},
	{"artifacts/0/sbom/mediaType", "Application/json", "artifacts/0: sbom: mediaType: "},
	{"artifacts/0/sbom/mediaType", "application/json; charset=utf-8", "artifacts/0: sbom: mediaType: "},
	{"artifacts/0/sbom/mediaType", "text/spdx", ""},
	{"artifacts/0/sbom/size", -1, "artifacts/0: sbom: size: -1"},
	{"artifacts/0/sbom/sha256", remove{}, "artifacts/0: sbom: sha256: missing"},
	{"source", remove{}, ""},
	{"source/kind", "svn", "source: kind: "},
	{"source/kind", "Git", "source: kind: "},
	{"source/kind", remove{}, "source: kind: "},
	{"source/kind", "archive", "source: commit: only source of kind git has one"},
	{"source/access", "sealed", "source: access: "},
	{"source/access", remove{}, "source: access: "},
	{"source/access", "public", ""},
	{"source/size", -1, "source: size: -1"},
	{"source/sha256", remove{}, "source: sha256: missing"},
	{"source/commit", remove{}, ""},
	{"source/commit", strings.Repeat("0a", 32), ""},
	{"source/commit", strings.Repeat("0A", 20), "source: commit: "},
	{"source/commit", strings.Repeat("0a", 21), "source: commit: "},
	{"source/commit", "main", "source: commit: "},
	{"source/uri", remove{}, ""},
	{"source/uri", "https://example.com", ""},
	{"source/uri", "https://example.com:8443/a/b?c=d#e", ""},
	{"source/uri", "ssh://git@example.com/x", "source: uri: "},
	{"source/uri", "file:///etc/passwd", "source: uri: "},
	{"source/uri", "javascript:alert(1)", "source: uri: "},
	{"source/uri", "/relative", "source: uri: "},
	{"source/uri", "https:/example.com", "source: uri: "},
	{"source/uri", "https://user:secret@example.com/x", "source: uri: "},
	{"source/uri", "https://", "source: uri: "},
	{"source/uri", "HTTPS://example.com", "source: uri: "},
	{"source/uri", "https://Example.com", "source: uri: "},
	{"source/uri", "https://example.com/a b", "source: uri: "},
	{"source/uri", "https://example.com/%zz", "source: uri: "},
	{"source/uri", "https://example.com/%2f", ""},
	{"source/uri", "https://example.com/\"onclick=", "source: uri: "},
	{"source/uri", "https://exämple.com/", "source: uri: "},
	{"source/uri", "https://example.com/" + strings.Repeat("x", 2028), ""},
	{"source/uri", "https://example.com/" + strings.Repeat("x", 2029), "source: uri: "},
	{"notes", remove{}, ""},
	{"notes", "git+https://example.com/x", "notes: "},
	{"notes", "http://localhost:8080/x", ""},
	{"notes", "x", "notes: "},
	{"extra", 1, `unknown name "extra"`},
}

// change returns the payload of fullRelease with a field of the predicate
// changed, and subjects that go with it where it has any.
func change(t testing.TB, path string, value any) []byte {
	t.Helper()
	m := decode(t, sign(t, fullRelease(), newSigner(t, key.Ed25519)).Payload())
	set(t, m["predicate"], path, value)
	fitSubjects(m)
	return encode(t, m)
}

// fitSubjects gives a statement the subjects that its artifacts ask for.
func fitSubjects(m map[string]any) {
	artifacts, _ := m["predicate"].(map[string]any)["artifacts"].([]any)
	subject := []any{}
	for _, a := range artifacts {
		a, _ := a.(map[string]any)
		s := map[string]any{"digest": map[string]any{"sha256": sum("another").String()}}
		if d, ok := a["sha256"].(string); ok && len(d) == 64 && strings.ToLower(d) == d {
			s["digest"] = map[string]any{"sha256": d}
		}
		if name, ok := a["name"].(string); ok && name != "" && !strings.ContainsAny(name, "\x00") {
			s["name"] = name
		}
		subject = append(subject, s)
	}
	if len(subject) == 0 {
		subject = []any{map[string]any{"digest": map[string]any{"sha256": sum("another").String()}}}
	}
	m["subject"] = subject
}

func TestReleaseRules(t *testing.T) {
	for i, c := range releaseRules {
		if c.path == "artifacts/0/size" && c.value == any(remove{}) {
			continue // TestSizeIsWritten
		}
		payload := change(t, c.path, c.value)
		err := parsePayload(t, payload)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%d: %s = %.60v: %v", i, c.path, c.value, err)
		case c.want != "" && c.path == "artifacts/0/name" && c.value == any("sensor.map"):
			wantError(t, err, `name "sensor.map" is that of`) // the subjects are looked at first
		case c.want != "":
			wantError(t, err, c.want)
		}
	}
}

// A size that is absent is not a size of zero.
func TestSizeIsWritten(t *testing.T) {
	for _, path := range []string{"artifacts/0/size", "artifacts/0/sbom/size", "source/size"} {
		wantError(t, parsePayload(t, change(t, path, remove{})), "not in canonical form")
	}
}

// The subjects are the artifacts, in order, and nothing more.
func TestReleaseNeedsItsSubjects(t *testing.T) {
	for path, c := range map[string]struct {
		value any
		want  string
	}{
		"subject/0/name":             {"other", `artifacts/0: name "sensor.bin", and the subject is "other"`},
		"subject/0/digest/sha256":    {sum("x").String(), "is not the one digest of the subject"},
		"subject/0/digest/sha512":    {strings.Repeat("0a", 64), "is not the one digest of the subject"},
		"subject/0/uri":              {"https://example.com/", "more than name and digest"},
		"subject/0/mediaType":        {"text/plain", "more than name and digest"},
		"subject/0/content":          {"YQ==", "more than name and digest"},
		"subject/0/downloadLocation": {"x", "more than name and digest"},
		"subject/0/annotations":      {map[string]any{}, "more than name and digest"},
	} {
		m := decode(t, sign(t, fullRelease(), newSigner(t, key.Ed25519)).Payload())
		set(t, m, path, c.value)
		wantError(t, parsePayload(t, encode(t, m)), c.want)
	}
	m := decode(t, sign(t, fullRelease(), newSigner(t, key.Ed25519)).Payload())
	s := m["subject"].([]any)
	m["subject"] = []any{s[1], s[0]}
	wantError(t, parsePayload(t, encode(t, m)), "and the subject is")
	m["subject"] = s[:1]
	wantError(t, parsePayload(t, encode(t, m)), "artifacts: 2 of them, and 1 subjects")
}

func TestManyArtifacts(t *testing.T) {
	r := fullRelease()
	r.Artifacts = nil
	for i := range 1024 {
		r.Artifacts = append(r.Artifacts, statement.Artifact{Name: fmt.Sprint(i), SHA256: sum(fmt.Sprint(i))})
	}
	e := sign(t, r, newSigner(t, key.P256))
	if back, err := e.Statement().Release(); err != nil || len(back.Artifacts) != 1024 {
		t.Errorf("%v", err)
	}
	r.Artifacts = append(r.Artifacts, statement.Artifact{Name: "one more", SHA256: sum("x")})
	_, err := statement.New(r.Subjects(), r)
	wantError(t, err, "artifacts: 1025 of them")
}

// The writer is held to what the reader asks: local times, fractions.
func TestWriterIsChecked(t *testing.T) {
	for name, published := range map[string]time.Time{
		"local":    time.Date(2026, 3, 1, 12, 0, 0, 0, time.FixedZone("", 3600)),
		"fraction": time.Date(2026, 3, 1, 12, 0, 0, 1, time.UTC),
		"zero":     {},
	} {
		r := fullRelease()
		r.Published = published
		if _, err := statement.New(r.Subjects(), r); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
