package tlog

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// otherTree is a tree that agrees with newTree up to entry at.
func otherTree(t testing.TB, size, at int64) tree {
	t.Helper()
	return treeOf(t, size, func(i int64) []byte {
		if i >= at {
			return append(entry(i), " of another history"...)
		}
		return entry(i)
	})
}

const forkOrigin = "log.example"

func forkSigner(t testing.TB) *Signer { return newSigner(t, forkOrigin, Ed25519) }

// growthFork is evidence that the tree of b entries, which is other from entry
// at on, does not begin with the tree of a entries.
func growthFork(t testing.TB, a, b, at int64, signers ...*Signer) *Fork {
	t.Helper()
	honest, other := newTree(t, a), otherTree(t, b, at)
	path, err := ReadForkPath(a, b, other)
	if err != nil {
		t.Fatal(err)
	}
	f, err := NewGrowthFork(honest.signed(t, forkOrigin, a, signers...), other.signed(t, forkOrigin, b, signers...), path)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func sizeFork(t testing.TB, size int64, signers ...*Signer) *Fork {
	t.Helper()
	f, err := NewSizeFork(newTree(t, size).signed(t, forkOrigin, size, signers...), otherTree(t, size, 0).signed(t, forkOrigin, size, signers...))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func entryFork(t testing.TB, a, b, index int64, signers ...*Signer) *Fork {
	t.Helper()
	m, o := newTree(t, a), otherTree(t, b, index)
	p := m.proof(t, m.signed(t, forkOrigin, a, signers...), index)
	q := o.proof(t, o.signed(t, forkOrigin, b, signers...), index)
	f, err := NewEntryFork(p, LeafHash(entry(index)), q, LeafHash(append(entry(index), " of another history"...)))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func forks(t testing.TB, signers ...*Signer) map[string]*Fork {
	return map[string]*Fork{
		"size": sizeFork(t, 5, signers...), "size 1": sizeFork(t, 1, signers...),
		"growth": growthFork(t, 5, 9, 2, signers...), "growth from a power of two": growthFork(t, 8, 21, 3, signers...),
		"entry": entryFork(t, 9, 6, 4, signers...), "entry of one size": entryFork(t, 7, 7, 6, signers...),
	}
}

func TestForksAreReadAndVerified(t *testing.T) {
	log := forkSigner(t)
	for name, f := range forks(t, log) {
		got, err := ParseFork(f.Marshal())
		if err != nil {
			t.Errorf("%s: %v\n%s", name, err, f.Marshal())
			continue
		}
		if err := got.Verify(log.Verifier()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !bytes.Equal(got.Marshal(), f.Marshal()) || got.Digest() != f.Digest() {
			t.Errorf("%s: it is not written as it was read", name)
		}
	}
}

// TestEveryFlipOfAForkIsRefused flips each bit of each example.
func TestEveryFlipOfAForkIsRefused(t *testing.T) {
	log := forkSigner(t)
	for name, f := range forks(t, log) {
		text := f.Marshal()
		for i := range len(text) * 8 {
			b := bytes.Clone(text)
			b[i/8] ^= 1 << (i % 8)
			if g, err := ParseFork(b); err == nil && g.Verify(log.Verifier()) == nil {
				t.Errorf("%s: bit %d of byte %d flipped, and accepted:\n%s", name, i%8, i/8, b)
			}
		}
	}
}

func TestOnlyTheLogsOwnSignaturesMakeAFork(t *testing.T) {
	log, witness := forkSigner(t), newSigner(t, "witness.example", Ed25519Cosignature)
	posing := newSigner(t, forkOrigin, Ed25519Cosignature) // a witness under the log's name
	f := sizeFork(t, 3, witness, posing)
	if err := f.Verify(log.Verifier(), witness.Verifier(), posing.Verifier()); !errors.Is(err, ErrNotSigned) {
		t.Errorf("cosigned alone: %v, want %v", err, ErrNotSigned)
	}
	if err := sizeFork(t, 3, log).Verify(newSigner(t, "other.example", Ed25519).Verifier()); !errors.Is(err, ErrNotSigned) {
		t.Errorf("another log's key: %v, want %v", err, ErrNotSigned)
	}
	f = sizeFork(t, 3, log)
	f.B.Signatures[0].Bytes[9] ^= 1
	if err := f.Verify(log.Verifier()); !errors.Is(err, ErrBadSignature) {
		t.Errorf("a bad signature: %v, want %v", err, ErrBadSignature)
	}
}

func TestDigestOfAForkIgnoresSignatures(t *testing.T) {
	log, witness := forkSigner(t), newSigner(t, "witness.example", Ed25519Cosignature)
	one, two := growthFork(t, 5, 9, 2, log), growthFork(t, 5, 9, 2, log, witness)
	if one.Digest() != two.Digest() {
		t.Error("another cosignature makes another digest")
	}
	if one.Digest() == growthFork(t, 5, 9, 3, log).Digest() {
		t.Error("two forks have one digest")
	}
}

func TestAWitnessThatCosignedBothIsNamed(t *testing.T) {
	log := forkSigner(t)
	for _, typ := range []KeyType{Ed25519Cosignature, MLDSA44Cosignature} {
		w, v := newSigner(t, "witness.example", typ), newSigner(t, "good.example", typ)
		f := sizeFork(t, 4, log, w)
		if both, err := f.CosignedBoth(w.Verifier()); !both || err != nil {
			t.Errorf("%v: %v, %v, want true", typ, both, err)
		}
		if both, err := f.CosignedBoth(v.Verifier()); both || err != nil {
			t.Errorf("%v: %v, %v, want false", typ, both, err)
		}
		f.A.Signatures[1].Bytes[20] ^= 1
		if both, err := f.CosignedBoth(w.Verifier()); both || err == nil {
			t.Errorf("%v: a bad cosignature: %v, %v, want an error", typ, both, err)
		}
	}
	if _, err := sizeFork(t, 4, log).CosignedBoth(log.Verifier()); err == nil {
		t.Error("the log's key is taken for a witness's")
	}
}

func TestParseForkRefuses(t *testing.T) {
	log := forkSigner(t)
	f := growthFork(t, 5, 9, 2, log)
	swapped := *f
	swapped.A, swapped.B = f.B, f.A
	unsorted := *sizeFork(t, 5, log)
	unsorted.A, unsorted.B = unsorted.B, unsorted.A
	long := *f
	long.Path = slices.Concat(f.Path, f.Path)
	same := *f
	same.Kind, same.Path, same.B = ForkSize, nil, f.A
	for name, g := range map[string]*Fork{"swapped": &swapped, "unsorted": &unsorted, "long path": &long, "one checkpoint": &same} {
		if _, err := ParseFork(g.Marshal()); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	text := f.Marshal()
	for name, b := range map[string][]byte{
		"empty": nil, "header": []byte(forkHeader + "\n"), "too long": make([]byte, MaxFork+1),
		"more after it": append(bytes.Clone(text), '\n'), "CR": bytes.Replace(text, []byte("\n"), []byte("\r\n"), 1),
		"kind": bytes.Replace(text, []byte("kind growth"), []byte("kind other"), 1),
	} {
		if _, err := ParseFork(b); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// TestForkLaw: any true fork yields evidence that verifies, and an honest log
// none, whatever is tried with its checkpoints.
func TestForkLaw(t *testing.T) {
	log := forkSigner(t)
	rapid.Check(t, func(rt *rapid.T) {
		b := rapid.Int64Range(2, 70).Draw(rt, "b")
		a := rapid.Int64Range(1, b-1).Draw(rt, "a")
		at := rapid.Int64Range(0, a-1).Draw(rt, "at")
		if err := growthFork(t, a, b, at, log).Verify(log.Verifier()); err != nil {
			rt.Fatalf("growth: %v", err)
		}
		if err := entryFork(t, a, b, at, log).Verify(log.Verifier()); err != nil {
			rt.Fatalf("entry: %v", err)
		}
		m := newTree(t, b)
		ca, cb := m.signed(t, forkOrigin, a, log), m.signed(t, forkOrigin, b, log)
		path, err := ReadForkPath(a, b, m)
		if err != nil {
			rt.Fatal(err)
		}
		if rapid.Bool().Draw(rt, "mangle") {
			path = slices.Clone(path)
			path[rapid.IntRange(0, len(path)-1).Draw(rt, "hash")][3] ^= 1
		}
		if f, err := NewGrowthFork(ca, cb, path); err == nil {
			rt.Fatalf("an honest log is accused:\n%s", f.Marshal())
		}
		p, q := m.proof(t, ca, at), m.proof(t, cb, at)
		leaf := LeafHash(entry(at))
		for _, other := range []Hash{leaf, LeafHash(entry(at + 1)), {}} {
			if f, err := NewEntryFork(p, leaf, q, other); err == nil {
				rt.Fatalf("an honest log is accused:\n%s", f.Marshal())
			}
		}
	})
}

func FuzzFork(f *testing.F) {
	for _, fork := range forks(f, forkSigner(f), newSigner(f, "witness.example", Ed25519Cosignature)) {
		f.Add(fork.Marshal())
	}
	log := forkSigner(f).Verifier()
	f.Fuzz(func(t *testing.T, in []byte) {
		fork, err := ParseFork(in)
		if err != nil {
			return
		}
		if !bytes.Equal(fork.Marshal(), in) {
			t.Errorf("%q is written as %q", in, fork.Marshal())
		}
		if err := fork.Check(); err != nil {
			t.Errorf("%q: %v", in, err)
		}
		_ = fork.Verify(log)
	})
}
