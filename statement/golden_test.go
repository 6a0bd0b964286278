package statement_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"vitrine.example/digest"
	"vitrine.example/key"
	"vitrine.example/statement"
)

// Envelopes that others wrote and signed are read and verify; their leaves and
// leaf hashes are those of Rekor v2's code (testdata/golden/README.md).
func TestGolden(t *testing.T) {
	for _, name := range golden {
		t.Run(name, func(t *testing.T) {
			raw, payload := read(t, "golden", name, "envelope.json"), read(t, "golden", name, "payload.json")
			pub, err := key.ParsePublic(read(t, "golden", name, "public.pem"))
			if err != nil {
				t.Fatal(err)
			}
			e, err := statement.Parse(raw)
			if err != nil {
				t.Fatal(err)
			}
			if err := e.Verify(pub); err != nil {
				t.Error(err)
			}
			if !bytes.Equal(e.Bytes(), raw) || e.Digest() != digest.Of(raw) || !bytes.Equal(e.Payload(), payload) || e.KeyID() != pub.ID() {
				t.Error("something else was read")
			}
			leaf, err := e.Leaf(pub)
			if err != nil {
				t.Fatal(err)
			}
			if want := read(t, "golden", name, "leaf.json"); !bytes.Equal(leaf, want) {
				t.Errorf("leaf\n%s\nwant\n%s", leaf, want)
			}
			hash := tlog.RecordHash(leaf)
			if want := strings.TrimSpace(string(read(t, "golden", name, "leafhash.txt"))); hex.EncodeToString(hash[:]) != want {
				t.Errorf("leaf hash %x, want %s", hash, want)
			}
			l, err := statement.ParseLeaf(leaf)
			if err != nil || l.Kind != statement.LeafStatement || l.Key != pub || !bytes.Equal(l.Signature, e.Signature()) {
				t.Errorf("leaf read back: %+v, %v", l, err)
			}
		})
	}
}

// What we write for the same release is what another program wrote.
func TestGoldenPayloadIsOurs(t *testing.T) {
	for _, name := range []string{"release-p256", "release-ed25519"} {
		payload := read(t, "golden", name, "payload.json")
		var s statement.Statement
		if err := json.Unmarshal(payload, &s); err != nil {
			t.Fatal(err)
		}
		r, err := s.Release()
		if err != nil {
			t.Fatal(err)
		}
		e := sign(t, r, newSigner(t, key.P256))
		if !bytes.Equal(e.Payload(), payload) {
			t.Errorf("%s: written as\n%s\nwant\n%s", name, e.Payload(), payload)
		}
	}
}

// Every single flipped bit of an envelope is refused, by Parse or by Verify: all
// of a small one of each kind of key, and one of each byte of the others.
func TestEveryFlippedBitIsRefused(t *testing.T) {
	for _, name := range golden {
		pub, err := key.ParsePublic(read(t, "golden", name, "public.pem"))
		if err != nil {
			t.Fatal(err)
		}
		flipEnvelope(t, name, read(t, "golden", name, "envelope.json"), pub, 7)
	}
	r := fullRelease()
	r.Channel, r.Seq, r.Previous, r.Source, r.Notes, r.Artifacts = "", 0, nil, nil, "", r.Artifacts[1:]
	for _, alg := range []key.Algorithm{key.P256, key.Ed25519} {
		k := newSigner(t, alg)
		flipEnvelope(t, string(alg), sign(t, r, k).Bytes(), k.Public(), 1)
	}
}

// flipEnvelope flips every bit whose number step divides.
func flipEnvelope(t *testing.T, name string, raw []byte, pub key.Public, step int) {
	t.Helper()
	parsed := 0
	for bit := 0; bit < 8*len(raw); bit += step {
		flipped := slices.Clone(raw)
		flipped[bit/8] ^= 1 << (bit % 8)
		e, err := statement.Parse(flipped)
		if err != nil {
			continue
		}
		if !bytes.Equal(e.Bytes(), flipped) {
			t.Errorf("%s: bit %d: a second encoding", name, bit)
		}
		if parsed++; e.Verify(pub) == nil {
			t.Errorf("%s: accepted with bit %d flipped", name, bit)
		}
	}
	if parsed == 0 {
		t.Errorf("%s: no flipped envelope reached Verify", name)
	}
}

// So is every flipped bit of a leaf, unless it says another thing and says it
// in the one way.
func TestEveryFlippedBitOfALeafIsAnotherLeaf(t *testing.T) {
	for _, name := range golden[:2] {
		leaf := read(t, "golden", name, "leaf.json")
		want, err := statement.ParseLeaf(leaf)
		if err != nil {
			t.Fatal(err)
		}
		for bit := range 8 * len(leaf) {
			flipped := slices.Clone(leaf)
			flipped[bit/8] ^= 1 << (bit % 8)
			l, err := statement.ParseLeaf(flipped)
			if err != nil {
				continue
			}
			if l.Key == want.Key && bytes.Equal(l.Signature, want.Signature) && bytes.Equal(l.PAEDigest, want.PAEDigest) {
				t.Errorf("%s: bit %d: a second encoding", name, bit)
			}
		}
	}
}

// Truncated and extended ones are refused.
func TestTruncated(t *testing.T) {
	for _, name := range golden {
		for file, parse := range map[string]func([]byte) error{
			"envelope.json": func(b []byte) error { _, err := statement.Parse(b); return err },
			"leaf.json":     func(b []byte) error { _, err := statement.ParseLeaf(b); return err },
		} {
			raw := read(t, "golden", name, file)
			for n := range raw {
				if parse(raw[:n]) == nil {
					t.Errorf("%s %s: %d bytes of %d accepted", name, file, n, len(raw))
				}
			}
			for _, more := range []string{" ", "\n", "\x00", "{}", string(raw)} {
				if parse(append(slices.Clone(raw), more...)) == nil {
					t.Errorf("%s %s: accepted with %.10q after it", name, file, more)
				}
			}
		}
	}
}
