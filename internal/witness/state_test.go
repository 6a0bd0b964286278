package witness_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vitrine.example/internal/store"
	"vitrine.example/internal/store/storetest"
	"vitrine.example/internal/witness"
	"vitrine.example/tlog"
)

// guarded opens a witness with a state beside its database.
func guarded(t *testing.T, db *store.DB, path string) *witness.Witness {
	t.Helper()
	o := options(t, db)
	o.State = path
	w, err := witness.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	return w
}

func newState(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "witness-state")
	if err := witness.NewState(path); err != nil {
		t.Fatal(err)
	}
	return path
}

func grows(t *testing.T, w *witness.Witness, l *testLog, sizes ...int64) {
	t.Helper()
	for i := 1; i < len(sizes); i++ {
		wants(t, post(w, l.request(sizes[i-1], sizes[i])), 200, "— ")
	}
}

// A witness goes on after a stop, and cosigns nothing over a database that is
// empty, that has counted less than was cosigned, or without its file.
func TestLostState(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		path := newState(t)
		w := guarded(t, db, path)
		l := addLog(t, w, newLog(t, "log.example/a").grow(40, "a"))
		grows(t, w, l, 0, 3, 4, 9)
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		wants(t, post(w, l.request(9, 10)), 503, "lost")
		w = guarded(t, db, path)
		if why := w.Lost(); why != "" {
			t.Fatalf("after a stop: %s", why)
		}
		grows(t, w, l, 9, 10)
		if why, err := witness.CheckState(t.Context(), db, path); why != "" || err != nil {
			t.Errorf("a sound state: %q, %v", why, err)
		}

		t.Run("empty database", func(t *testing.T) {
			other := storetest.Open(t, storetest.SQLite(t))
			lost := guarded(t, other, path)
			if !strings.Contains(lost.Lost(), "knows nothing") {
				t.Errorf("lost: %q", lost.Lost())
			}
			addLog(t, lost, l)
			wants(t, post(lost, l.request(0, 2)), 503, "lost")
			wants(t, ask(lost, "GET", "/"+hash(l.origin)+"/checkpoint", ""), 503, "lost")
			if err := lost.Resume(t.Context(), l.origin, "why not"); err != nil {
				t.Fatal(err)
			}
			wants(t, post(lost, l.request(0, 2)), 503, "lost")
		})
		t.Run("no file", func(t *testing.T) {
			lost := guarded(t, db, filepath.Join(t.TempDir(), "missing"))
			wants(t, post(lost, l.request(10, 11)), 503, "lost")
		})
		t.Run("damaged file", func(t *testing.T) {
			bad := filepath.Join(t.TempDir(), "bad")
			if err := os.WriteFile(bad, []byte("vitrine-witness-state-v1"), 0o600); err != nil {
				t.Fatal(err)
			}
			lost := guarded(t, db, bad)
			wants(t, post(lost, l.request(10, 11)), 503, "lost")
		})
		grows(t, w, l, 10, 12)
	})
}

// back gives the database the content that it had after some growths, as a
// restored backup would.
func back(t *testing.T, db *store.DB, l *testLog, growths, size int64) {
	t.Helper()
	err := db.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		if _, err := tx.ExecContext(ctx, `UPDATE witness_state SET growths = $1`, growths); err != nil {
			return err
		}
		root, h := l.root(size), witness.OriginHash(l.origin)
		_, err := tx.ExecContext(ctx, `UPDATE witness_log SET size = $1, root = $2, grown = $3, checkpoint = $4 WHERE origin_hash = $5`,
			size, root[:], growths, l.checkpoint(size).Marshal(), h[:])
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// An older database is refused from the first growth that it lacks, at the start
// and under a witness that runs.
func TestOlderDatabase(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		path := newState(t)
		w := guarded(t, db, path)
		l := addLog(t, w, newLog(t, "log.example/a").grow(300, "a"))
		for n := int64(0); n < 100; n++ {
			grows(t, w, l, n, n+1)
		}
		back(t, db, l, 99, 99)
		other := l.fork(99, 120, "b")
		wants(t, post(w, other.request(99, 100)), 503, "lost")
		wants(t, post(w, other.request(99, 100)), 503, "lost")
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		w = guarded(t, db, path)
		if !strings.Contains(w.Lost(), "99 growths") {
			t.Errorf("lost: %q", w.Lost())
		}
		wants(t, post(w, other.request(99, 100)), 503, "lost")
	})
}

