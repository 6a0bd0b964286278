package tlog

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"math/big"
	"slices"
)

// checkEd25519 refuses encodings that RFC 8032 section 5.1.3 does not decode,
// and the points of small order: for such a "key" one signature holds on many
// messages, so that nobody can be held to it.
//
// crypto/ed25519 itself takes any 32 bytes and some encodings with y >= p.
func checkEd25519(key ed25519.PublicKey) error {
	if len(key) != ed25519.PublicKeySize {
		return fmt.Errorf("an Ed25519 key has %d bytes, not %d", ed25519.PublicKeySize, len(key))
	}
	// p = 2^255-19; the curve is -x²+y² = 1+dx²y² with d = -121665/121666.
	one := big.NewInt(1)
	p := new(big.Int).Sub(new(big.Int).Lsh(one, 255), big.NewInt(19))
	d := new(big.Int).ModInverse(big.NewInt(121666), p)
	d.Mod(d.Mul(d, big.NewInt(-121665)), p)

	be := slices.Clone(key)
	slices.Reverse(be)
	be[0] &= 0x7f // the sign of x
	y := new(big.Int).SetBytes(be)
	if y.Cmp(p) >= 0 {
		return errors.New("not the canonical encoding of an Ed25519 key")
	}
	// x² = u/v with u = y²-1 and v = dy²+1. It has a root where uv is a square.
	y2 := new(big.Int).Mul(y, y)
	u := new(big.Int).Sub(y2, one)
	v := new(big.Int).Add(new(big.Int).Mul(d, y2), one)
	if big.Jacobi(new(big.Int).Mod(new(big.Int).Mul(u, v), p), p) < 0 {
		return errors.New("not a point of the Ed25519 curve")
	}
	// x = 0 is of order 1 or 2; y = 0 of order 4; and of order 8 is where
	// doubling leads to y = 0, which is where x² = -y², that is u = -y²v.
	u.Mod(u, p)
	w := new(big.Int).Mul(y2, v)
	w.Mod(w.Neg(w), p)
	if u.Sign() == 0 || y.Sign() == 0 || u.Cmp(w) == 0 {
		return errors.New("an Ed25519 point of small order is no key")
	}
	return nil
}
