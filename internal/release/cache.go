package release

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/content"
	"vitrine.example/internal/snapshot"
	"vitrine.example/internal/store"
)

// cacheAge is how long the digest of a file is kept after it was hashed.
const cacheAge = 90 * 24 * time.Hour

// recall returns the digest of the file at path, where the file is what it was
// when it was hashed and the content store still holds its bytes under class.
func (p *Publisher) recall(ctx context.Context, path string, id snapshot.Identity, class content.Class) (digest.Digest, bool, error) {
	d, err := p.lookup(ctx,
		`SELECT sha256 FROM release_file WHERE path = $1 AND device = $2 AND inode = $3 AND size = $4 AND mtime = $5 AND ctime = $6`,
		[]byte(path), id.Dev, id.Ino, id.Size, id.Mtime, id.Ctime)
	if err != nil || d.IsZero() {
		return d, false, err
	}
	info, ok, err := p.held(d, class)
	return d, ok && info.Size == id.Size, err
}

// rememberSettled keeps the digest of f for the next run, or reports that f has
// changed meanwhile.
func (p *Publisher) rememberSettled(ctx context.Context, f *snapshot.File, path string, d digest.Digest) error {
	keep, err := f.Settle(ctx)
	if err != nil || !keep {
		return err
	}
	// The system's clock, as it set the times of the file too; nothing that is
	// signed depends on it.
	id, now := f.Identity(), time.Now()
	return p.DB.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.ExecContext(ctx,
			`INSERT INTO release_file (path, device, inode, size, mtime, ctime, sha256, hashed)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
			ON CONFLICT (path) DO UPDATE SET device = excluded.device, inode = excluded.inode, size = excluded.size,
				mtime = excluded.mtime, ctime = excluded.ctime, sha256 = excluded.sha256, hashed = excluded.hashed`,
			[]byte(path), id.Dev, id.Ino, id.Size, id.Mtime, id.Ctime, d[:], now.UnixMicro())
		if err != nil {
			return fmt.Errorf("remembering the digest of a file: %w", err)
		}
		_, err = tx.ExecContext(ctx, `DELETE FROM release_file WHERE hashed < $1`, now.Add(-cacheAge).UnixMicro())
		return err
	})
}

// recallSnapshot returns the snapshot that was made of origin before, where the
// content store still holds it under class.
func (p *Publisher) recallSnapshot(ctx context.Context, origin digest.Digest, class content.Class) (content.Info, bool, error) {
	d, err := p.lookup(ctx, `SELECT sha256 FROM release_snapshot WHERE origin = $1`, origin[:])
	if err != nil || d.IsZero() {
		return content.Info{}, false, err
	}
	return p.held(d, class)
}

func (p *Publisher) rememberSnapshot(ctx context.Context, origin, d digest.Digest) error {
	return p.DB.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.ExecContext(ctx,
			`INSERT INTO release_snapshot (origin, sha256) VALUES ($1, $2)
			ON CONFLICT (origin) DO UPDATE SET sha256 = excluded.sha256`, origin[:], d[:])
		return err
	})
}

// lookup runs a query for one digest; zero where there is no row.
func (p *Publisher) lookup(ctx context.Context, query string, args ...any) (d digest.Digest, err error) {
	err = p.DB.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		d, err = scanDigest(tx.QueryRowContext(ctx, query, args...))
		return err
	})
	return d, err
}

// scanDigest reads a row of one digest; zero where there is no row.
func scanDigest(row *sql.Row) (d digest.Digest, err error) {
	var raw []byte
	switch err := row.Scan(&raw); {
	case errors.Is(err, sql.ErrNoRows):
		return d, nil
	case err != nil:
		return d, err
	}
	return toDigest(raw)
}

func toDigest(raw []byte) (d digest.Digest, err error) {
	if len(raw) != digest.Size {
		return d, fmt.Errorf("the database holds a digest of %d bytes", len(raw))
	}
	return digest.Digest(raw), nil
}

// held reports whether the content store holds d under class.
func (p *Publisher) held(d digest.Digest, class content.Class) (content.Info, bool, error) {
	info, err := p.Content.Stat(d)
	if errors.Is(err, content.ErrUnknown) {
		return info, false, nil
	}
	return info, err == nil && info.Class == class, err
}
