package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"testing"

	"vitrine.example/internal/store"
	"vitrine.example/internal/store/storetest"
)

// exec runs statements in one Update.
func run(t testing.TB, db *store.DB, statements ...string) {
	t.Helper()
	err := db.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		for _, s := range statements {
			if _, err := tx.ExecContext(ctx, s); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// scan runs one query in a View.
func scan(t testing.TB, db *store.DB, query string, args []any, into ...any) {
	t.Helper()
	err := db.View(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		return tx.QueryRowContext(ctx, query, args...).Scan(into...)
	})
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

func TestEngine(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		if want := t.Name()[len("TestEngine/"):]; db.Engine() != want {
			t.Errorf("engine %q, want %q", db.Engine(), want)
		}
		if err := db.Check(t.Context()); err != nil {
			t.Errorf("a new database is not sound: %v", err)
		}
	})
}

func TestPlaceholders(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		run(t, db, `CREATE TABLE t (a BIGINT NOT NULL, b TEXT NOT NULL)`)
		for _, c := range []struct {
			query string
			args  []any
			want  []any
		}{
			{`SELECT CAST($2 AS TEXT), CAST($1 AS BIGINT)`, []any{7, "x"}, []any{"x", int64(7)}},
			{`SELECT CAST($1 AS BIGINT), CAST($1 AS BIGINT) + CAST($2 AS BIGINT) + CAST($1 AS BIGINT)`, []any{3, 10}, []any{int64(3), int64(16)}},
			{`SELECT '$1', 'it''s $2', CAST($1 AS TEXT)`, []any{"arg"}, []any{"$1", "it's $2", "arg"}},
			{`SELECT 1 AS "$1", CAST($1 AS BIGINT)`, []any{5}, []any{int64(1), int64(5)}},
			{`SELECT CAST($1 AS BIGINT) /* $2 */ -- $3`, []any{5}, []any{int64(5)}},
			{`SELECT CAST($12 AS BIGINT), CAST($2 AS BIGINT), CAST($11 AS BIGINT), CAST($1 AS BIGINT),
				CAST($3 AS BIGINT)+CAST($4 AS BIGINT)+CAST($5 AS BIGINT)+CAST($6 AS BIGINT)+CAST($7 AS BIGINT)+CAST($8 AS BIGINT)+CAST($9 AS BIGINT)+CAST($10 AS BIGINT)`,
				[]any{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, []any{int64(12), int64(2), int64(11), int64(1), int64(52)}},
		} {
			got := make([]any, len(c.want))
			into := make([]any, len(c.want))
			for i := range got {
				into[i] = &got[i]
			}
			scan(t, db, c.query, c.args, into...)
			for i := range got {
				// PostgreSQL has integers of several sizes.
				if n, ok := got[i].(int32); ok {
					got[i] = int64(n)
				}
				if got[i] != c.want[i] {
					t.Errorf("%s: column %d is %v (%T), want %v", c.query, i, got[i], got[i], c.want[i])
				}
			}
		}
		err := db.View(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			return tx.QueryRowContext(ctx, `SELECT CAST($1 AS BIGINT), CAST($2 AS BIGINT)`, 1).Scan(new(int64), new(int64))
		})
		if err == nil {
			t.Error("a missing argument was accepted")
		}
	})
}

func TestTypes(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		run(t, db, `CREATE TABLE t (hash blob PRIMARY KEY, n BIGINT NOT NULL, yes BOOLEAN NOT NULL, doc JSON NOT NULL, name bytetext NOT NULL, maybe blob)`)
		all := make([]byte, 256)
		for i := range all {
			all[i] = byte(i)
		}
		err := db.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			for i, h := range [][]byte{all, {}, {0}, []byte(`\x00`)} {
				const q = `INSERT INTO t (hash, n, yes, doc, name) VALUES ($1, $2, $3, $4, $5)`
				if _, err := tx.ExecContext(ctx, q, h, int64(-1<<63)+int64(i), i == 0, `{"kind": "x", "n": 5}`, "é"); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		var hash, maybe []byte
		var n, count int64
		var yes bool
		var kind, name string
		scan(t, db, `SELECT hash, n, yes, doc ->> 'kind', name, maybe FROM t WHERE hash = $1 AND yes`, []any{all}, &hash, &n, &yes, &kind, &name, &maybe)
		if !bytes.Equal(hash, all) || n != -1<<63 || !yes || kind != "x" || name != "é" || maybe != nil {
			t.Errorf("got %x %d %v %q %q %v", hash, n, yes, kind, name, maybe)
		}
		scan(t, db, `SELECT count(*) FROM t WHERE yes = $1 AND doc ->> 'kind' = $2`, []any{false, "x"}, &count)
		if count != 3 {
			t.Errorf("%d rows, want 3", count)
		}
	})
}

// TestOrder: PostgreSQL orders TEXT by the locale, bytetext by bytes.
func TestOrder(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		run(t, db, `CREATE TABLE t (name bytetext PRIMARY KEY)`,
			`INSERT INTO t VALUES ('b'), ('B'), ('a'), ('A'), ('é'), ('_'), ('z')`)
		var got string
		err := db.View(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			rows, err := tx.QueryContext(ctx, `SELECT name FROM t WHERE name > 'A' ORDER BY name`)
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
				var s string
				if err := rows.Scan(&s); err != nil {
					return err
				}
				got += s
			}
			return rows.Err()
		})
		if err != nil || got != "B_abzé" {
			t.Errorf("order %q, %v", got, err)
		}
	})
}

func TestConflict(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		run(t, db, `CREATE TABLE t (hash blob PRIMARY KEY, n BIGINT NOT NULL)`)
		put := func(n int64) (got int64) {
			err := db.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
				return tx.QueryRowContext(ctx, `INSERT INTO t (hash, n) VALUES ($1, $2)
					ON CONFLICT (hash) DO UPDATE SET n = t.n RETURNING n`, []byte("h"), n).Scan(&got)
			})
			if err != nil {
				t.Fatal(err)
			}
			return got
		}
		if a, b := put(1), put(2); a != 1 || b != 1 {
			t.Errorf("got %d then %d, want the first twice", a, b)
		}
		err := db.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			var n int64
			return tx.QueryRowContext(ctx, `INSERT INTO t (hash, n) VALUES ($1, 3) ON CONFLICT DO NOTHING RETURNING n`, []byte("h")).Scan(&n)
		})
		if !errors.Is(err, sql.ErrNoRows) {
			t.Errorf("got %v, want no rows", err)
		}
	})
}
