package tlog

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/mldsa"
	"golang.org/x/mod/sumdb/note"
	"pgregory.net/rapid"
)

// The complete example of signed-note, section "Verifier keys".
const (
	exampleKey  = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
	exampleNote = "This is an example message.\n\n" +
		"\u2014 example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
)

func TestSpecificationExample(t *testing.T) {
	v, err := ParseVerifier(exampleKey)
	if err != nil {
		t.Fatal(err)
	}
	if v.Name() != "example.com/foo" || v.KeyID() != 0x530d903a || v.Type() != Ed25519 || v.String() != exampleKey {
		t.Errorf("got %+v", v)
	}
	n, err := ParseNote([]byte(exampleNote))
	if err != nil {
		t.Fatal(err)
	}
	if at, err := v.VerifyNote(n); err != nil || !at.IsZero() {
		t.Errorf("got %v, %v", at, err)
	}
	if _, err := note.Open([]byte(exampleNote), note.VerifierList(v.NoteVerifier())); err != nil {
		t.Error(err)
	}
	n.Text = append(n.Text, '\n')
	if _, err := v.VerifyNote(n); !errors.Is(err, ErrBadSignature) {
		t.Errorf("another text: %v", err)
	}
	if _, err := (Verifier{}).VerifyNote(n); !errors.Is(err, ErrNotSigned) {
		t.Errorf("no key: %v", err)
	}
}

// The checkpoints and the note that the texts of C2SP print without their keys
// are at least read and written byte for byte.
func TestSpecificationTexts(t *testing.T) {
	for _, text := range []string{
		"Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned è subito sera.\n\n— quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n",
		"example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n",
	} {
		n, err := ParseNote([]byte(text))
		if err != nil || string(n.Marshal()) != text {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestVerifierRefused(t *testing.T) {
	_, rest, _ := strings.Cut(exampleKey, "+")
	long := vkey(t, strings.Repeat("n", MaxName), Ed25519)
	if _, err := ParseVerifier(long); err != nil {
		t.Error(err)
	}
	for _, c := range []struct{ vkey, reason string }{
		{"", "want <name>+<hash>+<key>"},
		{"a+00000000", "want <name>+<hash>+<key>"},
		{"+" + rest, "empty key name"},
		{"a b+" + rest, "must not stand"},
		{"a\u00a0b+" + rest, "must not stand"},
		{"a\n+" + rest, "must not stand"},
		{"a\xff+" + rest, "not valid UTF-8"},
		{strings.Replace(exampleKey, "530d903a", "530D903A", 1), "does not belong to the key, want 530d903a"},
		{strings.Replace(exampleKey, "530d903a", "530d903b", 1), "does not belong to the key"},
		{strings.Replace(exampleKey, "530d903a", "zzzzzzzz", 1), "does not belong to the key"},
		{strings.Replace(exampleKey, "530d903a", "", 1), "does not belong to the key"},
		{strings.Replace(exampleKey, "foo", "fop", 1), "does not belong to the key"},
		{exampleKey + "\n", "not canonical"},
		{exampleKey + "\r", "not canonical"},
		{exampleKey + "=", "not canonical"},
		{strings.Replace(exampleKey, "kyeR", "ky\neR", 1), "not canonical"},
		{"a+00000000+", "no key"},
		{"a+00000000+AQ==", "32 bytes, not 0"},
		{"a+00000000+AgAA", "type 0x02 is not read"},
		{"a+00000000+AwAA", "type 0x03 is not read"},
		{"a+00000000+BQAA", "type 0x05 is not read"},
		{"a+00000000+/wAA", "type 0xff is not read"},
		{"a+00000000+BgAA", "ML-DSA-44 key of 2 bytes"},
		{strings.Replace(long, "n", "nn", 1), "want at most 255"},
		{strings.Repeat("n", 5000), "want at most"},
	} {
		v, err := ParseVerifier(c.vkey)
		if err == nil || !strings.Contains(err.Error(), c.reason) || !v.IsZero() {
			t.Errorf("%.200q: %v, want an error with %q", c.vkey, err, c.reason)
		}
	}
}

func TestNewVerifierRefused(t *testing.T) {
	ed := privateKey(t, Ed25519, "a").Public()
	ml := privateKey(t, MLDSA44Cosignature, "a").Public()
	other, err := mldsa.GenerateKey(mldsa.MLDSA65())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		typ KeyType
		pub crypto.PublicKey
	}{
		{Ed25519, nil}, {Ed25519, ml}, {Ed25519Cosignature, ml}, {MLDSA44Cosignature, ed}, {0, ed}, {0x02, ed}, {0, ml},
		{MLDSA44Cosignature, other.Public()}, {MLDSA44Cosignature, &mldsa.PublicKey{}}, {MLDSA44Cosignature, (*mldsa.PublicKey)(nil)},
		{Ed25519, &ecdsa.PublicKey{}}, {Ed25519, ed25519.PublicKey(nil)}, {Ed25519, ed25519.PublicKey(make([]byte, 31))},
	} {
		if v, err := NewVerifier("a", c.typ, c.pub); err == nil || !v.IsZero() || v.String() != "" || v.PublicKey() != nil {
			t.Errorf("%v %T: accepted", c.typ, c.pub)
		}
	}
}

func TestVerifierLaw(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		name := rapid.StringMatching(`[a-z./\x{e9}\x{2014}=-]{1,40}`).Draw(rt, "name")
		typ := rapid.SampledFrom([]KeyType{Ed25519, Ed25519Cosignature, MLDSA44Cosignature}).Draw(rt, "type")
		v := newSigner(t, name, typ).Verifier()
		w, err := ParseVerifier(v.String())
		if err != nil || !reflect.DeepEqual(v, w) || !v.Equal(w) || !v.SameKey(w) {
			rt.Fatalf("%s: %v", v, err)
		}
	})
}

