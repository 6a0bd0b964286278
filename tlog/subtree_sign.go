package tlog

import (
	"crypto"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"filippo.io/mldsa"
)

// errNoSubtrees is returned for keys of other types: only the message of
// ML-DSA-44 names a start (tlog-cosignature).
var errNoSubtrees = errors.New("only an ML-DSA-44 key cosigns subtrees")

// checkCosigned checks what is to stand in a cosigned_message.
func checkCosigned(origin string, s Subtree) error {
	if err := s.Validate(); err != nil {
		return err
	}
	return Checkpoint{Origin: origin, Size: s.End}.Validate()
}

// SignSubtree returns the cosignature of s on a subtree of the log with this
// origin, without a time (tlog-witness, section "sign-subtree": "If the
// cosignature format supports timestamps, the timestamp MUST be zero"). The key
// must be of type [MLDSA44Cosignature]. It is for the caller to know that the
// subtree is a part of a tree that was cosigned.
func (s *Signer) SignSubtree(origin string, sub Subtree) (Signature, error) {
	sig, err := s.signSubtree(origin, sub)
	if err != nil {
		return Signature{}, fmt.Errorf("signing a subtree with %s+%08x: %w", s.v.name, s.v.keyID, err)
	}
	return Signature{Name: s.v.name, KeyID: s.v.keyID, Bytes: sig}, nil
}

func (s *Signer) signSubtree(origin string, sub Subtree) ([]byte, error) {
	if s.v.typ != MLDSA44Cosignature {
		return nil, errNoSubtrees
	}
	if err := checkCosigned(origin, sub); err != nil {
		return nil, err
	}
	msg, err := cosignedMessage(s.v.name, 0, origin, sub)
	if err != nil {
		return nil, err
	}
	raw, err := s.s.Sign(rand.Reader, msg, crypto.Hash(0))
	if err != nil {
		return nil, err
	}
	sig := append(make([]byte, 8, 8+len(raw)), raw...)
	if s.checked {
		return sig, nil
	}
	if _, err := s.v.checkSubtree(origin, sub, sig); err != nil {
		return nil, fmt.Errorf("the private key does not do its work: %w", err)
	}
	return sig, nil
}

// VerifySubtree finds v's signature among sigs and checks that it is one on a
// subtree of the log with this origin. The time is zero, but may be set where
// the subtree begins at 0: the cosignature of a checkpoint is that of a subtree
// too. [ErrNotSigned] says that there is no signature of v.
func (v Verifier) VerifySubtree(origin string, sub Subtree, sigs []Signature) (time.Time, error) {
	sig, err := v.find(sigs)
	if err != nil {
		return time.Time{}, err
	}
	if err := checkCosigned(origin, sub); err != nil {
		return time.Time{}, err
	}
	t, err := v.checkSubtree(origin, sub, sig)
	if err != nil {
		return time.Time{}, fmt.Errorf("key %s+%08x: %w: %w", v.name, v.keyID, ErrBadSignature, err)
	}
	if t == 0 {
		return time.Time{}, nil
	}
	return time.Unix(int64(t), 0).UTC(), nil
}

func (v Verifier) checkSubtree(origin string, sub Subtree, sig []byte) (uint64, error) {
	if v.typ != MLDSA44Cosignature {
		return 0, errNoSubtrees
	}
	if want := 8 + mldsa.MLDSA44SignatureSize; len(sig) != want {
		return 0, fmt.Errorf("%d bytes, want the %d of an %s", len(sig), want, v.typ)
	}
	t := binary.BigEndian.Uint64(sig)
	if t > math.MaxInt64 {
		return 0, fmt.Errorf("timestamp %d is above 2^63-1", t)
	}
	msg, err := cosignedMessage(v.name, t, origin, sub)
	if err != nil {
		return 0, err
	}
	if mldsa.Verify(v.ml, msg, sig[8:], nil) != nil {
		return 0, errors.New("it was made by another key, or on another subtree")
	}
	return t, nil
}
