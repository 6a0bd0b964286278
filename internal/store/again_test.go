package store_test

import (
	"context"
	"errors"
	"testing"

	"vitrine.example/internal/store"
	"vitrine.example/internal/store/storetest"
)

// TestExecAgain: what is run again has its own values each time, uses the tables
// that it is told, and leaves nothing where the transaction fails.
func TestExecAgain(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		run(t, db, `CREATE TABLE one_t (n BIGINT NOT NULL UNIQUE)`, `CREATE TABLE two_t (n BIGINT NOT NULL UNIQUE)`)
		errBack := errors.New("back")
		for _, want := range []error{errBack, nil} {
			err := db.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
				for i := range 40 {
					if i == 20 {
						tx.Rename("one_", "two_")
					}
					if _, err := tx.ExecAgain(ctx, `INSERT INTO one_t (n) VALUES ($1)`, i); err != nil {
						return err
					}
				}
				return want
			})
			if !errors.Is(err, want) {
				t.Fatal(err)
			}
		}
		var one, two, least int64
		err := db.View(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			return tx.QueryRowContext(ctx, `SELECT (SELECT COUNT(*) FROM one_t), (SELECT COUNT(*) FROM two_t), (SELECT MIN(n) FROM two_t)`).Scan(&one, &two, &least)
		})
		if err != nil || one != 20 || two != 20 || least != 20 {
			t.Errorf("%d, %d, from %d (%v)", one, two, least, err)
		}
		err = db.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.ExecAgain(ctx, `INSERT INTO missing (n) VALUES ($1)`, 1)
			return err
		})
		if err == nil {
			t.Error("a table that is missing is written")
		}
	})
}
