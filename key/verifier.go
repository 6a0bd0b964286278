package key

import (
	"bytes"
	"crypto"

	"vitrine.example/digest"
)

// Verifier is a [Public] key made ready to check many signatures: what that
// parses and hashes at each use is kept. It accepts exactly what the key does,
// and is safe for use by several goroutines.
type Verifier struct {
	key Public
	id  digest.Digest
	pub crypto.PublicKey
}

// Verifier makes the key ready.
func (p Public) Verifier() *Verifier { return &Verifier{key: p, id: p.ID(), pub: p.Crypto()} }

// Key returns the key.
func (v *Verifier) Key() Public { return v.key }

// ID is that of the key.
func (v *Verifier) ID() digest.Digest { return v.id }

// Verify is [Public.Verify].
func (v *Verifier) Verify(message, sig []byte) error { return v.key.verify(v.pub, message, sig) }

// The largest values of r and of the lower s, 32 bytes each, big-endian.
var maxR, maxS = [32]byte(sub(orderN, one).Bytes()), [32]byte(halfOrderN.FillBytes(make([]byte, 32)))

// isLowECDSA reports what parseECDSA says of a signature that must have the
// lower s, without numbers and without a reason: the common case of a
// signature that is as it should be.
func isLowECDSA(sig []byte) bool {
	// Nothing in it is as long as 128 bytes, where a length takes a second one.
	if len(sig) < 2 || len(sig) > maxECDSA || sig[0] != 0x30 || int(sig[1]) != len(sig)-2 {
		return false
	}
	rest, ok := cutInteger(sig[2:], &maxR)
	if !ok {
		return false
	}
	rest, ok = cutInteger(rest, &maxS)
	return ok && len(rest) == 0
}

// cutInteger takes a DER integer from 1 to most off the front of b.
func cutInteger(b []byte, most *[32]byte) (rest []byte, ok bool) {
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
	var n [32]byte
	copy(n[len(n)-len(v):], v)
	return rest, bytes.Compare(n[:], most[:]) <= 0
}
