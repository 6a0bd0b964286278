package tlog

import (
	"errors"
	"fmt"

	xtlog "golang.org/x/mod/sumdb/tlog"
)

// ErrBadProof is returned where a Merkle proof does not lead to the root.
var ErrBadProof = errors.New("the proof does not lead to the root hash")

// VerifyInclusion checks that the entry with this leaf hash stands at p.Index
// of the tree that the checkpoint names (RFC 6962 section 2.1.1). It does not
// check signatures.
func (p *Proof) VerifyInclusion(leaf Hash) error {
	if p.Checkpoint == nil {
		return errors.New("verifying inclusion: no checkpoint")
	}
	size := p.Checkpoint.Size
	if err := checkInclusionBounds(p.Index, size, len(p.Path)); err != nil {
		return fmt.Errorf("verifying inclusion: %w", err)
	}
	if xtlog.CheckRecord(p.Path, size, p.Checkpoint.Root, p.Index, leaf) != nil {
		return fmt.Errorf("verifying inclusion of entry %d in %s: %w", p.Index, p.Checkpoint.Checkpoint, ErrBadProof)
	}
	return nil
}

// checkInclusionBounds keeps from golang.org/x/mod what it panics on or does
// not end on.
func checkInclusionBounds(index, size int64, path int) error {
	switch {
	case size < 0 || size > MaxSize:
		return fmt.Errorf("tree size %d is not within 0 and 2^62", size)
	case index < 0 || index >= size:
		return fmt.Errorf("entry %d is not in a tree of %d entries", index, size)
	case path > MaxPath:
		return fmt.Errorf("path of %d hashes, want at most %d", path, MaxPath)
	}
	return nil
}

// VerifyConsistency checks an RFC 6962 consistency proof (section 2.1.2): that
// the tree of oldSize entries is the beginning of the tree of newSize. Equal
// sizes want equal roots, and these and an old size of 0 want no path; a tree of
// size 0 has the root [EmptyRoot].
func VerifyConsistency(oldSize, newSize int64, oldRoot, newRoot Hash, path []Hash) error {
	if err := verifyConsistency(oldSize, newSize, oldRoot, newRoot, path); err != nil {
		return fmt.Errorf("verifying consistency of sizes %d and %d: %w", oldSize, newSize, err)
	}
	return nil
}

func verifyConsistency(oldSize, newSize int64, oldRoot, newRoot Hash, path []Hash) error {
	switch {
	case oldSize < 0 || newSize > MaxSize:
		return errors.New("a tree size is not within 0 and 2^62")
	case oldSize > newSize:
		return errors.New("the old tree is larger than the new one")
	case oldSize == 0 && oldRoot != EmptyRoot(), newSize == 0 && newRoot != EmptyRoot():
		return errors.New("size 0 and a root hash that is not that of the empty tree")
	case oldSize == newSize && oldRoot != newRoot:
		return errors.New("equal sizes and different root hashes")
	case (oldSize == newSize || oldSize == 0) && len(path) > 0:
		return fmt.Errorf("path of %d hashes, want none", len(path))
	case oldSize == newSize || oldSize == 0:
		return nil
	case len(path) > MaxPath:
		return fmt.Errorf("path of %d hashes, want at most %d", len(path), MaxPath)
	}
	if xtlog.CheckTree(path, newSize, newRoot, oldSize, oldRoot) != nil {
		return ErrBadProof
	}
	return nil
}
