package tlog

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/bits"

	xtlog "golang.org/x/mod/sumdb/tlog"
)

// MaxFork is the most bytes of fork evidence. Two checkpoints of the greatest
// size fit: a log must not escape by signing long ones.
const MaxFork = 2*MaxCheckpoint + 16<<10

// ForkKind says how two checkpoints contradict each other.
type ForkKind string

// The kinds of fork evidence.
const (
	ForkSize   ForkKind = "size"   // one size, two roots
	ForkGrowth ForkKind = "growth" // the first entries of the larger tree are not the smaller tree
	ForkEntry  ForkKind = "entry"  // one index, two entries
)

// ErrNoFork is returned where two checkpoints do not contradict each other, or
// are not shown to.
var ErrNoFork = errors.New("the checkpoints are not shown to contradict each other")

// Fork is evidence that a log signed two checkpoints that cannot both be true
// (docs/spec/fork.md). It needs nothing but the log's verifier key.
// Unauthenticated: do not trust before [Fork.Verify].
type Fork struct {
	Kind ForkKind

	// Path, of ForkGrowth, leads to the root of B and to that of B's first
	// A.Size entries (see ForkPath).
	Path []Hash

	// What ForkEntry says: entry Index is LeafA in A and LeafB in B.
	Index        int64
	LeafA, LeafB Hash
	PathA, PathB []Hash

	// A is the smaller tree, or that with the smaller root hash.
	A, B *SignedCheckpoint
}

// NewSizeFork makes evidence of two checkpoints of one size.
func NewSizeFork(a, b *SignedCheckpoint) (*Fork, error) {
	f := &Fork{Kind: ForkSize, A: a, B: b}
	if a != nil && b != nil && compareCheckpoints(a, b) > 0 {
		f.A, f.B = b, a
	}
	return f.checked()
}

// NewGrowthFork makes evidence of a smaller and a larger tree; path is what
// [ForkPath] returns of the larger.
func NewGrowthFork(a, b *SignedCheckpoint, path []Hash) (*Fork, error) {
	return (&Fork{Kind: ForkGrowth, A: a, B: b, Path: path}).checked()
}

// NewEntryFork makes evidence of two proofs that put two entries at one index.
func NewEntryFork(p *Proof, leafP Hash, q *Proof, leafQ Hash) (*Fork, error) {
	if p == nil || q == nil || p.Checkpoint == nil || q.Checkpoint == nil || p.Index != q.Index {
		return nil, fmt.Errorf("fork evidence: want two proofs of one index: %w", ErrNoFork)
	}
	if compareCheckpoints(p.Checkpoint, q.Checkpoint) > 0 {
		p, q, leafP, leafQ = q, p, leafQ, leafP
	}
	f := &Fork{Kind: ForkEntry, Index: p.Index, LeafA: leafP, LeafB: leafQ, PathA: p.Path, PathB: q.Path, A: p.Checkpoint, B: q.Checkpoint}
	return f.checked()
}

// checked returns f where it is evidence, but for the signatures.
func (f *Fork) checked() (*Fork, error) {
	if err := f.Check(); err != nil {
		return nil, err
	}
	return f, nil
}

// Origin returns the origin of both checkpoints.
func (f *Fork) Origin() string { return f.A.Origin }

// Sides names the two checkpoints, A first: each by the SHA-256 of its origin, size
// and root hash, a line each. What signs or extends it has no part in that.
func (f *Fork) Sides() (out [2][sha256.Size]byte) {
	for i, c := range []*SignedCheckpoint{f.A, f.B} {
		out[i] = sha256.Sum256(fmt.Appendf(nil, "%s\n%d\n%s\n", c.Origin, c.Size, encodeBase64(c.Root[:])))
	}
	return out
}

// Digest names the contradiction: origin, sizes and root hashes of the two
// checkpoints. Neither signatures nor extension lines nor the way in which it is
// shown have a part in it, so that the same fork is not kept twice.
func (f *Fork) Digest() [sha256.Size]byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\n%s\n", forkHeader, f.A.Origin)
	for _, c := range []*SignedCheckpoint{f.A, f.B} {
		fmt.Fprintf(&b, "%d\n%s\n", c.Size, encodeBase64(c.Root[:]))
	}
	return sha256.Sum256(b.Bytes())
}

// Verify checks everything: that the log with one of these keys signed both
// checkpoints, and that they contradict each other. Keys count where their name
// is the origin and their type is that of a log; both may be keys of one log
// that has changed them. Nobody else's signature makes a log guilty.
func (f *Fork) Verify(keys ...Verifier) error {
	if err := f.Check(); err != nil {
		return err
	}
	for _, c := range []*SignedCheckpoint{f.A, f.B} {
		if err := VerifyLog(c, keys...); err != nil {
			return fmt.Errorf("fork evidence: %s with root %s: %w", c.Checkpoint, encodeBase64(c.Root[:]), err)
		}
	}
	return nil
}

// VerifyLog checks that the log with one of these keys signed c, as
// [Fork.Verify] does. [ErrNotSigned] says that it did not.
func VerifyLog(c *SignedCheckpoint, keys ...Verifier) error {
	if err := c.Validate(); err != nil {
		return err
	}
	signed := false
	for _, v := range keys {
		if v.Name() != c.Origin || v.Type() == Ed25519Cosignature {
			continue
		}
		switch _, err := v.Verify(c); {
		case err == nil:
			signed = true
		case !errors.Is(err, ErrNotSigned):
			return err
		}
	}
	if !signed {
		return ErrNotSigned
	}
	return nil
}

