package tlog

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"filippo.io/mldsa"
	"filippo.io/torchwood"
	xtlog "golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"
)

// validByText is section 4.1 to the letter: start is a multiple of the smallest
// power of two that is greater than or equal to the width.
func validByText(start, end int64) bool {
	if start < 0 || start >= end {
		return false
	}
	p := int64(1)
	for p < end-start {
		p *= 2
	}
	return start%p == 0
}

func TestValidSubtree(t *testing.T) {
	for start := int64(-1); start < 70; start++ {
		for end := int64(-1); end < 140; end++ {
			if got, want := ValidSubtree(start, end), validByText(start, end); got != want {
				t.Errorf("[%d, %d): %v, want %v", start, end, got, want)
			}
			if got, want := ValidSubtree(start, end), torchwood.ValidSubtree(start, end); got != want {
				t.Errorf("[%d, %d): %v, torchwood %v", start, end, got, want)
			}
		}
	}
	for _, c := range []struct {
		start, end int64
		ok         bool
	}{
		{0, MaxSize, true}, {0, MaxSize + 1, false}, {MaxSize - 1, MaxSize, true}, {MaxSize / 2, MaxSize, true},
		{MaxSize, MaxSize + 1, false}, {math.MinInt64, math.MaxInt64, false}, {math.MaxInt64, math.MinInt64, false},
		{math.MaxInt64 - 1, math.MaxInt64, false},
	} {
		if got := ValidSubtree(c.start, c.end); got != c.ok {
			t.Errorf("[%d, %d): %v", c.start, c.end, got)
		}
	}
}

// Every subtree of every tree up to 33 entries, proofs byte for byte as
// torchwood makes them, and every way to spoil one.
func TestSubtreeProofs(t *testing.T) {
	const most = 33
	m := newTree(t, most)
	for size := int64(1); size <= most; size++ {
		root := m.root(t, size)
		for end := int64(1); end <= size; end++ {
			for start := int64(0); start < end; start++ {
				if ValidSubtree(start, end) {
					subtreeProof(t, m, size, root, start, end)
				}
			}
		}
	}
}

func subtreeProof(t *testing.T, m tree, size int64, root Hash, start, end int64) {
	t.Helper()
	s, err := ReadSubtree(start, end, m)
	if err != nil {
		t.Fatal(err)
	}
	if want, err := torchwood.SubtreeHash(start, end, m); err != nil || s.Hash != want {
		t.Fatalf("[%d, %d): hash %v, theirs %v, %v", start, end, s.Hash, want, err)
	}
	p, err := s.Prove(size, m)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := torchwood.ProveSubtree(size, start, end, m)
	if err != nil || !slices.Equal(p, theirs) {
		t.Fatalf("[%d, %d) of %d: %v, theirs %v, %v", start, end, size, p, theirs, err)
	}
	if err := s.Verify(size, root, p); err != nil {
		t.Error(err)
	}
	wrong := root
	wrong[0] ^= 1
	refused := func(what string, s Subtree, root Hash, p []Hash) {
		t.Helper()
		ours := s.Verify(size, root, p)
		theirs := torchwood.CheckSubtree(p, size, root, start, end, s.Hash)
		if !errors.Is(ours, ErrBadProof) || theirs == nil {
			t.Errorf("[%d, %d) of %d, %s: ours %v, theirs %v", start, end, size, what, ours, theirs)
		}
	}
	refused("another root", s, wrong, p)
	refused("another hash", Subtree{start, end, wrong}, root, p)
	refused("a hash more", s, root, append(slices.Clone(p), wrong))
	for i := range p {
		q := slices.Clone(p)
		q[i] = wrong
		refused("a hash changed", s, root, q)
		refused("a hash missing", s, root, slices.Delete(slices.Clone(p), i, i+1))
	}
}

