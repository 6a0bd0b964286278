package ledger_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"vitrine.example/internal/ledger"
	"vitrine.example/internal/store"
	"vitrine.example/internal/store/storetest"
	"vitrine.example/tlog"
)

// copied is a log that lies in another directory.
type copied struct {
	dir   string
	asked *atomic.Int64 // may be nil
	stop  int64         // after this many files it gives nothing any more; 0 for never
}

func (c copied) String() string { return "mirror " + filepath.Base(c.dir) }

func (c copied) Checkpoint(context.Context) ([]byte, error) {
	return os.ReadFile(filepath.Join(c.dir, "checkpoint"))
}

func (c copied) Tile(_ context.Context, t tlog.Tile) ([]byte, error) {
	if c.asked != nil {
		if n := c.asked.Add(1); c.stop > 0 && n > c.stop {
			return nil, errors.New("the line is cut")
		}
	}
	b, err := os.ReadFile(filepath.Join(c.dir, filepath.FromSlash(t.Path())))
	if errors.Is(err, os.ErrNotExist) && t.Width < tlog.TileWidth {
		t.Width = tlog.TileWidth
		return os.ReadFile(filepath.Join(c.dir, filepath.FromSlash(t.Path())))
	}
	return b, err
}

// logOf makes a log of n entries and closes it.
func logOf(t testing.TB, db *store.DB, dir string, n int) {
	t.Helper()
	l, err := ledger.Open(t.Context(), options(t, dir, db))
	if err != nil {
		t.Fatal(err)
	}
	addAll(t, l, leaves(0, n))
	closeLog(t, l)
}

func restore(t testing.TB, dir string, db *store.DB, from ...ledger.Source) (*ledger.Restored, error) {
	t.Helper()
	return ledger.Restore(t.Context(), ledger.RestoreOptions{
		Dir: dir, Verifier: newSigner(t, 1).Verifier(), Sources: from, DB: db, Parallel: 2,
	})
}

func gone(t testing.TB, dir string) {
	t.Helper()
	if _, err := os.Lstat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is there: %v", dir, err)
	}
}

// TestRestore: a wiped log comes back from a copy of its tiles, passes our check
// and Tessera's, goes on with the next index, and old proofs stay true.
func TestRestore(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		dir, mirror := filepath.Join(t.TempDir(), "log"), t.TempDir()
		logOf(t, db, dir, 700)
		copyDir(t, mirror, dir)
		remove(t, mirror, ".state") // a mirror has none
		remove(t, dir)
		r, err := restore(t, dir, db, copied{dir: mirror})
		if err != nil {
			t.Fatal(err)
		}
		if r.Size != 700 || r.Fetched != 7 || r.Kept != 0 {
			t.Errorf("restored %+v", r)
		}
		check(t, dir, db)
		if err := tesseraFinds(t, dir); err != nil {
			t.Errorf("Tessera finds: %v", err)
		}
		l := open(t, options(t, dir, db))
		for i, leaf := range leaves(690, 700) {
			if e := addAll(t, l, [][]byte{leaf})[0]; !e.Duplicate || e.Index >= 700 {
				t.Errorf("leaf %d again: %+v", 690+i, e)
			}
		}
		if e := addAll(t, l, leaves(700, 701))[0]; e.Index != 700 || e.Duplicate {
			t.Errorf("the next entry: %+v, want index 700", e)
		}
		if _, err := restore(t, dir, db, copied{dir: mirror}); !errors.Is(err, ledger.ErrThere) {
			t.Errorf("restoring over a log: %v", err)
		}
	})
}

// TestRestoreSizes: every shape of the right edge comes back.
func TestRestoreSizes(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 255, 256, 257, 512} {
		db := storetest.Open(t, storetest.SQLite(t))
		dir, mirror := filepath.Join(t.TempDir(), "log"), t.TempDir()
		logOf(t, db, mirror, n)
		if _, err := restore(t, dir, db, copied{dir: mirror}); err != nil {
			t.Fatalf("%d entries: %v", n, err)
		}
		check(t, dir, db)
	}
}

