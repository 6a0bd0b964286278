package holdings_test

import (
	"fmt"
	"testing"

	"vitrine.example/internal/store"
	"vitrine.example/internal/store/storetest"
)

// BenchmarkHold: how many statements a second are fetched, verified and noted.
func BenchmarkHold(b *testing.B) {
	w := newWorld(b)
	w.bytes = 0
	for i := range b.N {
		index := w.release(b, fmt.Sprint(i))
		w.a.give(envelopePath(index), w.envs[index].Bytes())
	}
	h, _ := w.node(b, storetest.Open(b, storetest.SQLite(b)))
	b.ResetTimer()
	steps(b, h)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "statements/s")
	if s := status(b, h); s.Held != int64(b.N) {
		b.Errorf("%d of %d are held", s.Held, b.N)
	}
}

// TestOneBadNoteSpoilsNoOther: statements that name the same file, and one that a
// peer gives wrongly, are noted together; each ends as it would alone.
func TestOneBadNoteSpoilsNoOther(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t)
		w.bytes = 0
		const many = 200
		for i := range int64(many) {
			index := w.release(t, fmt.Sprint(i))
			if i%10 == 3 {
				w.a.give(envelopePath(index), []byte("another"))
				continue
			}
			w.a.give(envelopePath(index), w.envs[index].Bytes())
		}
		h, _ := w.node(t, db)
		steps(t, h)
		if s := status(t, h); s.Held != many*9/10 || s.Statements != many {
			t.Errorf("%+v", s)
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		seen := map[int64]bool{}
		for _, i := range w.arrived {
			if seen[i] || i%10 == 3 {
				t.Errorf("entry %d is said to have come", i)
			}
			seen[i] = true
		}
		if len(seen) != many*9/10 {
			t.Errorf("%d are said to have come", len(seen))
		}
	})
}
