package key_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"vitrine.example/digest"
	"vitrine.example/key"
)

func read(t testing.TB, path ...string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(append([]string{"testdata"}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// wantError asks for an error that says all of want.
func wantError(t testing.TB, err error, want ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("no error, want one that says %q", want)
		return
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q does not say %q", err, w)
		}
	}
}

func newSigner(t testing.TB, alg key.Algorithm) *key.Signer {
	t.Helper()
	s, err := key.Generate(alg, nil)
	if err != nil {
		t.Fatal(err)
	}
	k, err := key.NewSigner(s)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// What openssl wrote (testdata/README.md) is read, verifies, and is written
// the same again.
func TestOpenSSLKeys(t *testing.T) {
	for name, alg := range map[string]key.Algorithm{"p256": key.P256, "ed25519": key.Ed25519} {
		t.Run(name, func(t *testing.T) {
			pubPEM, keyPEM := read(t, "openssl", name+".pub.pem"), read(t, "openssl", name+".key.pem")
			pub, err := key.ParsePublic(pubPEM)
			if err != nil {
				t.Fatal(err)
			}
			if pub.Algorithm() != alg {
				t.Errorf("algorithm %s, want %s", pub.Algorithm(), alg)
			}
			if string(pub.PEM()) != string(pubPEM) {
				t.Errorf("written again:\n%s", pub.PEM())
			}
			if pub.ID() != digest.Of(pub.DER()) {
				t.Error("the ID is not the SHA-256 of the DER")
			}
			private, err := key.ParsePrivate(keyPEM)
			if err != nil {
				t.Fatal(err)
			}
			if again, err := key.MarshalPrivate(private); err != nil || string(again) != string(keyPEM) {
				t.Errorf("private key written again: %v", err)
			}
			signer, err := key.NewSigner(private)
			if err != nil {
				t.Fatal(err)
			}
			if !signer.Public().Equal(pub) || signer.Public() != pub {
				t.Error("the private key has another public key")
			}
			sig, err := signer.Sign([]byte("anything"))
			if err != nil {
				t.Fatal(err)
			}
			if err := pub.Verify([]byte("anything"), sig); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestOpenSSLSignatures(t *testing.T) {
	message := read(t, "openssl", "message")
	for _, c := range []struct{ pub, sig, want string }{
		{"p256", "p256.low.sig", ""},
		{"p256", "p256.high.sig", "the higher of the two s values"},
		{"ed25519", "ed25519.sig", ""},
		{"p256", "ed25519.sig", "ECDSA signature"},
		{"ed25519", "p256.low.sig", "70 bytes, want 64"},
	} {
		pub, err := key.ParsePublic(read(t, "openssl", c.pub+".pub.pem"))
		if err != nil {
			t.Fatal(err)
		}
		sig := read(t, "openssl", c.sig)
		err = pub.Verify(message, sig)
		if c.want != "" {
			wantError(t, err, c.want)
			if !errors.Is(err, key.ErrSignature) {
				t.Errorf("%s: %v is not ErrSignature", c.sig, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.sig, err)
		}
		wantError(t, pub.Verify(append(message, 'x'), sig), "does not verify", pub.ID().String())
		for bit := range 8 * len(sig) {
			flipped := append([]byte(nil), sig...)
			flipped[bit/8] ^= 1 << (bit % 8)
			if pub.Verify(message, flipped) == nil {
				t.Errorf("%s: accepted with bit %d flipped", c.sig, bit)
			}
		}
	}
}

func TestRefusedFiles(t *testing.T) {
	for name, want := range map[string]string{
		"p384.key.pem":            "an ECDSA key on P-384 cannot sign statements: use ECDSA P-256 or Ed25519",
		"p384.pub.pem":            "an ECDSA key on P-384 cannot sign statements",
		"secp256k1.key.pem":       "unknown elliptic curve",
		"secp256k1.pub.pem":       "unsupported elliptic curve",
		"rsa.key.pem":             "an RSA key cannot sign statements",
		"rsa.pub.pem":             "an RSA key cannot sign statements",
		"ed448.key.pem":           "unknown algorithm",
		"ed448.pub.pem":           "unknown public key algorithm",
		"x25519.key.pem":          "cannot sign",
		"x25519.pub.pem":          "cannot sign statements",
		"encrypted.key.pem":       "encrypted keys are not read: keep the key in ssh-agent",
		"sec1.key.pem":            "convert it with openssl pkcs8",
		"openssh.key.pem":         "add it to ssh-agent",
		"p256-compressed.pub.pem": "public key",
		"p256-explicit.pub.pem":   "public key",
		"certificate.pub.pem":     `PEM block "CERTIFICATE", want "PUBLIC KEY"`,
	} {
		t.Run(name, func(t *testing.T) {
			text := read(t, "refused", name)
			var err error
			if strings.HasSuffix(name, ".pub.pem") {
				_, err = key.ParsePublic(text)
			} else {
				_, err = key.ParsePrivate(text)
			}
			wantError(t, err, want)
		})
	}
	entries, err := os.ReadDir("testdata/refused")
	if err != nil || len(entries) != 16 {
		t.Errorf("testdata/refused: %d files, %v", len(entries), err)
	}
}

// There is one text of a key: each change of it is refused.
func TestOneEncoding(t *testing.T) {
	for _, kind := range []string{"pub", "key"} {
		text := string(read(t, "openssl", "p256."+kind+".pem"))
		parse := func(s string) error {
			if kind == "pub" {
				_, err := key.ParsePublic([]byte(s))
				return err
			}
			_, err := key.ParsePrivate([]byte(s))
			return err
		}
		if err := parse(text); err != nil {
			t.Fatal(err)
		}
		for name, bad := range map[string]string{
			"empty":             "",
			"space before":      " " + text,
			"line before":       "\n" + text,
			"comment before":    "my key\n" + text,
			"line after":        text + "\n",
			"text after":        text + "x",
			"twice":             text + text,
			"no final newline":  strings.TrimSuffix(text, "\n"),
			"carriage returns":  strings.ReplaceAll(text, "\n", "\r\n"),
			"header":            strings.Replace(text, "KEY-----\n", "KEY-----\nA: b\n\n", 1),
			"other block":       strings.ReplaceAll(text, " KEY-----", " THING-----"),
			"one line":          strings.Replace(text, "\n", "", 2),
			"spaces at the end": strings.Replace(text, "\n", " \n", 2),
			"truncated":         text[:len(text)/2],
			"huge":              text + strings.Repeat(" ", 1<<20),
		} {
			if parse(bad) == nil {
				t.Errorf("%s: accepted with %s", kind, name)
			}
		}
		for i := range 8 * len(text) {
			b := []byte(text)
			b[i/8] ^= 1 << (i % 8)
			if kind == "pub" {
				// A flipped bit may give another point of the curve, never the same key.
				if p, err := key.ParsePublic(b); err == nil && string(p.PEM()) != string(b) {
					t.Errorf("accepted in a second encoding with bit %d flipped", i)
				}
			} else if k, err := key.ParsePrivate(b); err == nil {
				if again, err := key.MarshalPrivate(k); err != nil || string(again) != string(b) {
					t.Errorf("accepted in a second encoding with bit %d flipped", i)
				}
			}
		}
	}
}

func TestTrailingBytesInside(t *testing.T) {
	pub, err := key.ParsePublic(read(t, "openssl", "ed25519.pub.pem"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = key.ParsePublicDER(append(pub.DER(), 0))
	wantError(t, err, "trailing data")
	_, err = key.ParsePublicDER(make([]byte, 1<<20))
	wantError(t, err, "at most")
	_, err = key.ParsePublicDER(nil)
	wantError(t, err, "public key")
}

func TestNewPublicRefuses(t *testing.T) {
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	//lint:ignore SA1019 no other way leads to a point off the curve
	off := &ecdsa.PublicKey{Curve: elliptic.P256(), X: big.NewInt(1), Y: big.NewInt(1)}
	for name, pub := range map[string]crypto.PublicKey{
		"nil":           nil,
		"string":        "a key",
		"P-384":         &p384.PublicKey,
		"RSA":           &rsa.PublicKey{N: big.NewInt(15), E: 3},
		"no curve":      &ecdsa.PublicKey{},
		"no point":      &ecdsa.PublicKey{Curve: elliptic.P256()},
		"nil pointer":   (*ecdsa.PublicKey)(nil),
		"off the curve": off,
		"short Ed25519": ed25519.PublicKey("short"),
		"no Ed25519":    ed25519.PublicKey(nil),
	} {
		if p, err := key.NewPublic(pub); err == nil || !p.IsZero() {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := key.NewSigner(nil); err == nil {
		t.Error("NewSigner(nil): accepted")
	}
}

func TestZeroPublicVerifiesNothing(t *testing.T) {
	var zero key.Public
	wantError(t, zero.Verify(nil, nil), "no key")
	wantError(t, zero.CheckSignature(nil), "no key")
	if !zero.IsZero() || len(zero.DER()) != 0 || len(zero.PEM()) != 0 || zero.Crypto() != nil {
		t.Error("the zero value is some key")
	}
}

// NewPublic keeps nothing of its caller's.
func TestPublicIsItsOwn(t *testing.T) {
	pub, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	p, err := key.NewPublic(pub)
	if err != nil {
		t.Fatal(err)
	}
	pub[0] ^= 1
	if string(p.Crypto().(ed25519.PublicKey)) == string(pub) {
		t.Error("changed from outside")
	}
}

// Signatures verify with the standard library, have the lower s, and have one
// encoding; the other s and other encodings are refused.
func TestSignatureHasOneForm(t *testing.T) {
	n, half := elliptic.P256().Params().N, new(big.Int).Rsh(elliptic.P256().Params().N, 1)
	k := newSigner(t, key.P256)
	rapid.Check(t, func(t *rapid.T) {
		message := rapid.SliceOf(rapid.Byte()).Draw(t, "message")
		sig, err := k.Sign(message)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(message)
		pub := k.Public().Crypto().(*ecdsa.PublicKey)
		if !ecdsa.VerifyASN1(pub, sum[:], sig) {
			t.Fatal("crypto/ecdsa does not accept it")
		}
		var rs struct{ R, S *big.Int }
		if _, err := asn1.Unmarshal(sig, &rs); err != nil {
			t.Fatal(err)
		}
		if rs.S.Cmp(half) > 0 {
			t.Fatal("the higher s")
		}
		rs.S.Sub(n, rs.S)
		high, err := asn1.Marshal(rs)
		if err != nil {
			t.Fatal(err)
		}
		if !ecdsa.VerifyASN1(pub, sum[:], high) {
			t.Fatal("the test made no second signature")
		}
		if k.Public().Verify(message, high) == nil {
			t.Fatal("accepted with the higher s")
		}
	})
}

func TestECDSAEncodings(t *testing.T) {
	k := newSigner(t, key.P256)
	message := []byte("m")
	sig, err := k.Sign(message)
	if err != nil {
		t.Fatal(err)
	}
	var rs struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(sig, &rs); err != nil {
		t.Fatal(err)
	}
	n := elliptic.P256().Params().N
	der := func(r, s *big.Int) []byte {
		b, err := asn1.Marshal(struct{ R, S *big.Int }{r, s})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	long := append([]byte{0x30, 0x81}, sig[1:]...)
	padded := append([]byte{0x30, sig[1] + 1, 0x02, sig[3] + 1, 0}, sig[4:]...)
	for name, bad := range map[string][]byte{
		"empty":          {},
		"trailing byte":  append(append([]byte(nil), sig...), 0),
		"long length":    long,
		"padded r":       padded,
		"r is 0":         der(new(big.Int), rs.S),
		"s is 0":         der(rs.R, new(big.Int)),
		"r is negative":  der(new(big.Int).Neg(rs.R), rs.S),
		"r is n or more": der(new(big.Int).Add(rs.R, n), rs.S),
		"s is n or more": der(rs.R, new(big.Int).Add(rs.S, n)),
		"raw 64 bytes":   append(rs.R.FillBytes(make([]byte, 32)), rs.S.FillBytes(make([]byte, 32))...),
		"indefinite":     append(append([]byte{0x30, 0x80}, sig[2:]...), 0, 0),
		"a set":          append([]byte{0x31}, sig[1:]...),
		"very long":      make([]byte, 1<<16),
		"three integers": append([]byte{0x30, sig[1] + 3}, append(append([]byte(nil), sig[2:]...), 2, 1, 1)...),
	} {
		if err := k.Public().Verify(message, bad); !errors.Is(err, key.ErrSignature) {
			t.Errorf("%s: %v", name, err)
		}
		if k.Public().CheckSignature(bad) == nil {
			t.Errorf("%s: CheckSignature accepts it", name)
		}
	}
	if err := k.Public().CheckSignature(sig); err != nil {
		t.Error(err)
	}
}

// A private key that signs something else, or badly, is noticed.
func TestSignChecksTheResult(t *testing.T) {
	for _, alg := range []key.Algorithm{key.P256, key.Ed25519} {
		a, b := newSigner(t, alg), mustGenerate(t, alg)
		k, err := key.NewSigner(liar{b, a.Public().Crypto()})
		if err != nil {
			t.Fatal(err)
		}
		_, err = k.Sign([]byte("m"))
		wantError(t, err, "bad signature")
	}
	broken, err := key.NewSigner(silent{mustGenerate(t, key.P256)})
	if err != nil {
		t.Fatal(err)
	}
	_, err = broken.Sign([]byte("m"))
	wantError(t, err, "signing with ecdsa-p256 key", "no touch")
}

type liar struct {
	crypto.Signer
	pub crypto.PublicKey
}

func (l liar) Public() crypto.PublicKey { return l.pub }

// silent takes whole messages and signs none.
type silent struct{ crypto.Signer }

func (silent) SignMessage(_ io.Reader, _ []byte, _ crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("no touch")
}

func mustGenerate(t testing.TB, alg key.Algorithm) crypto.Signer {
	t.Helper()
	s, err := key.Generate(alg, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestPublicRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		alg := rapid.SampledFrom([]key.Algorithm{key.P256, key.Ed25519}).Draw(t, "algorithm")
		seed := rapid.SliceOfN(rapid.Byte(), 32*8, 32*8).Draw(t, "seed")
		seed[31] |= 1 // zero is no ECDSA key
		s, err := key.Generate(alg, strings.NewReader(string(seed)))
		if err != nil {
			t.Fatal(err)
		}
		pub, err := key.NewPublic(s.Public())
		if err != nil {
			t.Fatal(err)
		}
		again, err := key.ParsePublic(pub.PEM())
		if err != nil || again.DER() == nil || !again.Equal(pub) || again.ID() != pub.ID() {
			t.Fatalf("%v: another key", err)
		}
		std, err := x509.ParsePKIXPublicKey(pub.DER())
		if err != nil || !std.(interface{ Equal(crypto.PublicKey) bool }).Equal(s.Public()) {
			t.Fatalf("%v: another key for crypto/x509", err)
		}
	})
}
