package statement

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"

	"vitrine.example/digest"
	"vitrine.example/internal/strictjson"
	"vitrine.example/key"
)

// Envelope is a DSSE envelope (secure-systems-lab/dsse v1.0) with exactly one
// signature. It is unauthenticated until Verify has returned nil.
//
// The slices and the statement that its methods return are its own: they are
// not to be changed.
type Envelope struct {
	payload []byte
	keyID   digest.Digest
	sig     []byte
	raw     []byte
	said    *Statement
	what    Predicate // of said, where it is one of ours
}

// maxSignature bounds a signature in bytes; those of P-256 and Ed25519 are shorter.
const maxSignature = 128

// Sign puts s into an envelope signed by k.
func Sign(s *Statement, k *key.Signer) (*Envelope, error) {
	payload, err := s.encode()
	if err != nil {
		return nil, fmt.Errorf("statement: %w", err)
	}
	sig, err := k.Sign(PAE(PayloadType, payload))
	if err != nil {
		return nil, fmt.Errorf("statement: %w", err)
	}
	// What is written is read, so that nothing leaves that would not come back.
	return Parse(encodeEnvelope(payload, k.Public().ID(), sig))
}

// envelope is the JSON form.
type envelope struct {
	Payload     string      `json:"payload"`
	PayloadType string      `json:"payloadType"`
	Signatures  []signature `json:"signatures"`
}

type signature struct {
	KeyID string `json:"keyid"`
	Sig   string `json:"sig"`
}

// encodeEnvelope writes the canonical form (RFC 8785): names in order, no white
// space, and no character that needs an escape.
func encodeEnvelope(payload []byte, keyID digest.Digest, sig []byte) []byte {
	b := make([]byte, 0, base64.StdEncoding.EncodedLen(len(payload))+384)
	b = append(b, envelopePayload...)
	b = base64.StdEncoding.AppendEncode(b, payload)
	b = append(b, envelopeKey...)
	b = append(b, keyID.String()...)
	b = append(b, envelopeSig...)
	b = base64.StdEncoding.AppendEncode(b, sig)
	return append(b, envelopeEnd...)
}

// Parse reads the canonical encoding of an envelope, strictly, and checks the
// statement inside (type, subjects, digests, and the predicate where it is one
// of ours). It does not check the signature.
func Parse(raw []byte) (*Envelope, error) {
	e, err := parse(raw)
	if err != nil {
		return nil, fmt.Errorf("statement: %w", err)
	}
	return e, nil
}

func parse(raw []byte) (*Envelope, error) {
	e, ok := plainEnvelope(raw)
	if !ok {
		var err error
		if e, err = parseEnvelope(raw); err != nil {
			return nil, fmt.Errorf("envelope: %w", err)
		}
	}
	var err error
	if e.said, e.what, err = parsePayload(e.payload); err != nil {
		return nil, fmt.Errorf("payload: %w", err)
	}
	return e, nil
}

// parseEnvelope reads everything but the statement inside.
func parseEnvelope(raw []byte) (*Envelope, error) {
	var w envelope
	// Depth: the envelope, the list of signatures, a signature.
	if err := strictjson.Unmarshal(raw, &w, strictjson.Limits{Size: MaxSize, Depth: 3}); err != nil {
		return nil, err
	}
	e, err := w.decode()
	if err != nil {
		return nil, err
	}
	e.raw = encodeEnvelope(e.payload, e.keyID, e.sig)
	return e, strictjson.Same(raw, e.raw)
}

func (w *envelope) decode() (*Envelope, error) {
	e := new(Envelope)
	var err error
	switch {
	case w.PayloadType != PayloadType:
		return nil, fmt.Errorf("payloadType: %.80q, want %q", w.PayloadType, PayloadType)
	case w.Payload == "":
		return nil, errors.New("payload: missing")
	case len(w.Signatures) != 1:
		return nil, fmt.Errorf("signatures: %d of them, want exactly 1", len(w.Signatures))
	case w.Signatures[0].Sig == "":
		return nil, errors.New("signatures/0/sig: missing")
	case len(w.Signatures[0].Sig) > base64.StdEncoding.EncodedLen(maxSignature):
		return nil, fmt.Errorf("signatures/0/sig: %d characters, more than any signature has", len(w.Signatures[0].Sig))
	}
	if e.payload, err = strictjson.Base64(w.Payload); err != nil {
		return nil, fmt.Errorf("payload: %w", err)
	}
	if e.keyID, err = digest.Parse(w.Signatures[0].KeyID); err != nil {
		return nil, fmt.Errorf("signatures/0/keyid: %w", err)
	}
	if e.sig, err = strictjson.Base64(w.Signatures[0].Sig); err != nil {
		return nil, fmt.Errorf("signatures/0/sig: %w", err)
	}
	return e, nil
}

// Bytes returns the canonical encoding.
func (e *Envelope) Bytes() []byte { return e.raw }

// Digest returns the digest of [Envelope.Bytes], by which a statement is known.
func (e *Envelope) Digest() digest.Digest { return digest.Of(e.raw) }

// KeyID returns the ID of the key that the envelope claims.
func (e *Envelope) KeyID() digest.Digest { return e.keyID }

// Signature returns the raw signature.
func (e *Envelope) Signature() []byte { return e.sig }

// Payload returns the signed bytes of the statement.
func (e *Envelope) Payload() []byte { return e.payload }

// Statement returns what is said. Unauthenticated: do not trust before Verify.
func (e *Envelope) Statement() *Statement { return e.said }

// Release returns the release that is said, or says that it is no release, as
// [Statement.Release] does. It was read with the envelope and is not to be
// changed. Unauthenticated: do not trust before Verify.
func (e *Envelope) Release() (*Release, error) {
	if r, ok := e.what.(*Release); ok {
		return r, nil
	}
	return e.said.Release()
}

// Verify reports whether k signed the envelope.
func (e *Envelope) Verify(k key.Public) error {
	if k.IsZero() {
		return errors.New("statement: no key to verify it with")
	}
	if id := k.ID(); id != e.keyID {
		return fmt.Errorf("statement: says that key %s signed it, not %s", e.keyID, id)
	}
	if err := k.Verify(PAE(PayloadType, e.payload), e.sig); err != nil {
		return fmt.Errorf("statement: %w", err)
	}
	return nil
}

// PAE is the DSSE v1 pre-authentication encoding.
func PAE(payloadType string, payload []byte) []byte {
	b := make([]byte, 0, len(payload)+len(payloadType)+48)
	b = append(b, "DSSEv1 "...)
	b = strconv.AppendInt(b, int64(len(payloadType)), 10)
	b = append(b, ' ')
	b = append(b, payloadType...)
	b = append(b, ' ')
	b = strconv.AppendInt(b, int64(len(payload)), 10)
	b = append(b, ' ')
	return append(b, payload...)
}
