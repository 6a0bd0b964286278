package tlog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// signaturePrefix begins each signature line: em dash (U+2014) and space.
const signaturePrefix = "\u2014 "

// Signature is one signature line of a note. Unauthenticated.
type Signature struct {
	Name  string
	KeyID uint32
	Bytes []byte // after the key ID; at least one
}

// Marshal returns the signature line, with its newline.
func (s Signature) Marshal() []byte { return s.append(nil) }

func (s Signature) append(b []byte) []byte {
	raw := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(s.Bytes)), s.KeyID)
	raw = append(raw, s.Bytes...)
	b = append(b, signaturePrefix...)
	b = append(b, s.Name...)
	b = append(b, ' ')
	b = append(b, encodeBase64(raw)...)
	return append(b, '\n')
}

// ParseSignatures reads one or more signature lines and nothing else, as a
// witness returns them (tlog-witness, add-checkpoint).
func ParseSignatures(b []byte) ([]Signature, error) {
	const what = "signatures"
	if len(b) > MaxCheckpoint {
		return nil, refuse(what, 0, "%d bytes, want at most %d", len(b), MaxCheckpoint)
	}
	if err := checkNoteText(what, b); err != nil {
		return nil, err
	}
	return parseSignatures(&reader{what: what, rest: b})
}

// parseSignatures reads the rest of r, which has no control characters.
func parseSignatures(r *reader) ([]Signature, error) {
	var sigs []Signature
	for len(sigs) == 0 || len(r.rest) > 0 {
		line, err := r.next("a signature line")
		if err != nil {
			return nil, err
		}
		if len(sigs) == MaxSignatures {
			return nil, r.refuse("more than %d signatures", MaxSignatures)
		}
		s, err := parseSignature(line)
		if err != nil {
			return nil, r.refuse("signature: %w", err)
		}
		sigs = append(sigs, s)
	}
	return sigs, nil
}

func parseSignature(line string) (Signature, error) {
	rest, ok := strings.CutPrefix(line, signaturePrefix)
	if !ok {
		return Signature{}, fmt.Errorf("want a line that begins with %q", signaturePrefix)
	}
	name, b64, ok := strings.Cut(rest, " ")
	if !ok {
		return Signature{}, errors.New("want an em dash, a key name and base64, separated by single spaces")
	}
	if err := checkName(name); err != nil {
		return Signature{}, err
	}
	raw, err := decodeBase64(b64)
	if err != nil {
		return Signature{}, err
	}
	if len(raw) < 5 {
		return Signature{}, fmt.Errorf("%d bytes, want a key ID of 4 and a signature", len(raw))
	}
	return Signature{Name: name, KeyID: binary.BigEndian.Uint32(raw), Bytes: raw[4:]}, nil
}

// checkName obeys signed-note, section "Format": "Key names MUST be non-empty
// and MUST NOT contain any Unicode spaces or plus (U+002B) characters."
func checkName(name string) error {
	if name == "" {
		return errors.New("empty key name")
	}
	if !utf8.ValidString(name) {
		return fmt.Errorf("key name %.80q is not valid UTF-8", name)
	}
	for _, c := range name {
		if unicode.IsSpace(c) || c == '+' || c < 0x20 {
			return fmt.Errorf("key name %.80q: %q must not stand in a key name", name, c)
		}
	}
	return nil
}

// Note is a signed note: a text and the signature lines under it, in the order
// written. Unauthenticated: do not trust before [Verifier.VerifyNote].
type Note struct {
	Text       []byte // with its final newline, without the blank line
	Signatures []Signature
}

// ParseNote reads a signed note, strictly.
func ParseNote(b []byte) (*Note, error) { return parseNote("note", b) }

func parseNote(what string, b []byte) (*Note, error) {
	if len(b) > MaxCheckpoint {
		return nil, refuse(what, 0, "%d bytes, want at most %d", len(b), MaxCheckpoint)
	}
	if err := checkNoteText(what, b); err != nil {
		return nil, err
	}
	// "The text is separated from the signatures by the last empty line."
	i := bytes.LastIndex(b, []byte("\n\n"))
	if i < 0 {
		return nil, refuse(what, 0, "no empty line between text and signatures")
	}
	text := b[:i+1]
	r := &reader{what: what, rest: b[i+2:], line: bytes.Count(text, []byte("\n")) + 1}
	sigs, err := parseSignatures(r)
	if err != nil {
		return nil, err
	}
	return &Note{Text: bytes.Clone(text), Signatures: sigs}, nil
}

// Marshal returns the signed note.
func (n *Note) Marshal() []byte { return marshalNote(n.Text, n.Signatures) }

func marshalNote(text []byte, sigs []Signature) []byte {
	b := append(bytes.Clone(text), '\n')
	for _, s := range sigs {
		b = s.append(b)
	}
	return b
}
