package mirror

import (
	"context"
	"fmt"

	xtlog "golang.org/x/mod/sumdb/tlog"

	"vitrine.example/tlog"
)

// Proof proves an entry under the mirror checkpoint, with the signatures that
// stand under it: of the log, of witnesses, and of this mirror.
func (l *Log) Proof(_ context.Context, index int64) (*tlog.Proof, error) {
	s := l.c.at()
	if index < 0 || index >= s.size() {
		return nil, fmt.Errorf("proving entry %d of %s: %w", index, l.c.origin, ErrUnknown)
	}
	r := l.c.hashReader(s.checkpoint.Checkpoint)
	path, err := xtlog.ProveRecord(s.size(), index, r)
	if err != nil {
		return nil, fmt.Errorf("proving entry %d of %s: %w: %w", index, l.c.origin, ErrDamaged, err)
	}
	return &tlog.Proof{Index: index, Path: path, Checkpoint: s.checkpoint}, nil
}
