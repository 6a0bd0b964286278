package store_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"vitrine.example/internal/store"
	"vitrine.example/internal/store/storetest"
)

func files(pairs ...string) fstest.MapFS {
	m := fstest.MapFS{"README.md": {Data: []byte("not a migration")}}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = &fstest.MapFile{Data: []byte("-- +goose Up\n" + pairs[i+1])}
	}
	return m
}

const (
	one   = `CREATE TABLE one (hash blob PRIMARY KEY, name bytetext NOT NULL, doc JSON); CREATE INDEX one_name ON one (name);`
	two   = `ALTER TABLE one ADD COLUMN n BIGINT NOT NULL DEFAULT 0; INSERT INTO one (hash, name) VALUES ('x', 'y');`
	wrong = `CREATE TABLE two (n BIGINT); CREATE TABEL three (n BIGINT);`
)

func TestMigrate(t *testing.T) {
	storetest.URLs(t, func(t *testing.T, url string) {
		open := func(m fstest.MapFS) (*store.DB, error) { return store.OpenSchema(t.Context(), url, m) }
		good := func(m fstest.MapFS, tables string) {
			t.Helper()
			db, err := open(m)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			for _, name := range []string{"one", "two"} {
				has := db.Writer().QueryRow(`SELECT count(*) FROM `+name).Scan(new(int64)) == nil
				if has != strings.Contains(tables, name) {
					t.Errorf("table %s is there: %v", name, has)
				}
			}
		}
		good(files(), "")
		good(files("0001_a.sql", one), "one")
		good(files("0001_a.sql", one), "one")
		if _, err := open(files("0001_a.sql", one, "0002_b.sql", wrong)); err == nil || !strings.Contains(err.Error(), "0002_b.sql") || !strings.Contains(err.Error(), "TABEL") {
			t.Errorf("a wrong migration: %v", err)
		}
		good(files("0001_a.sql", one), "one") // nothing of it was kept
		good(files("0001_a.sql", one, "0002_b.sql", two, "0003_c.sql", `CREATE TABLE two (n BIGINT);`), "one two")
		_, err := open(files("0001_a.sql", one, "0002_b.sql", two))
		if !errors.Is(err, store.ErrNewer) || !strings.Contains(err.Error(), "version 3") || !strings.Contains(err.Error(), "up to 2") {
			t.Errorf("an older program: %v", err)
		}
	})
}

// TestPending: what is to be migrated is counted, and nothing is.
func TestPending(t *testing.T) {
	storetest.URLs(t, func(t *testing.T, url string) {
		all := files("0001_a.sql", one, "0002_b.sql", two, "0003_c.sql", `CREATE TABLE two (n BIGINT);`)
		want := func(m fstest.MapFS, n int) {
			t.Helper()
			for range 2 { // the first must not change what the second finds
				if got, err := store.Pending(t.Context(), url, m); err != nil || got != n {
					t.Errorf("%d pending, %v, want %d", got, err, n)
				}
			}
		}
		migrate := func(m fstest.MapFS) {
			t.Helper()
			db, err := store.OpenSchema(t.Context(), url, m)
			if err != nil {
				t.Fatal(err)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
		}
		migrate(files()) // SQLite needs a file
		want(all, 3)
		want(files(), 0)
		migrate(files("0001_a.sql", one))
		want(all, 2)
		migrate(all)
		want(all, 0)
		if _, err := store.Pending(t.Context(), url, files("0001_a.sql", one)); !errors.Is(err, store.ErrNewer) {
			t.Errorf("an older program: %v", err)
		}
	})
}

// TestOpenAsIs: a file that is missing is not made, one that is there can be
// read and not written.
func TestOpenAsIs(t *testing.T) {
	dir := t.TempDir()
	missing := filepath.Join(dir, "missing.db")
	if _, _, err := store.OpenAsIs(t.Context(), missing); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	if all, err := os.ReadDir(dir); err != nil || len(all) > 0 {
		t.Errorf("it left %v, %v", all, err)
	}
	url := storetest.SQLite(t)
	if err := storetest.Open(t, url).Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(url, 0o644); err != nil {
		t.Fatal(err)
	}
	db, pending, err := store.OpenAsIs(t.Context(), url)
	if err != nil || pending != 0 {
		t.Fatalf("%d pending, %v", pending, err)
	}
	defer db.Close()
	if err := db.Check(t.Context()); err != nil {
		t.Error(err)
	}
	err = db.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.ExecContext(ctx, "CREATE TABLE x (n BIGINT)")
		return err
	})
	if err == nil {
		t.Error("a table was made")
	}
	if fi, err := os.Stat(url); err != nil || fi.Mode().Perm() != 0o644 {
		t.Errorf("its mode was changed: %v, %v", fi.Mode(), err)
	}
}

// TestSchema: the tables of this program, in full, on both engines.
func TestSchema(t *testing.T) {
	storetest.URLs(t, func(t *testing.T, url string) {
		for range 2 {
			db, err := store.Open(t.Context(), url)
			if err != nil {
				t.Fatal(err)
			}
			if err := db.Check(t.Context()); err != nil {
				t.Error(err)
			}
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}
