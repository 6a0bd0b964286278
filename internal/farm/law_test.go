package farm_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"vitrine.example/internal/farm"
	"vitrine.example/internal/store"
	"vitrine.example/internal/store/storetest"
	"vitrine.example/statement"
)

// Whatever workers do and whenever they come: no order is lost, of each one
// thing is said, and who was told that its answer counts has its attempt kept.
func TestLaw(t *testing.T) {
	// One engine: the other has every query in the tests above.
	db := storetest.Open(t, storetest.SQLite(t))
	c := &clock{t: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	q := &farm.Queue{DB: db, Lease: time.Minute, Now: c.now}
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		var leases []*farm.Held
		counted := map[int64]int{} // answers that were taken
		asked := map[int64]bool{}
		ctx := context.Background()
		t.Repeat(map[string]func(*rapid.T){
			"ask": func(t *rapid.T) {
				n++
				id, _, err := q.Add(ctx, ask(n))
				if err != nil {
					t.Fatal(err)
				}
				asked[id] = true
			},
			"take": func(t *rapid.T) {
				h, err := q.Take(ctx, "w")
				if err != nil {
					t.Fatal(err)
				}
				if h == nil {
					return
				}
				for _, l := range leases {
					if l.ID == h.ID && l.Epoch >= h.Epoch {
						t.Fatalf("epoch %d of %d after %d", h.Epoch, h.ID, l.Epoch)
					}
				}
				leases = append(leases, h)
			},
			"pass": func(t *rapid.T) { c.pass(time.Duration(rapid.IntRange(1, 90).Draw(t, "seconds")) * time.Second) },
			"finish": func(t *rapid.T) {
				if len(leases) == 0 {
					return
				}
				h := leases[rapid.IntRange(0, len(leases)-1).Draw(t, "lease")]
				a := rapid.SampledFrom([]*farm.Answer{answer(statement.Identical), answer(statement.Different), trouble(statement.ReasonExited), trouble(statement.ReasonInputs)}).Draw(t, "answer")
				before := tries(t, q, h.ID)
				err := q.Finish(ctx, h.ID, h.Epoch, a)
				switch after := tries(t, q, h.ID); {
				case err == nil && after == before+1:
					counted[h.ID]++
				case err == nil && after == before: // it had answered already
				case errors.Is(err, farm.ErrLost) && after == before:
				default:
					t.Fatalf("%d tries, then %d: %v", before, after, err)
				}
			},
			"give back": func(t *rapid.T) {
				if len(leases) == 0 {
					return
				}
				h := leases[rapid.IntRange(0, len(leases)-1).Draw(t, "lease")]
				before := tries(t, q, h.ID)
				if err := q.Return(ctx, h.ID, h.Epoch); err != nil && !errors.Is(err, farm.ErrLost) {
					t.Fatal(err)
				}
				if after := tries(t, q, h.ID); after != before {
					t.Fatalf("%d tries, then %d", before, after)
				}
			},
			"say": func(t *rapid.T) {
				out, err := q.Decided(ctx, node, 0)
				if err != nil {
					t.Fatal(err)
				}
				if out == nil {
					return
				}
				first, err := q.Draft(ctx, out.ID, fmt.Append(nil, "said ", out.ID))
				if err != nil || string(first) != fmt.Sprint("said ", out.ID) {
					t.Fatalf("%q, %v", first, err)
				}
				if err := q.Said(ctx, out.ID, out.ID); err != nil {
					t.Fatal(err)
				}
			},
		})
		// In the end everybody is well, and all is said.
		for range 1000 {
			c.pass(2 * time.Hour)
			h, err := q.Take(ctx, "well")
			if err != nil {
				t.Fatal(err)
			}
			if h == nil {
				break
			}
			if err := q.Finish(ctx, h.ID, h.Epoch, answer(statement.Identical)); err != nil {
				t.Fatal(err)
			}
			counted[h.ID]++
		}
		for id := range asked {
			out, err := q.Outcome(ctx, id)
			if err != nil || out.State < farm.Decided {
				t.Fatalf("order %d is lost: %+v, %v", id, out, err)
			}
			kept := 0
			for i, try := range out.Tried {
				if i > 0 && try.Attempt.Started.Before(out.Tried[i-1].Attempt.Started) {
					t.Fatalf("attempt %d began before the one before it", i+1)
				}
				if try.N != int64(i)+1 {
					t.Fatalf("attempt %d is number %d", i+1, try.N)
				}
				if try.Attempt.Reason != statement.ReasonLost {
					kept++
				}
			}
			if kept != counted[id] {
				t.Fatalf("order %d: %d answers were taken, %d are kept", id, counted[id], kept)
			}
		}
	})
}

func tries(t *rapid.T, q *farm.Queue, id int64) int {
	out, err := q.Outcome(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	return len(out.Tried)
}

// Many take at once: nothing is taken twice.
func TestManyTakeAtOnce(t *testing.T) {
	each(t, func(t *testing.T, q *farm.Queue, c *clock) {
		const orders = 60
		for n := range orders {
			add(t, q, ask(n))
		}
		var mu sync.Mutex
		taken := map[int64]int{}
		var wg sync.WaitGroup
		for w := range 6 {
			wg.Go(func() {
				for {
					h, err := q.Take(context.Background(), fmt.Sprint("w", w))
					if errors.Is(err, store.ErrBusy) {
						continue
					}
					if err != nil {
						t.Error(err)
						return
					}
					if h == nil {
						return
					}
					mu.Lock()
					taken[h.ID]++
					mu.Unlock()
					if err := q.Finish(context.Background(), h.ID, h.Epoch, answer(statement.Identical)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		for id, n := range taken {
			if n != 1 {
				t.Errorf("%d was taken %d times", id, n)
			}
		}
		if len(taken) != orders {
			t.Errorf("%d orders were taken, want %d", len(taken), orders)
		}
	})
}
