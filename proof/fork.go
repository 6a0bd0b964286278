package proof

import (
	"bytes"
	"slices"

	"vitrine.example/digest"
	"vitrine.example/key"
	"vitrine.example/tlog"
)

// placed is a statement under a checkpoint that its log has signed.
type placed struct {
	proof *tlog.Proof
	leaf  tlog.Hash
	known bool // leaf is that of a statement key that is known
}

// FindFork looks for two checkpoints in bundles that one log signed and that
// cannot both be true: two roots of one size, or two entries at one index. logs
// are the keys of logs, signers those of statements, without which their leaves
// cannot be made. It returns nil where there are none, and otherwise evidence
// that [tlog.Fork.Verify] accepts: always the same, in whatever order they come.
// Two trees of different sizes whose bundles share no index are not compared:
// bundles hold no proof of consistency.
func FindFork(logs []tlog.Verifier, signers []key.Public, bundles ...*Bundle) *tlog.Fork {
	return FindOtherFork(nil, logs, signers, bundles...)
}

// FindOtherFork is [FindFork] for forks other than those with these digests
// ([tlog.Fork.Digest]).
func FindOtherFork(known []digest.Digest, logs []tlog.Verifier, signers []key.Public, bundles ...*Bundle) *tlog.Fork {
	keys := make(map[digest.Digest]key.Public, len(signers))
	for _, k := range signers {
		keys[k.ID()] = k
	}
	var all []placed
	signed := make(map[string]bool)
	for _, b := range bundles {
		if b == nil {
			continue
		}
		for i := range b.Statements {
			l := &b.Statements[i]
			if l.complete() != nil || !signedOnce(signed, l.Proof.Checkpoint, logs) {
				continue
			}
			p := placed{proof: l.Proof}
			if k, ok := keys[l.Envelope.KeyID()]; ok {
				if leaf, err := l.Envelope.Leaf(k); err == nil {
					p.leaf, p.known = tlog.LeafHash(leaf), true
				}
			}
			all = append(all, p)
		}
	}
	return firstFork(all, known)
}

// signedOnce asks for each checkpoint once whether its log has signed it.
func signedOnce(seen map[string]bool, c *tlog.SignedCheckpoint, logs []tlog.Verifier) bool {
	text := string(c.Marshal())
	ok, known := seen[text]
	if !known {
		ok = tlog.VerifyLog(c, logs...) == nil
		seen[text] = ok
	}
	return ok
}

// firstFork returns the contradiction with the smallest text, but none of known.
func firstFork(all []placed, known []digest.Digest) (first *tlog.Fork) {
	for i := range all {
		for j := range all[:i] {
			f := contradiction(&all[i], &all[j])
			if f != nil && !slices.Contains(known, digest.Digest(f.Digest())) && (first == nil || bytes.Compare(f.Marshal(), first.Marshal()) < 0) {
				first = f
			}
		}
	}
	return first
}

func contradiction(p, q *placed) *tlog.Fork {
	a, b := p.proof.Checkpoint, q.proof.Checkpoint
	if a.Origin != b.Origin || a.Size == b.Size && a.Root == b.Root {
		return nil
	}
	if f, err := tlog.NewSizeFork(a, b); err == nil {
		return f
	}
	if !p.known || !q.known || p.proof.Index != q.proof.Index || p.leaf == q.leaf {
		return nil
	}
	f, err := tlog.NewEntryFork(p.proof, p.leaf, q.proof, q.leaf)
	if err != nil {
		return nil // a proof does not hold: nothing is shown
	}
	return f
}
