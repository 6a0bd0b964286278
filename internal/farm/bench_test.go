package farm_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"vitrine.example/internal/farm"
	"vitrine.example/internal/store/storetest"
	"vitrine.example/statement"
)

// BenchmarkLease takes an order and ends it, by one worker and by six at once.
func BenchmarkLease(b *testing.B) {
	for name, url := range map[string]func(testing.TB) string{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		for workers, label := range map[int]string{1: "one", 6: "six"} {
			b.Run(name+"/"+label, func(b *testing.B) {
				q := &farm.Queue{DB: storetest.Open(b, url(b)), Now: time.Now}
				for n := range b.N {
					if _, _, err := q.Add(context.Background(), ask(n)); err != nil {
						b.Fatal(err)
					}
				}
				b.ResetTimer()
				var wg sync.WaitGroup
				for range workers {
					wg.Go(func() {
						for {
							h, err := q.Take(context.Background(), "w")
							if err == nil && h == nil {
								return
							}
							if err == nil {
								err = q.Finish(context.Background(), h.ID, h.Epoch, answer(statement.Identical))
							}
							if err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				wg.Wait()
			})
		}
	}
}
