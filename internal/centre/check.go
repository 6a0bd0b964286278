package centre

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"

	"vitrine.example/internal/ledger"
	"vitrine.example/internal/store"
)

// CheckLog runs `vitrine log check`: it reads the whole log and compares the
// database with it. It works while the node is served and changes nothing: a
// database that is missing is not made, and one of an older program not moved on,
// which a process of that program may be using; both are faults of the report.
func CheckLog(ctx context.Context, dir string, progress func(done, total int64)) (*ledger.Report, error) {
	cfg, err := LoadConfig(dir)
	if err != nil {
		return nil, err
	}
	v, err := logVerifier(dir, cfg)
	if err != nil {
		return nil, err
	}
	db, missing, err := openToCheck(ctx, cfg.Database.in(dir))
	if err != nil {
		return nil, err
	}
	r, err := ledger.Check(ctx, filepath.Join(dir, logDir), v, db, progress)
	if err == nil && missing != "" {
		r.Faults = append(r.Faults, missing)
	}
	if db != nil {
		err = errors.Join(err, db.Close())
	}
	return r, err
}

// olderDatabase begins the fault of a database that waits for migrations.
const olderDatabase = databaseFault + "an older program made it"

// databaseFault begins faults that are the database's, as in [ledger.Report].
const databaseFault = "database: "

// openToCheck opens a database as it is. Where it cannot be compared with the log,
// it is nil, and missing says why.
func openToCheck(ctx context.Context, name string) (db *store.DB, missing string, err error) {
	db, pending, err := store.OpenAsIs(ctx, name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, databaseFault + "there is none: the log was checked without it", nil
	case err != nil:
		return nil, "", err
	case pending > 0:
		return nil, olderDatabase + ": the log was checked without it", db.Close()
	}
	return db, "", nil
}

// MendFaults says what to do about the faults of a report.
func MendFaults(faults []string) string {
	for _, f := range faults {
		if strings.Contains(f, "its origin is ") {
			return "the host of the URL was changed, which a log does not survive: put the url of vitrine.toml back"
		}
	}
	for _, f := range faults {
		if !strings.HasPrefix(f, databaseFault) {
			return "stop the node, keep a copy of its directory, and restore the log from a backup or a mirror"
		}
	}
	for _, f := range faults {
		if strings.HasPrefix(f, olderDatabase) {
			return "the log itself is whole; the next start of the node with this program brings the database up to date: check again then"
		}
	}
	return "the log itself is whole; where its database was lost, make it again with `vitrine projection rebuild`"
}

// logVerifier tells what the log has signed, with whichever of its keys.
func logVerifier(dir string, cfg *Config) (ledger.Verifier, error) {
	all, err := logVerifiers(dir, cfg)
	if err != nil {
		return nil, err
	}
	return ledger.AnyOf(all[0], all[1:]...), nil
}
