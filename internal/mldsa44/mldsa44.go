// Package mldsa44 signs with ML-DSA-44 (FIPS 204) in half the time that package
// filippo.io/mldsa takes, for a witness that signs hundreds of times a second.
//
// [New] makes a [Signer] of a private key of that package; it is a crypto.Signer
// with the same public key. Signing is done by Cloudflare's CIRCL, which keeps the
// key's matrix and has vector instructions where the processor has them; keys are
// made, stored and verified as everywhere else.
//
// Promises: both packages make the same public key of the seed, or New fails; each
// signature is randomized ("hedged", FIPS 204 section 3.4) and verified before it
// is returned.
package mldsa44

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"io"

	"filippo.io/mldsa"
	"github.com/cloudflare/circl/sign/mldsa/mldsa44"
)

// Signer is safe for use by several goroutines.
type Signer struct {
	public  *mldsa.PublicKey
	key     *mldsa44.PrivateKey
	checker *mldsa44.PublicKey
}

// New makes a signer of an ML-DSA-44 key.
func New(k *mldsa.PrivateKey) (*Signer, error) {
	if p := k.PublicKey().Parameters(); p != mldsa.MLDSA44() {
		return nil, fmt.Errorf("an %s key, want %s", p, mldsa.MLDSA44())
	}
	seed := [mldsa44.SeedSize]byte(k.Bytes())
	checker, private := mldsa44.NewKeyFromSeed(&seed)
	if !bytes.Equal(checker.Bytes(), k.PublicKey().Bytes()) {
		return nil, errors.New("two implementations of ML-DSA-44 make different keys of one seed")
	}
	return &Signer{public: k.PublicKey(), key: private, checker: checker}, nil
}

// Public returns the *mldsa.PublicKey.
func (s *Signer) Public() crypto.PublicKey { return s.public }

// Sign signs a message as it is, with an empty context. Randomness comes from the
// system, whatever the reader.
func (s *Signer) Sign(_ io.Reader, message []byte, o crypto.SignerOpts) ([]byte, error) {
	if o != nil && o.HashFunc() != 0 {
		return nil, errors.New("ML-DSA-44 signs messages and not their hashes")
	}
	sig := make([]byte, mldsa44.SignatureSize)
	if err := mldsa44.SignTo(s.key, message, nil, true, sig); err != nil {
		return nil, err
	}
	if !mldsa44.Verify(s.checker, message, nil, sig) {
		return nil, errors.New("the private key does not do its work: the signature does not verify")
	}
	return sig, nil
}

// SignsChecked says that Sign returns nothing that it has not verified (package
// tlog).
func (s *Signer) SignsChecked() {}
