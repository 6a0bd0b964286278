package mirror

import (
	"context"
	"fmt"

	xtlog "golang.org/x/mod/sumdb/tlog"

	"vitrine.example/tlog"
)

// Proof proves an entry under the mirror checkpoint, with the signatures that
// stand under it: of the log and of this mirror.
func (l *Log) Proof(ctx context.Context, index int64) (*tlog.Proof, error) {
	cp := l.c.at().checkpoint
	if cp == nil {
		return nil, fmt.Errorf("proving entry %d of %s: %w", index, l.c.origin, ErrUnknown)
	}
	return l.ProofUnder(ctx, index, cp)
}

// ProofUnder proves an entry under another checkpoint of the log, which covers it
// and no more than is mirrored. It is refused where the copy has another history.
func (l *Log) ProofUnder(_ context.Context, index int64, cp *tlog.SignedCheckpoint) (*tlog.Proof, error) {
	s := l.c.at()
	if index < 0 || index >= cp.Size || cp.Size > s.size() {
		return nil, fmt.Errorf("proving entry %d of %s under %d entries: %w", index, l.c.origin, cp.Size, ErrUnknown)
	}
	r := l.c.hashReader(s.checkpoint.Checkpoint)
	path, err := xtlog.ProveRecord(cp.Size, index, r)
	if err != nil {
		return nil, fmt.Errorf("proving entry %d of %s: %w: %w", index, l.c.origin, ErrDamaged, err)
	}
	leaf, err := r.ReadHashes([]int64{xtlog.StoredHashIndex(0, index)})
	if err != nil {
		return nil, fmt.Errorf("proving entry %d of %s: %w: %w", index, l.c.origin, ErrDamaged, err)
	}
	p := &tlog.Proof{Index: index, Path: path, Checkpoint: cp}
	if err := p.VerifyInclusion(leaf[0]); err != nil {
		return nil, fmt.Errorf("proving entry %d of %s under %s: %w", index, l.c.origin, cp.Checkpoint, err)
	}
	return p, nil
}
