package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// This is the one file that knows the SQLite driver.

const (
	kindSQLite = "sqlite"
	readers    = 8 // connections that read; with one more that writes
)

// sqliteEngine is a database file.
type sqliteEngine struct{ path string }

// settings are given to every connection.
func settings() url.Values {
	return url.Values{
		"_pragma": {
			"busy_timeout(5000)",
			"foreign_keys(1)",
			"journal_mode(WAL)",
			"synchronous(FULL)",  // each commit is on the disk when it returns
			"temp_store(MEMORY)", // no files beside the database; bulk inserts sort in memory
			"trusted_schema(0)",
			"cell_size_check(1)",
		},
		"_txlock":    {"immediate"}, // a writer knows at BEGIN that it may write
		"_dqs":       {"0"},         // "x" is a name, never a string, as in PostgreSQL
		"_defensive": {"1"},
		"_error_rc":  {"1"},
	}
}

func dsn(path string, v url.Values) string {
	return (&url.URL{Scheme: "file", Path: path, RawQuery: v.Encode()}).String()
}

func openSQLite(ctx context.Context, path string, asIs bool) (*DB, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("database %s: %w", path, err)
	}
	d := &DB{name: path, engine: &sqliteEngine{path: abs}}
	if asIs {
		if err := d.openExisting(ctx, abs); err != nil {
			return nil, d.explain("opening", err)
		}
		return d, nil
	}
	// Two processes that turn one new file to a write-ahead log at once get in
	// each other's way in a place where SQLite does not wait.
	unlock, err := d.engine.lock(ctx, nil)
	if err != nil {
		return nil, d.explain("opening", err)
	}
	err = d.openPools(ctx, abs)
	if err := errors.Join(err, unlock()); err != nil {
		return nil, d.explain("opening", err)
	}
	return d, nil
}

// openPools makes the file where it is missing and opens one connection that
// writes and some that read.
func (d *DB) openPools(ctx context.Context, path string) error {
	if err := makePrivate(path); err != nil {
		return err
	}
	if err := d.pools(path, settings()); err != nil {
		return err
	}
	if err := checkSettings(ctx, d.write); err != nil {
		return errors.Join(err, d.Close())
	}
	return nil
}

// openExisting opens the same connections to a file that is there. None of them
// writes, and the kind of its journal stays.
func (d *DB) openExisting(ctx context.Context, path string) error {
	if _, err := os.Stat(path); err != nil {
		return err
	}
	only := existing()
	only.Set("_query_only", "1")
	if err := d.pools(path, only); err != nil {
		return err
	}
	if err := d.read.PingContext(ctx); err != nil {
		return errors.Join(err, d.Close())
	}
	return nil
}

// existing are the settings for a file that is there and keeps its kind of journal.
func existing() url.Values {
	only := settings()
	only["_pragma"] = slices.DeleteFunc(only["_pragma"], func(p string) bool { return p == "journal_mode(WAL)" })
	only.Set("mode", "rw") // SQLite's own: never make the file
	return only
}

// pools opens one connection that writes with these settings, and some that read.
func (d *DB) pools(path string, writing url.Values) error {
	w, err := sqlite.NewConnector(dsn(path, writing))
	if err != nil {
		return err
	}
	reading := maps.Clone(writing)
	reading.Set("_query_only", "1")
	r, err := sqlite.NewConnector(dsn(path, reading))
	if err != nil {
		return err
	}
	d.write, d.read = sql.OpenDB(w), sql.OpenDB(r)
	d.write.SetMaxOpenConns(1)
	d.read.SetMaxOpenConns(readers)
	d.read.SetMaxIdleConns(readers)
	return nil
}

// makePrivate makes the file where it is missing, and takes every right from
// others where it is there. It must not open a file that is there: closing it
// again would drop the locks that this process holds on it (POSIX fcntl).
func makePrivate(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return narrow(path)
	} else if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// narrow takes every right from others on a database and its companions.
func narrow(path string) error {
	for _, p := range []string{path, path + "-wal", path + "-shm"} {
		fi, err := os.Stat(p)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return err
		}
		if !fi.Mode().IsRegular() {
			return fmt.Errorf("%s is not a regular file: %w", p, ErrDamaged)
		}
		if fi.Mode().Perm()&0o077 != 0 {
			if err := os.Chmod(p, fi.Mode().Perm()&0o700); err != nil {
				return err
			}
		}
	}
	return nil
}

