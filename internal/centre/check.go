package centre

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"vitrine.example/internal/ledger"
	"vitrine.example/internal/store"
	"vitrine.example/tlog"
)

// CheckLog runs `vitrine log check`: it reads the whole log and compares the
// database with it. It works while the node is served and changes nothing.
func CheckLog(ctx context.Context, dir string, progress func(done, total int64)) (*ledger.Report, error) {
	cfg, err := LoadConfig(dir)
	if err != nil {
		return nil, err
	}
	v, err := logVerifier(dir, cfg)
	if err != nil {
		return nil, err
	}
	db, err := store.Open(ctx, cfg.Database.in(dir))
	if err != nil {
		return nil, err
	}
	r, err := ledger.Check(ctx, filepath.Join(dir, logDir), v, db, progress)
	return r, errors.Join(err, db.Close())
}

// MendFaults says what to do about the faults of a report.
func MendFaults(faults []string) string {
	for _, f := range faults {
		if strings.Contains(f, "its origin is ") {
			return "the host of the URL was changed, which a log does not survive: put the url of vitrine.toml back"
		}
	}
	for _, f := range faults {
		if !strings.HasPrefix(f, "database: ") {
			return "stop the node, keep a copy of its directory, and restore the log from a backup or a mirror"
		}
	}
	return "the log itself is whole; where its database was lost, make it again with `vitrine projection rebuild`"
}

// logVerifier returns the public half of the log's key.
func logVerifier(dir string, cfg *Config) (tlog.Verifier, error) {
	s, err := logSigner(dir, cfg.LogKey, cfg.origin, tlog.Ed25519, nil)
	if err != nil {
		return tlog.Verifier{}, fmt.Errorf("log key: %w", err)
	}
	return s.Verifier(), nil
}
