package ledger_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	xtlog "golang.org/x/mod/sumdb/tlog"

	"vitrine.example/internal/ledger"
	"vitrine.example/internal/store"
	"vitrine.example/internal/store/storetest"
	"vitrine.example/tlog"
)

const origin = "log.example"

// newSigner makes a log key; the same seed makes the same key.
func newSigner(t testing.TB, seed byte) *tlog.Signer {
	t.Helper()
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
	s, err := tlog.NewSigner(origin, tlog.Ed25519, key, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func options(t testing.TB, dir string, db *store.DB) ledger.Options {
	return ledger.Options{
		Dir: dir, DB: db, Signer: newSigner(t, 1), BatchAge: 5 * time.Millisecond,
		Log: slog.New(slog.DiscardHandler),
	}
}

// open opens a log and closes it when the test ends, if it was not before.
func open(t testing.TB, o ledger.Options) *ledger.Ledger {
	t.Helper()
	l, err := ledger.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeLog(t, l) })
	return l
}

func closeLog(t testing.TB, l *ledger.Ledger) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := l.Close(ctx); err != nil {
		t.Errorf("closing: %v", err)
	}
}

// check fails the test where Check finds a fault.
func check(t testing.TB, dir string, db *store.DB) *ledger.Report {
	t.Helper()
	r, err := ledger.Check(context.Background(), dir, newSigner(t, 1).Verifier(), db, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.Faults {
		t.Errorf("check: %s", f)
	}
	return r
}

// addAll adds leaves at the same time and returns their entries.
func addAll(t testing.TB, l *ledger.Ledger, leaves [][]byte) []ledger.Entry {
	t.Helper()
	out := make([]ledger.Entry, len(leaves))
	var wg sync.WaitGroup
	for i, leaf := range leaves {
		wg.Go(func() {
			e, err := l.Add(t.Context(), leaf)
			if err != nil {
				t.Errorf("adding %q: %v", leaf, err)
			}
			out[i] = e
		})
	}
	wg.Wait()
	return out
}

func leaves(from, to int) [][]byte {
	var out [][]byte
	for i := from; i < to; i++ {
		out = append(out, []byte("leaf "+strconv.Itoa(i)))
	}
	return out
}

func TestAdd(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		dir := t.TempDir()
		l := open(t, options(t, dir, db))
		all := leaves(0, 700)
		seen := map[int64][]byte{}
		for i, e := range addAll(t, l, all) {
			if e.Duplicate || e.Index < 0 || e.Index >= 700 || seen[e.Index] != nil {
				t.Fatalf("leaf %d: %+v, which is %q's", i, e, seen[e.Index])
			}
			seen[e.Index] = all[i]
		}
		for i, e := range addAll(t, l, all) {
			if !e.Duplicate || !bytes.Equal(seen[e.Index], all[i]) {
				t.Fatalf("leaf %d again: %+v, which is %q's", i, e, seen[e.Index])
			}
		}
		for i, leaf := range seen {
			wantEntry(t, l, i, leaf)
		}
		st, err := l.Status(t.Context())
		if err != nil || st.Published != 700 || st.Sequenced != 700 || st.Waiting != 0 || st.Origin != origin || st.Refusal != "" {
			t.Errorf("status %+v, %v", st, err)
		}
		if r := check(t, dir, db); r.Size != 700 || r.Entries != 700 || r.Reserved != 0 || r.Origin != origin {
			t.Errorf("report %+v", r)
		}
		closeLog(t, l)
		if _, err := l.Add(t.Context(), []byte("late")); !errors.Is(err, ledger.ErrClosed) {
			t.Errorf("adding to a closed log: %v", err)
		}
		l = open(t, options(t, dir, db))
		if e, err := l.Add(t.Context(), all[7]); err != nil || !bytes.Equal(seen[e.Index], all[7]) || !e.Duplicate {
			t.Errorf("after opening again: %+v, %v", e, err)
		}
	})
}

