package projection

import (
	"context"
	"database/sql"
	"fmt"

	"vitrine.example/digest"
	"vitrine.example/internal/store"
)

// Names returns what releases of the own log are called, those above an index, the
// first entry first: Index, Statement, Product, Version, Channel, Seq and Previous
// are filled, as the statement has them, which was checked.
func (p *Projection) Names(ctx context.Context, above int64, limit int) ([]Release, error) {
	return p.NamesOf(ctx, p.Origin, above, limit)
}

// NamesOf is Names for any log.
func (p *Projection) NamesOf(ctx context.Context, origin string, above int64, limit int) (out []Release, err error) {
	err = p.DB.View(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		out = nil
		rows, err := tx.QueryContext(ctx, `SELECT idx, envelope, product, version, channel, seq, previous
			FROM projected_release WHERE log_id = `+idOf+` AND idx > $2 ORDER BY idx LIMIT $3`, origin, above, limit)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			r, err := scanName(rows)
			if err != nil {
				return err
			}
			out = append(out, r)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("reading the names of releases: %w", err)
	}
	return out, nil
}

func scanName(rows *sql.Rows) (r Release, err error) {
	var env, previous sql.RawBytes
	if err := rows.Scan(&r.Index, &env, &r.Product, &r.Version, &r.Channel, &r.Seq, &previous); err != nil {
		return r, err
	}
	if r.Statement, err = toDigest(env); err != nil || len(previous) == 0 {
		return r, err
	}
	var d digest.Digest
	d, err = toDigest(previous)
	r.Previous = &d
	return r, err
}
