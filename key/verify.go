package key

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
)

// ErrSignature is in the chain of every error of [Public.Verify]: the key did
// not sign this message with this signature.
var ErrSignature = errors.New("signature does not verify")

// maxECDSA is the length of the longest canonical P-256 signature with the
// lower s: 30 45 02 21 00 r(32) 02 20 s(32).
const maxECDSA = 71

var (
	orderN     = elliptic.P256().Params().N
	halfOrderN = new(big.Int).Rsh(orderN, 1)
)

// Verify checks sig over message (not a hash of it): ECDSA over SHA-256 of it,
// in DER with the lower s, or pure Ed25519.
func (p Public) Verify(message, sig []byte) error { return p.verify(p.Crypto(), message, sig) }

// verify is Verify with what Crypto returns.
func (p Public) verify(pub crypto.PublicKey, message, sig []byte) error {
	switch pub := pub.(type) {
	case *ecdsa.PublicKey:
		if err := checkLowECDSA(sig); err != nil {
			return fmt.Errorf("%w: %w", ErrSignature, err)
		}
		sum := sha256.Sum256(message)
		if ecdsa.VerifyASN1(pub, sum[:], sig) {
			return nil
		}
	case ed25519.PublicKey:
		if len(sig) != ed25519.SignatureSize {
			return fmt.Errorf("%w: %d bytes, want %d", ErrSignature, len(sig), ed25519.SignatureSize)
		}
		if ed25519.Verify(pub, message, sig) {
			return nil
		}
	default:
		return fmt.Errorf("%w: no key", ErrSignature)
	}
	return fmt.Errorf("%w with %s key %s", ErrSignature, p.alg, p.ID())
}

// CheckSignature reports whether sig has the one form of a signature by a key
// like p (canonical DER with the lower s; 64 bytes), without any message.
func (p Public) CheckSignature(sig []byte) error {
	switch p.alg {
	case P256:
		return checkLowECDSA(sig)
	case Ed25519:
		if len(sig) != ed25519.SignatureSize {
			return fmt.Errorf("ed25519 signature of %d bytes, want %d", len(sig), ed25519.SignatureSize)
		}
		return nil
	}
	return errors.New("no key")
}

// checkLowECDSA says why sig is not a signature in DER with the lower s.
func checkLowECDSA(sig []byte) error {
	if _, _, ok := lowECDSA(sig); ok {
		return nil
	}
	_, err := parseECDSA(sig, false)
	return err
}

type ecdsaSig struct{ R, S *big.Int }

// parseECDSA reads Ecdsa-Sig-Value (RFC 3279 section 2.2.3) in DER (X.690
// section 10), one encoding only.
func parseECDSA(sig []byte, highS bool) (ecdsaSig, error) {
	var rs ecdsaSig
	if len(sig) > maxECDSA+1 {
		return rs, fmt.Errorf("ECDSA signature of %d bytes, at most %d are possible", len(sig), maxECDSA)
	}
	rest, err := asn1.Unmarshal(sig, &rs)
	if err != nil {
		return rs, fmt.Errorf("ECDSA signature: %w", err)
	}
	if len(rest) > 0 {
		return rs, errors.New("ECDSA signature: trailing bytes")
	}
	if rs.R.Sign() <= 0 || rs.S.Sign() <= 0 || rs.R.Cmp(orderN) >= 0 || rs.S.Cmp(orderN) >= 0 {
		return rs, errors.New("ECDSA signature: r or s out of range")
	}
	if again, err := asn1.Marshal(rs); err != nil || !bytes.Equal(again, sig) {
		return rs, errors.New("ECDSA signature: not in DER")
	}
	if !highS && rs.S.Cmp(halfOrderN) > 0 {
		return rs, errors.New("ECDSA signature: the higher of the two s values; only the lower one is accepted")
	}
	return rs, nil
}

// lowS rewrites a signature with the lower of its two s values.
func lowS(sig []byte) ([]byte, error) {
	rs, err := parseECDSA(sig, true)
	if err != nil {
		return nil, err
	}
	if rs.S.Cmp(halfOrderN) > 0 {
		rs.S.Sub(orderN, rs.S)
	}
	return asn1.Marshal(rs)
}
