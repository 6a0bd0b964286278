package store

import (
	"context"
	"database/sql"
	"errors"
)

// lines returns the first column of what a query gives.
func lines(ctx context.Context, db *sql.DB, query string) (out []string, err error) {
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	cols, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	var first string
	into := []any{&first}
	for range cols[1:] {
		into = append(into, new(any))
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		out = append(out, first)
	}
	return out, rows.Err()
}
