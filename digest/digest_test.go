package digest_test

import (
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"vitrine.example/digest"
)

// The digests of nothing and of "abc" as FIPS 180-4's examples give them.
func TestOf(t *testing.T) {
	for in, want := range map[string]string{
		"":    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		"abc": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
	} {
		if d := digest.Of([]byte(in)); d.String() != want || d.IsZero() {
			t.Errorf("%q: %s, want %s", in, d, want)
		}
	}
	if !(digest.Digest{}).IsZero() {
		t.Error("the zero value is not zero")
	}
}

func TestParse(t *testing.T) {
	good := digest.Of(nil).String()
	for _, bad := range []string{
		"", good[:63], good + "0", good[:62], strings.ToUpper(good), "sha256:" + good, " " + good[1:],
		good[:63] + "g", good[:63] + "\n", good[:62] + "é", strings.Repeat("0", 1<<16),
	} {
		d, err := digest.Parse(bad)
		if err == nil || !d.IsZero() {
			t.Errorf("%.80q: %s, %v", bad, d, err)
		} else if len(err.Error()) > 600 {
			t.Errorf("an error of %d bytes", len(err.Error()))
		}
	}
}

func TestTextRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := digest.Digest(rapid.SliceOfN(rapid.Byte(), digest.Size, digest.Size).Draw(t, "digest"))
		again, err := digest.Parse(d.String())
		if err != nil || again != d {
			t.Fatalf("%s, %v", again, err)
		}
		text, err := json.Marshal(map[digest.Digest]digest.Digest{d: d})
		if err != nil || string(text) != `{"`+d.String()+`":"`+d.String()+`"}` {
			t.Fatalf("%s, %v", text, err)
		}
		var m map[digest.Digest]digest.Digest
		if err := json.Unmarshal(text, &m); err != nil || m[d] != d {
			t.Fatalf("%v, %v", m, err)
		}
	})
}

// A digest that cannot be read leaves what was there.
func TestUnmarshalTextRefuses(t *testing.T) {
	d := digest.Of(nil)
	if err := d.UnmarshalText([]byte("short")); err == nil || d != digest.Of(nil) {
		t.Errorf("%s, %v", d, err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(digest.Of(nil).String())
	f.Add(strings.Repeat("F", 64))
	f.Fuzz(func(t *testing.T, s string) {
		if d, err := digest.Parse(s); err == nil && d.String() != s {
			t.Errorf("%q is a second form of %s", s, d)
		}
	})
}
