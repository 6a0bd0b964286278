// Package storetest runs a test on every engine that package store has.
//
// [Each] gives a test an empty, migrated database on SQLite and one on
// PostgreSQL; [URLs] gives only the address, to tests that open it themselves.
// PostgreSQL is a real server of the system's package, started once for each
// test program on a free loopback port, with a database of its own for each
// test. Its default order of text is American English and not that of bytes,
// so that a query that depends on the order of bytes without saying so fails.
//
// A process watches the test program and removes the server and its files when
// the program ends, however it ends. Where PostgreSQL is not installed the
// test fails and says how to install it.
package storetest

import (
	"context"
	"path/filepath"
	"testing"

	"vitrine.example/internal/store"
)

// Each runs f once for each engine with an empty database.
func Each(t *testing.T, f func(t *testing.T, db *store.DB)) {
	t.Helper()
	URLs(t, func(t *testing.T, url string) { f(t, Open(t, url)) })
}

// URLs runs f once for each engine with the address of a database that nobody
// has opened yet.
func URLs(t *testing.T, f func(t *testing.T, url string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { f(t, SQLite(t)) })
	t.Run("postgres", func(t *testing.T) { f(t, Postgres(t)) })
}

// Open opens a database and closes it when the test ends.
func Open(t testing.TB, url string) *store.DB {
	t.Helper()
	db, err := store.Open(context.Background(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("closing the database: %v", err)
		}
	})
	return db
}

// SQLite returns the path of a database file that does not exist yet.
func SQLite(t testing.TB) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "test.db")
}

// Postgres returns the URL of an empty database, which is dropped when the test
// ends.
func Postgres(t testing.TB) string {
	t.Helper()
	s, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	url, drop, err := s.create()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := drop(); err != nil {
			t.Error(err)
		}
	})
	return url
}
