package circle

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"vitrine.example/digest"
	"vitrine.example/internal/store"
	"vitrine.example/proof"
	"vitrine.example/statement"
	"vitrine.example/tlog"
)

// ErrNone says that the node belongs to no circle.
var ErrNone = errors.New("this node belongs to no circle")

// ErrOther says that the node belongs to another circle.
var ErrOther = errors.New("this node belongs to another circle")

// Store keeps the circle of a node. Only what counts is kept: what a peer sends
// beside it costs nothing for long.
type Store struct{ DB *store.DB }

// Load returns the history, or [ErrNone].
func (s Store) Load(ctx context.Context) (h *History, err error) {
	err = s.DB.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		h, err = load(ctx, tx)
		return err
	})
	return h, err
}

func load(ctx context.Context, tx *store.Tx) (*History, error) {
	root, err := readRoot(ctx, tx)
	if err != nil {
		return nil, err
	}
	items, err := readItems(ctx, tx)
	if err != nil {
		return nil, err
	}
	h, err := Evaluate(root, items)
	if err != nil {
		return nil, fmt.Errorf("reading the circle: %w", err)
	}
	return h, nil
}

func readRoot(ctx context.Context, tx *store.Tx) (root digest.Digest, err error) {
	var b []byte
	err = tx.QueryRowContext(ctx, `SELECT statement FROM circle_root WHERE one = 1`).Scan(&b)
	if errors.Is(err, sql.ErrNoRows) {
		return root, ErrNone
	} else if err != nil {
		return root, fmt.Errorf("reading the circle's root: %w", err)
	}
	if copy(root[:], b) != len(root) || len(b) != len(root) {
		return root, fmt.Errorf("reading the circle's root: %d bytes", len(b))
	}
	return root, nil
}

func readItems(ctx context.Context, tx *store.Tx) (items []proof.Logged, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT envelope, proof FROM circle_item ORDER BY statement`)
	if err != nil {
		return nil, fmt.Errorf("reading the circle: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var envelope, text []byte
		if err := rows.Scan(&envelope, &text); err != nil {
			return nil, fmt.Errorf("reading the circle: %w", err)
		}
		env, err := statement.Parse(envelope)
		if err != nil {
			return nil, fmt.Errorf("reading the circle: %w", err)
		}
		p, err := tlog.ParseProof(text)
		if err != nil {
			return nil, fmt.Errorf("reading the circle: %w", err)
		}
		items = append(items, proof.Logged{Envelope: env, Proof: p})
	}
	return items, rows.Err()
}

// Merge adds statements to the circle that begins with root, and returns the
// history with them and whether anything was new. A node without a circle gets
// this one; a node of another is refused with [ErrOther].
func (s Store) Merge(ctx context.Context, root digest.Digest, items []proof.Logged) (h *History, changed bool, err error) {
	err = s.DB.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
		h, changed, err = merge(ctx, tx, root, items)
		return err
	})
	return h, changed, err
}

func merge(ctx context.Context, tx *store.Tx, root digest.Digest, items []proof.Logged) (*History, bool, error) {
	have, err := readRoot(ctx, tx)
	fresh := errors.Is(err, ErrNone)
	switch {
	case err != nil && !fresh:
		return nil, false, err
	case !fresh && have != root:
		return nil, false, fmt.Errorf("%w: it begins with sha256:%s, not sha256:%s", ErrOther, have, root)
	}
	old, err := readItems(ctx, tx)
	if err != nil {
		return nil, false, err
	}
	known := make(map[digest.Digest]bool, len(old))
	for i := range old {
		known[old[i].Envelope.Digest()] = true
	}
	h, err := Fit(root, append(old, items...), proof.MaxStatements)
	if err != nil {
		return nil, false, err
	}
	if fresh {
		if _, err := tx.ExecContext(ctx, `INSERT INTO circle_root (one, statement) VALUES (1, $1)`, root[:]); err != nil {
			return nil, false, fmt.Errorf("keeping the circle's root: %w", err)
		}
	}
	changed := fresh
	for i := range h.Used {
		d := h.Used[i].Envelope.Digest()
		if known[d] {
			delete(known, d)
			continue
		}
		changed = true
		if _, err := tx.ExecContext(ctx, `INSERT INTO circle_item (statement, envelope, proof) VALUES ($1, $2, $3)`,
			d[:], h.Used[i].Envelope.Bytes(), h.Used[i].Proof.Marshal()); err != nil {
			return nil, false, fmt.Errorf("keeping the circle: %w", err)
		}
	}
	if len(h.Used)+len(known) <= proof.MaxStatements {
		return h, changed, nil // what counts no longer costs nothing
	}
	for d := range known { // it makes room
		changed = true
		if _, err := tx.ExecContext(ctx, `DELETE FROM circle_item WHERE statement = $1`, d[:]); err != nil {
			return nil, false, fmt.Errorf("keeping the circle: %w", err)
		}
	}
	return h, changed, nil
}

// File returns the circle's file: a bundle of all that counts.
func (h *History) File() ([]byte, error) {
	b := proof.Bundle{Statements: h.Used}
	raw, err := b.Marshal()
	if err != nil {
		return nil, fmt.Errorf("writing the circle: %w", err)
	}
	return raw, nil
}