// The points of small order are computed here with plain fractions, by doubling
// points until they meet the identity.
func TestSmallOrderPoints(t *testing.T) {
	c := newCurve()
	const eight = "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"
	raw, err := hex.DecodeString(eight)
	if err != nil {
		t.Fatal(err)
	}
	x, y := c.decode(raw)
	points := [][2]*big.Int{}
	px, py := big.NewInt(0), big.NewInt(1)
	for range 8 {
		px, py = c.add(px, py, x, y)
		points = append(points, [2]*big.Int{px, py})
	}
	if px.Sign() != 0 || py.Cmp(big.NewInt(1)) != 0 {
		t.Fatal("the point is not of order 8")
	}
	seen := map[string]bool{}
	for _, p := range points {
		for _, sign := range []byte{0, 0x80} { // with x = 0 one of both is not canonical
			key := c.encodeY(p[1])
			key[31] |= sign
			seen[string(key)] = true
			if err := checkEd25519(key); err == nil || !strings.Contains(err.Error(), "small order") {
				t.Errorf("%x: %v", key, err)
			}
		}
	}
	if len(seen) != 10 {
		t.Errorf("%d encodings, want 10", len(seen))
	}
}

func TestEd25519Encodings(t *testing.T) {
	c := newCurve()
	key := func(y *big.Int, sign byte) []byte {
		k := c.encodeY(y)
		k[31] |= sign
		return k
	}
	// The 19 numbers that 255 bits hold above p, with both signs.
	for i := range int64(19) {
		for _, sign := range []byte{0, 0x80} {
			if err := checkEd25519(key(new(big.Int).Add(c.p, big.NewInt(i)), sign)); err == nil || !strings.Contains(err.Error(), "canonical") {
				t.Errorf("y = p+%d: %v", i, err)
			}
		}
	}
	// Of all others, half are on the curve, as its own equation has it.
	on := 0
	for i := int64(2); i < 300; i++ {
		x := c.x(big.NewInt(i))
		if err := checkEd25519(key(big.NewInt(i), 0)); (err == nil) != (x != nil) {
			t.Errorf("y = %d: %v, x is %v", i, err, x)
		}
		if x != nil {
			on++
		}
	}
	if on < 100 || on > 200 {
		t.Errorf("%d of 298 on the curve", on)
	}
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(rt, "seed")
		if err := checkEd25519(ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey)); err != nil {
			rt.Fatal(err)
		}
	})
}

