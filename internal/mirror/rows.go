package mirror

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"vitrine.example/internal/store"
	"vitrine.example/tlog"
)

// secretSize is the length of the key of tickets, in bytes.
const secretSize = 32

// load reads the secret and all logs.
func (m *Mirror) load(ctx context.Context) error {
	fresh := make([]byte, secretSize)
	_, _ = rand.Read(fresh) // never fails
	return m.o.DB.Update(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		if _, err := tx.ExecContext(ctx, `INSERT INTO mirror_secret (id, secret) VALUES (1, $1) ON CONFLICT (id) DO NOTHING`, fresh); err != nil {
			return err
		}
		if err := tx.QueryRowContext(ctx, `SELECT secret FROM mirror_secret WHERE id = 1`).Scan(&m.secret); err != nil {
			return err
		}
		if len(m.secret) != secretSize {
			return fmt.Errorf("the secret of tickets has %d bytes: %w", len(m.secret), store.ErrDamaged)
		}
		rows, err := tx.QueryContext(ctx, `SELECT origin, next_entry, bytes, checkpoint, signed_at FROM mirror_log`)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, rows.Close()) }()
		for rows.Next() {
			var origin string
			var s state
			var raw []byte
			var signed int64
			if err := rows.Scan(&origin, &s.next, &s.bytes, &raw, &signed); err != nil {
				return err
			}
			if raw != nil {
				if s.checkpoint, err = tlog.ParseCheckpoint(raw); err != nil {
					return fmt.Errorf("the checkpoint of %s: %w: %w", origin, store.ErrDamaged, err)
				}
				s.raw, s.signed = raw, time.UnixMicro(signed).UTC()
			}
			c := m.newCopy(origin)
			c.state.Store(&s)
			m.copies[c.hash] = c
		}
		return rows.Err()
	})
}

// insert makes the row of a log, unless there is one.
func (m *Mirror) insert(ctx context.Context, origin string) error {
	c := m.newCopy(origin)
	return m.o.DB.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO mirror_log (origin_hash, origin, added, next_entry, bytes, size, checkpoint, signed_at)
			VALUES ($1, $2, $3, 0, 0, 0, NULL, 0) ON CONFLICT (origin_hash) DO NOTHING`, c.hash[:], origin, m.o.Now().UnixMicro())
		return err
	})
}

// saveNext keeps how far the entries are on the disk.
func (c *logCopy) saveNext(ctx context.Context, was, now *state) error {
	return c.m.o.DB.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
		res, err := tx.ExecContext(ctx, `UPDATE mirror_log SET next_entry = $2, bytes = $3 WHERE origin_hash = $1 AND next_entry = $4`,
			c.hash[:], now.next, now.bytes, was.next)
		return one(res, err)
	})
}

// saveCheckpoint makes a checkpoint the mirror checkpoint, unless there is a
// larger one: "the mirror MUST NOT rewind the checkpoint".
func (c *logCopy) saveCheckpoint(ctx context.Context, s *state) error {
	return c.m.o.DB.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
		res, err := tx.ExecContext(ctx, `UPDATE mirror_log SET size = $2, checkpoint = $3, signed_at = $4
			WHERE origin_hash = $1 AND size <= $2 AND next_entry >= $2`,
			c.hash[:], s.checkpoint.Size, s.raw, s.signed.UnixMicro())
		return one(res, err)
	})
}

// one makes sure that one row was changed: this process alone may change it.
func one(res interface{ RowsAffected() (int64, error) }, err error) error {
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n != 1 {
		return errors.Join(err, errors.New("the row of the log is not as this process left it: does another one use the mirror?"))
	}
	return nil
}
