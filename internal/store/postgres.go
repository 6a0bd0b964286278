package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// This is the one file that knows the PostgreSQL driver.

const (
	kindPostgres = "postgres"
	connections  = 16
	connecting   = 10 * time.Second // at most, where the URL says nothing
	// advisory is the number of the lock that keeps migrations apart; any
	// number does that no other program uses in the same database.
	advisory int64 = 0x7669_7472_696e_6531
)

// postgresEngine is a database on a server.
type postgresEngine struct{}

func openPostgres(ctx context.Context, url string) (*DB, error) {
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("database: reading its URL: %w: write postgres://user:password@host:5432/name", err)
	}
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = connecting
	}
	if cfg.RuntimeParams["application_name"] == "" {
		cfg.RuntimeParams["application_name"] = "vitrine"
	}
	db := stdlib.OpenDB(*cfg, stdlib.OptionAfterConnect(afterConnect))
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	db.SetConnMaxIdleTime(5 * time.Minute)
	d := &DB{name: publicURL(cfg), engine: &postgresEngine{}, write: db, read: db}
	if err := db.PingContext(ctx); err != nil {
		return nil, errors.Join(d.explain("connecting", err), db.Close())
	}
	return d, nil
}

// publicURL names the database without a password.
func publicURL(cfg *pgx.ConnConfig) string {
	host := net.JoinHostPort(cfg.Host, strconv.Itoa(int(cfg.Port)))
	return fmt.Sprintf("postgres://%s@%s/%s", cfg.User, host, cfg.Database)
}

// afterConnect makes sure of what the package promises: text is UTF-8, and what
// was committed is on the disk. A server may be set up otherwise.
func afterConnect(ctx context.Context, c *pgx.Conn) error {
	var encoding, commit string
	err := c.QueryRow(ctx, "SELECT current_setting('server_encoding'), current_setting('synchronous_commit')").Scan(&encoding, &commit)
	if err != nil {
		return err
	}
	if encoding != "UTF8" {
		return fmt.Errorf("its encoding is %s: make one with createdb --encoding=UTF8 --template=template0", encoding)
	}
	if commit == "off" {
		_, err = c.Exec(ctx, "SET synchronous_commit = on")
	}
	return err
}

func (e *postgresEngine) kind() string { return kindPostgres }

// lock takes an advisory lock on a connection of its own.
func (e *postgresEngine) lock(ctx context.Context, write *sql.DB) (func() error, error) {
	conn, err := write.Conn(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := conn.ExecContext(ctx, "SELECT pg_advisory_lock($1)", advisory); err != nil {
		return nil, errors.Join(err, drop(conn))
	}
	// The lock ends with the connection, whatever happened on it.
	return func() error { return drop(conn) }, nil
}

// drop ends a connection instead of giving it back.
func drop(conn *sql.Conn) error {
	err := conn.Raw(func(any) error { return driver.ErrBadConn })
	if errors.Is(err, driver.ErrBadConn) {
		err = nil
	}
	if cerr := conn.Close(); !errors.Is(cerr, sql.ErrConnDone) && !errors.Is(cerr, driver.ErrBadConn) {
		err = errors.Join(err, cerr)
	}
	return err
}

// domains are the names of types that SQLite has, or takes for its own, and
// PostgreSQL has not.
var domains = []struct{ name, as string }{
	{"blob", `bytea`},
	{"bytetext", `text COLLATE "C"`}, // ordered by its bytes, as SQLite's text
}

func (e *postgresEngine) prepare(ctx context.Context, write *sql.DB) error {
	for _, d := range domains {
		var there bool
		err := write.QueryRowContext(ctx, "SELECT to_regtype($1) IS NOT NULL", d.name).Scan(&there)
		if err != nil {
			return err
		}
		if there {
			continue
		}
		if _, err := write.ExecContext(ctx, "CREATE DOMAIN "+d.name+" AS "+d.as); err != nil {
			return err
		}
	}
	return nil
}

// viewing: a snapshot, which nothing can make fail or wait.
func (e *postgresEngine) viewing() *sql.TxOptions {
	return &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}
}

func (e *postgresEngine) updating() *sql.TxOptions {
	return &sql.TxOptions{Isolation: sql.LevelSerializable}
}

func (e *postgresEngine) parameter(n int) string { return "$" + strconv.Itoa(n) }

func (e *postgresEngine) skipLocked() string { return " FOR UPDATE SKIP LOCKED" }

func (e *postgresEngine) tables() string {
	return "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
}

// state returns the SQLSTATE in err, or "".
func state(err error) string {
	if pe, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pe.Code
	}
	return ""
}

func (e *postgresEngine) again(err error) bool {
	s := state(err)
	return s == "40001" || s == "40P01" // serialization_failure, deadlock_detected
}

func (e *postgresEngine) classify(err error) error {
	s := state(err)
	_, unreached := errors.AsType[*pgconn.ConnectError](err)
	switch {
	case errors.Is(err, ErrFull), errors.Is(err, ErrDamaged), errors.Is(err, ErrBusy):
		return err
	case s == "53100":
		return fmt.Errorf("%w: free some space on the database server: %w", ErrFull, err)
	case s == "XX001", s == "XX002":
		return fmt.Errorf("%w: restore a backup of the server: %w", ErrDamaged, err)
	case s == "3D000":
		return fmt.Errorf("there is no such database: make it with createdb --encoding=UTF8 --template=template0: %w", err)
	case strings.HasPrefix(s, "28"):
		return fmt.Errorf("the server refuses the user or the password: %w", err)
	case s == "42501":
		return fmt.Errorf("the user may not do this: make it the owner of the database: %w", err)
	case s == "" && unreached:
		return fmt.Errorf("cannot reach the server: start PostgreSQL, or correct the URL: %w", err)
	case errors.Is(err, pgx.ErrTxCommitRollback):
		return fmt.Errorf("a statement of the transaction had failed: %w", err)
	}
	return err
}

// check reads every row of every table, so that the server checks every page.
func (e *postgresEngine) check(ctx context.Context, read *sql.DB) error {
	tables, err := lines(ctx, read, "SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = current_schema()")
	if err != nil {
		return err
	}
	for _, t := range tables {
		var n int64
		err := read.QueryRowContext(ctx, "SELECT count(x::text) FROM "+t+" AS x").Scan(&n)
		if err != nil {
			return fmt.Errorf("table %s: %w", t, err)
		}
	}
	return nil
}
