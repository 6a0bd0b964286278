package store_test

import (
	"context"
	"slices"
	"testing"

	"vitrine.example/internal/store"
	"vitrine.example/internal/store/storetest"
)

// Rows of a list arrive in their order, each value in its column.
func TestValues(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		run(t, db, `CREATE TABLE sample (n BIGINT NOT NULL, name TEXT NOT NULL, b BLOB)`)
		var have, want []string
		err := db.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			have, want = nil, nil
			for _, rows := range []int{1, 16} {
				var args []any
				for i := range rows {
					name := string(rune('a' + rows + i))
					want = append(want, name)
					args = append(args, 100*rows+i, name, []byte{byte(i)})
				}
				if _, err := tx.ExecContext(ctx, `INSERT INTO sample (n, name, b) VALUES `+tx.Values(rows, 3), args...); err != nil {
					return err
				}
			}
			list, err := tx.QueryContext(ctx, `SELECT n, name, b FROM sample ORDER BY n`)
			if err != nil {
				return err
			}
			defer list.Close()
			for list.Next() {
				var n int
				var name string
				var b []byte
				if err := list.Scan(&n, &name, &b); err != nil {
					return err
				}
				if len(b) != 1 || int(b[0]) != n%100 {
					t.Errorf("row %d has the bytes %x", n, b)
				}
				have = append(have, name)
			}
			return list.Err()
		})
		if err != nil || !slices.Equal(have, want) {
			t.Errorf("%q, %v, want %q", have, err, want)
		}
	})
}
