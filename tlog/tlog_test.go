package tlog

import (
	"crypto"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"
	"time"

	"filippo.io/mldsa"
	xtlog "golang.org/x/mod/sumdb/tlog"
)

// epoch is the time of the cosignatures made in tests.
var epoch = time.Date(2026, 7, 22, 12, 0, 0, 0, time.UTC)

func at(t time.Time) func() (time.Time, error) {
	return func() (time.Time, error) { return t, nil }
}

// privateKey makes a key from a word, so that failures repeat.
func privateKey(t testing.TB, typ KeyType, seed string) crypto.Signer {
	t.Helper()
	sum := sha256.Sum256([]byte(seed))
	if typ != MLDSA44Cosignature {
		return ed25519.NewKeyFromSeed(sum[:])
	}
	k, err := mldsa.NewPrivateKey(mldsa.MLDSA44(), sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func newSigner(t testing.TB, name string, typ KeyType) *Signer {
	t.Helper()
	s, err := NewSigner(name, typ, privateKey(t, typ, fmt.Sprint(name, typ)), at(epoch))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// entry is the content of an entry of a test log.
func entry(i int64) []byte { return fmt.Appendf(nil, "entry %d", i) }

// tree is a log in memory.
type tree []Hash

func newTree(t testing.TB, size int64) tree {
	t.Helper()
	return treeOf(t, size, entry)
}

func treeOf(t testing.TB, size int64, content func(i int64) []byte) tree {
	t.Helper()
	var m tree
	for i := range size {
		h, err := xtlog.StoredHashes(i, content(i), m)
		if err != nil {
			t.Fatal(err)
		}
		m = append(m, h...)
	}
	return m
}

func (m tree) ReadHashes(indexes []int64) ([]Hash, error) {
	var out []Hash
	for _, i := range indexes {
		out = append(out, m[i])
	}
	return out, nil
}

func (m tree) root(t testing.TB, size int64) Hash {
	t.Helper()
	if size == 0 {
		return EmptyRoot()
	}
	h, err := xtlog.TreeHash(size, m)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// signed is the checkpoint of m at a size, signed in this order.
func (m tree) signed(t testing.TB, origin string, size int64, signers ...*Signer) *SignedCheckpoint {
	t.Helper()
	c := &SignedCheckpoint{Checkpoint: Checkpoint{Origin: origin, Size: size, Root: m.root(t, size)}}
	for _, s := range signers {
		sig, err := s.SignCheckpoint(c.Checkpoint)
		if err != nil {
			t.Fatal(err)
		}
		c.Signatures = append(c.Signatures, sig)
	}
	return c
}

func (m tree) proof(t testing.TB, c *SignedCheckpoint, index int64) *Proof {
	t.Helper()
	path, err := xtlog.ProveRecord(c.Size, index, m)
	if err != nil {
		t.Fatal(err)
	}
	p := &Proof{Index: index, Checkpoint: c}
	for _, h := range path { // nil where there is none
		p.Path = append(p.Path, h)
	}
	return p
}

// cosign makes a cosignature by the letter of tlog-cosignature, without the
// checks of Signer.
func cosign(t testing.TB, key crypto.Signer, name string, typ KeyType, at uint64, c Checkpoint) []byte {
	t.Helper()
	msg := fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", at, c.Text())
	if typ == MLDSA44Cosignature {
		msg = slices.Concat([]byte("subtree/v1\n\x00"), []byte{byte(len(name))}, []byte(name), be64(at),
			[]byte{byte(len(c.Origin))}, []byte(c.Origin), be64(0), be64(uint64(c.Size)), c.Root[:])
	}
	sig, err := key.Sign(nil, msg, crypto.Hash(0))
	if err != nil {
		t.Fatal(err)
	}
	return append(be64(at), sig...)
}

func be64(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }
