package store

import (
	"context"
	"database/sql"
)

// ExecAgain is ExecContext for what one transaction runs many times with other
// values: SQLite reads the text once, which takes longer than to change a row.
func (t *Tx) ExecAgain(ctx context.Context, query string, args ...any) (sql.Result, error) {
	s, err := t.prepared(ctx, query)
	if err != nil {
		return nil, err
	}
	return s.ExecContext(ctx, args...)
}

// QueryAgain is QueryContext for what one transaction runs many times.
func (t *Tx) QueryAgain(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	s, err := t.prepared(ctx, query)
	if err != nil {
		return nil, err
	}
	return s.QueryContext(ctx, args...)
}

// prepared returns a statement that lives as long as the transaction.
func (t *Tx) prepared(ctx context.Context, query string) (*sql.Stmt, error) {
	query = t.query(query)
	if s := t.statements[query]; s != nil {
		return s, nil
	}
	s, err := t.Tx.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	if t.statements == nil {
		t.statements = map[string]*sql.Stmt{}
	}
	t.statements[query] = s
	return s, nil
}
