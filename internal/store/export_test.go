package store

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
)

// OpenSchema is Open with other migrations.
func OpenSchema(ctx context.Context, url string, files fs.FS) (*DB, error) {
	d, err := connect(ctx, url)
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
