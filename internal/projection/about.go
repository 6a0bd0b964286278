package projection

import (
	"context"
	"fmt"

	"vitrine.example/digest"
	"vitrine.example/internal/store"
)

// About returns the entries of the own log that say something of one type about
// a subject with this digest, in order, at most [MaxRows]; none of which the
// statement could not be checked.
func (p *Projection) About(ctx context.Context, predicateType string, subject digest.Digest) (out []Entry, err error) {
	err = p.DB.View(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		out, err = entries(ctx, tx, `WHERE l.origin = $1 AND e.predicate_type = $2 AND e.problem = '' AND EXISTS
			(SELECT 1 FROM projected_subject AS s WHERE s.log_id = e.log_id AND s.idx = e.idx AND s.sha256 = $3)
			ORDER BY e.idx LIMIT $4`, p.Origin, predicateType, subject[:], MaxRows)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("what is said about %s: %w", subject, err)
	}
	return out, nil
}
