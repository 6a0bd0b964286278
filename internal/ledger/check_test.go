package ledger_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/api"
	"github.com/transparency-dev/tessera/client"
	"github.com/transparency-dev/tessera/fsck"
	"github.com/transparency-dev/tessera/storage/posix"
	"golang.org/x/mod/sumdb/note"

	"vitrine.example/internal/ledger"
	"vitrine.example/internal/store"
	"vitrine.example/internal/store/storetest"
	"vitrine.example/tlog"
)

// faults returns what Check finds.
func faults(t testing.TB, dir string, db *store.DB) []string {
	t.Helper()
	r, err := ledger.Check(t.Context(), dir, newSigner(t, 1).Verifier(), db, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r.Faults
}

// tesseraFinds runs the checker of Tessera on a directory.
func tesseraFinds(t testing.TB, dir string) error {
	t.Helper()
	v := newSigner(t, 1).Verifier().NoteVerifier()
	hasher := func(b []byte) ([][]byte, error) {
		var bundle api.EntryBundle
		if err := bundle.UnmarshalText(b); err != nil {
			return nil, err
		}
		var out [][]byte
		for _, e := range bundle.Entries {
			h := tlog.LeafHash(e)
			out = append(out, h[:])
		}
		return out, nil
	}
	return fsck.New(v.Name(), v, client.FileFetcher{Root: dir}, hasher, fsck.Opts{N: 2}).Check(t.Context())
}

var partial = regexp.MustCompile(`\.p/([0-9]+)$`)

// One bit changed in any file that a checkpoint covers is found, and the file
// named. Tessera's checker, which is another program, finds the same ones.
func TestCheckFindsEveryFlippedBit(t *testing.T) {
	t.Parallel()
	m := makeLog(t, storetest.Open(t, storetest.SQLite(t)), 600)
	m.grow(t, 100) // leaves partial tiles that no checkpoint needs any more
	needed := map[string]bool{
		"checkpoint": true, "tile/1/000.p/2": true, "tile/0/002.p/188": true, "tile/entries/002.p/188": true,
		"tile/0/000": true, "tile/0/001": true, "tile/entries/000": true, "tile/entries/001": true,
	}
	pristine := filepath.Join(t.TempDir(), "pristine")
	copyDir(t, pristine, m.dir)
	err := fs.WalkDir(os.DirFS(pristine), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasPrefix(name, ".") {
			return err
		}
		copyDir(t, m.dir, pristine)
		flip(t, filepath.Join(m.dir, name))
		found := faults(t, m.dir, m.db)
		if len(found) > 0 != needed[name] {
			t.Errorf("%s changed: needed %v, faults %q", name, needed[name], found)
		}
		if err := tesseraFinds(t, m.dir); (err != nil) != needed[name] {
			t.Errorf("%s changed: needed %v, Tessera says %v", name, needed[name], err)
		}
		if needed[name] {
			remove(t, m.dir, name)
			if r, err := ledger.Check(t.Context(), m.dir, newSigner(t, 1).Verifier(), m.db, nil); err == nil && len(r.Faults) == 0 {
				t.Errorf("%s removed: not found", name)
			}
			delete(needed, name)
		} else if !partial.MatchString(name) {
			t.Errorf("%s is of no use", name)
		}
		return nil
	})
	if err != nil || len(needed) > 0 {
		t.Errorf("not there: %v, %v", needed, err)
	}
}

func TestCheckComparesTheDatabase(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, query string
		args        []any
		want        string
	}{
		{"row missing", "DELETE FROM ledger_entry WHERE idx = 300", nil, "database: entry 300 has no row"},
		{"row wrong", "UPDATE ledger_entry SET hash = $1 WHERE idx = 300", []any{make([]byte, 32)}, "database: entry 300 has the leaf hash AAAA"},
		{"row short", "UPDATE ledger_entry SET hash = $1 WHERE idx = 300", []any{make([]byte, 31)}, "a hash of 31 bytes"},
		{"row moved", "UPDATE ledger_entry SET idx = 9999 WHERE idx = 300", nil, "entry 300 is the same as entry 9999"},
		{"row below all", "UPDATE ledger_entry SET idx = -7 WHERE idx = 0", nil, "negative index"},
		{"origin", "UPDATE ledger_state SET origin = 'x'", nil, `it belongs to the log "x"`},
		{"size", "UPDATE ledger_state SET size = 601", nil, "it knows 601 published entries, the log has 600"},
		{"root", "UPDATE ledger_state SET root = $1", []any{make([]byte, 32)}, "it knows the root of 600 entries as AAAA"},
	}
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		m := makeLog(t, db, 600)
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				exec(t, db, "CREATE TABLE kept_entry AS SELECT * FROM ledger_entry")
				exec(t, db, "CREATE TABLE kept_state AS SELECT * FROM ledger_state")
				exec(t, db, tt.query, tt.args...)
				if found := strings.Join(faults(t, m.dir, db), "\n"); !strings.Contains(found, tt.want) {
					t.Errorf("faults %q, want %q", found, tt.want)
				}
				for _, table := range []string{"entry", "state"} {
					exec(t, db, "DELETE FROM ledger_"+table)
					exec(t, db, "INSERT INTO ledger_"+table+" SELECT * FROM kept_"+table)
					exec(t, db, "DROP TABLE kept_"+table)
				}
				check(t, m.dir, db)
			})
		}
	})
}

