// Package p256 checks many ECDSA signatures of one P-256 key in half the time that
// crypto/ecdsa takes, for a node that reads a whole log again.
//
// [New] computes a table of the key's multiples, which takes some milliseconds and
// 780 KB; [Key.Check] then adds 32 of them where crypto/ecdsa doubles and adds 300
// times. Points are those of filippo.io/nistec, the code of the standard library.
//
// Promises: Check accepts exactly what crypto/ecdsa accepts of numbers r and s (its
// tests compare the two, on Wycheproof's vectors and at the edges). Nothing here is
// secret, and the time that it takes tells about signatures: never sign with it.
package p256

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"fmt"
	"math/big"

	"filippo.io/nistec"
)

const (
	windows = 32  // bytes of a scalar
	digits  = 255 // values of a byte that is not zero
)

// order is n, how many points the curve has.
var order = elliptic.P256().Params().N

// Key is safe for use by several goroutines.
type Key struct {
	// multiples[i][d-1] is d·256^i times the key.
	multiples [windows][digits]nistec.P256Point
}

// New computes the table.
func New(pub *ecdsa.PublicKey) (*Key, error) {
	b, err := pub.Bytes()
	if err != nil || pub.Curve != elliptic.P256() {
		return nil, fmt.Errorf("not a P-256 key: %w", err)
	}
	base, err := nistec.NewP256Point().SetBytes(b) // which must be on the curve
	if err != nil {
		return nil, err
	}
	k := &Key{}
	for i := range k.multiples {
		m := &k.multiples[i]
		m[0].Set(base)
		for d := 1; d < digits; d++ {
			m[d].Add(&m[d-1], base)
		}
		base.Add(&m[digits-1], base)
	}
	return k, nil
}

// Check reports whether r and s, 32 bytes each, are a signature of the key on a
// hash of 32 bytes (FIPS 186-5, section 6.4.2).
func (k *Key) Check(hash, r, s *[32]byte) bool {
	rn, sn := new(big.Int).SetBytes(r[:]), new(big.Int).SetBytes(s[:])
	if rn.Sign() == 0 || sn.Sign() == 0 || rn.Cmp(order) >= 0 || sn.Cmp(order) >= 0 {
		return false
	}
	w := new(big.Int).ModInverse(sn, order)
	e := new(big.Int).SetBytes(hash[:])
	var u1, u2 [32]byte
	product(&u1, e, w)
	product(&u2, rn, w)
	p, err := nistec.NewP256Point().ScalarBaseMult(u1[:])
	if err != nil {
		return false // never: it has 32 bytes
	}
	for i := range windows {
		if d := u2[windows-1-i]; d != 0 {
			p.Add(p, &k.multiples[i][d-1])
		}
	}
	b, err := p.BytesX()
	if err != nil {
		return false // the point at infinity
	}
	x := new(big.Int).SetBytes(b)
	if x.Cmp(order) >= 0 { // the field is a little larger than the order, and less than twice
		x.Sub(x, order)
	}
	return x.Cmp(rn) == 0
}

// product sets out to a·b modulo the order.
func product(out *[32]byte, a, b *big.Int) {
	m := new(big.Int).Mul(a, b)
	m.Mod(m, order).FillBytes(out[:])
}
