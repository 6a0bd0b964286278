package store_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"vitrine.example/internal/store"
	"vitrine.example/internal/store/storetest"
)

// together runs n goroutines and reports their errors.
func together(t *testing.T, n int, f func(i int) error) {
	t.Helper()
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			if err := f(i); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// TestNoLostUpdate: counting by reading and writing, many at once, loses nothing.
func TestNoLostUpdate(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		run(t, db, `CREATE TABLE t (n BIGINT NOT NULL)`, `INSERT INTO t VALUES (0)`)
		const workers, each = 6, 10
		together(t, workers, func(int) error {
			for range each {
				err := db.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
					var n int64
					if err := tx.QueryRowContext(ctx, `SELECT n FROM t`).Scan(&n); err != nil {
						return fmt.Errorf("counting: %w", err) // wrapped: is tried again all the same
					}
					_, err := tx.ExecContext(ctx, `UPDATE t SET n = $1`, n+1)
					return err
				})
				if err != nil {
					return err
				}
			}
			return nil
		})
		var n int64
		scan(t, db, `SELECT n FROM t`, nil, &n)
		if n != workers*each {
			t.Errorf("counted %d, want %d", n, workers*each)
		}
	})
}

// TestSerializable: two on call, each may leave only while the other stays.
// Weaker isolation lets both leave.
func TestSerializable(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		run(t, db, `CREATE TABLE duty (who BIGINT PRIMARY KEY, stays BOOLEAN NOT NULL)`)
		for round := range 8 {
			run(t, db, `DELETE FROM duty`, `INSERT INTO duty VALUES (0, TRUE), (1, TRUE)`)
			together(t, 2, func(i int) error {
				return db.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
					var n int64
					if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM duty WHERE stays`).Scan(&n); err != nil || n < 2 {
						return err
					}
					time.Sleep(2 * time.Millisecond) // so that both have looked
					_, err := tx.ExecContext(ctx, `UPDATE duty SET stays = $2 WHERE who = $1`, i, false)
					return err
				})
			})
			var n int64
			scan(t, db, `SELECT count(*) FROM duty WHERE stays`, nil, &n)
			if n != 1 {
				t.Fatalf("round %d: %d stay, want 1", round, n)
			}
		}
	})
}

// TestSnapshot: a View sees one state, while updates are not held up by it.
func TestSnapshot(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		run(t, db, `CREATE TABLE t (n BIGINT NOT NULL)`, `INSERT INTO t VALUES (1)`)
		err := db.View(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			for range 3 {
				var n int64
				if err := tx.QueryRowContext(ctx, `SELECT sum(n) FROM t`).Scan(&n); err != nil {
					return err
				}
				if n != 1 {
					t.Errorf("the view changed: %d", n)
				}
				run(t, db, `INSERT INTO t VALUES (10)`)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		var n int64
		scan(t, db, `SELECT sum(n) FROM t`, nil, &n)
		if n != 31 {
			t.Errorf("sum %d, want 31", n)
		}
	})
}

func TestViewIsReadOnly(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		run(t, db, `CREATE TABLE t (n BIGINT NOT NULL)`)
		for _, q := range []string{`INSERT INTO t VALUES (1)`, `DROP TABLE t`, `CREATE TABLE u (n BIGINT)`} {
			err := db.View(t.Context(), func(ctx context.Context, tx *store.Tx) error {
				_, err := tx.ExecContext(ctx, q)
				return err
			})
			if err == nil {
				t.Errorf("%s was done in a View", q)
			}
		}
		var n int64
		scan(t, db, `SELECT count(*) FROM t`, nil, &n)
		if n != 0 {
			t.Errorf("%d rows", n)
		}
	})
}

// TestRollback: an error or a panic keeps nothing, and the database stays usable.
func TestRollback(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		run(t, db, `CREATE TABLE t (n BIGINT PRIMARY KEY)`)
		mine := errors.New("changed my mind")
		insert := func(after func() error) error {
			return db.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
				if _, err := tx.ExecContext(ctx, `INSERT INTO t VALUES (1)`); err != nil {
					return err
				}
				return after()
			})
		}
		if err := insert(func() error { return mine }); !errors.Is(err, mine) {
			t.Errorf("got %v", err)
		}
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic was swallowed")
				}
			}()
			_ = insert(func() error { panic("oh") })
		}()
		var n int64
		scan(t, db, `SELECT count(*) FROM t`, nil, &n)
		if n != 0 {
			t.Errorf("%d rows were kept", n)
		}
		if err := insert(func() error { return nil }); err != nil {
			t.Fatal(err)
		}
		if err := insert(func() error { return nil }); err == nil || errors.Is(err, store.ErrBusy) {
			t.Errorf("the same key twice: %v", err)
		}
		// A failed statement whose error is swallowed must not be taken for done.
		err := db.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			_, _ = tx.ExecContext(ctx, `INSERT INTO t VALUES (2)`)
			_, _ = tx.ExecContext(ctx, `INSERT INTO t VALUES (1)`)
			return nil
		})
		scan(t, db, `SELECT count(*) FROM t`, nil, &n)
		if (err == nil) != (n == 2) {
			t.Errorf("Update said %v, and there are %d rows", err, n)
		}
	})
}

func TestNested(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		none := func(context.Context, *store.Tx) error { return nil }
		err := db.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error { return db.Update(ctx, none) })
		if err == nil || !strings.Contains(err.Error(), "update within an update") {
			t.Errorf("got %v", err)
		}
		if err := db.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error { return db.View(ctx, none) }); err != nil {
			t.Errorf("a view within an update: %v", err)
		}
	})
}

// TestCancelled: a context ends waiting, running and committing.
func TestCancelled(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		run(t, db, `CREATE TABLE t (n BIGINT NOT NULL)`)
		ctx, cancel := context.WithCancel(t.Context())
		err := db.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.ExecContext(ctx, `INSERT INTO t VALUES (1)`)
			cancel()
			return err
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled before the commit: %v", err)
		}
		for range 20 { // the rollback comes at its own time, before or after the next statement
			ctx, cancel := context.WithCancel(t.Context())
			err := db.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
				cancel()
				time.Sleep(time.Duration(rand.IntN(200)) * time.Microsecond)
				_, err := tx.ExecContext(ctx, `INSERT INTO t VALUES (1)`)
				return err
			})
			if !errors.Is(err, context.Canceled) {
				t.Errorf("cancelled before a statement: %v", err)
			}
		}
		if err := db.View(ctx, func(context.Context, *store.Tx) error { return nil }); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled before the view: %v", err)
		}
		var n int64
		scan(t, db, `SELECT count(*) FROM t`, nil, &n)
		if n != 0 {
			t.Errorf("%d rows were kept", n)
		}
	})
}

// TestTwoHandles: two openings of one database, as two processes would have,
// write in turn; who may not wait gives up in time.
func TestTwoHandles(t *testing.T) {
	storetest.URLs(t, func(t *testing.T, url string) {
		dbs := []*store.DB{storetest.Open(t, url), storetest.Open(t, url)}
		run(t, dbs[0], `CREATE TABLE t (n BIGINT NOT NULL)`, `INSERT INTO t VALUES (0)`)
		count := func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.ExecContext(ctx, `UPDATE t SET n = n + 1`)
			return err
		}
		together(t, 4, func(i int) error {
			for range 8 {
				if err := dbs[i%2].Update(t.Context(), count); err != nil {
					return err
				}
			}
			return nil
		})
		var n int64
		scan(t, dbs[1], `SELECT n FROM t`, nil, &n)
		if n != 32 {
			t.Errorf("counted %d, want 32", n)
		}
		err := dbs[0].Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			if err := count(ctx, tx); err != nil {
				return err
			}
			short, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
			defer cancel()
			if err := dbs[1].Update(short, count); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("beside a running update: %v", err)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}
