package p256_test

import (
	"compress/gzip"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"encoding/json"
	"math/big"
	"os"
	"testing"

	"vitrine.example/internal/p256"
)

var order = elliptic.P256().Params().N

func newKey(t testing.TB) (*ecdsa.PrivateKey, *p256.Key) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return private, ready(t, &private.PublicKey)
}

func ready(t testing.TB, pub *ecdsa.PublicKey) *p256.Key {
	t.Helper()
	k, err := p256.New(pub)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// bytes32 is n as Check takes it.
func bytes32(n *big.Int) *[32]byte { return (*[32]byte)(n.FillBytes(make([]byte, 32))) }

// same holds Check against crypto/ecdsa, and returns what both say.
func same(t testing.TB, pub *ecdsa.PublicKey, k *p256.Key, hash [32]byte, r, s *big.Int) bool {
	t.Helper()
	want := ecdsa.Verify(pub, hash[:], r, s)
	if got := k.Check(&hash, bytes32(r), bytes32(s)); got != want {
		t.Errorf("hash %x, r %x, s %x: %v, and crypto/ecdsa says %v", hash, r, s, got, want)
	}
	return want
}

// TestSigned: what the standard library signs is accepted, and nothing next to it.
func TestSigned(t *testing.T) {
	for range 4 {
		private, k := newKey(t)
		stranger, _ := newKey(t)
		for i := range 50 {
			hash := sha256.Sum256([]byte{byte(i)})
			r, s, err := ecdsa.Sign(rand.Reader, private, hash[:])
			if err != nil {
				t.Fatal(err)
			}
			if !same(t, &private.PublicKey, k, hash, r, s) || !same(t, &private.PublicKey, k, hash, r, new(big.Int).Sub(order, s)) {
				t.Fatal("a good signature is refused")
			}
			one := big.NewInt(1)
			other := sha256.Sum256(hash[:])
			if same(t, &private.PublicKey, k, other, r, s) ||
				same(t, &private.PublicKey, k, hash, new(big.Int).Add(r, one), s) ||
				same(t, &private.PublicKey, k, hash, r, new(big.Int).Add(s, one)) ||
				same(t, &stranger.PublicKey, ready(t, &stranger.PublicKey), hash, r, s) {
				t.Fatal("a bad signature is accepted")
			}
			if i > 1 {
				stranger = private // tables of strangers take their time
				break
			}
		}
	}
}

// TestEdges: numbers at the ends of their ranges, and signatures for which sums of
// points meet, double or vanish.
func TestEdges(t *testing.T) {
	var numbers []*big.Int
	for _, base := range []*big.Int{big.NewInt(0), order, new(big.Int).Rsh(order, 1), new(big.Int).Lsh(big.NewInt(1), 255)} {
		for d := int64(-2); d <= 2; d++ {
			if n := new(big.Int).Add(base, big.NewInt(d)); n.Sign() >= 0 && n.BitLen() <= 256 {
				numbers = append(numbers, n)
			}
		}
	}
	numbers = append(numbers, new(big.Int).Sub(elliptic.P256().Params().P, big.NewInt(1)))
	private, k := newKey(t)
	for _, r := range numbers {
		for _, s := range numbers {
			for _, h := range numbers {
				same(t, &private.PublicKey, k, *bytes32(h), r, s)
			}
		}
	}
}

// TestSums: with a private key d that is known, hashes are chosen such that u1·G is
// u2·Q or -u2·Q, or that either is nothing.
func TestSums(t *testing.T) {
	for _, d := range []int64{1, 2, 3, 255, 256, 257} {
		private, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), bytes32(big.NewInt(d))[:])
		if err != nil {
			t.Fatal(err)
		}
		pub := &private.PublicKey
		k := ready(t, pub)
		accepted := 0
		for _, nonce := range []int64{1, 2, 3, 4, 5, 1 << 40} {
			x, _ := elliptic.P256().ScalarBaseMult(big.NewInt(nonce).Bytes()) //lint:ignore SA1019 to make signatures of chosen nonces
			r := new(big.Int).Mod(x, order)
			rd := new(big.Int).Mul(r, big.NewInt(d))
			rd.Mod(rd, order)
			// u1 = u2·d where the hash is r·d; u1 = -u2·d where it is -r·d; u1 = 0 where it is 0.
			for _, e := range []*big.Int{rd, new(big.Int).Sub(order, rd), big.NewInt(0), order, big.NewInt(1)} {
				s := new(big.Int).ModInverse(big.NewInt(nonce), order)
				s.Mul(s, new(big.Int).Add(e, rd)).Mod(s, order)
				if same(t, pub, k, *bytes32(e), r, s) {
					accepted++
				}
				same(t, pub, k, *bytes32(e), r, big.NewInt(1))
			}
		}
		if accepted != 6*4 { // all but those where the sum is nothing, whose s is 0
			t.Errorf("key %d: %d accepted, want 24", d, accepted)
		}
	}
}

