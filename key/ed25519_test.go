package key_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"testing"

	"vitrine.example/key"
)

// smallOrderKeys are the canonical encodings of the points of order 1, 2, 4
// and 8 of edwards25519.
var smallOrderKeys = []string{
	"0100000000000000000000000000000000000000000000000000000000000000",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0000000000000000000000000000000000000000000000000000000000000080",
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
}

// Under a key of small order one signature (R the neutral point, S zero)
// verifies for many messages; crypto/ed25519 lets it pass, so the keys are
// refused.
func TestSmallOrderKeysAreRefused(t *testing.T) {
	sig := make([]byte, ed25519.SignatureSize)
	sig[0] = 1
	for _, h := range smallOrderKeys {
		pub, err := hex.DecodeString(h)
		if err != nil {
			t.Fatal(err)
		}
		fits := 0
		for i := range 200 {
			if ed25519.Verify(pub, binary.BigEndian.AppendUint32(nil, uint32(i)), sig) {
				fits++
			}
		}
		if fits < 5 {
			t.Errorf("%s: the signature fits %d of 200 messages: is the order small?", h, fits)
		}
		_, err = key.NewPublic(ed25519.PublicKey(pub))
		wantError(t, err, "small order")
	}
}

func TestNonCanonicalEd25519KeysAreRefused(t *testing.T) {
	// y = p + k for the k below 19, and y = 2^255-1, with both signs.
	for k := range 19 {
		pub := make([]byte, 32)
		for i := range pub {
			pub[i] = 0xff
		}
		pub[0] = 0xed + byte(k)
		for _, top := range []byte{0x7f, 0xff} {
			pub[31] = top
			_, err := key.NewPublic(ed25519.PublicKey(pub))
			wantError(t, err, "not the canonical encoding")
		}
	}
}

// Of random strings of 32 bytes one half are points. A key that we refuse as no
// point never verifies in crypto/ed25519 either; one that is generated is never refused.
func TestEd25519PointsAreRecognised(t *testing.T) {
	refused := 0
	for range 200 {
		pub := make([]byte, 32)
		if _, err := rand.Read(pub); err != nil {
			t.Fatal(err)
		}
		if _, err := key.NewPublic(ed25519.PublicKey(pub)); err != nil {
			refused++
		}
		good, _, err := ed25519.GenerateKey(nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := key.NewPublic(good); err != nil {
			t.Errorf("%x: %v", good, err)
		}
	}
	if refused < 50 || refused > 150 { // 7 standard deviations
		t.Errorf("%d of 200 random strings refused", refused)
	}
}
