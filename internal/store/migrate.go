package store

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"

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
	p, err := goose.NewProvider(dialects[d.engine.kind()], d.write, files,
		goose.WithTableName(versionTable), goose.WithDisableGlobalRegistry(true))
	if errors.Is(err, goose.ErrNoMigrations) {
		return nil
	} else if err != nil {
		return d.explain("reading the schema", err)
	}
	have, want, err := p.GetVersions(ctx)
	if err != nil {
		return d.explain("reading the version of the tables", err)
	}
	if have > want {
		return fmt.Errorf("database %s: %w: its tables have version %d, this program knows up to %d: run the newer program, or restore a backup made before it ran",
			d.name, ErrNewer, have, want)
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

var dialects = map[string]goose.Dialect{
	kindSQLite:   goose.DialectSQLite3,
	kindPostgres: goose.DialectPostgres,
}
