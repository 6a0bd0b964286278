package witness_test

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"

	"vitrine.example/internal/store"
	"vitrine.example/internal/store/storetest"
)

// BenchmarkAddCheckpoint cosigns a growing log by both keys, each step on the
// disk before the answer: one request at a time, and for many logs at once.
// bench/witness does it beside litewitness, over HTTP.
func BenchmarkAddCheckpoint(b *testing.B) {
	for name, url := range map[string]func(testing.TB) string{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		b.Run(name, func(b *testing.B) {
			db, err := store.Open(b.Context(), url(b))
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = db.Close() }()
			w := newWitness(b, options(b, db))
			var logs atomic.Int64
			one := func(b *testing.B) func() {
				l := addLog(b, w, newLog(b, fmt.Sprintf("log.example/%d", logs.Add(1))))
				return func() {
					l.grow(1, "entry")
					if rec := post(w, l.request(l.size-1, l.size)); rec.Code != http.StatusOK {
						b.Errorf("status %d: %s", rec.Code, rec.Body)
					}
				}
			}
			b.Run("one log", func(b *testing.B) {
				step := one(b)
				for b.Loop() {
					step()
				}
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "cosigned/s")
			})
			b.Run("many logs", func(b *testing.B) {
				b.SetParallelism(8)
				b.RunParallel(func(pb *testing.PB) {
					step := one(b)
					for pb.Next() {
						step()
					}
				})
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "cosigned/s")
			})
		})
	}
}
