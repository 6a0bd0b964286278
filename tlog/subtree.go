package tlog

import (
	"errors"
	"fmt"
	"math/bits"

	xtlog "golang.org/x/mod/sumdb/tlog"
)

// Subtree is a part of a log's tree that has a root hash of its own: the
// entries from Start up to but not including End
// (draft-ietf-plants-merkle-tree-certs-03, section 4). Unauthenticated.
type Subtree struct {
	Start int64
	End   int64
	Hash  Hash
}

// ValidSubtree reports whether [start, end) is a subtree: not empty, within
// [MaxSize], and start a multiple of the smallest power of two that is not below
// its width (section 4.1). Section 4.1 also calls empty intervals subtrees;
// these have nothing to sign.
func ValidSubtree(start, end int64) bool {
	if start < 0 || end <= start || end > MaxSize {
		return false
	}
	log := bits.Len64(uint64(end - start - 1)) // the width rounded up is 1<<log
	return bits.TrailingZeros64(uint64(start)) >= log
}

// Validate checks that s is a subtree (see [ValidSubtree]).
func (s Subtree) Validate() error {
	if !ValidSubtree(s.Start, s.End) {
		return fmt.Errorf("[%d, %d) is not a subtree", s.Start, s.End)
	}
	return nil
}

// Verify checks a subtree consistency proof (section 4.4.3): that s is a part of
// the tree of size entries with this root. [ErrBadProof] says that the proof
// does not show it; any other error, that the question is none.
func (s Subtree) Verify(size int64, root Hash, path []Hash) error {
	if err := s.checkWithin(size); err != nil {
		return fmt.Errorf("verifying a subtree: %w", err)
	}
	if len(path) > MaxPath {
		return fmt.Errorf("verifying a subtree: path of %d hashes, want at most %d", len(path), MaxPath)
	}
	if !s.leadsTo(size, root, path) {
		return fmt.Errorf("verifying that [%d, %d) is a part of the tree of %d: %w", s.Start, s.End, size, ErrBadProof)
	}
	return nil
}

func (s Subtree) checkWithin(size int64) error {
	if err := s.Validate(); err != nil {
		return err
	}
	if size > MaxSize || s.End > size {
		return fmt.Errorf("[%d, %d) is not within a tree of %d entries", s.Start, s.End, size)
	}
	return nil
}

// leadsTo climbs from the subtree's last node to the root. first, last and end
// are the numbers of the subtree's first node, its last node and the tree's last
// node on the level reached.
func (s Subtree) leadsTo(size int64, root Hash, path []Hash) bool {
	first, last, end := uint64(s.Start), uint64(s.End-1), uint64(size-1)
	up := func(n int) { first, last, end = first>>n, last>>n, end>>n }
	if last == end {
		// The subtree ends where the tree does: it is a node of the tree.
		up(bits.Len64(first ^ last))
	} else {
		// The largest complete node at the subtree's end, or all of it.
		up(min(bits.TrailingZeros64(^last), bits.Len64(first^last)))
	}
	inner, outer := s.Hash, s.Hash
	if first != last {
		if len(path) == 0 {
			return false
		}
		inner, outer, path = path[0], path[0], path[1:]
	}
	for _, h := range path {
		if end == 0 {
			return false
		}
		if last&1 == 1 || last == end {
			if first < last {
				inner = xtlog.NodeHash(h, inner)
			}
			outer = xtlog.NodeHash(h, outer)
			if last&1 == 0 {
				up(bits.TrailingZeros64(last)) // last is not 0: it is end, which is not
			}
		} else {
			outer = xtlog.NodeHash(outer, h)
		}
		up(1)
	}
	return end == 0 && inner == s.Hash && outer == root
}

// span is a range of entries whose hash is a node of a tree.
type span struct{ lo, hi int64 }

// proofSpans lists the nodes of a subtree consistency proof, leaf side first
// (section 4.4.1). known says that the verifier has the hash of what remains of
// the subtree within the node.
func proofSpans(node span, s Subtree, known bool) []span {
	if node.lo == s.Start && node.hi == s.End {
		if known {
			return nil
		}
		return []span{node}
	}
	mid := node.lo + 1<<(bits.Len64(uint64(node.hi-node.lo-1))-1)
	left, right := span{node.lo, mid}, span{mid, node.hi}
	switch {
	case s.End <= mid:
		return append(proofSpans(left, s, known), right)
	case s.Start >= mid:
		return append(proofSpans(right, s, known), left)
	default: // the subtree begins with the node, and reaches into its right half
		return append(proofSpans(right, Subtree{Start: mid, End: s.End}, false), left)
	}
}

// peaks appends the indexes of the stored hashes that a span is made of, from
// left to right.
func (p span) peaks(to []int64) []int64 {
	for lo := p.lo; lo < p.hi; {
		level := bits.Len64(uint64(p.hi-lo)) - 1
		to = append(to, xtlog.StoredHashIndex(level, lo>>level))
		lo += 1 << level
	}
	return to
}

// hashes reads the hashes of spans, all at once.
func hashes(spans []span, r xtlog.HashReader) ([]Hash, error) {
	var all []int64
	for _, p := range spans {
		all = p.peaks(all)
	}
	if len(all) == 0 {
		return nil, nil
	}
	stored, err := r.ReadHashes(all)
	if err != nil {
		return nil, err
	}
	if len(stored) != len(all) {
		return nil, errors.New("the reader gave another number of hashes than it was asked for")
	}
	var out []Hash
	for _, p := range spans {
		n := len(p.peaks(nil))
		h := stored[n-1]
		for i := n - 2; i >= 0; i-- {
			h = xtlog.NodeHash(stored[i], h)
		}
		out, stored = append(out, h), stored[n:]
	}
	return out, nil
}

// ReadSubtree computes the hash of [start, end) from the stored hashes of a log.
func ReadSubtree(start, end int64, r xtlog.HashReader) (Subtree, error) {
	s := Subtree{Start: start, End: end}
	if err := s.Validate(); err != nil {
		return Subtree{}, fmt.Errorf("reading a subtree: %w", err)
	}
	h, err := hashes([]span{{start, end}}, r)
	if err != nil {
		return Subtree{}, fmt.Errorf("reading the subtree [%d, %d): %w", start, end, err)
	}
	s.Hash = h[0]
	return s, nil
}

// Prove makes the subtree consistency proof (section 4.4.1) that s is a part of
// the log's tree of size entries. The hash of s is not looked at.
func (s Subtree) Prove(size int64, r xtlog.HashReader) ([]Hash, error) {
	if err := s.checkWithin(size); err != nil {
		return nil, fmt.Errorf("proving a subtree: %w", err)
	}
	path, err := hashes(proofSpans(span{0, size}, s, true), r)
	if err != nil {
		return nil, fmt.Errorf("proving that [%d, %d) is a part of the tree of %d: %w", s.Start, s.End, size, err)
	}
	return path, nil
}
