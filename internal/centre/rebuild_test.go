package centre

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"vitrine.example/internal/projection"
	"vitrine.example/internal/release"
	"vitrine.example/internal/store"
)

// listed returns the releases as people see them, newest first.
func listed(t *testing.T, h *Handle) (out []string) {
	t.Helper()
	all, err := h.Releases(within(t), projection.Filter{})
	check(t, err)
	for _, r := range all {
		full, err := h.Release(within(t), r.Statement)
		check(t, err)
		out = append(out, fmt.Sprint(r.Index, r.Statement, full.Product, full.Version, full.Channel, full.Seq, full.Artifacts))
	}
	return out
}

func loseDatabase(t *testing.T, dir string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "vitrine.db*"))
	check(t, err)
	if len(files) == 0 {
		t.Fatal("there is no database to lose")
	}
	for _, f := range files {
		check(t, os.Remove(f))
	}
}

// TestLostDatabase: a node whose database was lost still knows what it has
// released, at once, whether it is served or not.
func TestLostDatabase(t *testing.T) {
	for _, served := range []bool{false, true} {
		t.Run(fmt.Sprint("served ", served), func(t *testing.T) {
			dir := newNode(t, InitOptions{})
			h := connect(t, dir)
			first := publish(t, h, "1.0", "one")
			publish(t, h, "2.0", "two")
			want := listed(t, h)
			check(t, h.Close(within(t)))
			loseDatabase(t, dir)

			if served {
				_, stop := serve(t, dir)
				defer stop()
			}
			h = connect(t, dir)
			again := publish(t, h, "1.0", "one")
			if again.Index != first.Index || !again.Duplicate || again.Envelope.Digest() != first.Envelope.Digest() {
				t.Errorf("released again as %d %s, first as %d %s", again.Index, again.Envelope.Digest(), first.Index, first.Envelope.Digest())
			}
			file := filepath.Join(t.TempDir(), "app")
			check(t, os.WriteFile(file, []byte("another two"), 0o600))
			p, err := h.Publisher(nil)
			check(t, err)
			_, err = p.Publish(within(t), release.Request{Product: "pkg:generic/app", Version: "2.0", Artifacts: []string{file}})
			if !errors.Is(err, release.ErrConflict) {
				t.Errorf("another 2.0: %v", err)
			}
			if got := listed(t, h); !reflect.DeepEqual(got, want) {
				t.Errorf("listed %q, want %q", got, want)
			}
			check(t, h.Close(within(t)))
		})
	}
}

// TestRebuild: rebuilding a database changes nothing, here and in another
// process, and one that did not end is ended by the next process.
func TestRebuild(t *testing.T) {
	dir := newNode(t, InitOptions{})
	h := connect(t, dir)
	for i := range 5 {
		publish(t, h, fmt.Sprint("1.", i), fmt.Sprint(i))
	}
	want := listed(t, h)
	told := int64(-1)
	r, err := h.Rebuild(within(t), func(done, _ int64) { told = done })
	if err != nil || *r != (Rebuilt{Entries: 5, Statements: 5, Releases: 5}) || told != 5 {
		t.Errorf("rebuilt %+v, told %d, %v", r, told, err)
	}
	if got := listed(t, h); !reflect.DeepEqual(got, want) {
		t.Errorf("listed %q, want %q", got, want)
	}
	check(t, h.Close(within(t)))

	// As a process leaves it that is killed in the middle.
	check(t, os.WriteFile(filepath.Join(dir, rebuildMark), nil, 0o600))
	cfg, err := LoadConfig(dir)
	check(t, err)
	db, err := store.Open(within(t), cfg.Database.in(dir))
	check(t, err)
	check(t, db.Update(within(t), func(ctx context.Context, tx *store.Tx) error {
		for _, table := range []string{"submission", "release_claim", "projected_release"} {
			if _, err := tx.ExecContext(ctx, "DELETE FROM "+table); err != nil {
				return err
			}
		}
		_, err := tx.ExecContext(ctx, "UPDATE projected_log SET next_idx = 5")
		return err
	}))
	check(t, db.Close())
	_, stop := serve(t, dir)
	defer stop()
	h = connect(t, dir)
	if again := publish(t, h, "1.3", "3"); again.Index != 3 || !again.Duplicate {
		t.Errorf("released again at %d", again.Index)
	}
	if got := listed(t, h); !reflect.DeepEqual(got, want) {
		t.Errorf("listed %q, want %q", got, want)
	}
	r, err = h.Rebuild(within(t), nil)
	if err != nil || r.Releases != 5 {
		t.Errorf("rebuilt %+v, %v", r, err)
	}
	if _, err := os.Stat(filepath.Join(dir, rebuildMark)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the mark is left: %v", err)
	}
	check(t, h.Close(within(t)))
}
