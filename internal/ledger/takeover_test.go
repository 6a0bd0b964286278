package ledger_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"vitrine.example/internal/ledger"
	"vitrine.example/internal/store"
	"vitrine.example/internal/store/storetest"
)

// Two copies of a directory with one database: the lock cannot see that, the
// database does. The first one can acknowledge nothing any more.
func TestTakenOver(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		m := makeLog(t, db, 20)
		l := open(t, options(t, m.dir, db))
		other := filepath.Join(t.TempDir(), "copy")
		copyDir(t, other, m.dir)
		second := open(t, options(t, other, db))
		if _, err := l.Add(t.Context(), []byte("to the first")); !errors.Is(err, ledger.ErrDisagree) {
			t.Errorf("the first goes on: %v", err)
		}
		if e, err := l.Add(t.Context(), m.leaves[0]); !errors.Is(err, ledger.ErrDisagree) {
			t.Errorf("the first goes on: %+v, %v", e, err)
		}
		if e, err := second.Add(t.Context(), []byte("to the second")); err != nil || e.Index != 20 {
			t.Errorf("the second: %+v, %v", e, err)
		}
	})
}

// A transaction of a process that was killed may end after the next process has
// begun (PostgreSQL finishes what it was sent). What it wrote must not stay.
func TestTakeOverWaitsForTheDead(t *testing.T) {
	t.Parallel()
	storetest.URLs(t, func(t *testing.T, url string) {
		db := storetest.Open(t, url)
		m := makeLog(t, db, 20)
		dying := storetest.Open(t, url)
		began, end := make(chan struct{}), make(chan struct{})
		died := make(chan error, 1)
		go func() {
			first := true
			died <- dying.Update(context.Background(), func(ctx context.Context, tx *store.Tx) error {
				if !first {
					return nil
				}
				first = false
				// What reserving entries writes, in the same order.
				if _, err := tx.ExecContext(ctx, "UPDATE ledger_state SET size = size WHERE epoch = 1"); err != nil {
					return err
				}
				_, err := tx.ExecContext(ctx, "INSERT INTO ledger_entry (hash, idx) VALUES ($1, 21)", make([]byte, 32))
				close(began)
				<-end
				return err
			})
		}()
		<-began
		opened := make(chan *ledger.Ledger)
		go func() {
			l, err := ledger.Open(t.Context(), options(t, m.dir, db))
			if err != nil {
				t.Error(err)
			}
			opened <- l
		}()
		close(end)
		if err := <-died; err != nil {
			t.Fatal(err)
		}
		l := <-opened
		if l == nil {
			return
		}
		addAll(t, l, leaves(100, 110))
		closeLog(t, l)
		if r := check(t, m.dir, db); r.Reserved != 0 || r.Size != 30 {
			t.Errorf("report %+v", r)
		}
	})
}
