package projection

import (
	"context"
	"errors"
	"fmt"

	"vitrine.example/digest"
	"vitrine.example/internal/store"
	"vitrine.example/tlog"
)

// How many entries are looked at again at once, and in one step.
const (
	againBatch   = 1024
	againBatches = 16
)

// Arrived says that the statement behind an entry of another's log may be held
// now. It is a hint: without it the entry is found by and by.
func (p *Projection) Arrived(ctx context.Context, origin string, index int64) error {
	f, err := p.followed(origin)
	if err != nil {
		return err
	}
	err = p.DB.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE projected_entry SET again = $1
			WHERE log_id = $2 AND idx = $3 AND again = $4`, againNow, f.id, index, againLater)
		return err
	})
	if err != nil {
		return fmt.Errorf("noting that entry %d of %s is looked at again: %w", index, origin, err)
	}
	f.poke()
	return nil
}

// retrust asks for the trusted keys. Where they have changed, the statements of
// keys that came or went are looked at again.
func (f *follow) retrust(ctx context.Context) error {
	if f.keys == nil {
		f.trust.any = true
		return nil
	}
	keys, err := f.keys(ctx)
	if err != nil {
		return fmt.Errorf("asking for the statement keys: %w", err)
	}
	t := trusting(keys)
	if t.same(f.trust) {
		return nil
	}
	err = f.p.DB.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
		for _, id := range append(t.without(f.trust), f.trust.without(t)...) {
			if _, err := tx.ExecContext(ctx, `UPDATE projected_entry SET again = $1 WHERE log_id = $2 AND key_id = $3`,
				againNow, f.id, id[:]); err != nil {
				return err
			}
		}
		_, err := tx.ExecContext(ctx, `UPDATE projected_log SET key_ids = $1 WHERE id = $2`, t.ids, f.id)
		return err
	})
	if err != nil {
		return fmt.Errorf("noting the statement keys: %w", err)
	}
	f.trust = t
	return nil
}

// without returns the keys of t that o has not.
func (t trust) without(o trust) (out []digest.Digest) {
	for ids := t.ids; len(ids) >= digest.Size; ids = ids[digest.Size:] {
		if id := digest.Digest(ids[:digest.Size]); !o.has(id) {
			out = append(out, id)
		}
	}
	return out
}

// waiting is an entry that is to be looked at again.
type waiting struct {
	Place
	again    int64
	envelope digest.Digest
	problem  string
}

// lookAgain looks at entries that may say something else than before: those of
// which that is known, and with all some of the others. It returns how many did.
func (f *follow) lookAgain(ctx context.Context, all bool) (int64, error) {
	for range againBatches {
		list, err := f.waiting(ctx, againNow, 0)
		if err == nil && len(list) == 0 && all {
			list, err = f.waiting(ctx, againLater, f.cursor)
		}
		if err != nil {
			return 0, fmt.Errorf("reading which entries lack their statement: %w", err)
		}
		if len(list) == 0 {
			f.cursor = 0
			return 0, nil
		}
		if list[0].again == againLater {
			f.cursor = list[len(list)-1].Index + 1
		}
		if n, err := f.lookAt(ctx, list); err != nil || n > 0 {
			return n, err
		}
	}
	return 0, nil
}

// lookAt looks at some entries again and returns how many say something else.
func (f *follow) lookAt(ctx context.Context, list []waiting) (int64, error) {
	changed, err := f.recheck(ctx, list)
	if err != nil || len(changed) == 0 {
		return 0, err
	}
	err = f.p.DB.Update(ctx, func(ctx context.Context, tx *store.Tx) error { return f.replace(ctx, tx, changed) })
	if err != nil {
		return 0, fmt.Errorf("projecting entries again: %w", err)
	}
	return int64(len(changed)), nil
}

func (f *follow) waiting(ctx context.Context, again, from int64) ([]waiting, error) {
	var out []waiting
	err := f.p.DB.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		out = nil
		rows, err := tx.QueryContext(ctx, `SELECT idx, leaf_hash, again, envelope, problem FROM projected_entry
			WHERE log_id = $1 AND again = $2 AND again > 0 AND idx >= $3 ORDER BY idx LIMIT $4`, f.id, again, from, againBatch)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var w waiting
			var hash, env []byte
			if err := rows.Scan(&w.Index, &hash, &w.again, &env, &w.problem); err != nil {
				return err
			}
			h, err := toDigest(hash)
			if err != nil {
				return err
			}
			w.LeafHash = tlog.Hash(h)
			if w.envelope, err = toDigest(env); err != nil {
				return err
			}
			out = append(out, w)
		}
		return rows.Err()
	})
	return out, err
}

// recheck reads the entries again and returns those of which something else is
// to be written than what is there.
func (f *follow) recheck(ctx context.Context, list []waiting) ([]fact, error) {
	facts := make([]fact, len(list))
	for i, w := range list {
		facts[i] = fact{index: w.Index, kind: Statement, leafHash: w.LeafHash}
	}
	if err := f.explain(ctx, facts); err != nil {
		return nil, err
	}
	for i, w := range list {
		if facts[i].said.IsZero() && w.again == againLater && w.problem == problemUnknown {
			facts[i].kind = Other // nothing is new
			continue
		}
		raws, err := f.leaves(ctx, w.Index, 1)
		if err != nil {
			return nil, fmt.Errorf("reading entry %d again: %w", w.Index, err)
		}
		facts[i] = parse(w.Index, raws[0])
		if facts[i].kind != Statement || facts[i].leafHash != w.LeafHash {
			return nil, fmt.Errorf("entry %d is another than it was: whoever serves the log has changed it", w.Index)
		}
	}
	n, err := f.check(ctx, facts, f.trust)
	if err != nil {
		return nil, err
	}
	var changed []fact
	for i, e := range facts[:n] {
		w := list[i]
		if e.kind != Other && (e.problem != w.problem || e.envelope != w.envelope || e.again() != w.again) {
			changed = append(changed, e)
		}
	}
	if n < len(list) && list[0].again == againLater {
		f.cursor = list[n].Index
	}
	return changed, nil
}

// replace writes facts in the place of what the tables say of their entries.
func (f *follow) replace(ctx context.Context, tx *store.Tx, facts []fact) error {
	var gone Counts
	for i := range facts {
		if err := f.erase(ctx, tx, facts[i].index, &gone); err != nil {
			return err
		}
	}
	c, err := insert(ctx, tx, f.id, facts)
	if err != nil {
		return err
	}
	if f.source == nil {
		if err := settle(ctx, tx, facts); err != nil {
			return err
		}
	}
	_, err = tx.ExecContext(ctx, `UPDATE projected_log SET statements = statements + $1, releases = releases + $2
		WHERE id = $3`, c.Statements-gone.Statements, c.Releases-gone.Releases, f.id)
	return err
}

// eraseTexts take an entry out of the tables: with a statement, without one, and
// what it said.
var eraseTexts = []string{
	`DELETE FROM projected_entry WHERE log_id = $1 AND idx = $2 AND envelope IS NOT NULL`,
	`DELETE FROM projected_entry WHERE log_id = $1 AND idx = $2`,
	`DELETE FROM projected_release WHERE log_id = $1 AND idx = $2`,
	`DELETE FROM projected_subject WHERE log_id = $1 AND idx = $2`,
	`DELETE FROM projected_artifact WHERE log_id = $1 AND idx = $2`,
	`DELETE FROM projected_rebuild WHERE log_id = $1 AND idx = $2`,
	`DELETE FROM projected_rebuilt WHERE log_id = $1 AND idx = $2`,
	`DELETE FROM projected_provenance WHERE log_id = $1 AND idx = $2`,
}

// erase takes an entry out of the tables and counts what it said.
func (f *follow) erase(ctx context.Context, tx *store.Tx, index int64, gone *Counts) error {
	var n []int64
	for _, q := range eraseTexts {
		res, err := tx.ExecContext(ctx, q, f.id, index)
		if err != nil {
			return err
		}
		rows, err := res.RowsAffected()
		if err != nil {
			return err
		}
		n = append(n, rows)
	}
	if n[0]+n[1] != 1 {
		return errors.Join(errMoved, fmt.Errorf("entry %d is not in the tables", index))
	}
	gone.Statements += n[0]
	gone.Releases += n[2]
	return nil
}
