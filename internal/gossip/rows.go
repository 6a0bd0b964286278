package gossip

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"vitrine.example/internal/store"
	"vitrine.example/tlog"
)

// Kept is evidence that this node keeps.
type Kept struct {
	Digest   [sha256.Size]byte
	Origin   string
	Kind     tlog.ForkKind
	Found    time.Time
	Accepted time.Time // zero where no operator has accepted it
	Reason   string
}

// insert keeps verified evidence, and reports whether it was new.
func (g *Gossip) insert(ctx context.Context, f *tlog.Fork) (fresh bool, err error) {
	d := f.Digest()
	err = g.o.DB.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
		fresh = false
		var n int64
		if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM fork_evidence WHERE origin = $1 AND accepted IS NULL`, f.Origin()).Scan(&n); err != nil || n >= MaxForks {
			return err
		}
		res, err := tx.ExecContext(ctx, `INSERT INTO fork_evidence (digest, origin, evidence, kind, found, accepted, reason)
			VALUES ($1, $2, $3, $4, $5, NULL, '') ON CONFLICT (digest) DO NOTHING`,
			d[:], f.Origin(), f.Marshal(), string(f.Kind), g.o.Now().UnixMicro())
		if err != nil {
			return err
		}
		n, err = res.RowsAffected()
		fresh = n == 1
		return err
	})
	if err != nil {
		return false, fmt.Errorf("keeping evidence about %s: %w", f.Origin(), err)
	}
	return fresh, nil
}

// List returns all evidence kept, in the order found; of one log where origin is
// not empty.
func (g *Gossip) List(ctx context.Context, origin string) (out []Kept, err error) {
	err = g.o.DB.View(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		out = nil
		rows, err := tx.QueryContext(ctx, `SELECT digest, origin, kind, found, accepted, reason FROM fork_evidence
			WHERE origin = $1 OR $2 = '' ORDER BY found, digest`, origin, origin)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, rows.Close()) }()
		for rows.Next() {
			var k Kept
			var d []byte
			var found int64
			var accepted sql.NullInt64
			if err := rows.Scan(&d, &k.Origin, &k.Kind, &found, &accepted, &k.Reason); err != nil {
				return err
			}
			if len(d) != len(k.Digest) {
				return errors.New("a digest in the database has another length")
			}
			copy(k.Digest[:], d)
			k.Found = time.UnixMicro(found).UTC()
			if accepted.Valid {
				k.Accepted = time.UnixMicro(accepted.Int64).UTC()
			}
			out = append(out, k)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("listing evidence: %w", err)
	}
	return out, nil
}

// Open returns the evidence about a log that no operator has accepted.
func (g *Gossip) Open(ctx context.Context, origin string) (open []Kept, err error) {
	all, err := g.List(ctx, origin)
	for _, k := range all {
		if k.Origin == origin && k.Accepted.IsZero() {
			open = append(open, k)
		}
	}
	return open, err
}

// Evidence returns the text of evidence; [ErrNone] where there is none.
func (g *Gossip) Evidence(ctx context.Context, digest [sha256.Size]byte) (text []byte, err error) {
	err = g.o.DB.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT evidence FROM fork_evidence WHERE digest = $1`, digest[:]).Scan(&text)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrNone
	}
	return text, err
}

// Accept notes that an operator has seen evidence, and why the log may go on.
func (g *Gossip) Accept(ctx context.Context, digest [sha256.Size]byte, reason string) error {
	if reason == "" || len(reason) > maxReason {
		return errors.New("accepting evidence: want a reason of 1 to 1,000 bytes")
	}
	var origin string
	err := g.o.DB.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
		return tx.QueryRowContext(ctx, `UPDATE fork_evidence SET accepted = $2, reason = $3 WHERE digest = $1 RETURNING origin`,
			digest[:], g.o.Now().UnixMicro(), reason).Scan(&origin)
	})
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrNone
	}
	if err != nil {
		return fmt.Errorf("accepting evidence %x: %w", digest, err)
	}
	if g.o.OnAccept != nil {
		g.o.OnAccept(origin, digest)
	}
	return nil
}

// ahead is a checkpoint that was ahead of us when a member showed it.
type ahead struct {
	peer       string
	checkpoint *tlog.SignedCheckpoint
}

// remember keeps c until our copy has come as far. Of one member and log the
// smallest are kept: these are reached first, and a log cannot fill the places
// with sizes that never come.
func (g *Gossip) remember(ctx context.Context, peer string, c *tlog.SignedCheckpoint) error {
	return g.o.DB.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO fork_ahead (origin, peer, size, root, checkpoint)
			VALUES ($1, $2, $3, $4, $5) ON CONFLICT (origin, peer, size, root) DO NOTHING`, c.Origin, peer, c.Size, c.Root[:], c.Marshal()); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `DELETE FROM fork_ahead WHERE origin = $1 AND peer = $2 AND (size, root) NOT IN
			(SELECT size, root FROM fork_ahead WHERE origin = $1 AND peer = $2 ORDER BY size, root LIMIT `+fmt.Sprint(maxAhead)+`)`, c.Origin, peer)
		return err
	})
}

func (g *Gossip) reached(ctx context.Context, origin string, size int64) (out []ahead, err error) {
	err = g.o.DB.View(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		out = nil
		rows, err := tx.QueryContext(ctx, `SELECT peer, checkpoint FROM fork_ahead WHERE origin = $1 AND size <= $2 ORDER BY size LIMIT 1000`, origin, size)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, rows.Close()) }()
		for rows.Next() {
			var a ahead
			var text []byte
			if err := rows.Scan(&a.peer, &text); err != nil {
				return err
			}
			if a.checkpoint, err = tlog.ParseCheckpoint(text); err != nil {
				return fmt.Errorf("a checkpoint in the database: %w", err)
			}
			out = append(out, a)
		}
		return rows.Err()
	})
	return out, err
}

func (g *Gossip) forget(ctx context.Context, a ahead) error {
	c := a.checkpoint
	return g.o.DB.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM fork_ahead WHERE origin = $1 AND peer = $2 AND size = $3 AND root = $4`, c.Origin, a.peer, c.Size, c.Root[:])
		return err
	})
}
