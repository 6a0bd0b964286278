// Package key holds the keys that say things: who may sign a statement, and with what.
//
// A statement key is ECDSA P-256 or Ed25519. Private keys are any
// [crypto.Signer], so that a file, ssh-agent or a hardware token can stand
// behind a [Signer] alike. A [Public] key is known by its ID, the SHA-256 of its
// PKIX encoding. docs/spec/keys.md says how each thing is written.
//
// Promises: exactly one encoding of a key and of a signature is accepted
// (canonical DER, ECDSA with the lower of the two equivalent s values), so that
// nobody can write a second valid form of what was signed; and no key is
// accepted under which anything at all would verify.
package key

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"

	"filippo.io/mldsa"

	"vitrine.example/digest"
)

// Algorithm names the kind of a key.
type Algorithm string

// The algorithms of statement keys, log keys and witness keys.
const (
	P256    Algorithm = "ecdsa-p256" // statements (FIPS 186-5, SHA-256)
	Ed25519 Algorithm = "ed25519"    // statements, checkpoints, cosignatures (RFC 8032)
	MLDSA44 Algorithm = "ml-dsa-44"  // checkpoints and cosignatures only (FIPS 204)
)

// Public is a public key that verifies statements. It may be compared with ==
// and used as the key of a map. The zero value verifies nothing.
type Public struct {
	alg Algorithm
	der string // canonical PKIX DER
}

// NewPublic takes an *ecdsa.PublicKey on P-256 or an ed25519.PublicKey.
func NewPublic(pub crypto.PublicKey) (Public, error) {
	alg, err := statementAlgorithm(pub)
	if err != nil {
		return Public{}, err
	}
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return Public{}, fmt.Errorf("encoding %s key: %w", alg, err)
	}
	return Public{alg: alg, der: string(der)}, nil
}

// statementAlgorithm says what kind of key pub is, or why it signs no statements.
func statementAlgorithm(pub crypto.PublicKey) (Algorithm, error) {
	switch pub := pub.(type) {
	case *ecdsa.PublicKey:
		//lint:ignore SA1019 the encoders of the standard library panic where a coordinate is missing
		if pub == nil || pub.Curve == nil || pub.X == nil || pub.Y == nil {
			return "", errors.New("no ECDSA key at all")
		}
		if pub.Curve != elliptic.P256() {
			return "", refused("an ECDSA key on " + pub.Curve.Params().Name)
		}
		return P256, nil
	case ed25519.PublicKey:
		return Ed25519, checkEd25519(pub)
	case *rsa.PublicKey:
		return "", refused("an RSA key")
	case *mldsa.PublicKey:
		return "", refused("an ML-DSA key")
	}
	return "", refused(fmt.Sprintf("a key of type %T", pub))
}

func refused(what string) error {
	return fmt.Errorf("%s cannot sign statements: use ECDSA P-256 or Ed25519", what)
}

// Algorithm returns the kind of the key.
func (p Public) Algorithm() Algorithm { return p.alg }

// ID returns the SHA-256 of the PKIX DER encoding.
func (p Public) ID() digest.Digest { return digest.Of([]byte(p.der)) }

// DER returns the PKIX encoding.
func (p Public) DER() []byte { return []byte(p.der) }

// Crypto returns the key for the standard library: an *ecdsa.PublicKey or an
// ed25519.PublicKey; nil of the zero value.
func (p Public) Crypto() crypto.PublicKey {
	switch p.alg {
	case P256:
		// The point is the end of the canonical encoding.
		k, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), []byte(p.der[len(p.der)-65:]))
		if err != nil {
			return nil // never: NewPublic encoded it
		}
		return k
	case Ed25519:
		return ed25519.PublicKey(p.der[len(p.der)-ed25519.PublicKeySize:])
	}
	return nil
}

// IsZero reports whether p is no key at all.
func (p Public) IsZero() bool { return p.der == "" }

// Equal reports whether both are the same key.
func (p Public) Equal(q Public) bool { return p.der == q.der }
