package key

import (
	"crypto"
	"crypto/rand"
	"errors"
	"fmt"
)

// Signer signs statements with a private key that may live anywhere. It is as
// safe for concurrent use as the key that it wraps.
type Signer struct {
	s   crypto.Signer
	pub Public
}

// NewSigner wraps a private key of a kind that [NewPublic] takes. Where s is a
// [crypto.MessageSigner], it is given whole messages, as ssh-agent wants them.
func NewSigner(s crypto.Signer) (*Signer, error) {
	if s == nil {
		return nil, errors.New("no private key")
	}
	pub, err := NewPublic(s.Public())
	if err != nil {
		return nil, err
	}
	return &Signer{s: s, pub: pub}, nil
}

// Public returns the public half.
func (s *Signer) Public() Public { return s.pub }

// Sign signs message (not a hash of it) and checks the result before it returns it.
func (s *Signer) Sign(message []byte) ([]byte, error) {
	opts := crypto.Hash(0)
	if s.pub.alg == P256 {
		opts = crypto.SHA256
	}
	sig, err := crypto.SignMessage(s.s, rand.Reader, message, opts)
	if err != nil {
		return nil, fmt.Errorf("signing with %s key %s: %w", s.pub.alg, s.pub.ID(), err)
	}
	if s.pub.alg == P256 {
		if sig, err = lowS(sig); err != nil {
			return nil, fmt.Errorf("signing with %s key %s: %w", s.pub.alg, s.pub.ID(), err)
		}
	}
	if err := s.pub.Verify(message, sig); err != nil {
		return nil, fmt.Errorf("the private key made a bad signature: %w", err)
	}
	return sig, nil
}
