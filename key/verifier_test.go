package key_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"math/big"
	"strings"
	"testing"

	"vitrine.example/key"
)

// A key that was made ready accepts what the key does and nothing else.
func TestVerifierIsTheKey(t *testing.T) {
	for _, alg := range []key.Algorithm{key.P256, key.Ed25519} {
		k := newSigner(t, alg)
		v := k.Public().Verifier()
		if v.Key() != k.Public() || v.ID() != k.Public().ID() {
			t.Errorf("%s: of another key", alg)
		}
		sig, err := k.Sign([]byte("m"))
		if err != nil {
			t.Fatal(err)
		}
		if err := v.Verify([]byte("m"), sig); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
		for what, err := range map[string]error{
			"another message":  v.Verify([]byte("n"), sig),
			"no signature":     v.Verify([]byte("m"), nil),
			"a byte too many":  v.Verify([]byte("m"), append(bytes.Clone(sig), 0)),
			"a byte too few":   v.Verify([]byte("m"), sig[:len(sig)-1]),
			"of another's key": newSigner(t, alg).Public().Verifier().Verify([]byte("m"), sig),
		} {
			if !errors.Is(err, key.ErrSignature) {
				t.Errorf("%s: %s: %v", alg, what, err)
			}
		}
	}
	if err := (key.Public{}).Verifier().Verify([]byte("m"), nil); !errors.Is(err, key.ErrSignature) {
		t.Errorf("the zero key: %v", err)
	}
}

// The form of a signature is what encoding/asn1 and the bounds of r and s say,
// although it is read without them.
func FuzzSignatureForm(f *testing.F) {
	pub, err := key.ParsePublic(read(f, "openssl", "p256.pub.pem"))
	if err != nil {
		f.Fatal(err)
	}
	n := elliptic.P256().Params().N
	half := new(big.Int).Rsh(n, 1)
	for _, r := range []*big.Int{big.NewInt(0), big.NewInt(1), big.NewInt(-1), big.NewInt(127), big.NewInt(128), half, new(big.Int).Sub(n, big.NewInt(1)), n} {
		for _, s := range []*big.Int{big.NewInt(0), big.NewInt(1), big.NewInt(255), half, new(big.Int).Add(half, big.NewInt(1)), n} {
			b, err := asn1.Marshal(struct{ R, S *big.Int }{r, s})
			if err != nil {
				f.Fatal(err)
			}
			f.Add(b)
		}
	}
	f.Add(read(f, "openssl", "p256.low.sig"))
	f.Add(read(f, "openssl", "p256.high.sig"))
	for _, s := range []string{
		"", "30", "3000", "300602", "3006020101020101", "3106020101020101", "3007020101020101", "300602010102010100",
		"300702020001020101", "3007020101020200ff", "30080202008002020080", "3006020100020101", "3006028101020101",
		"3081060201010201", "300402000200", "3005020101020000", "30060201ff020101", "3003020101",
		"3027" + "0222" + "01" + strings.Repeat("ff", 33) + "020101",
	} {
		b, err := hex.DecodeString(s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, sig []byte) {
		var rs struct{ R, S *big.Int }
		rest, err := asn1.Unmarshal(sig, &rs)
		want := err == nil && len(rest) == 0 && rs.R.Sign() > 0 && rs.R.Cmp(n) < 0 && rs.S.Sign() > 0 && rs.S.Cmp(half) <= 0
		if want {
			again, err := asn1.Marshal(rs)
			want = err == nil && bytes.Equal(again, sig)
		}
		if err := pub.CheckSignature(sig); (err == nil) != want {
			t.Errorf("%x: %v, want %v", sig, err, want)
		}
	})
}

// arithmetic is an ECDSA that the standard library does, and counts.
type arithmetic struct {
	pub   *ecdsa.PublicKey
	asked int
}

func (a *arithmetic) Check(hash, r, s *[32]byte) bool {
	a.asked++
	return ecdsa.Verify(a.pub, hash[:], new(big.Int).SetBytes(r[:]), new(big.Int).SetBytes(s[:]))
}

// Whoever does the arithmetic is asked about signatures of the one form alone, with
// their numbers.
func TestWithECDSA(t *testing.T) {
	k := newSigner(t, key.P256)
	a := &arithmetic{pub: k.Public().Crypto().(*ecdsa.PublicKey)}
	v := k.Public().Verifier().WithECDSA(a)
	for i := range byte(100) {
		sig, err := k.Sign([]byte{i})
		if err != nil {
			t.Fatal(err)
		}
		if err := v.Verify([]byte{i}, sig); err != nil || a.asked != 2*int(i)+1 {
			t.Fatalf("%v, asked %d times", err, a.asked)
		}
		if err := v.Verify([]byte{i + 1}, sig); !errors.Is(err, key.ErrSignature) || a.asked != 2*int(i)+2 {
			t.Fatalf("%v, asked %d times", err, a.asked)
		}
	}
	a.asked = 0
	for _, sig := range [][]byte{nil, {0x30, 0}, read(t, "openssl", "p256.high.sig")} {
		if err := v.Verify([]byte("m"), sig); !errors.Is(err, key.ErrSignature) || a.asked != 0 {
			t.Errorf("%x: %v, asked %d times", sig, err, a.asked)
		}
	}
}