// TestRestoreStaysCosigned: a log that somebody else has signed too does not
// come back as one that needs nobody.
func TestRestoreStaysCosigned(t *testing.T) {
	t.Parallel()
	for _, cosigned := range []bool{false, true} {
		db := storetest.Open(t, storetest.SQLite(t))
		dir, mirror := filepath.Join(t.TempDir(), "log"), t.TempDir()
		logOf(t, db, mirror, 3)
		if cosigned {
			path := filepath.Join(mirror, "checkpoint")
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			raw = append(raw, tlog.Signature{Name: "mirror.example/m", KeyID: 7, Bytes: make([]byte, 72)}.Marshal()...)
			if err := os.WriteFile(path, raw, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := restore(t, dir, db, copied{dir: mirror}); err != nil {
			t.Fatal(err)
		}
		if was, err := ledger.Cosigned(dir); was != cosigned || err != nil {
			t.Errorf("cosigned %v: %v, %v", cosigned, was, err)
		}
	}
}

// TestRestoreGoesOn: what an interrupted run has fetched is not fetched again,
// unless it was only written in part.
func TestRestoreGoesOn(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, storetest.SQLite(t))
	dir, mirror := filepath.Join(t.TempDir(), "log"), t.TempDir()
	logOf(t, db, mirror, 2000)
	var asked atomic.Int64
	if _, err := restore(t, dir, db, copied{mirror, &asked, 12}); err == nil || !strings.Contains(err.Error(), "the line is cut") {
		t.Fatalf("a line that is cut: %v", err)
	}
	gone(t, dir)
	if err := os.Truncate(filepath.Join(dir+".restoring", "tile/0/003"), 100); err != nil {
		t.Fatal(err)
	}
	r, err := restore(t, dir, db, copied{dir: mirror})
	if err != nil {
		t.Fatal(err)
	}
	if r.Kept == 0 || r.Kept > 12 || r.Kept+r.Fetched != 17 {
		t.Errorf("kept %d and fetched %d, want 17 together", r.Kept, r.Fetched)
	}
	check(t, dir, db)
	gone(t, dir+".restoring")
}

// TestRestoreRefusesChangedFiles: one bit in any file is found, and the file named.
func TestRestoreRefusesChangedFiles(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, storetest.SQLite(t))
	mirror := t.TempDir()
	logOf(t, db, mirror, 700)
	for _, name := range []string{"tile/0/001", "tile/entries/000", "tile/entries/002.p/188", "tile/0/002.p/188", "tile/1/000.p/2"} {
		dir, other := filepath.Join(t.TempDir(), "log"), t.TempDir()
		copyDir(t, other, mirror)
		flip(t, filepath.Join(other, name))
		_, err := restore(t, dir, nil, copied{dir: other})
		edge := strings.Contains(name, ".p/") && !strings.Contains(name, "entries")
		if err == nil || !edge && !strings.Contains(err.Error(), name) || edge && !strings.Contains(err.Error(), "partial tiles of mirror") {
			t.Errorf("%s changed: %v", name, err)
		}
		gone(t, dir)
		// A second source that is whole makes up for it.
		if _, err := restore(t, dir, nil, copied{dir: other}, copied{dir: mirror}); err != nil {
			t.Errorf("%s changed, with another source: %v", name, err)
		}
		check(t, dir, nil)
	}
}

// TestRestoreRefusesForksAndOldLogs: nothing is put in place where sources
// contradict each other, or are older than what is known.
func TestRestoreRefusesForksAndOldLogs(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		newDB := func() *store.DB { return storetest.Open(t, storetest.SQLite(t)) }
		old, full, fork := t.TempDir(), t.TempDir(), t.TempDir()
		logOf(t, db, full, 300)
		copyDir(t, old, full)
		l := open(t, options(t, full, db))
		addAll(t, l, leaves(300, 600))
		closeLog(t, l)
		l = open(t, options(t, fork, newDB()))
		addAll(t, l, leaves(5000, 5400))
		closeLog(t, l)
		seen := t.TempDir() // a witness has the checkpoint alone
		raw, err := os.ReadFile(filepath.Join(full, "checkpoint"))
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(seen, "checkpoint"), string(raw))
		for name, c := range map[string]struct {
			db   *store.DB
			from []ledger.Source
			want error
		}{
			"older than the database": {db, []ledger.Source{copied{dir: old}}, ledger.ErrBehind},
			"a witness saw more":      {nil, []ledger.Source{copied{dir: old}, copied{dir: seen}}, ledger.ErrBehind},
			"a fork":                  {nil, []ledger.Source{copied{dir: full}, copied{dir: fork}}, ledger.ErrFork},
			"a fork of the database":  {db, []ledger.Source{copied{dir: fork}}, ledger.ErrDisagree},
			"a source that is gone":   {nil, []ledger.Source{copied{dir: full}, copied{dir: t.TempDir()}}, os.ErrNotExist},
		} {
			dir := filepath.Join(t.TempDir(), "log")
			if _, err := restore(t, dir, c.db, c.from...); !errors.Is(err, c.want) {
				t.Errorf("%s: %v, want %v", name, err, c.want)
			}
			gone(t, dir)
			if c.want == ledger.ErrFork {
				gone(t, dir+".restoring")
			}
		}
		dir := filepath.Join(t.TempDir(), "log")
		if r, err := restore(t, dir, db, copied{dir: old}, copied{dir: full}, copied{dir: seen}); err != nil || r.Size != 600 {
			t.Errorf("the newest of three: %+v, %v", r, err)
		}
	})
}

// TestSeen: a log that is older than what others have seen signs nothing more.
func TestSeen(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, storetest.SQLite(t))
	full, old := t.TempDir(), t.TempDir()
	logOf(t, db, full, 10)
	copyDir(t, old, full)
	l := open(t, options(t, full, db))
	addAll(t, l, leaves(10, 20))
	newer, err := l.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Seen("itself", newer); err != nil {
		t.Errorf("its own checkpoint: %v", err)
	}
	addAll(t, l, leaves(20, 21))

	stale := open(t, options(t, old, storetest.Open(t, storetest.SQLite(t))))
	v := newSigner(t, 1).Verifier()
	if err := ledger.Compare(old, v, "witness W", newer); !errors.Is(err, ledger.ErrBehind) || !strings.Contains(err.Error(), "witness W") {
		t.Errorf("comparing: %v", err)
	}
	if err := stale.Seen("witness W", newer); !errors.Is(err, ledger.ErrBehind) || !errors.Is(err, ledger.ErrDisagree) {
		t.Errorf("seen: %v", err)
	}
	if _, err := stale.Add(t.Context(), []byte("another")); !errors.Is(err, ledger.ErrBehind) {
		t.Errorf("adding to a stale log: %v", err)
	}
	if s, err := stale.Status(t.Context()); err != nil || s.Published != 10 || !strings.Contains(s.Refusal, "witness W") {
		t.Errorf("status: %+v, %v", s, err)
	}
	// The entry cannot be published: closing waits no longer than it is let.
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := stale.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("closing with an entry that cannot be published: %v", err)
	}
}