// CosignedBoth reports whether the witness with this key has cosigned both
// checkpoints: evidence that it broke its promise to cosign one history only.
// It is meaningful where [Fork.Verify] has accepted f. The error says that a
// signature of the key is there and does not verify.
func (f *Fork) CosignedBoth(witness Verifier) (bool, error) {
	if witness.Type() == Ed25519 {
		return false, errors.New("fork evidence: the key is not that of a witness")
	}
	both := true
	for _, c := range []*SignedCheckpoint{f.A, f.B} {
		if _, err := witness.Verify(c); errors.Is(err, ErrNotSigned) {
			both = false
		} else if err != nil {
			return false, fmt.Errorf("fork evidence: cosignature of %s: %w", witness.Name(), err)
		}
	}
	return both, nil
}

// Check checks that the two checkpoints contradict each other, whoever may have
// signed them: [Fork.Verify] without the signatures.
func (f *Fork) Check() error {
	if f.A == nil || f.B == nil {
		return errors.New("fork evidence: a checkpoint is missing")
	}
	if err := f.check(); err != nil {
		return fmt.Errorf("fork evidence: %w", err)
	}
	return nil
}

func (f *Fork) check() error {
	a, b := f.A, f.B
	switch {
	case a.Origin != b.Origin:
		return fmt.Errorf("two logs, %.80q and %.80q: %w", a.Origin, b.Origin, ErrNoFork)
	case a.Size < 0 || a.Size > MaxSize || b.Size < 0 || b.Size > MaxSize:
		return errors.New("a tree size is not within 0 and 2^62")
	case compareCheckpoints(a, b) >= 0:
		return fmt.Errorf("want two checkpoints, the smaller tree first, or else the smaller root hash: %w", ErrNoFork)
	}
	switch f.Kind {
	case ForkSize:
		if a.Size != b.Size {
			return fmt.Errorf("sizes %d and %d, want one: %w", a.Size, b.Size, ErrNoFork)
		}
		return nil // compareCheckpoints has seen that the roots differ
	case ForkGrowth:
		return f.checkGrowth()
	case ForkEntry:
		return f.checkEntry()
	}
	return fmt.Errorf("kind %.40q is not known", string(f.Kind))
}

func (f *Fork) checkGrowth() error {
	old, root, err := forkRoots(f.A.Size, f.B.Size, f.Path)
	switch {
	case err != nil:
		return err
	case root != f.B.Root:
		return fmt.Errorf("the path does not lead to the root of the larger tree: %w", ErrNoFork)
	case old == f.A.Root:
		return fmt.Errorf("the larger tree begins with the smaller one: %w", ErrNoFork)
	}
	return nil
}

func (f *Fork) checkEntry() error {
	if f.LeafA == f.LeafB {
		return fmt.Errorf("the entries are the same: %w", ErrNoFork)
	}
	p := Proof{Index: f.Index, Path: f.PathA, Checkpoint: f.A}
	q := Proof{Index: f.Index, Path: f.PathB, Checkpoint: f.B}
	return errors.Join(p.VerifyInclusion(f.LeafA), q.VerifyInclusion(f.LeafB))
}

// compareCheckpoints orders by size and then by root hash.
func compareCheckpoints(a, b *SignedCheckpoint) int {
	switch {
	case a.Size < b.Size:
		return -1
	case a.Size > b.Size:
		return 1
	}
	return bytes.Compare(a.Root[:], b.Root[:])
}

// ForkPath makes the path of ForkGrowth from a consistency proof (RFC 6962
// section 2.1.2) of a tree with its own first size entries, whose root is root.
// A consistency proof leaves that root out where size is a power of two, for
// the verifier knows it; here it is what has to be shown.
func ForkPath(size int64, root Hash, consistency []Hash) []Hash {
	if size > 0 && bits.OnesCount64(uint64(size)) == 1 {
		return append([]Hash{root}, consistency...)
	}
	return consistency
}

// ReadForkPath makes the path of ForkGrowth from the stored hashes of a tree of
// at least to entries.
func ReadForkPath(from, to int64, r xtlog.HashReader) ([]Hash, error) {
	if from < 1 || from >= to || to > MaxSize {
		return nil, fmt.Errorf("path from %d to %d: want 0 < from < to", from, to)
	}
	root, err := xtlog.TreeHash(from, r)
	if err != nil {
		return nil, fmt.Errorf("path from %d to %d: %w", from, to, err)
	}
	path, err := xtlog.ProveTree(to, from, r)
	if err != nil {
		return nil, fmt.Errorf("path from %d to %d: %w", from, to, err)
	}
	return ForkPath(from, root, path), nil
}

// forkRoots computes the roots of the first from entries and of all to entries
// (RFC 9162 section 2.1.4.2, where its step 2 has always been done).
func forkRoots(from, to int64, path []Hash) (old, all Hash, err error) {
	if from < 1 || from >= to {
		return old, all, fmt.Errorf("sizes %d and %d, want a smaller tree with entries and a larger one: %w", from, to, ErrNoFork)
	}
	if len(path) == 0 || len(path) > MaxPath+1 {
		return old, all, fmt.Errorf("path of %d hashes, want 1 to %d", len(path), MaxPath+1)
	}
	fn, sn := from-1, to-1
	for fn&1 == 1 {
		fn, sn = fn>>1, sn>>1
	}
	old, all = path[0], path[0]
	for _, h := range path[1:] {
		if sn == 0 {
			return old, all, errors.New("the path is too long")
		}
		if fn&1 == 1 || fn == sn {
			old, all = xtlog.NodeHash(h, old), xtlog.NodeHash(h, all)
			for fn&1 == 0 && fn != 0 {
				fn, sn = fn>>1, sn>>1
			}
		} else {
			all = xtlog.NodeHash(all, h)
		}
		fn, sn = fn>>1, sn>>1
	}
	if sn != 0 {
		return old, all, errors.New("the path is too short")
	}
	return old, all, nil
}