func syncDir(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// checkSettings makes sure that the promises of durability hold: SQLite ignores
// what it cannot do without a word.
func checkSettings(ctx context.Context, db *sql.DB) error {
	for _, want := range []struct{ pragma, value string }{
		{"journal_mode", "wal"}, {"synchronous", "2"}, {"foreign_keys", "1"},
	} {
		var got string
		if err := db.QueryRowContext(ctx, "PRAGMA "+want.pragma).Scan(&got); err != nil {
			return err
		}
		if got != want.value {
			return fmt.Errorf("%s is %s and not %s: the file system cannot keep a database; use a local disk", want.pragma, got, want.value)
		}
	}
	return nil
}

func (e *sqliteEngine) kind() string { return kindSQLite }

// lock takes a lock on a file beside the database, which stays.
func (e *sqliteEngine) lock(ctx context.Context, _ *sql.DB) (func() error, error) {
	f, err := os.OpenFile(e.path+".lock", os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return f.Close, nil // which frees the lock
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return nil, errors.Join(fmt.Errorf("locking %s: %w", f.Name(), err), f.Close())
		}
		if err := sleep(ctx, 10*time.Millisecond); err != nil {
			return nil, errors.Join(fmt.Errorf("waiting for the lock %s: %w", f.Name(), err), f.Close())
		}
	}
}

func (e *sqliteEngine) prepare(context.Context, *sql.DB) error { return nil }

func (e *sqliteEngine) viewing() *sql.TxOptions  { return &sql.TxOptions{ReadOnly: true} }
func (e *sqliteEngine) updating() *sql.TxOptions { return &sql.TxOptions{} } // SQLite knows no other than serializable

// skipLocked is empty: there is one writer.
func (e *sqliteEngine) skipLocked() string { return "" }

func (e *sqliteEngine) tables() string { return "SELECT name FROM sqlite_schema WHERE type = 'table'" }

// parameter has no number: SQLite's driver asks for the name of each parameter,
// and SQLite searches the list of all names for it.
func (e *sqliteEngine) parameter(int) string { return "?" }

// code returns the primary result code in err, or 0.
func code(err error) int {
	if se, ok := errors.AsType[*sqlite.Error](err); ok {
		return se.Code() & 0xff
	}
	return 0
}

func (e *sqliteEngine) again(err error) bool {
	c := code(err)
	return c == sqlite3.SQLITE_BUSY || c == sqlite3.SQLITE_LOCKED
}

func (e *sqliteEngine) classify(err error) error {
	switch c := code(err); {
	case errors.Is(err, ErrFull), errors.Is(err, ErrDamaged), errors.Is(err, ErrBusy):
		return err
	case c == sqlite3.SQLITE_FULL, errors.Is(err, unix.ENOSPC), c == sqlite3.SQLITE_IOERR && full(e.path):
		return fmt.Errorf("%w: free some space in %s: %w", ErrFull, filepath.Dir(e.path), err)
	case c == sqlite3.SQLITE_NOTADB:
		return fmt.Errorf("%w: %s is not an SQLite database: name another file, or restore a backup: %w", ErrDamaged, e.path, err)
	case c == sqlite3.SQLITE_CORRUPT:
		return fmt.Errorf("%w: stop the node and restore a backup: %w", ErrDamaged, err)
	case c == sqlite3.SQLITE_READONLY, c == sqlite3.SQLITE_CANTOPEN, errors.Is(err, unix.EROFS), errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("cannot write in %s: give the user that runs this program the right to write there: %w", filepath.Dir(e.path), err)
	}
	return err
}

// full reports whether the disk under path has next to no space left. SQLite
// says only "I/O error" where a file that it maps cannot grow.
func full(path string) bool {
	var st unix.Statfs_t
	return unix.Statfs(filepath.Dir(path), &st) == nil && st.Bavail*uint64(st.Bsize) < 128<<10
}

func (e *sqliteEngine) check(ctx context.Context, read *sql.DB) error {
	for _, pragma := range []string{"integrity_check", "foreign_key_check"} {
		faults, err := lines(ctx, read, "PRAGMA "+pragma)
		if err != nil {
			return err
		}
		if len(faults) > 0 && faults[0] != "ok" {
			return fmt.Errorf("%w: %s: %.400q", ErrDamaged, pragma, faults)
		}
	}
	return nil
}
