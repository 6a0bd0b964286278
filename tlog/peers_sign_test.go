package tlog

import (
	"crypto"
	"testing"
	"time"

	"filippo.io/torchwood"
	fnote "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"
)

// What others sign, ours verifies, and it takes the keys that they print.
func TestPeersSign(t *testing.T) {
	text := sampleCheckpoint.Text()
	var signers []note.Signer
	var vkeys []string
	for _, key := range []crypto.Signer{privateKey(t, Ed25519Cosignature, "peer"), privateKey(t, MLDSA44Cosignature, "peer")} {
		s, err := torchwood.NewCosignatureSigner("torchwood.example/w", key)
		if err != nil {
			t.Fatal(err)
		}
		signers, vkeys = append(signers, s), append(vkeys, s.Verifier().String())
	}
	skey, vkey, err := fnote.GenerateMLDSAKey("formats.example/w")
	if err != nil {
		t.Fatal(err)
	}
	formats, err := fnote.NewMLDSASigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	signers, vkeys = append(signers, formats), append(vkeys, vkey)
	skey, vkey, err = note.GenerateKey(nil, "log")
	if err != nil {
		t.Fatal(err)
	}
	log, err := note.NewSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	signers, vkeys = append(signers, log), append(vkeys, vkey)

	signed, err := note.Sign(&note.Note{Text: string(text)}, signers...)
	if err != nil {
		t.Fatal(err)
	}
	c, err := ParseCheckpoint(signed)
	if err != nil {
		t.Fatal(err)
	}
	for _, vkey := range vkeys {
		v, err := ParseVerifier(vkey)
		if err != nil {
			t.Fatal(err)
		}
		at, err := v.Verify(c)
		if err != nil || v.Type() != Ed25519 && at.Before(time.Unix(1_700_000_000, 0)) {
			t.Errorf("%s: %v, %v", v.Name(), at, err)
		}
	}
}

// Our signers stand in for those of x/mod, and all proofs of a tree that they
// sign are good to torchwood, and to formats with transparency-dev/merkle.
func TestPeersVerifyOurProofs(t *testing.T) {
	const size = 40
	m := newTree(t, size)
	log, w := newSigner(t, "log", Ed25519), newSigner(t, "w", MLDSA44Cosignature)
	policy := expand(t, "log <log:1>\nwitness W <w:6> https://w.example/\nquorum W\n")
	proofs := 0
	for _, n := range []int64{1, 2, 7, 8, 9, 31, size} {
		signed, err := note.Sign(&note.Note{Text: string(m.signed(t, "log", n).Text())}, log, w)
		if err != nil {
			t.Fatal(err)
		}
		c, err := ParseCheckpoint(signed)
		if err != nil {
			t.Fatal(err)
		}
		for i := range n {
			text := string(m.proof(t, c, i).Marshal())
			for name, accepts := range proofVerifiers(policy, LeafHash(entry(i))) {
				if err := accepts(text); err != nil {
					t.Errorf("%s: entry %d of %d: %v", name, i, n, err)
				}
			}
			for name, accepts := range proofVerifiers(policy, LeafHash(entry(i+1))) {
				if accepts(text) == nil {
					t.Errorf("%s: entry %d of %d: another entry is accepted", name, i, n)
				}
			}
			proofs++
		}
	}
	if proofs != 98 {
		t.Errorf("%d proofs, want 98", proofs)
	}
}
