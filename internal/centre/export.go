package centre

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"

	"vitrine.example/internal/content"
	"vitrine.example/internal/ledger"
	"vitrine.example/internal/projection"
	"vitrine.example/statement"
	"vitrine.example/tlog"
)

// maxArchive is how many entries one archive holds: those below one tile of
// level 2, so that the file is the 000.zip of an archive in several files.
const maxArchive = 1 << 24

// ExportOptions say what to write into an archive.
type ExportOptions struct {
	Since   int64 // only what follows a tree of so many entries
	Content bool  // the public statements behind its entries as well
}

// ExportLog writes the published log of a node into a zip archive: checkpoint,
// tiles and entries under their names of C2SP tlog-tiles (docs/spec/archive.md).
// It works while the node is served. The file is there whole or not at all, and
// is not written over. It returns how many entries the log has.
func ExportLog(ctx context.Context, dir, file string, o ExportOptions) (size int64, err error) {
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
	size, err = exportLog(ctx, dir, v, o, func(name string, b []byte) error {
		w, err := z.Create(name)
		if err == nil {
			_, err = w.Write(b)
		}
		return err
	})
	if err = errors.Join(err, z.Close(), f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return 0, err
	}
	if err = os.Rename(f.Name(), file); err != nil {
		return 0, err
	}
	return size, syncDirs(filepath.Dir(file))
}

func exportLog(ctx context.Context, dir string, v ledger.Verifier, o ExportOptions, put func(string, []byte) error) (int64, error) {
	if o.Since > 0 {
		if err := put(sinceMember, fmt.Appendf(nil, "%d\n", o.Since)); err != nil {
			return 0, err
		}
	}
	size, err := ledger.Export(ctx, filepath.Join(dir, logDir), v, o.Since, put)
	if err == nil && size > maxArchive {
		err = fmt.Errorf("the log has %d entries, and an archive holds %d", size, maxArchive)
	}
	if err != nil || !o.Content {
		return size, err
	}
	return size, exportStatements(ctx, dir, o.Since/tlog.TileWidth*tlog.TileWidth, size, put)
}

// exportStatements gives the public statements behind some entries to put. What
// is not known, or not public, is left out.
func exportStatements(ctx context.Context, dir string, from, to int64, put func(string, []byte) error) (err error) {
	h, err := Connect(ctx, dir, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Close(context.WithoutCancel(ctx))) }()
	p, err := h.projection(ctx)
	if err != nil {
		return err
	}
	_, held, err := h.stores()
	if err != nil {
		return err
	}
	for ; from < to; from += projection.MaxRows {
		page, err := p.Entries(ctx, from, min(from+projection.MaxRows, to))
		if err != nil {
			return err
		}
		for _, e := range page {
			if e.Kind != projection.Statement || e.Envelope.IsZero() {
				continue
			}
			raw, err := held.ReadPublic(ctx, e.Envelope, statement.MaxSize)
			if errors.Is(err, content.ErrUnknown) {
				continue
			}
			if err == nil {
				err = put(statementMember+strconv.FormatInt(e.Index, 10), raw)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}
