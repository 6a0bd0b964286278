package centre

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"vitrine.example/internal/ledger"
)

// maxArchive is how many entries one archive holds: those below one tile of
// level 2, so that the file is the 000.zip of an archive in several files.
const maxArchive = 1 << 24

// ExportLog writes the published log of a node into a zip archive: checkpoint,
// tiles and entries under their names of C2SP tlog-tiles. It works while the
// node is served. The file is there whole or not at all, and is not written
// over. It returns how many entries the log has.
func ExportLog(ctx context.Context, dir, file string) (size int64, err error) {
	cfg, err := LoadConfig(dir)
	if err != nil {
		return 0, err
	}
	v, err := logVerifier(dir, cfg)
	if err != nil {
		return 0, err
	}
	if _, err := os.Lstat(file); err == nil {
		return 0, fmt.Errorf("writing %s: %w", file, os.ErrExist)
	}
	f, err := os.CreateTemp(filepath.Dir(file), ".vitrine-*.tmp")
	if err != nil {
		return 0, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	z := zip.NewWriter(f)
	size, err = ledger.Export(ctx, filepath.Join(dir, logDir), v, 0, func(name string, b []byte) error {
		w, err := z.Create(name)
		if err == nil {
			_, err = w.Write(b)
		}
		return err
	})
	if err == nil && size > maxArchive {
		err = fmt.Errorf("the log has %d entries, and an archive holds %d", size, maxArchive)
	}
	if err = errors.Join(err, z.Close(), f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return 0, err
	}
	if err = os.Rename(f.Name(), file); err != nil {
		return 0, err
	}
	return size, syncDirs(filepath.Dir(file))
}