// curve is Ed25519 with fractions and no haste.
type curve struct{ p, d *big.Int }

func newCurve() curve {
	p, _ := new(big.Int).SetString("7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffed", 16)
	d, _ := new(big.Int).SetString("37095705934669439343138083508754565189542113879843219016388785533085940283555", 10)
	return curve{p, d}
}

func (c curve) mod(x *big.Int) *big.Int    { return x.Mod(x, c.p) }
func (c curve) mul(x, y *big.Int) *big.Int { return c.mod(new(big.Int).Mul(x, y)) }
func (c curve) div(x, y *big.Int) *big.Int { return c.mul(x, new(big.Int).ModInverse(y, c.p)) }

// x is a root of (y²-1)/(dy²+1), or nil.
func (c curve) x(y *big.Int) *big.Int {
	y2, one := c.mul(y, y), big.NewInt(1)
	q := c.div(new(big.Int).Sub(y2, one), new(big.Int).Add(c.mul(c.d, y2), one))
	return new(big.Int).ModSqrt(q, c.p)
}

func (c curve) decode(b []byte) (x, y *big.Int) {
	be := slices.Clone(b)
	slices.Reverse(be)
	be[0] &= 0x7f
	y = new(big.Int).SetBytes(be)
	return c.x(y), y
}

func (c curve) encodeY(y *big.Int) []byte {
	b := y.FillBytes(make([]byte, 32))
	slices.Reverse(b)
	return b
}

// add is the addition law of RFC 8032 section 5.1.4, with fractions.
func (c curve) add(x1, y1, x2, y2 *big.Int) (x, y *big.Int) {
	one := big.NewInt(1)
	k := c.mul(c.d, c.mul(c.mul(x1, x2), c.mul(y1, y2)))
	x = c.div(new(big.Int).Add(c.mul(x1, y2), c.mul(x2, y1)), new(big.Int).Add(one, k))
	y = c.div(new(big.Int).Add(c.mul(y1, y2), c.mul(x1, x2)), c.mod(new(big.Int).Sub(one, k)))
	return x, y
}

