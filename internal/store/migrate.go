package store

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/pressly/goose/v3"
)

// schema holds the migrations and the rules for writing them.
//
//go:embed schema
var schema embed.FS

// versionTable is where goose notes which migrations were applied.
const versionTable = "vitrine_schema"

// schemaFiles returns the migrations of this program.
func schemaFiles() fs.FS {
	sub, err := fs.Sub(schema, "schema")
	if err != nil {
		panic(err) // the directory is part of the program
	}
	return sub
}

// migrate applies the migrations in files that were not applied before, each in
// a transaction of its own, while no other process does.
func (d *DB) migrate(ctx context.Context, files fs.FS) (err error) {
	unlock, err := d.engine.lock(ctx, d.write)
	if err != nil {
		return d.explain("waiting for other programs that migrate", err)
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if err := d.engine.prepare(ctx, d.write); err != nil {
		return d.explain("preparing", err)
	}
	p, err := d.provider(files)
	if p == nil || err != nil {
		return err
	}
	have, want, err := p.GetVersions(ctx)
	if err != nil {
		return d.explain("reading the version of the tables", err)
	}
	if have > want {
		return d.newer(have, want)
	}
	if _, err := p.Up(ctx); err != nil {
		doing := "migrating"
		if part, ok := errors.AsType[*goose.PartialError](err); ok {
			doing, err = "migrating: "+part.Failed.Source.Path, part.Err
		}
		return d.explain(doing, err)
	}
	return nil
}

// provider reads the migrations in files; nil where there are none.
func (d *DB) provider(files fs.FS) (*goose.Provider, error) {
	p, err := goose.NewProvider(dialects[d.engine.kind()], d.write, files,
		goose.WithTableName(versionTable), goose.WithDisableGlobalRegistry(true))
	if errors.Is(err, goose.ErrNoMigrations) {
		return nil, nil
	} else if err != nil {
		return nil, d.explain("reading the schema", err)
	}
	return p, nil
}

func (d *DB) newer(have, want int64) error {
	return fmt.Errorf("database %s: %w: its tables have version %d, this program knows up to %d: run the newer program, or restore a backup made before it ran",
		d.name, ErrNewer, have, want)
}

// pending counts the migrations in files that were not applied, and changes
// nothing: goose's own count would make the table that it counts in.
func (d *DB) pending(ctx context.Context, files fs.FS) (int, error) {
	p, err := d.provider(files)
	if p == nil || err != nil {
		return 0, err
	}
	have, err := d.version(ctx)
	if err != nil {
		return 0, d.explain("reading the version of the tables", err)
	}
	n, want := 0, int64(0)
	for _, s := range p.ListSources() {
		if want = max(want, s.Version); s.Version > have {
			n++
		}
	}
	if have > want {
		return 0, d.newer(have, want)
	}
	return n, nil
}

// version returns the newest migration that was applied, 0 where none was.
func (d *DB) version(ctx context.Context) (int64, error) {
	there, err := lines(ctx, d.read, d.engine.tables())
	if err != nil || !slices.Contains(there, versionTable) {
		return 0, err
	}
	var n int64
	err = d.read.QueryRowContext(ctx, "SELECT COALESCE(MAX(version_id), 0) FROM "+versionTable+" WHERE is_applied").Scan(&n)
	return n, err
}

var dialects = map[string]goose.Dialect{
	kindSQLite:   goose.DialectSQLite3,
	kindPostgres: goose.DialectPostgres,
}
