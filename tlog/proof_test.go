package tlog

import (
	"bytes"
	"testing"
)

func TestProofOfEveryEntry(t *testing.T) {
	log := newSigner(t, "log.example", Ed25519)
	w := newSigner(t, "witness.example/w1", Ed25519Cosignature)
	q := newSigner(t, "witness.example/q1", MLDSA44Cosignature)
	m := newTree(t, 20)
	for size := int64(1); size <= 20; size++ {
		c := m.signed(t, "log.example", size, log, w, q)
		for i := range size {
			text := m.proof(t, c, i).Marshal()
			p, err := ParseProof(text)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(p.Marshal(), text) {
				t.Fatalf("size %d, entry %d: Marshal gives back another text", size, i)
			}
			if err := p.VerifyInclusion(LeafHash(entry(i))); err != nil {
				t.Error(err)
			}
			if err := p.VerifyInclusion(LeafHash(entry(i + 1))); err == nil {
				t.Errorf("size %d, entry %d: another entry is accepted", size, i)
			}
			if i > 0 {
				continue
			}
			for _, s := range []*Signer{log, w, q} {
				at, err := s.Verifier().Verify(p.Checkpoint)
				if err != nil {
					t.Fatal(err)
				}
				if plain := s.v.typ == Ed25519; plain != at.IsZero() || !plain && !at.Equal(epoch) {
					t.Errorf("%s: time %v", s.Name(), at)
				}
			}
		}
	}
}
