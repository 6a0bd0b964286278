package ledger_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vitrine.example/internal/ledger"
	"vitrine.example/internal/store"
	"vitrine.example/internal/store/storetest"
)

// made is a closed log with some entries.
type made struct {
	dir    string
	db     *store.DB
	leaves [][]byte
	at     []int64 // where each stands
}

// makeLog makes a log of n entries and closes it.
func makeLog(t testing.TB, db *store.DB, n int) *made {
	t.Helper()
	m := &made{dir: filepath.Join(t.TempDir(), "log"), db: db}
	m.grow(t, n)
	return m
}

// grow opens the log, adds n entries and closes it.
func (m *made) grow(t testing.TB, n int) {
	t.Helper()
	l := open(t, options(t, m.dir, m.db))
	more := leaves(len(m.leaves), len(m.leaves)+n)
	for _, e := range addAll(t, l, more) {
		m.at = append(m.at, e.Index)
	}
	m.leaves = append(m.leaves, more...)
	closeLog(t, l)
}

// wantWhole opens the log and makes sure that every entry is where it was, that
// adding them again finds them, and that the log goes on and is clean.
func (m *made) wantWhole(t testing.TB) {
	t.Helper()
	l := open(t, options(t, m.dir, m.db))
	for i, e := range addAll(t, l, m.leaves) {
		if !e.Duplicate || e.Index != m.at[i] {
			t.Fatalf("%q is at %d, duplicate %v; it was at %d", m.leaves[i], e.Index, e.Duplicate, m.at[i])
		}
	}
	for i := 0; i < len(m.leaves); i += 97 {
		wantEntry(t, l, m.at[i], m.leaves[i])
	}
	e, err := l.Add(t.Context(), []byte("one more"))
	if err != nil || e.Index != int64(len(m.leaves)) {
		t.Errorf("one more is at %d, %v, want %d", e.Index, err, len(m.leaves))
	}
	closeLog(t, l)
	if r := check(t, m.dir, m.db); r.Reserved != 0 || r.Size != int64(len(m.leaves))+1 {
		t.Errorf("report %+v", r)
	}
}

// exec changes the database behind the log's back.
func exec(t testing.TB, db *store.DB, query string, args ...any) {
	t.Helper()
	err := db.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.ExecContext(ctx, query, args...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func copyDir(t testing.TB, to, from string) {
	t.Helper()
	if err := os.RemoveAll(to); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

func remove(t testing.TB, parts ...string) {
	t.Helper()
	if err := os.RemoveAll(filepath.Join(parts...)); err != nil {
		t.Fatal(err)
	}
}

// flip changes one bit in the middle of a file.
func flip(t testing.TB, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

// Whatever a crash or a restored backup leaves of the database, the log fills it.
func TestOpenMendsTheDatabase(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		harm func(t *testing.T, m *made)
	}{
		{"nothing", func(*testing.T, *made) {}},
		{"reserved and never logged", func(t *testing.T, m *made) {
			for i := range 5 {
				exec(t, m.db, "INSERT INTO ledger_entry (hash, idx) VALUES ($1, $2)", make([]byte, 32-i), 600+i)
			}
		}},
		{"logged and not recorded", func(t *testing.T, m *made) {
			exec(t, m.db, "DELETE FROM ledger_entry WHERE idx >= 300")
			exec(t, m.db, "DELETE FROM ledger_state")
		}},
		{"last rows lost", func(t *testing.T, m *made) {
			exec(t, m.db, "DELETE FROM ledger_entry WHERE idx >= 300")
		}},
		{"all rows lost", func(t *testing.T, m *made) {
			exec(t, m.db, "DELETE FROM ledger_entry")
		}},
		{"everything lost", func(t *testing.T, m *made) {
			exec(t, m.db, "DELETE FROM ledger_entry")
			exec(t, m.db, "DELETE FROM ledger_state")
		}},
		{"last row is another's", func(t *testing.T, m *made) {
			exec(t, m.db, "UPDATE ledger_entry SET hash = $1 WHERE idx = 599", make([]byte, 32))
		}},
	}
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				exec(t, db, "DELETE FROM ledger_entry")
				exec(t, db, "DELETE FROM ledger_state")
				m := makeLog(t, db, 600)
				tt.harm(t, m)
				m.wantWhole(t)
			})
		}
	})
}

