package store

import (
	"context"
	"database/sql"
	"strings"
)

// Rename has the queries of the transaction use tables whose names begin with
// another word: one text of the code, two sets of tables. Every occurrence in a
// query is replaced, so the word must stand for nothing else.
func (t *Tx) Rename(from, to string) { t.renamed = strings.NewReplacer(from, to) }

func (t *Tx) query(q string) string {
	if t.renamed == nil {
		return q
	}
	return t.renamed.Replace(q)
}

// ExecContext is that of [sql.Tx].
func (t *Tx) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return t.Tx.ExecContext(ctx, t.query(query), args...)
}

// QueryContext is that of [sql.Tx].
func (t *Tx) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return t.Tx.QueryContext(ctx, t.query(query), args...)
}

// QueryRowContext is that of [sql.Tx].
func (t *Tx) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	return t.Tx.QueryRowContext(ctx, t.query(query), args...)
}