func TestSubtreeBounds(t *testing.T) {
	for _, c := range []struct {
		s    Subtree
		size int64
		path int
	}{
		{Subtree{0, 0, Hash{}}, 5, 0}, {Subtree{1, 3, Hash{}}, 5, 0}, {Subtree{0, 6, Hash{}}, 5, 0},
		{Subtree{0, 1, Hash{}}, MaxSize + 1, 62}, {Subtree{0, 1, Hash{}}, -1, 0}, {Subtree{0, 1, Hash{}}, 5, 64},
		{Subtree{-1, 0, Hash{}}, 5, 0}, {Subtree{math.MinInt64, math.MaxInt64, Hash{}}, math.MaxInt64, 0},
	} {
		if err := c.s.Verify(c.size, Hash{}, make([]Hash, c.path)); err == nil || errors.Is(err, ErrBadProof) {
			t.Errorf("%+v: %v", c, err)
		}
		if c.path > MaxPath { // the question itself is good
			continue
		}
		if _, err := c.s.Prove(c.size, tree{}); err == nil {
			t.Errorf("%+v: proven", c)
		}
	}
	if _, err := ReadSubtree(1, 3, tree{}); err == nil {
		t.Error("read [1, 3)")
	}
	short := xtlog.HashReaderFunc(func([]int64) ([]Hash, error) { return nil, nil })
	if _, err := ReadSubtree(0, 1, short); err == nil {
		t.Error("a reader without hashes gave one")
	}
	broken := errors.New("broken")
	bad := xtlog.HashReaderFunc(func([]int64) ([]Hash, error) { return nil, broken })
	if _, err := (Subtree{0, 1, Hash{}}).Prove(2, bad); !errors.Is(err, broken) {
		t.Error(err)
	}
}

// In trees too large to build, all entries are the same: each complete node of a
// level has one hash, so that proofs of any size can be made.
type uniform struct{}

func (uniform) ReadHashes(indexes []int64) ([]Hash, error) {
	var out []Hash
	for _, i := range indexes {
		level, _ := xtlog.SplitStoredHashIndex(i)
		h := LeafHash([]byte("same"))
		for range level {
			h = xtlog.NodeHash(h, h)
		}
		out = append(out, h)
	}
	return out, nil
}

func TestSubtreeOfLargeTrees(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.Int64Range(1, MaxSize>>rapid.IntRange(1, 61).Draw(t, "shift")).Draw(t, "size")
		level := rapid.IntRange(0, 61).Draw(t, "level")
		start := rapid.Int64Range(0, (size-1)>>level).Draw(t, "start") << level
		end := min(size, start+rapid.Int64Range(1, 1<<level).Draw(t, "width"))
		if !ValidSubtree(start, end) {
			t.Fatalf("[%d, %d)", start, end)
		}
		s, err := ReadSubtree(start, end, uniform{})
		if err != nil {
			t.Fatal(err)
		}
		root, err := xtlog.TreeHash(size, uniform{})
		if err != nil {
			t.Fatal(err)
		}
		p, err := s.Prove(size, uniform{})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Verify(size, root, p); err != nil {
			t.Fatal(err)
		}
		if err := torchwood.CheckSubtree(p, size, root, start, end, s.Hash); err != nil {
			t.Fatal(err)
		}
		if len(p) > 0 {
			if err := s.Verify(size, root, p[1:]); !errors.Is(err, ErrBadProof) {
				t.Fatalf("a hash missing: %v", err)
			}
		}
		// Of other sizes and places the same hashes may be a proof as well.
		other := Subtree{s.Start ^ rapid.Int64Range(0, 3).Draw(t, "start'"), s.End + rapid.Int64Range(-2, 2).Draw(t, "end'"), s.Hash}
		size += rapid.Int64Range(-2, 2).Draw(t, "size'")
		ours := other.Verify(size, root, p)
		theirs := torchwood.CheckSubtree(p, size, root, other.Start, other.End, other.Hash)
		if (ours == nil) != (theirs == nil) {
			t.Fatalf("[%d, %d) of %d: ours %v, theirs %v", other.Start, other.End, size, ours, theirs)
		}
	})
}