func TestSignerRefuses(t *testing.T) {
	ed, ml := privateKey(t, Ed25519, "a"), privateKey(t, MLDSA44Cosignature, "a")
	for name, make := range map[string]func() (*Signer, error){
		"no key":   func() (*Signer, error) { return NewSigner("a", Ed25519, nil, nil) },
		"no clock": func() (*Signer, error) { return NewSigner("a", Ed25519Cosignature, ed, nil) },
		"no name":  func() (*Signer, error) { return NewSigner("", Ed25519, ed, nil) },
		"type":     func() (*Signer, error) { return NewSigner("a", Ed25519, ml, nil) },
	} {
		if _, err := make(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	errClock := errors.New("the clock ran backwards")
	good := Checkpoint{Origin: "a", Size: 1}
	for _, c := range []struct {
		what   string
		typ    KeyType
		s      crypto.Signer
		now    func() (time.Time, error)
		cp     Checkpoint
		reason string
	}{
		{"clock", Ed25519Cosignature, ed, func() (time.Time, error) { return time.Time{}, errClock }, good, errClock.Error()},
		{"1970", Ed25519Cosignature, ed, at(time.Unix(0, 999)), good, "before 1970"},
		{"1969", MLDSA44Cosignature, ml, at(time.Unix(-1, 0)), good, "before 1970"},
		{"origin", Ed25519, ed, nil, Checkpoint{Origin: "b", Size: 1}, "not the log"},
		{"extensions", MLDSA44Cosignature, ml, at(epoch), Checkpoint{Origin: "a", Size: 1, Extensions: []string{"x"}}, "extension lines"},
		{"long origin", MLDSA44Cosignature, ml, at(epoch), Checkpoint{Origin: strings.Repeat("a", 256), Size: 1}, "1 to 255"},
		{"empty tree", MLDSA44Cosignature, ml, at(epoch), Checkpoint{Origin: "a"}, "empty tree"},
		{"broken key", Ed25519Cosignature, broken{ed}, at(epoch), good, "does not do its work"},
		{"broken key", Ed25519, broken{ed}, nil, good, "does not do its work"},
		{"broken key", MLDSA44Cosignature, broken{ml}, at(epoch), good, "does not do its work"},
	} {
		s, err := NewSigner("a", c.typ, c.s, c.now)
		if err != nil {
			t.Fatal(err)
		}
		sig, err := s.SignCheckpoint(c.cp)
		if err == nil || !strings.Contains(err.Error(), c.reason) || sig.Bytes != nil {
			t.Errorf("%s: %v, %v; want an error with %q", c.what, sig, err, c.reason)
		}
	}
	s := newSigner(t, "a", Ed25519)
	for _, text := range []string{"", "a\n1\n", "a\n1\n" + root0, exampleNote} {
		if _, err := s.Sign([]byte(text)); err == nil {
			t.Errorf("%q is signed", text)
		}
	}
}

// broken signs something else.
type broken struct{ crypto.Signer }

func (b broken) Sign(r io.Reader, msg []byte, o crypto.SignerOpts) ([]byte, error) {
	return b.Signer.Sign(r, append(slices.Clone(msg), 0), o)
}

// A log that signs with ML-DSA-44 may leave the time out; the Ed25519
// cosignature has no such case.
func TestTimestamps(t *testing.T) {
	k := privateKey(t, MLDSA44Cosignature, "a")
	s, err := NewSigner("a", MLDSA44Cosignature, k, nil)
	if err != nil {
		t.Fatal(err)
	}
	c := newTree(t, 2).signed(t, "a", 2, s)
	if at, err := s.Verifier().Verify(c); err != nil || !at.IsZero() {
		t.Errorf("without time: %v, %v", at, err)
	}
	for _, typ := range []KeyType{Ed25519Cosignature, MLDSA44Cosignature} {
		for _, tc := range []struct {
			time   uint64
			reason string
		}{{0, "timestamp 0 in"}, {1, ""}, {1<<63 - 1, ""}, {1 << 63, "above 2^63-1"}, {1<<64 - 1, "above 2^63-1"}} {
			if typ == MLDSA44Cosignature && tc.time == 0 {
				continue
			}
			key := privateKey(t, typ, "a")
			v, err := NewVerifier("a", typ, key.Public())
			if err != nil {
				t.Fatal(err)
			}
			c.Signatures = []Signature{{Name: "a", KeyID: v.KeyID(), Bytes: cosign(t, key, "a", typ, tc.time, c.Checkpoint)}}
			at, err := v.Verify(c)
			if tc.reason == "" && (err != nil || at.Unix() != int64(min(tc.time, lastTime))) || tc.reason != "" && (!errors.Is(err, ErrBadSignature) || !strings.Contains(err.Error(), tc.reason)) {
				t.Errorf("%s at %d: %v, %v; want an error with %q", typ, tc.time, at, err, tc.reason)
			}
		}
	}
}

// The latest times that a cosignature can bear are after all others, and not,
// as time.Unix has it, before them.
func TestTimesFarAheadAreAhead(t *testing.T) {
	for _, typ := range []KeyType{Ed25519Cosignature, MLDSA44Cosignature} {
		for _, bears := range []uint64{253402300800, 1 << 62, 1<<63 - 62135596800, 1<<63 - 1} {
			s := newSigner(t, "w", typ)
			raw := cosign(t, privateKey(t, typ, fmt.Sprint("w", typ)), "w", typ, bears, sampleCheckpoint)
			c := &SignedCheckpoint{sampleCheckpoint, []Signature{{"w", s.KeyHash(), raw}}}
			if got, err := s.Verifier().Verify(c); err != nil || !got.After(epoch.AddDate(5000, 0, 0)) {
				t.Errorf("%s, time %d: %v, %v", typ, bears, got, err)
			}
		}
	}
}
