package store_test

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"testing"

	"vitrine.example/internal/store"
	"vitrine.example/internal/store/storetest"
)

// BenchmarkUpdate measures durable transactions of 1 and of 256 rows.
func BenchmarkUpdate(b *testing.B) {
	for name, url := range map[string]func(testing.TB) string{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		for rows, label := range map[int]string{1: "1", 256: "256"} {
			b.Run(name+"/"+label, func(b *testing.B) {
				db := storetest.Open(b, url(b))
				run(b, db, `CREATE TABLE t (hash blob PRIMARY KEY, n BIGINT NOT NULL)`)
				n := uint64(0)
				for b.Loop() {
					err := db.Update(b.Context(), func(ctx context.Context, tx *store.Tx) error {
						for range rows {
							n++
							h := sha256.Sum256(binary.BigEndian.AppendUint64(nil, n))
							if _, err := tx.ExecContext(ctx, `INSERT INTO t (hash, n) VALUES ($1, $2) ON CONFLICT (hash) DO NOTHING`, h[:], int64(n)); err != nil {
								return err
							}
						}
						return nil
					})
					if err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
			})
		}
	}
}

// BenchmarkView measures looking up one row.
func BenchmarkView(b *testing.B) {
	for name, url := range map[string]func(testing.TB) string{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		b.Run(name, func(b *testing.B) {
			db := storetest.Open(b, url(b))
			run(b, db, `CREATE TABLE t (n BIGINT PRIMARY KEY)`, `INSERT INTO t VALUES (1)`)
			for b.Loop() {
				var n int64
				err := db.View(b.Context(), func(ctx context.Context, tx *store.Tx) error {
					return tx.QueryRowContext(ctx, `SELECT n FROM t WHERE n = $1`, 1).Scan(&n)
				})
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
