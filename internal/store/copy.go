package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"modernc.org/sqlite"
)

// CopySQLite writes one consistent state of the SQLite database at path into a
// new file, as it stands at some moment after the call. Other processes may go
// on writing to the database meanwhile. The file is not synced.
func CopySQLite(ctx context.Context, path, to string) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("copying the database %s: %w", path, err)
		}
	}()
	abs, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	if _, err := os.Stat(abs); err != nil {
		return err
	}
	if _, err := os.Lstat(to); err == nil {
		return fmt.Errorf("%s: %w", to, os.ErrExist)
	}
	if err := makePrivate(to); err != nil { // VACUUM INTO takes an empty file
		return err
	}
	c, err := sqlite.NewConnector(dsn(abs, existing()))
	if err != nil {
		return err
	}
	db := sql.OpenDB(c)
	defer func() { err = errors.Join(err, db.Close()) }()
	e := &sqliteEngine{path: to}
	if _, err := db.ExecContext(ctx, "VACUUM INTO $1", to); err != nil {
		return e.classify(because(ctx, err))
	}
	return nil
}
