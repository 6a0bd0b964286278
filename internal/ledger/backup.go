package ledger

import (
	"context"
	"fmt"
	"path/filepath"
)

// Names below which [Backup] gives a log's files, beside those of its tiles.
const (
	BackupCheckpoint = checkpointName
	BackupCosigned   = cosignedName
)

// Backup gives what a log in dir consists of to put: the checkpoint that is shown
// where others cosign it ([BackupCosigned], empty where none was), the newest that
// the log's key has signed, and every tile and bundle below that. It may run
// while a node serves the log.
//
// The two are read in this order, so that what is shown is never newer than what
// is signed; the tiles are there before either. What Tessera needs besides is
// made again by [Restore], which verifies all of it.
func Backup(ctx context.Context, dir string, v Verifier, put func(name string, b []byte) error) (size int64, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("copying the log %s: %w", dir, err)
		}
	}()
	abs, err := filepath.Abs(dir)
	if err != nil {
		return 0, err
	}
	f := files{abs}
	shown, ok, err := f.readCosigned(v)
	if err != nil {
		return 0, err
	}
	p, err := f.readPublished(v)
	if err != nil {
		return 0, err
	}
	if p == nil {
		return 0, fmt.Errorf("%w: there is no checkpoint", ErrUnknown)
	}
	if ok {
		if err := put(BackupCosigned, shown.raw); err != nil {
			return 0, err
		}
	}
	if err := put(BackupCheckpoint, p.raw); err != nil {
		return 0, err
	}
	return p.size, exportTiles(ctx, f, p.size, 0, put)
}

// RestoringDir is where [Restore] looks for files that are there already, for
// the log in dir. What lies there is verified as if it came from a source.
func RestoringDir(dir string) string { return dir + restoringSuffix }

// Shown writes which checkpoint a restored log shows, where others cosign it;
// empty: none. It must be one of those that [Restore] has compared.
func Shown(dir string, raw []byte) error {
	return files{dir}.writeCosigned(raw)
}
