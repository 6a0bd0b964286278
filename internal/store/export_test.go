package store

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
)

// OpenSchema is Open with other migrations.
func OpenSchema(ctx context.Context, url string, files fs.FS) (*DB, error) {
	d, err := connect(ctx, url, false)
	if err != nil {
		return nil, err
	}
	if err := d.migrate(ctx, files); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// Writer returns the connections that write.
func (d *DB) Writer() *sql.DB { return d.write }

// Pending is what OpenAsIs counts, with other migrations.
func Pending(ctx context.Context, url string, files fs.FS) (int, error) {
	d, err := connect(ctx, url, true)
	if err != nil {
		return 0, err
	}
	n, err := d.pending(ctx, files)
	return n, errors.Join(err, d.Close())
}