// After a recovery each log waits: for the newest checkpoint that the witness has
// cosigned, or for the operator's word. The old database does not come back.
func TestRecover(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		path := newState(t)
		w := guarded(t, db, path)
		l := addLog(t, w, newLog(t, "log.example/a").grow(40, "a"))
		grows(t, w, l, 0, 7)
		early := served(t, w, l)
		grows(t, w, l, 7, 12)
		newest := served(t, w, l)
		if err := w.Recover(t.Context(), "for fun"); !errors.Is(err, witness.ErrNotLost) {
			t.Errorf("recovering what is not lost: %v", err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}

		fresh := storetest.Open(t, storetest.SQLite(t))
		w = guarded(t, fresh, path)
		if _, err := w.Adopt(t.Context(), newest, "found"); err == nil {
			t.Error("adopted before the recovery")
		}
		if err := w.Recover(t.Context(), " "); err == nil {
			t.Error("recovered without a reason")
		}
		if err := w.Recover(t.Context(), "the disk died"); err != nil {
			t.Fatal(err)
		}
		addLog(t, w, l)
		wants(t, post(w, l.request(0, 5)), 503, "paused")
		if _, err := w.Adopt(t.Context(), l.checkpoint(30).Marshal(), "a stranger's"); err == nil {
			t.Error("adopted without a cosignature of the witness")
		}
		s, err := w.Adopt(t.Context(), newest, "from a mirror")
		if err != nil || s.Size != 12 || s.Paused {
			t.Fatalf("adopted: %+v, %v", s, err)
		}
		if _, err := w.Adopt(t.Context(), early, "again"); err == nil {
			t.Error("adopted over a log that is not paused")
		}
		wants(t, post(w, l.fork(7, 20, "b").request(7, 14)), 409, "12")
		grows(t, w, l, 12, 20)
		second := addLog(t, w, newLog(t, "log.example/b").grow(5, "b"))
		wants(t, post(w, second.request(0, 5)), 503, "paused")
		if err := w.Resume(t.Context(), second.origin, "it is new"); err != nil {
			t.Fatal(err)
		}
		grows(t, w, second, 0, 5)
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if again := guarded(t, db, path); again.Lost() == "" {
			t.Error("the old database is believed")
		}
		w = guarded(t, fresh, path)
		if w.Lost() != "" {
			t.Errorf("after the recovery: %s", w.Lost())
		}
		if err := w.Pause(t.Context(), l.origin, "to go back"); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Adopt(t.Context(), early, "a trap"); err == nil {
			t.Error("went back to a smaller size")
		}
	})
}

// A checkpoint of a size that was cosigned with another root is not adopted, but
// is evidence.
func TestAdoptContradiction(t *testing.T) {
	db := storetest.Open(t, storetest.SQLite(t))
	o := options(t, db)
	var told []string
	o.OnFork = func(origin string, e witness.Evidence) { told = append(told, origin+" "+string(e.Kind)) }
	w := newWitness(t, o)
	l := addLog(t, w, newLog(t, "log.example/a").grow(9, "a"))
	grows(t, w, l, 0, 9)
	other := l.fork(3, 9, "b").checkpoint(9)
	for _, s := range o.Signers {
		sig, err := s.SignCheckpoint(other.Checkpoint)
		if err != nil {
			t.Fatal(err)
		}
		other.Signatures = append(other.Signatures, sig)
	}
	if err := w.Pause(t.Context(), l.origin, "look"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Adopt(t.Context(), other.Marshal(), "found"); err == nil {
		t.Fatal("adopted a second history")
	}
	if s, err := w.Get(t.Context(), l.origin); err != nil || !s.Forked {
		t.Errorf("%+v, %v", s, err)
	}
	if len(told) != 1 || told[0] != "log.example/a fork" {
		t.Errorf("told of %q", told)
	}
}

// What others found holds a log, once, in whichever order it comes.
func TestHold(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		o := options(t, db)
		told := 0
		o.OnFork = func(string, witness.Evidence) { told++ }
		w := newWitness(t, o)
		l := addLog(t, w, newLog(t, "log.example/a").grow(20, "a"))
		grows(t, w, l, 0, 2)
		a, b := l.checkpoint(9).Marshal(), l.fork(3, 9, "b").checkpoint(9).Marshal()
		stranger := newLog(t, l.origin).grow(9, "c").checkpoint(9).Marshal()
		for name, pair := range map[string][2][]byte{
			"equal": {a, a}, "sizes": {a, l.checkpoint(8).Marshal()}, "stranger": {a, stranger}, "text": {a, []byte("x")},
		} {
			if err := w.Hold(t.Context(), l.origin, pair[0], pair[1]); err == nil {
				t.Errorf("%s: held", name)
			}
		}
		grows(t, w, l, 2, 3)
		if err := errors.Join(w.Hold(t.Context(), l.origin, a, b), w.Hold(t.Context(), l.origin, b, a)); err != nil {
			t.Fatal(err)
		}
		wants(t, post(w, l.request(3, 9)), 503, "two histories")
		e, err := w.Evidence(t.Context(), l.origin)
		if err != nil || len(e) != 1 || e[0].Kind != witness.Fork || told != 1 {
			t.Errorf("%d kept, told %d times, %v", len(e), told, err)
		}
		if err := w.Resume(t.Context(), l.origin, "seen"); err != nil {
			t.Fatal(err)
		}
		if err := w.Hold(t.Context(), l.origin, b, a); err != nil {
			t.Fatal(err)
		}
		grows(t, w, l, 3, 9)
	})
}

// served is the newest checkpoint that the witness serves.
func served(t *testing.T, w *witness.Witness, l *testLog) []byte {
	t.Helper()
	rec := ask(w, "GET", "/"+hash(l.origin)+"/checkpoint", "")
	if _, err := tlog.ParseCheckpoint(rec.Body.Bytes()); rec.Code != 200 || err != nil {
		t.Fatalf("%d: %v", rec.Code, err)
	}
	return rec.Body.Bytes()
}

func hash(origin string) string { return fmt.Sprintf("%x", witness.OriginHash(origin)) }