// TestWycheproof: the vectors of Project Wycheproof, as far as they are numbers.
func TestWycheproof(t *testing.T) {
	f, err := os.Open("../../key/testdata/wycheproof/ecdsa_secp256r1_sha256_test.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // only read
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var w struct {
		TestGroups []struct {
			PublicKeyDer string
			Tests        []struct{ Msg, Sig, Result string }
		}
	}
	if err := json.NewDecoder(z).Decode(&w); err != nil {
		t.Fatal(err)
	}
	valid, invalid := 0, 0
	for _, g := range w.TestGroups {
		der, err := hex.DecodeString(g.PublicKeyDer)
		if err != nil {
			t.Fatal(err)
		}
		any, err := x509.ParsePKIXPublicKey(der)
		if err != nil {
			t.Fatal(err)
		}
		pub := any.(*ecdsa.PublicKey)
		k := ready(t, pub)
		for _, c := range g.Tests {
			sig, _ := hex.DecodeString(c.Sig)
			message, _ := hex.DecodeString(c.Msg)
			var rs struct{ R, S *big.Int }
			if rest, err := asn1.Unmarshal(sig, &rs); err != nil || len(rest) > 0 || rs.R.Sign() < 0 || rs.S.Sign() < 0 || rs.R.BitLen() > 256 || rs.S.BitLen() > 256 {
				continue
			}
			if same(t, pub, k, sha256.Sum256(message), rs.R, rs.S) {
				valid++
			} else {
				invalid++
			}
		}
	}
	if valid != 183 || invalid != 76 {
		t.Errorf("%d valid and %d invalid: the vectors are not what they were", valid, invalid)
	}
}

func TestOtherCurves(t *testing.T) {
	other, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p256.New(&other.PublicKey); err == nil {
		t.Error("a P-384 key is taken")
	}
}

// FuzzCheck holds Check against crypto/ecdsa on anything, and on signatures that
// are made of it.
func FuzzCheck(f *testing.F) {
	private, k := newKey(f)
	f.Add([]byte("hash"), []byte{1}, []byte{1})
	f.Fuzz(func(t *testing.T, message, r, s []byte) {
		hash := sha256.Sum256(message)
		rn, sn := new(big.Int).SetBytes(r[:min(len(r), 32)]), new(big.Int).SetBytes(s[:min(len(s), 32)])
		same(t, &private.PublicKey, k, hash, rn, sn)
		a, b, err := ecdsa.Sign(rand.Reader, private, hash[:])
		if err != nil {
			t.Fatal(err)
		}
		if !same(t, &private.PublicKey, k, hash, a, b) {
			t.Fatal("a good signature is refused")
		}
		same(t, &private.PublicKey, k, hash, a.Xor(a, rn), b)
		if a.BitLen() <= 256 {
			same(t, &private.PublicKey, k, hash, a, b.Xor(b, sn))
		}
	})
}

func BenchmarkCheck(b *testing.B) {
	private, k := newKey(b)
	hash := sha256.Sum256([]byte("message"))
	r, s, err := ecdsa.Sign(rand.Reader, private, hash[:])
	if err != nil {
		b.Fatal(err)
	}
	b.Run("here", func(b *testing.B) {
		rb, sb := bytes32(r), bytes32(s)
		for b.Loop() {
			if !k.Check(&hash, rb, sb) {
				b.Fatal()
			}
		}
	})
	b.Run("crypto/ecdsa", func(b *testing.B) {
		for b.Loop() {
			if !ecdsa.Verify(&private.PublicKey, hash[:], r, s) {
				b.Fatal()
			}
		}
	})
	b.Run("table", func(b *testing.B) {
		for b.Loop() {
			ready(b, &private.PublicKey)
		}
	})
}