func TestSubtreeSignatures(t *testing.T) {
	m := newTree(t, 14)
	key := privateKey(t, MLDSA44Cosignature, "witness").(*mldsa.PrivateKey)
	s, err := NewSigner("witness.example/w", MLDSA44Cosignature, key, at(epoch))
	if err != nil {
		t.Fatal(err)
	}
	their, err := torchwood.NewCosignatureSigner("witness.example/w", key)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []span{{0, 1}, {0, 14}, {8, 13}, {12, 14}, {13, 14}} {
		sub, err := ReadSubtree(r.lo, r.hi, m)
		if err != nil {
			t.Fatal(err)
		}
		sig, err := s.SignSubtree("log.example", sub)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(sig.Bytes[:8], make([]byte, 8)) {
			t.Errorf("%v: a time: %x", r, sig.Bytes[:8])
		}
		if at, err := s.Verifier().VerifySubtree("log.example", sub, []Signature{sig}); err != nil || !at.IsZero() {
			t.Errorf("%v: %v, %v", r, at, err)
		}
		if !their.Verifier().VerifySubtree("log.example", r.lo, r.hi, sub.Hash, sig.Marshal()) {
			t.Errorf("%v: torchwood refuses ours", r)
		}
		line, err := their.SignSubtree("log.example", r.lo, r.hi, sub.Hash)
		if err != nil {
			t.Fatal(err)
		}
		sigs, err := ParseSignatures(line)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Verifier().VerifySubtree("log.example", sub, sigs); err != nil {
			t.Errorf("%v: ours refuses torchwood's: %v", r, err)
		}
		for name, c := range map[string]struct {
			origin string
			sub    Subtree
			sig    []byte
		}{
			"another log":     {"log.example2", sub, sig.Bytes},
			"another start":   {"log.example", Subtree{r.lo ^ 16, r.hi ^ 16, sub.Hash}, sig.Bytes},
			"another hash":    {"log.example", Subtree{r.lo, r.hi, Hash{}}, sig.Bytes},
			"another time":    {"log.example", sub, append([]byte{0, 0, 0, 0, 0, 0, 0, 1}, sig.Bytes[8:]...)},
			"cut":             {"log.example", sub, sig.Bytes[:len(sig.Bytes)-1]},
			"a time above":    {"log.example", sub, append([]byte{0x80, 0, 0, 0, 0, 0, 0, 0}, sig.Bytes[8:]...)},
			"no signature":    {"log.example", sub, []byte{}},
			"no subtree":      {"log.example", Subtree{3, 3, sub.Hash}, sig.Bytes},
			"no origin":       {"", sub, sig.Bytes},
			"two lines in it": {"log.example\nx", sub, sig.Bytes},
		} {
			bad := Signature{sig.Name, sig.KeyID, c.sig}
			if _, err := s.Verifier().VerifySubtree(c.origin, c.sub, []Signature{bad}); err == nil {
				t.Errorf("%v, %s: accepted", r, name)
			}
		}
		if _, err := s.Verifier().VerifySubtree("log.example", sub, nil); !errors.Is(err, ErrNotSigned) {
			t.Error(err)
		}
	}
}

// The cosignature of a checkpoint is that of the subtree from 0, with its time.
func TestCheckpointIsASubtree(t *testing.T) {
	m := newTree(t, 14)
	s := newSigner(t, "w", MLDSA44Cosignature)
	c := m.signed(t, "log.example", 13, s)
	got, err := s.Verifier().VerifySubtree("log.example", Subtree{0, 13, c.Root}, c.Signatures)
	if err != nil || !got.Equal(epoch.Truncate(time.Second)) {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := newSigner(t, "w", Ed25519Cosignature).SignSubtree("log", Subtree{0, 1, Hash{}}); !errors.Is(err, errNoSubtrees) {
		t.Error(err)
	}
	e := newSigner(t, "w", Ed25519Cosignature)
	if _, err := e.Verifier().VerifySubtree("log.example", Subtree{0, 13, c.Root}, m.signed(t, "log.example", 13, e).Signatures); !errors.Is(err, errNoSubtrees) {
		t.Error(err)
	}
	for _, sub := range []Subtree{{1, 3, Hash{}}, {0, 0, EmptyRoot()}} {
		if _, err := s.SignSubtree("log.example", sub); err == nil {
			t.Errorf("%+v: signed", sub)
		}
	}
}
