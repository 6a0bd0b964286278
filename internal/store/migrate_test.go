package store_test

import (
	"errors"
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