// A database from a backup: older than the log, and right as far as it goes.
func TestOpenWithOlderDatabase(t *testing.T) {
	t.Parallel()
	path := storetest.SQLite(t)
	db, err := store.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	m := makeLog(t, db, 300)
	if err := db.Close(); err != nil { // which puts everything into one file
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	backup := filepath.Join(t.TempDir(), "backup.db")
	writeFile(t, backup, string(b))
	m.db = storetest.Open(t, path)
	m.grow(t, 300)
	m.db = storetest.Open(t, backup)
	m.wantWhole(t)
}

// Whatever a crash leaves in the directory, Open goes on from there.
func TestOpenMendsTheDirectory(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		harm func(t *testing.T, m *made, older string)
	}{
		{"checkpoint behind the tree", func(t *testing.T, m *made, older string) {
			b, err := os.ReadFile(filepath.Join(older, "checkpoint"))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(m.dir, "checkpoint"), b, 0o644); err != nil {
				t.Fatal(err)
			}
		}},
		{"no checkpoint yet", func(t *testing.T, m *made, _ string) {
			remove(t, m.dir, "checkpoint")
			exec(t, m.db, "DELETE FROM ledger_state")
		}},
		{"checkpoint lost", func(t *testing.T, m *made, _ string) { remove(t, m.dir, "checkpoint") }},
		{"bundles of a batch that never ended", func(t *testing.T, m *made, _ string) {
			for _, name := range []string{"tile/entries/002.p/100", "tile/entries/002", "tile/entries/003", "tile/0/002", "tile/0/002.p/90"} {
				if err := os.WriteFile(filepath.Join(m.dir, name), []byte("rubbish"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := makeLog(t, storetest.Open(t, storetest.SQLite(t)), 300)
			older := filepath.Join(t.TempDir(), "older")
			copyDir(t, older, m.dir)
			m.grow(t, 300)
			tt.harm(t, m, older)
			// Closing at once publishes what was left unpublished.
			closeLog(t, open(t, options(t, m.dir, m.db)))
			if r := check(t, m.dir, m.db); r.Size != 600 || r.Reserved != 0 {
				t.Errorf("report %+v", r)
			}
			m.wantWhole(t)
		})
	}
}

// What cannot come from a crash is refused, and nothing is written.
func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		harm func(t *testing.T, m *made, older string)
		want error
		says string
	}{
		{"directory older than the database", func(t *testing.T, m *made, older string) {
			copyDir(t, m.dir, older)
		}, ledger.ErrDisagree, "older than the database"},
		{"directory gone", func(t *testing.T, m *made, _ string) {
			remove(t, m.dir)
		}, ledger.ErrDisagree, "the log has 0"},
		{"another log of the same key", func(t *testing.T, m *made, _ string) {
			other := &made{dir: filepath.Join(t.TempDir(), "log"), db: storetest.Open(t, storetest.SQLite(t))}
			other.leaves = make([][]byte, 1000) // so that the entries differ
			other.grow(t, 700)
			copyDir(t, m.dir, other.dir)
		}, ledger.ErrDisagree, "another log"},
		{"database of another origin", func(t *testing.T, m *made, _ string) {
			exec(t, m.db, "UPDATE ledger_state SET origin = 'other.example'")
		}, ledger.ErrDisagree, `"other.example"`},
		{"tree state gone", func(t *testing.T, m *made, _ string) {
			remove(t, m.dir, ".state")
		}, ledger.ErrDamaged, "hidden files"},
		{"tree state behind the checkpoint", func(t *testing.T, m *made, older string) {
			copyDir(t, filepath.Join(m.dir, ".state"), filepath.Join(older, ".state"))
		}, ledger.ErrDamaged, "checkpoint: "},
		{"tree state of another tree", func(t *testing.T, m *made, _ string) {
			writeFile(t, filepath.Join(m.dir, ".state/treeState"), `{"size":600,"root":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}`)
		}, ledger.ErrDamaged, "treeState: "},
		{"tree state cut off", func(t *testing.T, m *made, _ string) {
			writeFile(t, filepath.Join(m.dir, ".state/treeState"), `{"size":600,"ro`)
		}, ledger.ErrDamaged, "treeState: "},
		{"tree state of a negative size", func(t *testing.T, m *made, _ string) {
			writeFile(t, filepath.Join(m.dir, ".state/treeState"), `{"size":-1,"root":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}`)
		}, ledger.ErrDamaged, "size -1"},
		{"checkpoint changed", func(t *testing.T, m *made, _ string) {
			flip(t, filepath.Join(m.dir, "checkpoint"))
		}, ledger.ErrDamaged, "checkpoint: "},
		{"checkpoint of another key", func(t *testing.T, m *made, _ string) {
			dir := filepath.Join(t.TempDir(), "log")
			o := options(t, dir, storetest.Open(t, storetest.SQLite(t)))
			o.Signer = newSigner(t, 2)
			closeLog(t, open(t, o))
			b, err := os.ReadFile(filepath.Join(dir, "checkpoint"))
			if err != nil {
				t.Fatal(err)
			}
			writeFile(t, filepath.Join(m.dir, "checkpoint"), string(b))
		}, ledger.ErrDamaged, "no signature of this key"},
		{"last bundle changed", func(t *testing.T, m *made, _ string) {
			flip(t, filepath.Join(m.dir, "tile/entries/002.p/88"))
		}, ledger.ErrDamaged, "entry "},
		{"last bundle cut off", func(t *testing.T, m *made, _ string) {
			if err := os.Truncate(filepath.Join(m.dir, "tile/entries/002.p/88"), 300); err != nil {
				t.Fatal(err)
			}
		}, ledger.ErrDamaged, "002.p/88: it ends after"},
		{"last leaf tile changed", func(t *testing.T, m *made, _ string) {
			flip(t, filepath.Join(m.dir, "tile/0/002.p/88"))
		}, ledger.ErrDamaged, "entry "},
		{"tile above changed", func(t *testing.T, m *made, _ string) {
			flip(t, filepath.Join(m.dir, "tile/1/000.p/2"))
		}, ledger.ErrDamaged, "tile/0/001"},
		{"tile above gone", func(t *testing.T, m *made, _ string) {
			remove(t, m.dir, "tile/1/000.p/2")
		}, fs.ErrNotExist, "tile/1/000"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := makeLog(t, storetest.Open(t, storetest.SQLite(t)), 300)
			older := filepath.Join(t.TempDir(), "older")
			copyDir(t, older, m.dir)
			m.grow(t, 300)
			tt.harm(t, m, older)
			before := listing(t, m.dir)
			l, err := ledger.Open(t.Context(), options(t, m.dir, m.db))
			if err == nil {
				closeLog(t, l)
				t.Fatal("opened")
			}
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("error %q, want %q saying %q", err, tt.want, tt.says)
			}
			if after := listing(t, m.dir); after != before {
				t.Errorf("files before:\n%s\nafter:\n%s", before, after)
			}
		})
	}
}

func writeFile(t testing.TB, path, s string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(s), 0o644); err != nil {
		t.Fatal(err)
	}
}

// listing returns the names of all files below dir but the lock, with times.
func listing(t testing.TB, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == ".lock" {
			return nil
		}
		fi, err := d.Info()
		if err == nil {
			b.WriteString(path + " " + fi.ModTime().Format(time.RFC3339Nano) + "\n")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestOpenRemovesStrays(t *testing.T) {
	t.Parallel()
	m := makeLog(t, storetest.Open(t, storetest.SQLite(t)), 600)
	strays := []string{
		"checkpoint123456", ".state/treeState99", ".state/version1",
		"tile/entries/0011234567", "tile/entries/002.p/881234567", "tile/0/0025555", "tile/1/000.p/21111",
	}
	for _, s := range strays {
		writeFile(t, filepath.Join(m.dir, s), "half written")
	}
	m.wantWhole(t)
	for _, s := range strays {
		if _, err := os.Stat(filepath.Join(m.dir, s)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is still there: %v", s, err)
		}
	}
}
