package tlog

import (
	"errors"
	"math"
	"testing"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	xtlog "golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"
)

// Sizes and indices that golang.org/x/mod panics on or never returns from.
func TestInclusionBounds(t *testing.T) {
	for _, c := range []struct {
		index, size int64
		path        int
	}{
		{0, 0, 0}, {-1, 1, 0}, {1, 1, 0}, {0, -1, 0}, {math.MinInt64, math.MinInt64, 0},
		{math.MaxInt64, math.MaxInt64, 0}, {0, math.MaxInt64, 63}, {0, MaxSize + 1, 63},
		{0, 1, 1}, {0, 2, 0}, {0, 2, 2}, {0, MaxSize, 61}, {0, MaxSize, 63}, {0, MaxSize, 64},
		{MaxSize - 1, MaxSize, 61}, {MaxSize - 2, MaxSize - 1, 62},
	} {
		p := &Proof{Index: c.index, Path: make([]Hash, c.path), Checkpoint: &SignedCheckpoint{Checkpoint: Checkpoint{Origin: "a", Size: c.size}}}
		if err := p.VerifyInclusion(Hash{}); err == nil {
			t.Errorf("%+v: accepted", c)
		}
	}
	if err := (&Proof{}).VerifyInclusion(Hash{}); err == nil {
		t.Error("without checkpoint: accepted")
	}
	// The largest tree is served: all nodes of one value up to the root.
	p := &Proof{Index: 0, Path: make([]Hash, 62), Checkpoint: &SignedCheckpoint{Checkpoint: Checkpoint{Origin: "a", Size: MaxSize}}}
	h := Hash{}
	for range 62 {
		h = xtlog.NodeHash(h, Hash{})
	}
	p.Checkpoint.Root = h
	if err := p.VerifyInclusion(Hash{}); err != nil {
		t.Error(err)
	}
}

// Of all trees up to 40 entries, and against the verifier of
// transparency-dev/merkle, which is written another way.
func TestConsistency(t *testing.T) {
	const most = 40
	m := newTree(t, most)
	for n := int64(1); n <= most; n++ {
		for o := int64(1); o <= n; o++ {
			p, err := xtlog.ProveTree(n, o, m)
			if err != nil {
				t.Fatal(err)
			}
			oldRoot, newRoot := m.root(t, o), m.root(t, n)
			if err := VerifyConsistency(o, n, oldRoot, newRoot, p); err != nil {
				t.Error(err)
			}
			theirs(t, nil, o, n, oldRoot, newRoot, p)
			wrong := oldRoot
			wrong[31] ^= 1
			for _, c := range []struct {
				o, n int64
				a, b Hash
				p    []Hash
			}{
				{o, n, wrong, newRoot, p}, {o, n, oldRoot, wrong, p}, {n + 1, n, oldRoot, newRoot, p},
				{o, n, oldRoot, newRoot, append(p[:len(p):len(p)], wrong)},
			} {
				err := VerifyConsistency(c.o, c.n, c.a, c.b, c.p)
				if err == nil {
					t.Errorf("sizes %d and %d: accepted", c.o, c.n)
				}
				theirs(t, err, c.o, c.n, c.a, c.b, c.p)
			}
			if len(p) > 0 {
				if err := VerifyConsistency(o, n, oldRoot, newRoot, p[1:]); !errors.Is(err, ErrBadProof) {
					t.Errorf("sizes %d and %d, a hash missing: %v", o, n, err)
				}
			}
		}
	}
}

func theirs(t *testing.T, ours error, o, n int64, a, b Hash, p []Hash) {
	t.Helper()
	var path [][]byte
	for _, h := range p {
		path = append(path, h[:])
	}
	err := proof.VerifyConsistency(rfc6962.DefaultHasher, uint64(o), uint64(n), path, a[:], b[:])
	if (err == nil) != (ours == nil) {
		t.Errorf("sizes %d and %d: ours %v, theirs %v", o, n, ours, err)
	}
}

func TestConsistencyBounds(t *testing.T) {
	e, x := EmptyRoot(), LeafHash([]byte("x"))
	for _, c := range []struct {
		o, n int64
		a, b Hash
		path int
		ok   bool
	}{
		{0, 0, e, e, 0, true},
		{0, 5, e, x, 0, true},
		{5, 5, x, x, 0, true},
		{0, 0, e, e, 1, false},
		{0, 0, x, x, 0, false},
		{0, 5, x, x, 0, false},
		{0, 5, e, x, 1, false},
		{5, 5, x, e, 0, false},
		{5, 5, x, x, 1, false},
		{5, 4, x, x, 0, false},
		{-1, 5, e, x, 0, false},
		{-5, -5, x, x, 0, false},
		{1, MaxSize + 1, x, x, 62, false},
		{1, math.MaxInt64, x, x, 63, false},
		{math.MaxInt64, math.MaxInt64, x, x, 0, false},
		{3, MaxSize, x, x, 64, false},
		{1, 2, x, x, 0, false},
	} {
		err := VerifyConsistency(c.o, c.n, c.a, c.b, make([]Hash, c.path))
		if (err == nil) != c.ok {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// Ours and transparency-dev/merkle agree on arbitrary sizes, with proofs of the
// right length too. Neither panics.
func TestMerkleLaw(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.Int64Range(1, MaxSize>>rapid.IntRange(0, 61).Draw(t, "shift")).Draw(t, "size")
		index := rapid.Int64Range(0, size-1).Draw(t, "index")
		inner := rapid.IntRange(0, MaxPath).Draw(t, "path")
		path, raw := make([]Hash, inner), make([][]byte, inner)
		for i := range path {
			path[i][0] = byte(i)
			raw[i] = path[i][:]
		}
		leaf := LeafHash(nil)
		root, err := proof.RootFromInclusionProof(rfc6962.DefaultHasher, uint64(index), uint64(size), leaf[:], raw)
		p := &Proof{Index: index, Path: path, Checkpoint: &SignedCheckpoint{Checkpoint: Checkpoint{Origin: "a", Size: size}}}
		if err == nil {
			p.Checkpoint.Root = Hash(root)
		}
		if got := p.VerifyInclusion(leaf); (got == nil) != (err == nil) {
			t.Fatalf("entry %d of %d, %d hashes: ours %v, theirs %v", index, size, inner, got, err)
		}
	})
}
