package release

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"vitrine.example/digest"
	"vitrine.example/internal/store"
	"vitrine.example/statement"
)

// claim is the hold of a statement on its names.
type claim struct {
	statement digest.Digest
	product   string
	channel   string
	seq       int64 // 0 without a channel
	version   string
	index     int64 // -1 where the log has not told
}

func claimOf(d digest.Digest, r *statement.Release) claim {
	return claim{statement: d, product: r.Product, channel: r.Channel, seq: r.Seq, version: r.Version, index: -1}
}

// String names the statement for people: digest, and index where this database knows it.
func (c claim) String() string {
	if c.index < 0 {
		return fmt.Sprintf("statement %s", c.statement)
	}
	return fmt.Sprintf("statement %s, index %d", c.statement, c.index)
}

// name says what is claimed by the version.
func (c claim) name() string {
	if c.channel == "" {
		return fmt.Sprintf("%s version %q", c.product, c.version)
	}
	return fmt.Sprintf("%s version %q on channel %s", c.product, c.version, c.channel)
}

// slot says what is claimed by the number.
func (c claim) slot() string {
	return fmt.Sprintf("%s seq %d on channel %s", c.product, c.seq, c.channel)
}

// Admit claims (product, channel, seq) and (product, channel, version) for the
// release statement in env, or returns [ErrConflict] where another statement
// has one of them, or where Previous is not the statement of Seq-1. Statements
// that are no release are let through. It is called in the transaction that
// precedes logging; again with the same statement it does nothing.
func Admit(ctx context.Context, tx *store.Tx, env *statement.Envelope) error {
	said := env.Statement()
	if said.PredicateType != statement.ReleaseType {
		return nil
	}
	rel, err := said.Release()
	if err != nil {
		return fmt.Errorf("release: %w", err)
	}
	c := claimOf(env.Digest(), rel)
	if have, err := claimBy(ctx, tx, c.statement); have != nil || err != nil {
		return err
	}
	if err := c.free(ctx, tx); err != nil {
		return err
	}
	if err := c.follows(ctx, tx, rel.Previous); err != nil {
		return err
	}
	return c.insert(ctx, tx)
}

// free returns ErrConflict where another statement has the version or the number.
func (c claim) free(ctx context.Context, tx *store.Tx) error {
	other, err := claimOfVersion(ctx, tx, c.product, c.channel, c.version)
	if err != nil {
		return err
	}
	if other != nil && other.statement != c.statement {
		return fmt.Errorf("%s: %w: %s", c.name(), ErrConflict, other)
	}
	if c.channel == "" {
		return nil
	}
	other, err = claimOfSeq(ctx, tx, c.product, c.channel, c.seq)
	if err != nil {
		return err
	}
	if other != nil && other.statement != c.statement {
		return fmt.Errorf("%s: %w: version %q, %s", c.slot(), ErrConflict, other.version, other)
	}
	return nil
}

// follows returns ErrConflict where previous is not the statement before c.
func (c claim) follows(ctx context.Context, tx *store.Tx, previous *digest.Digest) error {
	if c.seq <= 1 {
		return nil
	}
	before, err := claimOfSeq(ctx, tx, c.product, c.channel, c.seq-1)
	switch {
	case err != nil:
		return err
	case before == nil:
		return fmt.Errorf("%s: %w: there is no seq %d before it", c.slot(), ErrConflict, c.seq-1)
	case previous == nil || *previous != before.statement:
		return fmt.Errorf("%s: %w: previous is %v, but seq %d is %s", c.slot(), ErrConflict, shown(previous), before.seq, before)
	}
	return nil
}

func shown(d *digest.Digest) string {
	if d == nil {
		return "missing"
	}
	return d.String()
}

// insert writes the claim. Where another transaction was faster both engines
// refuse, and the transaction is run again.
func (c claim) insert(ctx context.Context, tx *store.Tx) error {
	seq := sql.NullInt64{Int64: c.seq, Valid: c.channel != ""}
	res, err := tx.ExecContext(ctx,
		`INSERT INTO release_claim (statement, product, channel, seq, version) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT DO NOTHING`, c.statement[:], c.product, c.channel, seq, c.version)
	if err != nil {
		return fmt.Errorf("claiming %s: %w", c.name(), err)
	}
	if n, err := res.RowsAffected(); err != nil || n != 1 {
		return errors.Join(fmt.Errorf("%s: %w", c.name(), ErrConflict), err)
	}
	return nil
}

const claimColumns = `SELECT statement, product, channel, seq, version, idx FROM release_claim `

func claimBy(ctx context.Context, tx *store.Tx, d digest.Digest) (*claim, error) {
	return scanClaim(tx.QueryRowContext(ctx, claimColumns+`WHERE statement = $1`, d[:]))
}

func claimOfVersion(ctx context.Context, tx *store.Tx, product, channel, version string) (*claim, error) {
	return scanClaim(tx.QueryRowContext(ctx,
		claimColumns+`WHERE product = $1 AND channel = $2 AND version = $3`, product, channel, version))
}

func claimOfSeq(ctx context.Context, tx *store.Tx, product, channel string, seq int64) (*claim, error) {
	return scanClaim(tx.QueryRowContext(ctx,
		claimColumns+`WHERE product = $1 AND channel = $2 AND seq = $3`, product, channel, seq))
}

// newestClaim returns the release of a channel with the highest number.
func newestClaim(ctx context.Context, tx *store.Tx, product, channel string) (*claim, error) {
	return scanClaim(tx.QueryRowContext(ctx,
		claimColumns+`WHERE product = $1 AND channel = $2 ORDER BY seq DESC LIMIT 1`, product, channel))
}

// scanClaim reads a row; nil where there is none.
func scanClaim(row *sql.Row) (*claim, error) {
	var c claim
	var raw []byte
	var seq, idx sql.NullInt64
	err := row.Scan(&raw, &c.product, &c.channel, &seq, &c.version, &idx)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading what was released: %w", err)
	}
	if c.index = -1; idx.Valid {
		c.index = idx.Int64
	}
	c.seq = seq.Int64
	c.statement, err = toDigest(raw)
	return &c, err
}

// noteIndex keeps the index of a claim, for those who meet it later.
func (p *Publisher) noteIndex(ctx context.Context, d digest.Digest, index int64) error {
	return p.DB.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE release_claim SET idx = $1 WHERE statement = $2 AND idx IS NULL`, index, d[:])
		return err
	})
}

// overtaken reports whether env was not admitted because another statement has
// its place.
func (p *Publisher) overtaken(ctx context.Context, env *statement.Envelope) (yes bool, err error) {
	rel, err := env.Statement().Release()
	if err != nil {
		return false, err
	}
	c := claimOf(env.Digest(), rel)
	err = p.DB.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		have, err := claimBy(ctx, tx, c.statement)
		if have != nil || err != nil {
			return err
		}
		err = c.free(ctx, tx)
		if yes = errors.Is(err, ErrConflict); yes {
			return nil
		}
		return err
	})
	return yes, err
}