// An entry that stands in the log twice, which only another program can do.
func TestCheckFindsRepeatedEntries(t *testing.T) {
	t.Parallel()
	m := makeLog(t, storetest.Open(t, storetest.SQLite(t)), 10)
	appendBehind(t, m.dir, m.leaves[3], m.leaves[4], []byte("new"))
	closeLog(t, open(t, options(t, m.dir, m.db)))
	found := strings.Join(faults(t, m.dir, m.db), "\n")
	for _, want := range []string{"entry 10 is the same as entry", "entry 11 is the same as entry"} {
		if !strings.Contains(found, want) {
			t.Errorf("faults %q, want %q", found, want)
		}
	}
	if strings.Contains(found, "entry 12") {
		t.Errorf("faults %q", found)
	}
	if err := tesseraFinds(t, m.dir); err != nil {
		t.Errorf("as a tree it is sound, but Tessera says %v", err)
	}
}

// appendBehind adds entries with Tessera alone.
func appendBehind(t testing.TB, dir string, leaves ...[]byte) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	driver, err := posix.New(ctx, posix.Config{Path: dir})
	if err != nil {
		t.Fatal(err)
	}
	var s note.Signer = newSigner(t, 1)
	a, shutdown, _, err := tessera.NewAppender(ctx, driver, tessera.NewAppendOptions().
		WithCheckpointSigner(s).WithCheckpointInterval(100*time.Millisecond).WithBatching(1, time.Second))
	if err != nil {
		t.Fatal(err)
	}
	for _, leaf := range leaves {
		if _, err := a.Add(ctx, tessera.NewEntry(leaf))(); err != nil {
			t.Fatal(err)
		}
	}
	if err := shutdown(ctx); err != nil {
		t.Fatal(err)
	}
}

func TestCheckSizes(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 255, 256, 257, 512, 700} {
		m := makeLog(t, storetest.Open(t, storetest.SQLite(t)), n)
		var last int64
		r, err := ledger.Check(t.Context(), m.dir, newSigner(t, 1).Verifier(), m.db, func(done, total int64) {
			if done <= last || done > total || total != int64(n) {
				t.Errorf("%d entries: progress %d of %d after %d", n, done, total, last)
			}
			last = done
		})
		if err != nil || len(r.Faults) > 0 || r.Entries != int64(n) || last != int64(n) {
			t.Errorf("%d entries: %+v, %v, progress to %d", n, r, err, last)
		}
		if n > 0 {
			if err := tesseraFinds(t, m.dir); err != nil {
				t.Errorf("%d entries: Tessera says %v", n, err)
			}
		}
	}
}

// Check runs beside a node that takes entries, and finds nothing wrong.
func TestCheckWhileServing(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		dir := t.TempDir()
		l := open(t, options(t, dir, db))
		done := make(chan struct{})
		go func() {
			defer close(done)
			for i := range 8 {
				addAll(t, l, leaves(100*i, 100*i+100))
			}
		}()
		for running := true; running; {
			select {
			case <-done:
				running = false
			default:
			}
			check(t, dir, db)
		}
	})
}

func TestCheckNothing(t *testing.T) {
	t.Parallel()
	_, err := ledger.Check(t.Context(), t.TempDir(), newSigner(t, 1).Verifier(), nil, nil)
	if !errors.Is(err, ledger.ErrUnknown) {
		t.Errorf("an empty directory: %v", err)
	}
	m := makeLog(t, storetest.Open(t, storetest.SQLite(t)), 10)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := ledger.Check(ctx, m.dir, newSigner(t, 1).Verifier(), m.db, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("without time: %v", err)
	}
	before := listing(t, m.dir)
	if r, err := ledger.Check(t.Context(), m.dir, newSigner(t, 1).Verifier(), nil, nil); err != nil || len(r.Faults) > 0 || r.Entries != 0 {
		t.Errorf("without a database: %+v, %v", r, err)
	}
	if listing(t, m.dir) != before {
		t.Error("Check has changed files")
	}
}
