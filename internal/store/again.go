package store

import (
	"context"
	"database/sql"
)

// ExecAgain is ExecContext for what one transaction runs many times with other
// values: SQLite reads the text once, which takes longer than to change a row.
// PostgreSQL's driver remembers texts by itself.
func (t *Tx) ExecAgain(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if t.engine.kind() != kindSQLite {
		return t.ExecContext(ctx, query, args...)
	}
	s, err := t.prepared(ctx, t.query(query))
	if err != nil {
		return nil, err
	}
	return s.ExecContext(ctx, args...)
}

// prepared returns a statement that lives as long as the transaction.
func (t *Tx) prepared(ctx context.Context, query string) (*sql.Stmt, error) {
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
