package statement

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"unicode"
	"unicode/utf8"

	"vitrine.example/digest"
)

// Subject is what a statement speaks of (in-toto ResourceDescriptor v1).
type Subject struct {
	Name             string            `json:"name,omitzero"`
	URI              string            `json:"uri,omitzero"`
	Digest           map[string]string `json:"digest"` // at least "sha256"
	Content          []byte            `json:"content,omitzero"`
	DownloadLocation string            `json:"downloadLocation,omitzero"`
	MediaType        string            `json:"mediaType,omitzero"`
	Annotations      json.RawMessage   `json:"annotations,omitzero"` // an object
}

// NewSubject names a file by its digest.
func NewSubject(name string, sha256 digest.Digest) Subject {
	return Subject{Name: name, Digest: map[string]string{"sha256": sha256.String()}}
}

// SHA256 returns the subject's digest, or zero where it has none that is well formed.
func (s Subject) SHA256() digest.Digest {
	d, err := digest.Parse(s.Digest["sha256"])
	if err != nil {
		return digest.Digest{}
	}
	return d
}

// Bounds of a subject.
const (
	maxName    = 1024 // bytes
	maxURI     = 2048
	maxMedia   = 255
	maxDigests = 16
	maxValue   = 256
)

// hexDigits is the length of the digests that are hexadecimal by definition
// (in-toto digest_set.md).
var hexDigits = map[string][]int{
	"md5": {32}, "sha1": {40}, "sha224": {56}, "sha256": {64}, "sha384": {96}, "sha512": {128},
	"sha512_224": {56}, "sha512_256": {64},
	"sha3_224": {56}, "sha3_256": {64}, "sha3_384": {96}, "sha3_512": {128},
	"gitCommit": {40, 64}, "gitTree": {40, 64}, "gitBlob": {40, 64}, "gitTag": {40, 64},
}

func checkSubjects(subject []Subject) error {
	if len(subject) == 0 || len(subject) > MaxSubjects {
		return fmt.Errorf("subject: %d of them, want 1 to %d", len(subject), MaxSubjects)
	}
	first := make(map[string]int, len(subject))
	for i, s := range subject {
		if err := s.check(); err != nil {
			return fmt.Errorf("subject/%d: %w", i, err)
		}
		if s.Name == "" {
			continue
		}
		if j, ok := first[s.Name]; ok {
			return fmt.Errorf("subject/%d: name %.80q is that of subject/%d too", i, s.Name, j)
		}
		first[s.Name] = i
	}
	return nil
}

func (s Subject) check() error {
	for _, f := range []struct {
		name, value string
		max         int
	}{
		{"name", s.Name, maxName},
		{"uri", s.URI, maxURI},
		{"downloadLocation", s.DownloadLocation, maxURI},
		{"mediaType", s.MediaType, maxMedia},
	} {
		if err := checkText(f.value, f.max); err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
	}
	if a := bytes.TrimLeft(s.Annotations, " \t\r\n"); len(a) > 0 && a[0] != '{' {
		return errors.New("annotations: not an object")
	}
	return checkDigests(s.Digest)
}

func checkDigests(set map[string]string) error {
	if len(set) > maxDigests {
		return fmt.Errorf("digest: %d of them, at most %d are allowed", len(set), maxDigests)
	}
	for _, name := range slices.Sorted(maps.Keys(set)) {
		if err := checkDigest(name, set[name]); err != nil {
			return fmt.Errorf("digest/%.40q: %w", name, err)
		}
	}
	if _, ok := set["sha256"]; !ok {
		return errors.New("digest: no sha256")
	}
	return nil
}

func checkDigest(name, value string) error {
	if !isDigestName(name) {
		return errors.New("not the name of an algorithm")
	}
	if value == "" || len(value) > maxValue {
		return fmt.Errorf("%d characters, want 1 to %d", len(value), maxValue)
	}
	lengths, isHex := hexDigits[name]
	if isHex && !slices.Contains(lengths, len(value)) {
		return fmt.Errorf("%d characters, want %v", len(value), lengths)
	}
	for _, c := range []byte(value) {
		if isHex && !('0' <= c && c <= '9' || 'a' <= c && c <= 'f') {
			return fmt.Errorf("%q is not a lower-case hexadecimal digit", c)
		}
		if c <= ' ' || c >= 0x7f {
			return fmt.Errorf("%q is not a printable ASCII character", c)
		}
	}
	return nil
}

// checkText bounds a text of others' making and keeps control characters out.
func checkText(s string, max int) error {
	if len(s) > max {
		return fmt.Errorf("%d bytes, at most %d are allowed", len(s), max)
	}
	if !utf8.ValidString(s) {
		return fmt.Errorf("%.80q is not UTF-8", s)
	}
	for _, r := range s {
		if unicode.IsControl(r) {
			return fmt.Errorf("%.80q has the character %U", s, r)
		}
	}
	return nil
}

func cloneSubjects(subject []Subject) []Subject {
	c := slices.Clone(subject)
	for i := range c {
		c[i].Digest = maps.Clone(c[i].Digest)
		c[i].Content = bytes.Clone(c[i].Content)
		c[i].Annotations = bytes.Clone(c[i].Annotations)
	}
	return c
}
