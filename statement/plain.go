package statement

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"

	"vitrine.example/digest"
	"vitrine.example/internal/strictjson"
)

// What is written here has one form, and nearly everything that is read was
// written here. So it is read by that form first, which takes a third of the
// time of reading any JSON. What does not have the form to the byte is left to
// the strict reader, which also says what is wrong with it: the functions below
// accept nothing that it would refuse, and read nothing otherwise.

// The texts around the values of an envelope.
const (
	envelopePayload = `{"payload":"`
	envelopeKey     = `","payloadType":"` + PayloadType + `","signatures":[{"keyid":"`
	envelopeSig     = `","sig":"`
	envelopeEnd     = `"}]}`
)

// plainEnvelope reads what encodeEnvelope writes. The statement inside is left
// to the caller.
func plainEnvelope(raw []byte) (*Envelope, bool) {
	rest, ok := bytes.CutPrefix(raw, []byte(envelopePayload))
	if !ok || len(raw) > MaxSize {
		return nil, false
	}
	payload, rest, ok := cutQuoted(rest, envelopeKey)
	if !ok || len(payload) == 0 {
		return nil, false
	}
	keyID, rest, ok := cutQuoted(rest, envelopeSig)
	if !ok {
		return nil, false
	}
	sig, rest, ok := cutQuoted(rest, envelopeEnd)
	if !ok || len(rest) > 0 || len(sig) == 0 {
		return nil, false
	}
	e := new(Envelope)
	var err error
	if e.payload, err = strictjson.DecodeBase64(payload); err != nil {
		return nil, false
	}
	if e.keyID, err = digest.Parse(string(keyID)); err != nil {
		return nil, false
	}
	if e.sig, err = strictjson.DecodeBase64(sig); err != nil || len(e.sig) > maxSignature {
		return nil, false
	}
	e.raw = bytes.Clone(raw)
	return e, true
}

// cutQuoted returns what stands before the next quote, where what begins with
// that quote is next, and what comes behind it.
func cutQuoted(b []byte, next string) (value, rest []byte, ok bool) {
	i := bytes.IndexByte(b, '"')
	if i < 0 {
		return nil, nil, false
	}
	rest, ok = bytes.CutPrefix(b[i:], []byte(next))
	return b[:i], rest, ok
}

// The texts around the values of a payload.
const (
	payloadPredicate = `{"_type":"` + Type + `","predicate":`
	payloadType      = `,"predicateType":"`
	payloadSubject   = `","subject":[`
	payloadEnd       = `]}`
	subjectSHA256    = `{"digest":{"sha256":"`
	subjectName      = `"},"name":"`
	subjectEnd       = `"}`
)

// plainPayload reads a payload in canonical form whose subjects have a name and
// a sha256 and nothing else, in characters that JSON writes as they are. The
// predicate alone may have another form. Nothing is checked but that it is
// well-formed JSON.
func plainPayload(payload []byte) (*Statement, bool) {
	rest, ok := bytes.CutPrefix(payload, []byte(payloadPredicate))
	if !ok || len(payload) > MaxSize {
		return nil, false
	}
	n := objectEnd(rest)
	predicate := rest[:n:n]
	if n == 0 || !jsontext.Value(predicate).IsValid() { // no name twice, nothing but UTF-8
		return nil, false
	}
	if rest, ok = bytes.CutPrefix(rest[n:], []byte(payloadType)); !ok {
		return nil, false
	}
	predicateType, rest, ok := cutQuoted(rest, payloadSubject)
	if !ok || !isPlain(predicateType) {
		return nil, false
	}
	s := &Statement{Type: Type, PredicateType: string(predicateType), Predicate: []byte(predicate)}
	for {
		var one Subject
		if one, rest, ok = plainSubject(rest); !ok {
			return nil, false
		}
		s.Subject = append(s.Subject, one)
		switch {
		case string(rest) == payloadEnd:
			return s, true
		case len(rest) == 0 || rest[0] != ',':
			return nil, false
		}
		rest = rest[1:]
	}
}

func plainSubject(b []byte) (s Subject, rest []byte, ok bool) {
	rest, ok = bytes.CutPrefix(b, []byte(subjectSHA256))
	if !ok {
		return s, nil, false
	}
	sum, rest, ok := cutQuoted(rest, subjectName)
	if !ok || !isPlain(sum) {
		return s, nil, false
	}
	name, rest, ok := cutQuoted(rest, subjectEnd)
	if !ok || len(name) == 0 || !isPlain(name) {
		return s, nil, false
	}
	return Subject{Name: string(name), Digest: map[string]string{"sha256": string(sum)}}, rest, true
}

// isPlain reports whether JSON writes the characters of b as they are, and each
// is a byte: what is between two quotes is then the text itself.
func isPlain(b []byte) bool {
	for _, c := range b {
		if c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// objectEnd returns where the object at the beginning of b ends, by its braces;
// 0 where there is none, or it is nested too deep for a predicate.
func objectEnd(b []byte) int {
	if len(b) == 0 || b[0] != '{' {
		return 0
	}
	depth := 1 // of the payload around it
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			for i++; i < len(b) && b[i] != '"'; i++ {
				if b[i] == '\\' {
					i++
				}
			}
		case '{', '[':
			if depth++; depth > MaxDepth {
				return 0
			}
		case '}', ']':
			if depth--; depth == 1 {
				return i + 1
			}
		}
	}
	return 0
}
