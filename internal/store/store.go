// Package store keeps rows: SQLite in a file or PostgreSQL, through one code path.
//
// [Open] opens and migrates a database. [DB.View] runs a read-only
// transaction, [DB.Update] a serializable one that is tried again when the
// engine asks for it. Queries are written once for both engines: $n
// placeholders, BIGINT microseconds, BLOB bytes, ON CONFLICT … RETURNING. The
// rules for SQL that both engines take alike are in schema/README.md; the
// package storetest runs a test on both.
//
// What Update committed is durable when it returns: SQLite runs with a
// write-ahead log and a sync for every commit, PostgreSQL with
// synchronous_commit on. View sees one consistent state of the database
// however long it takes, and waits for nobody.
package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
)

// Errors that callers tell apart.
var (
	// ErrFull says that the disk of the database has no space left. Nothing of
	// the transaction was kept.
	ErrFull = errors.New("the disk is full")
	// ErrBusy says that other transactions were in the way for so long that
	// Update gave up. Nothing of the transaction was kept.
	ErrBusy = errors.New("the database is busy")
	// ErrNewer says that a newer program has changed the tables.
	ErrNewer = errors.New("the database was made by a newer program")
	// ErrDamaged says that the file is no database, or is a broken one.
	ErrDamaged = errors.New("the database is damaged")
)

// DB is safe for use by several goroutines.
type DB struct {
	name   string  // for people: the path, or the URL without its password
	engine engine  // what differs between the two
	write  *sql.DB // one connection with SQLite
	read   *sql.DB // the same as write with PostgreSQL
}

// Tx is a transaction; it must not be used after its function returned.
type Tx struct {
	*sql.Tx
	renamed    *strings.Replacer    // nil: no table
	statements map[string]*sql.Stmt // of ExecAgain
	engine     engine
}

// engine is what differs between SQLite and PostgreSQL.
type engine interface {
	// kind is the name that Engine returns.
	kind() string
	// lock keeps other processes out while the tables are made or changed.
	lock(ctx context.Context, write *sql.DB) (unlock func() error, err error)
	// prepare does what must be done once, before the first migration.
	prepare(ctx context.Context, write *sql.DB) error
	// classify adds the error of this package that err stands for.
	classify(err error) error
	// again says whether a transaction that ended with err may be run again.
	again(err error) bool
	// viewing and updating are how transactions begin.
	viewing() *sql.TxOptions
	updating() *sql.TxOptions
	// tables is a query for the names of all tables.
	tables() string
	// parameter is how a query writes its nth parameter, from 1 on, where each
	// stands once and in order.
	parameter(n int) string
	// skipLocked is Tx.SkipLocked.
	skipLocked() string
	// check is DB.Check.
	check(ctx context.Context, read *sql.DB) error
}

// Open opens a database: a file path (SQLite) or a postgres:// URL. A file that
// is missing is made, readable by its owner alone; tables are brought up to
// what this program needs. Several processes may do so at the same time.
func Open(ctx context.Context, url string) (*DB, error) {
	d, err := connect(ctx, url, false)
	if err != nil {
		return nil, err
	}
	if err := d.migrate(ctx, schemaFiles()); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// OpenAsIs opens a database that is there and changes nothing: no file is made,
// no mode and no table changed. (SQLite itself moves what a crash left in its
// write-ahead log.) It also returns how many migrations Open would apply; where
// there are some, this program's queries may not work.
func OpenAsIs(ctx context.Context, url string) (db *DB, pending int, err error) {
	d, err := connect(ctx, url, true)
	if err != nil {
		return nil, 0, err
	}
	if pending, err = d.pending(ctx, schemaFiles()); err != nil {
		return nil, 0, errors.Join(err, d.Close())
	}
	return d, pending, nil
}

// connect picks the engine and makes sure that the database answers. Where it is
// to stay as it is, a file that is missing is not made.
func connect(ctx context.Context, url string, asIs bool) (*DB, error) {
	scheme, _, isURL := strings.Cut(url, "://")
	switch {
	case url == "":
		return nil, errors.New("database: no path and no URL given: write a file path or postgres://user@host/name")
	case !isURL && (url == ":memory:" || strings.HasPrefix(url, "file:")):
		return nil, fmt.Errorf("database %q: write a plain file path, such as vitrine.db, or postgres://user@host/name", url)
	case !isURL:
		return openSQLite(ctx, url, asIs)
	case scheme == "postgres" || scheme == "postgresql":
		return openPostgres(ctx, url)
	}
	// The rest of the URL may hold a password and is not shown.
	return nil, fmt.Errorf("database %.20q://…: unknown kind of database: write a file path or postgres://user@host/name", scheme)
}

// View runs f in a read-only transaction.
func (d *DB) View(ctx context.Context, f func(ctx context.Context, tx *Tx) error) error {
	return d.run(ctx, d.read, d.engine.viewing(), f)
}

// updating marks the context of a running Update.
type updating struct{ d *DB }

// Update runs f in a serializable transaction and commits it durably where f
// returns nil. f may be run several times: it must have no effect but through
// tx, and it must return the errors of tx (wrapped or not), because they say
// when to try again. An Update within an Update is refused.
func (d *DB) Update(ctx context.Context, f func(ctx context.Context, tx *Tx) error) error {
	if ctx.Value(updating{d}) != nil {
		return errors.New("database: update within an update: use the transaction at hand")
	}
	ctx = context.WithValue(ctx, updating{d}, true)
	return again(ctx, d.engine.again, func() error {
		return d.run(ctx, d.write, d.engine.updating(), f)
	})
}

// run runs f in one transaction.
func (d *DB) run(ctx context.Context, db *sql.DB, o *sql.TxOptions, f func(context.Context, *Tx) error) error {
	tx, err := db.BeginTx(ctx, o)
	if err != nil {
		return d.explain("beginning a transaction", err)
	}
	defer func() { _ = tx.Rollback() }() // does nothing after Commit
	if err := f(ctx, &Tx{Tx: tx, engine: d.engine}); err != nil {
		return d.engine.classify(because(ctx, err))
	}
	if o.ReadOnly {
		return nil
	}
	if err := tx.Commit(); err != nil {
		return d.explain("committing a transaction", because(ctx, err))
	}
	return nil
}

// because adds that ctx has ended to errors that only tell of its effect: the
// transaction is rolled back behind our back when it does.
func because(ctx context.Context, err error) error {
	for _, effect := range []error{sql.ErrTxDone, sql.ErrConnDone, driver.ErrBadConn} {
		if cause := ctx.Err(); cause != nil && errors.Is(err, effect) {
			return fmt.Errorf("%w: %w", cause, err)
		}
	}
	return err
}

// explain says on which database what went wrong.
func (d *DB) explain(doing string, err error) error {
	return fmt.Errorf("database %s: %s: %w", d.name, doing, d.engine.classify(err))
}

// Engine returns "sqlite" or "postgres".
func (d *DB) Engine() string { return d.engine.kind() }

// Check asks the engine whether the database is sound; it reads all of it.
func (d *DB) Check(ctx context.Context) error {
	if err := d.engine.check(ctx, d.read); err != nil {
		return d.explain("checking", err)
	}
	return nil
}

// Close closes the database.
func (d *DB) Close() error {
	if d.read == d.write {
		return d.write.Close()
	}
	// The writer last: with it SQLite moves the write-ahead log into the file.
	return errors.Join(d.read.Close(), d.write.Close())
}
