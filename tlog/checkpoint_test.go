package tlog

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

const (
	root0 = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=" // of the empty tree
	sigA  = "\u2014 a AAAAAQI=\n"                          // key ID 1, one byte
)

func TestCheckpointAccepted(t *testing.T) {
	for _, text := range []string{
		"a\n0\n" + root0 + "\n\n" + sigA,
		"a\n4611686018427387904\n" + root0 + "\n\n" + sigA,
		"an origin + spaces, é\u0085\x7f\n1\n" + root0 + "\n\n" + sigA, // "only a recommendation"
		"\u2014 a AAAAAQI=\n1\n" + root0 + "\n\n" + sigA,
		"a\n1\n" + root0 + "\n \n\u2014 a AAAAAQI=\n\n" + sigA, // extension lines are opaque
		"a\n1\n" + root0 + "\n\n" + sigA + sigA,
		"a\n1\n" + root0 + "\n\n" + strings.Repeat(sigA, MaxSignatures),
		"a\n1\n" + root0 + "\n" + strings.Repeat("x\n", MaxExtensions) + "\n" + sigA,
	} {
		c, err := ParseCheckpoint([]byte(text))
		if err != nil {
			t.Errorf("%q: %v", text, err)
		} else if string(c.Marshal()) != text {
			t.Errorf("%q: Marshal gives %q", text, c.Marshal())
		} else if err := c.Validate(); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestCheckpointRefused(t *testing.T) {
	for _, c := range []struct{ text, reason string }{
		{"", "no empty line"},
		{"a\n1\n" + root0 + "\n", "no empty line"},
		{"a\n1\n" + root0 + "\n" + sigA, "no empty line"},
		{"a\n1\n" + root0 + "\n\n", "line 5: the text ends here, want a signature line"},
		{"a\n1\n" + root0 + "\n\n" + strings.TrimSuffix(sigA, "\n"), "line 5: the line does not end in a newline"},
		{"a\n1\n" + root0 + "\n\n" + sigA + "\n", "line 7: the text ends here"},
		{"a\n1\n" + root0 + "\n\n" + sigA + "x", "line 6: the line does not end"},
		{"a\n1\n" + root0 + "\n\n" + sigA + "x\n", "line 6: signature: want a line that begins"},
		{"a\n1\n" + root0 + "\n\n" + sigA + "\n" + sigA, "line 4: empty extension line"},
		{"a\n1\n" + root0 + "\n\n" + strings.Repeat(sigA, MaxSignatures+1), "line 69: more than 64 signatures"},
		{"a\n1\n" + root0 + "\n" + strings.Repeat("x\n", MaxExtensions+1) + "\n" + sigA, "line 68: more than 64 extension lines"},
		{"\n1\n" + root0 + "\n\n" + sigA, "line 1: empty origin"},
		{"a\n\n" + root0 + "\n\n" + sigA, "line 2: tree size: no digits"},
		{"a\n01\n" + root0 + "\n\n" + sigA, "leading zero"},
		{"a\n00\n" + root0 + "\n\n" + sigA, "leading zero"},
		{"a\n+1\n" + root0 + "\n\n" + sigA, "not a digit"},
		{"a\n-1\n" + root0 + "\n\n" + sigA, "not a digit"},
		{"a\n1 \n" + root0 + "\n\n" + sigA, "not a digit"},
		{"a\n0x1\n" + root0 + "\n\n" + sigA, "not a digit"},
		{"a\n\u0661\n" + root0 + "\n\n" + sigA, "not a digit"},
		{"a\n4611686018427387905\n" + root0 + "\n\n" + sigA, "above 2^62"},
		{"a\n9223372036854775808\n" + root0 + "\n\n" + sigA, "above 2^63-1"},
		{"a\n1\n\n" + sigA, "line 3: the text ends here, want the root hash"},
		{"a\n1\n" + strings.TrimSuffix(root0, "=") + "\n\n" + sigA, "line 3: root hash: not canonical"},
		{"a\n1\n" + strings.Replace(root0, "U=", "V=", 1) + "\n\n" + sigA, "line 3: root hash: not canonical"},
		{"a\n1\n" + root0 + "=\n\n" + sigA, "not canonical"},
		{"a\n1\n" + root0 + " \n\n" + sigA, "not canonical"},
		{"a\n1\n" + strings.ReplaceAll(root0, "/", "_") + "\n\n" + sigA, "not canonical"},
		{"a\n1\nAAAA\n\n" + sigA, "3 bytes, want the 32"},
		{"a\n1\n" + root0 + "\r\n\n" + sigA, "line 3: control character 0x0d"},
		{"a\r\n1\n" + root0 + "\n\n" + sigA, "line 1: control character 0x0d"},
		{"a\t\n1\n" + root0 + "\n\n" + sigA, "line 1: control character 0x09"},
		{"a\x00\n1\n" + root0 + "\n\n" + sigA, "line 1: control character 0x00"},
		{"a\n1\n" + root0 + "\n\xff\n\n" + sigA, "line 4: byte 0xff is not valid UTF-8"},
		{"a\n1\n" + root0 + "\n\n- a AAAAAQI=\n", "line 5: signature: want a line"},
		{"a\n1\n" + root0 + "\n\n\u2014a AAAAAQI=\n", "want a line"},
		{"a\n1\n" + root0 + "\n\n\u2014 a\n", "separated by single spaces"},
		{"a\n1\n" + root0 + "\n\n\u2014  AAAAAQI=\n", "empty key name"},
		{"a\n1\n" + root0 + "\n\n\u2014 a  AAAAAQI=\n", "not canonical"},
		{"a\n1\n" + root0 + "\n\n\u2014 a AAAAAQI= \n", "not canonical"},
		{"a\n1\n" + root0 + "\n\n\u2014 a AAAAAQI\n", "not canonical"},
		{"a\n1\n" + root0 + "\n\n\u2014 a AAAAAQJ=\n", "not canonical"},
		{"a\n1\n" + root0 + "\n\n\u2014 a AAAAAQ==\n", "4 bytes"},
		{"a\n1\n" + root0 + "\n\n\u2014 a \n", "0 bytes"},
		{"a\n1\n" + root0 + "\n\n\u2014 a+b AAAAAQI=\n", "must not stand in a key name"},
		{"a\n1\n" + root0 + "\n\n\u2014 a\u00a0b AAAAAQI=\n", "must not stand in a key name"},
		{"a\n1\n" + root0 + "\n\n\u2014 a\u2003b AAAAAQI=\n", "must not stand in a key name"},
		{strings.Repeat("a", MaxCheckpoint) + "\n1\n" + root0 + "\n\n" + sigA, "want at most"},
	} {
		_, err := ParseCheckpoint([]byte(c.text))
		var s *SyntaxError
		if !errors.As(err, &s) || !strings.Contains(err.Error(), c.reason) || !strings.HasPrefix(err.Error(), "checkpoint") {
			t.Errorf("%.200q: %v, want an error with %q", c.text, err, c.reason)
		}
	}
}

// What is made in memory and does not read back the same is neither signed nor
// verified.
func TestCheckpointValidate(t *testing.T) {
	s := newSigner(t, "a", MLDSA44Cosignature)
	for _, c := range []Checkpoint{
		{},
		{Origin: "a", Size: -1},
		{Origin: "a", Size: MaxSize + 1},
		{Origin: "a\n1\n" + root0, Size: 1},
		{Origin: "a", Size: 1, Extensions: []string{""}},
		{Origin: "a", Size: 1, Extensions: []string{"b\nc"}},
		{Origin: "a", Size: 1, Extensions: []string{"b\rc"}},
		{Origin: "a\xff", Size: 1},
	} {
		if err := c.Validate(); err == nil {
			t.Errorf("%+v is valid", c)
		}
		if _, err := s.SignCheckpoint(c); err == nil {
			t.Errorf("%+v is signed", c)
		}
		signed := &SignedCheckpoint{Checkpoint: c, Signatures: []Signature{{Name: "a", KeyID: s.KeyHash(), Bytes: make([]byte, 2428)}}}
		if _, err := s.Verifier().Verify(signed); err == nil || errors.Is(err, ErrBadSignature) {
			t.Errorf("%+v is verified: %v", c, err)
		}
	}
}

func drawLine(t *rapid.T, label string) string {
	return rapid.StringMatching(`[a-z0-9+/ =\x{2014}\x{e9}\x{85}]{1,20}`).Draw(t, label)
}

func drawCheckpoint(t *rapid.T) *SignedCheckpoint {
	c := &SignedCheckpoint{Checkpoint: Checkpoint{
		Origin: drawLine(t, "origin"),
		Size:   rapid.Int64Range(0, MaxSize).Draw(t, "size"),
		Root:   Hash(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "root")),
	}}
	for range rapid.IntRange(0, 2).Draw(t, "extensions") {
		c.Extensions = append(c.Extensions, drawLine(t, "extension"))
	}
	for range rapid.IntRange(1, 5).Draw(t, "signatures") {
		c.Signatures = append(c.Signatures, Signature{
			Name:  rapid.StringMatching(`[a-z./\x{e9}\x{2014}]{1,12}`).Draw(t, "name"),
			KeyID: rapid.Uint32().Draw(t, "key ID"),
			Bytes: rapid.SliceOfN(rapid.Byte(), 1, 100).Draw(t, "signature"),
		})
	}
	return c
}

func TestCheckpointLaw(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawCheckpoint(t)
		got, err := ParseCheckpoint(want.Marshal())
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%q: got %+v, %v", want.Marshal(), got, err)
		}
		// As a note, and its signatures alone, it reads the same.
		n, err := ParseNote(want.Marshal())
		if err != nil || !bytes.Equal(n.Text, want.Text()) || !bytes.Equal(n.Marshal(), want.Marshal()) {
			t.Fatalf("note: %v", err)
		}
		var lines []byte
		for _, s := range want.Signatures {
			lines = append(lines, s.Marshal()...)
		}
		sigs, err := ParseSignatures(lines)
		if err != nil || !reflect.DeepEqual(sigs, want.Signatures) {
			t.Fatalf("signatures: %v", err)
		}
	})
}

// A note's text may have empty lines: "separated from the signatures by the
// last empty line in the note".
func TestNote(t *testing.T) {
	for _, text := range []string{"\n\n" + sigA, "\n\n\n\n" + sigA, "a\n\nb\n\n" + sigA} {
		n, err := ParseNote([]byte(text))
		if err != nil || string(n.Marshal()) != text || len(n.Signatures) != 1 {
			t.Errorf("%q: %+v, %v", text, n, err)
		}
	}
	for _, text := range []string{"\n" + sigA, sigA, "a\n\n", "a\n\n\n", "a\n\nb\n"} {
		if n, err := ParseNote([]byte(text)); err == nil {
			t.Errorf("%q is read as %+v", text, n)
		}
	}
	if s, err := ParseSignatures(nil); err == nil {
		t.Errorf("no signature lines are read as %v", s)
	}
}
