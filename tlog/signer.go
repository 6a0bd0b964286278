package tlog

import (
	"crypto"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/note"
)

var _ note.Signer = (*Signer)(nil)

// Signer signs checkpoints. It implements note.Signer of golang.org/x/mod. It
// is safe for use by several goroutines where its key and clock are.
type Signer struct {
	v       Verifier
	s       crypto.Signer
	checked bool // s is a CheckedSigner
	now     func() (time.Time, error)
}

// CheckedSigner is a crypto.Signer that verifies each signature before it returns
// it, with the public key that it names; a [Signer] does not do that once more.
type CheckedSigner interface {
	crypto.Signer
	SignsChecked()
}

// NewSigner makes a signer from a key whose public half [NewVerifier] takes;
// now gives the time of cosignatures and may refuse by returning an error (a
// clock that ran backwards).
//
// now may be nil for [Ed25519], whose signatures bear no time, and for
// [MLDSA44Cosignature], where the time is then zero: no statement that the tree
// is the largest seen. A witness must not do that (tlog-witness).
func NewSigner(name string, typ KeyType, s crypto.Signer, now func() (time.Time, error)) (*Signer, error) {
	if s == nil {
		return nil, fmt.Errorf("signer %s: no key", name)
	}
	v, err := NewVerifier(name, typ, s.Public())
	if err != nil {
		return nil, err
	}
	if typ == Ed25519Cosignature && now == nil {
		return nil, fmt.Errorf("signer %s: an %s needs a clock", name, typ)
	}
	_, checked := s.(CheckedSigner)
	return &Signer{v: v, s: s, checked: checked, now: now}, nil
}

// Name returns the key name.
func (s *Signer) Name() string { return s.v.name }

// KeyHash returns the key ID.
func (s *Signer) KeyHash() uint32 { return s.v.keyID }

// Verifier returns the public half.
func (s *Signer) Verifier() Verifier { return s.v }

// Sign signs a checkpoint's note text and returns the bytes that follow the
// key ID. It refuses what is not a checkpoint, and checks what it has made
// before it returns it.
//
// A plain [Ed25519] signature is a log's own: the key's name must be the origin.
func (s *Signer) Sign(text []byte) ([]byte, error) {
	sig, err := s.sign(text)
	if err != nil {
		return nil, fmt.Errorf("signing with %s+%08x: %w", s.v.name, s.v.keyID, err)
	}
	return sig, nil
}

func (s *Signer) sign(text []byte) ([]byte, error) {
	c, err := parseCheckpointText(text)
	if err != nil {
		return nil, err
	}
	if err := c.checkRoot(); err != nil {
		return nil, err
	}
	if s.v.typ == Ed25519 && s.v.name != c.Origin {
		return nil, fmt.Errorf("checkpoint of %.80q: not the log that the key belongs to", c.Origin)
	}
	t, err := s.time()
	if err != nil {
		return nil, err
	}
	msg, err := s.v.message(text, c, t)
	if err != nil {
		return nil, err
	}
	raw, err := s.s.Sign(rand.Reader, msg, crypto.Hash(0))
	if err != nil {
		return nil, err
	}
	var sig []byte
	if s.v.typ != Ed25519 {
		sig = binary.BigEndian.AppendUint64(nil, t)
	}
	sig = append(sig, raw...)
	if s.checked {
		return sig, nil
	}
	if _, err := s.v.check(text, c, sig); err != nil {
		return nil, fmt.Errorf("the private key does not do its work: %w", err)
	}
	return sig, nil
}

// time returns the POSIX timestamp of a cosignature made now.
func (s *Signer) time() (uint64, error) {
	if s.v.typ == Ed25519 || s.now == nil {
		return 0, nil
	}
	now, err := s.now()
	if err != nil {
		return 0, err
	}
	if now.Unix() <= 0 {
		return 0, errors.New("the clock stands before 1970")
	}
	return uint64(now.Unix()), nil
}

// SignCheckpoint returns the signature line of s on c.
func (s *Signer) SignCheckpoint(c Checkpoint) (Signature, error) {
	if err := c.Validate(); err != nil {
		return Signature{}, err
	}
	sig, err := s.Sign(c.Text())
	if err != nil {
		return Signature{}, err
	}
	return Signature{Name: s.v.name, KeyID: s.v.keyID, Bytes: sig}, nil
}