// wantEntry makes sure that an entry is found by index and hash and proved.
func wantEntry(t testing.TB, l *ledger.Ledger, index int64, leaf []byte) {
	t.Helper()
	got, err := l.Leaf(t.Context(), index)
	if err != nil || !bytes.Equal(got, leaf) {
		t.Errorf("entry %d is %q, %v, want %q", index, got, err, leaf)
	}
	if at, err := l.Find(t.Context(), tlog.LeafHash(leaf)); err != nil || at != index {
		t.Errorf("finding %q: %d, %v, want %d", leaf, at, err, index)
	}
	raw, err := l.Proof(t.Context(), index)
	if err != nil {
		t.Fatal(err)
	}
	p, err := tlog.ParseProof(raw)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := newSigner(t, 1).Verifier().Verify(p.Checkpoint); err != nil {
		t.Error(err)
	}
	// By another implementation than the one that made it.
	err = xtlog.CheckRecord(p.Path, p.Checkpoint.Size, p.Checkpoint.Root, index, xtlog.RecordHash(leaf))
	if err != nil || p.Index != index {
		t.Errorf("proof of %d: index %d, %v", index, p.Index, err)
	}
}

func TestAddBounds(t *testing.T) {
	t.Parallel()
	l := open(t, options(t, t.TempDir(), storetest.Open(t, storetest.SQLite(t))))
	for _, n := range []int{0, 1, ledger.MaxEntry} {
		leaf := bytes.Repeat([]byte{7}, n)
		e, err := l.Add(t.Context(), leaf)
		if err != nil {
			t.Fatalf("%d bytes: %v", n, err)
		}
		wantEntry(t, l, e.Index, leaf)
	}
	if _, err := l.Add(t.Context(), make([]byte, ledger.MaxEntry+1)); !errors.Is(err, ledger.ErrTooLarge) {
		t.Errorf("too large an entry: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.Add(ctx, []byte("x")); !errors.Is(err, context.Canceled) {
		t.Errorf("without time: %v", err)
	}
	for _, ix := range []int64{-1, 3, 1 << 62} {
		if _, err := l.Leaf(t.Context(), ix); !errors.Is(err, ledger.ErrUnknown) {
			t.Errorf("leaf %d: %v", ix, err)
		}
		if _, err := l.Proof(t.Context(), ix); !errors.Is(err, ledger.ErrUnknown) {
			t.Errorf("proof %d: %v", ix, err)
		}
	}
	if _, err := l.Find(t.Context(), tlog.Hash{1}); !errors.Is(err, ledger.ErrUnknown) {
		t.Errorf("finding what is not there: %v", err)
	}
}

func TestSameLeafAtOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		dir := t.TempDir()
		l := open(t, options(t, dir, db))
		same := slices.Repeat([][]byte{[]byte("same")}, 100)
		firsts := 0
		for _, e := range addAll(t, l, same) {
			if e.Index != 0 {
				t.Errorf("got index %d", e.Index)
			}
			if !e.Duplicate {
				firsts++
			}
		}
		if firsts != 1 {
			t.Errorf("%d callers were told that they were the first", firsts)
		}
		if r := check(t, dir, db); r.Size != 1 {
			t.Errorf("the log has %d entries", r.Size)
		}
	})
}

func TestHeld(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, storetest.SQLite(t))
	dir := filepath.Join(t.TempDir(), "deep", "log")
	l := open(t, options(t, dir, db))
	_, err := ledger.Open(t.Context(), options(t, dir, db))
	if !errors.Is(err, ledger.ErrHeld) {
		t.Fatalf("a second holder: %v", err)
	}
	if want := fmt.Sprintf("process %d:", os.Getpid()); !bytes.Contains([]byte(err.Error()), []byte(want)) {
		t.Errorf("%q does not say %q", err, want)
	}
	closeLog(t, l)
	closeLog(t, open(t, options(t, dir, db)))
}

func TestCloseDrains(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		dir := t.TempDir()
		o := options(t, dir, db)
		o.BatchAge = 20 * time.Millisecond
		l := open(t, o)
		var mu sync.Mutex
		got := map[int64][]byte{}
		var wg sync.WaitGroup
		for i := range 200 {
			wg.Go(func() {
				leaf := []byte(strconv.Itoa(i))
				time.Sleep(time.Duration(i) * 500 * time.Microsecond)
				e, err := l.Add(context.Background(), leaf)
				if errors.Is(err, ledger.ErrClosed) {
					return
				} else if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				got[e.Index] = leaf
				mu.Unlock()
			})
		}
		time.Sleep(50 * time.Millisecond)
		closeLog(t, l)
		wg.Wait()
		r := check(t, dir, db)
		if r.Size != int64(len(got)) || r.Reserved != 0 || r.Size == 0 || r.Size == 200 {
			t.Errorf("%d entries, %d reserved, %d acknowledged", r.Size, r.Reserved, len(got))
		}
	})
}
