package key

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"math/big"
	"slices"
)

// Constants of edwards25519 (RFC 8032 section 5.1).
var (
	fieldP = sub(new(big.Int).Lsh(one, 255), big.NewInt(19))
	curveD = fromHex("52036cee2b6ffe738cc740797779e89800700a4d4141d8ab75eb4dca135978a3")
	one    = big.NewInt(1)
)

// smallOrder are the y coordinates of the points whose order divides 8: of
// order 4, 1, 2, and 8 twice. Under such a key one signature fits many messages.
var smallOrder = []*big.Int{
	new(big.Int),
	one,
	sub(fieldP, one),
	fromHex("05fc536d880238b13933c6d305acdfd5f098eff289f4c345b027b2c28f95e826"),
	fromHex("7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd84d3d706a17c7"),
}

// checkEd25519 refuses what is no key, a second encoding of a key, or a key of
// small order. crypto/ed25519 asks only for the length.
func checkEd25519(pub ed25519.PublicKey) error {
	if len(pub) != ed25519.PublicKeySize {
		return fmt.Errorf("ed25519 key of %d bytes, want %d", len(pub), ed25519.PublicKeySize)
	}
	b := slices.Clone(pub)
	b[31] &^= 0x80 // the sign of x
	slices.Reverse(b)
	y := new(big.Int).SetBytes(b)
	if y.Cmp(fieldP) >= 0 {
		return errors.New("ed25519 key: not the canonical encoding of a point")
	}
	for _, small := range smallOrder {
		if y.Cmp(small) == 0 {
			return errors.New("ed25519 key: a point of small order, under which many messages share a signature")
		}
	}
	if !onCurve(y) {
		return errors.New("ed25519 key: not a point of the curve")
	}
	return nil
}

// onCurve reports whether x² = (y²-1)/(dy²+1) has a solution (RFC 8032 section
// 5.1.3): whether the quotient, or the product that is a square with it, is one.
func onCurve(y *big.Int) bool {
	yy := new(big.Int).Mul(y, y)
	u := sub(yy, one)
	v := new(big.Int).Mul(curveD, yy)
	v.Add(v, one)
	return big.Jacobi(u.Mul(u, v).Mod(u, fieldP), fieldP) >= 0
}

func sub(a, b *big.Int) *big.Int { return new(big.Int).Sub(a, b) }

func fromHex(s string) *big.Int {
	n, ok := new(big.Int).SetString(s, 16)
	if !ok {
		panic("key: malformed constant")
	}
	return n
}
