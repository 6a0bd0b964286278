package key

import (
	"bytes"
	"crypto"
	"crypto/sha256"

	"vitrine.example/digest"
)

// Verifier is a [Public] key made ready to check many signatures: what that
// parses and hashes at each use is kept. It accepts exactly what the key does,
// and is safe for use by several goroutines.
type Verifier struct {
	key   Public
	id    digest.Digest
	pub   crypto.PublicKey
	ecdsa ECDSA // nil: the standard library
}

// ECDSA reports whether r and s are a signature of one P-256 key on a SHA-256 hash.
// It must accept exactly what crypto/ecdsa accepts.
type ECDSA interface {
	Check(hash, r, s *[32]byte) bool
}

// Verifier makes the key ready.
func (p Public) Verifier() *Verifier { return &Verifier{key: p, id: p.ID(), pub: p.Crypto()} }

// Key returns the key.
func (v *Verifier) Key() Public { return v.key }

// ID is that of the key.
func (v *Verifier) ID() digest.Digest { return v.id }

// WithECDSA returns a Verifier that leaves the arithmetic to c, which must be one of
// the same P-256 key. The form of a signature is checked here as always.
func (v *Verifier) WithECDSA(c ECDSA) *Verifier {
	w := *v
	w.ecdsa = c
	return &w
}

// Verify is [Public.Verify].
func (v *Verifier) Verify(message, sig []byte) error {
	if v.ecdsa != nil {
		if r, s, ok := lowECDSA(sig); ok {
			if sum := sha256.Sum256(message); v.ecdsa.Check(&sum, &r, &s) {
				return nil
			}
		}
	}
	return v.key.verify(v.pub, message, sig) // also says what is wrong
}

// The largest values of r and of the lower s, 32 bytes each, big-endian.
var maxR, maxS = [32]byte(sub(orderN, one).Bytes()), [32]byte(halfOrderN.FillBytes(make([]byte, 32)))

// lowECDSA reads what parseECDSA reads of a signature that must have the lower s,
// without a reason where it is none: the common case of a signature that is as it
// should be.
func lowECDSA(sig []byte) (r, s [32]byte, ok bool) {
	// Nothing in it is as long as 128 bytes, where a length takes a second one.
	if len(sig) < 2 || len(sig) > maxECDSA || sig[0] != 0x30 || int(sig[1]) != len(sig)-2 {
		return r, s, false
	}
	rest, ok := cutInteger(sig[2:], &r, &maxR)
	if !ok {
		return r, s, false
	}
	rest, ok = cutInteger(rest, &s, &maxS)
	return r, s, ok && len(rest) == 0
}

// cutInteger takes a DER integer from 1 to most off the front of b into n.
func cutInteger(b []byte, n, most *[32]byte) (rest []byte, ok bool) {
	if len(b) < 2 || b[0] != 2 || b[1] == 0 || int(b[1]) > len(b)-2 {
		return nil, false
	}
	v, rest := b[2:2+b[1]], b[2+b[1]:]
	switch {
	case v[0] >= 0x80: // negative
		return nil, false
	case v[0] == 0: // only where the number would be negative without
		if v = v[1:]; len(v) == 0 || v[0] < 0x80 {
			return nil, false
		}
	}
	if len(v) > len(most) {
		return nil, false
	}
	copy(n[len(n)-len(v):], v)
	return rest, bytes.Compare(n[:], most[:]) <= 0
}
