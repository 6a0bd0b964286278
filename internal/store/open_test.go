package store_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vitrine.example/internal/store"
	"vitrine.example/internal/store/storetest"
)

// refuse opens a database in vain and wants words in the error.
func refuse(t *testing.T, url string, words ...string) error {
	t.Helper()
	db, err := store.Open(t.Context(), url)
	if err == nil {
		_ = db.Close()
		t.Errorf("%s was opened", url)
		return nil
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%s: %q does not say %q", url, err, w)
		}
	}
	return err
}

func TestWrongURL(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for url, words := range map[string][]string{
		"":                           {"no path", "postgres://"},
		":memory:":                   {"plain file path"},
		"file:x.db?mode=memory":      {"plain file path"},
		"mysql://u:secret@h/db":      {`"mysql"`, "unknown kind", "postgres://"},
		"sqlite://x.db":              {`"sqlite"`, "file path"},
		"POSTGRES://h/db":            {"unknown kind"},
		"postgres://u:secret@h:x/db": {"URL"},
		"postgres://u:secret@" + closed + "/db?sslmode=disable":          {closed, "cannot reach the server", "start PostgreSQL"},
		"postgresql://" + closed + "/db?user=u&password=secret":          {closed, "cannot reach the server"},
		"postgres://u:secret@h.invalid/db?sslmode=disable":               {"h.invalid", "cannot reach the server"},
		"postgres://u:secret@" + closed + "/db?connect_timeout=soon":     {"connect_timeout"},
		"postgres://u:secret@" + closed + "/db?sslmode=disable&x=%zz":    {"URL"},
		"postgres://u:secret@" + closed + "/db?sslrootcert=/no/such.pem": {"/no/such.pem"},
	} {
		if err := refuse(t, url, words...); err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error shows the password: %v", url, err)
		}
	}
}

func TestPostgresRefused(t *testing.T) {
	at, err := url.Parse(storetest.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	other := *at
	other.Path = "/nosuch"
	refuse(t, other.String(), at.Host, "createdb")
	other = *at
	other.User = url.User("nobody_here")
	refuse(t, other.String(), at.Host, "refuses the user")

	db := storetest.Open(t, at.String())
	for _, q := range []string{
		"CREATE DATABASE ascii ENCODING 'SQL_ASCII' LOCALE 'C' LOCALE_PROVIDER libc TEMPLATE template0",
		"CREATE ROLE guest LOGIN",
	} {
		if _, err := db.Writer().ExecContext(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	other = *at
	other.Path = "/ascii"
	refuse(t, other.String(), "SQL_ASCII", "createdb --encoding=UTF8")
	other = *at
	other.User = url.User("guest")
	refuse(t, other.String(), "owner of the database")
}

// TestPostgresDurable: a server set up to lose commits is not let.
func TestPostgresDurable(t *testing.T) {
	at := storetest.Postgres(t)
	db := storetest.Open(t, at)
	u, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.Writer().ExecContext(t.Context(), "ALTER DATABASE "+u.Path[1:]+" SET synchronous_commit = off")
	if err != nil {
		t.Fatal(err)
	}
	var got string
	scan(t, storetest.Open(t, at), "SELECT current_setting('synchronous_commit')", nil, &got)
	if got != "on" {
		t.Errorf("synchronous_commit is %s", got)
	}
}

func TestNoDatabase(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "letter.txt")
	if err := os.WriteFile(text, []byte(strings.Repeat("Dear reader, ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, words := range map[string][]string{
		text:                               {text, "not an SQLite database"},
		dir:                                {dir, "not a regular file"},
		filepath.Join(dir, "no", "dir.db"): {"no such file or directory"},
	} {
		err := refuse(t, path, words...)
		if path != filepath.Join(dir, "no", "dir.db") && !errors.Is(err, store.ErrDamaged) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if got, err := os.ReadFile(text); err != nil || !strings.HasPrefix(string(got), "Dear reader, Dear") {
		t.Errorf("the file was changed: %v", err)
	}
}

// TestNames: what has a meaning in a URL has none in a path.
func TestNames(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"plain.db", "a b.db", "what?.db", "50%.db", "%41.db", "#1.db", "x?mode=memory", "ä.db", "a&b=c.db", "-"} {
		path := filepath.Join(dir, name)
		run(t, storetest.Open(t, path), `CREATE TABLE t (n BIGINT)`)
		if fi, err := os.Stat(path); err != nil || fi.Size() == 0 {
			t.Errorf("%s was not made: %v", name, err)
		}
	}
}

// TestModes: nobody else may read the database or its companions.
func TestModes(t *testing.T) {
	path := storetest.SQLite(t)
	check := func() {
		t.Helper()
		found, err := filepath.Glob(path + "*")
		if err != nil || len(found) != 4 { // the file, -wal, -shm, .lock
			t.Errorf("found %v, %v", found, err)
		}
		for _, f := range found {
			if fi, err := os.Stat(f); err != nil || fi.Mode().Perm() != 0o600 {
				t.Errorf("%s has mode %v, %v", filepath.Base(f), fi.Mode(), err)
			}
		}
	}
	db := storetest.Open(t, path)
	run(t, db, `CREATE TABLE t (n BIGINT)`)
	check()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	db = storetest.Open(t, path)
	run(t, db, `INSERT INTO t VALUES (1)`)
	check()
}

// TestDamaged flips bits in a database file.
func TestDamaged(t *testing.T) {
	path := storetest.SQLite(t)
	db, err := store.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	run(t, db, `CREATE TABLE t (a blob PRIMARY KEY, b BIGINT NOT NULL UNIQUE)`)
	for i := range 300 {
		err := db.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.ExecContext(ctx, `INSERT INTO t VALUES ($1, $2)`, []byte(strings.Repeat(fmt.Sprint(i), 20)), i)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Check(t.Context()); err != nil {
		t.Error(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	p, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := len(p) / 2; i < len(p); i += 1000 {
		p[i] ^= 0x55
	}
	if err := os.WriteFile(path, p, 0o600); err != nil {
		t.Fatal(err)
	}
	db, err = store.Open(t.Context(), path)
	if err == nil { // what is damaged was not needed to open it
		defer db.Close()
		err = db.Check(t.Context())
	}
	if !errors.Is(err, store.ErrDamaged) || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v", err)
	}
}
