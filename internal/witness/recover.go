package witness

import (
	"context"
	"errors"
	"fmt"

	"vitrine.example/internal/store"
	"vitrine.example/tlog"
)

// ErrNotLost is returned by [Witness.Recover] where there is nothing to recover.
var ErrNotLost = errors.New("the state of the witness is not lost")

// reasonAfterLoss stands at logs that are added after the state was lost.
const reasonAfterLoss = "the witness has lost its state and may have cosigned this log before: adopt the newest checkpoint that it cosigned, or resume the log with a reason if it never did"

// Recover lets a witness that has lost its state (see [Witness.Lost]) go on. It
// takes a new name for the state, by which the old database is refused from then
// on, and pauses every log. Each is resumed by [Witness.Adopt], or by
// [Witness.Resume] on the operator's word.
func (w *Witness) Recover(ctx context.Context, reason string) error {
	if err := checkReason(reason); err != nil {
		return fmt.Errorf("recovering the witness: %w", err)
	}
	if err := w.recover(ctx, reason); err != nil {
		return fmt.Errorf("recovering the witness: %w", err)
	}
	w.o.Log.Warn("witness recovered: all logs are paused", "reason", reason)
	return nil
}

func (w *Witness) recover(ctx context.Context, reason string) error {
	s := &w.state
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.path == "" || s.refusal == "" {
		return ErrNotLost
	}
	// The count is not 0, so that losing the database once more is noticed. The
	// file is first: where the second step is not reached, the state stays lost.
	m := newMark(1)
	if err := saveMark(s.path, m); err != nil {
		return err
	}
	err := w.update(ctx, func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO witness_state (id, growths, behind, recovered, reason) VALUES ($1, $2, $3, $4, $5)`,
			m.id[:], m.count, false, w.now(), reason)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE witness_log SET paused = $1, reason = $2 WHERE NOT paused`, true, reasonAfterLoss)
		return err
	})
	if err != nil {
		return err
	}
	f, m, err := openMark(s.path)
	if err != nil {
		return err
	}
	if s.f != nil {
		err = s.f.Close()
	}
	s.f, s.mark, s.synced, s.refusal, s.recovered = f, m, m.count, "", true
	return err
}

// Adopt moves a paused log to a checkpoint that bears the log's signature and a
// cosignature of this witness, and resumes it: the witness has cosigned it before,
// whatever its database knows.
//
// That it is the newest one that the witness has cosigned cannot be proven: the
// log may hide those that came after. Take it from whoever has no interest in
// that: other witnesses, mirrors, monitors.
func (w *Witness) Adopt(ctx context.Context, checkpoint []byte, reason string) (Status, error) {
	if err := checkReason(reason); err != nil {
		return Status{}, fmt.Errorf("adopting a checkpoint: %w", err)
	}
	c, err := tlog.ParseCheckpoint(checkpoint)
	if err != nil {
		return Status{}, fmt.Errorf("adopting a checkpoint: %w", err)
	}
	own, err := verifiedBy(w.Verifiers(), c)
	if err != nil {
		return Status{}, fmt.Errorf("adopting a checkpoint of %s: cosignature of this witness: %w", c.Origin, err)
	}
	if err := w.adopt(ctx, c, own.Signatures, reason); err != nil {
		return Status{}, fmt.Errorf("adopting a checkpoint of %s: %w", c.Origin, err)
	}
	w.o.Log.Warn("log adopted", "origin", c.Origin, "size", c.Size, "reason", reason)
	return w.Get(ctx, c.Origin)
}

// adopt makes c the row. It counts as a growth: its cosignature has left.
func (w *Witness) adopt(ctx context.Context, c *tlog.SignedCheckpoint, own []tlog.Signature, reason string) error {
	if why := w.Lost(); why != "" {
		return fmt.Errorf("%w: recover the witness first", ErrState)
	}
	var found []Evidence
	contradicts := false
	err := w.commit(ctx, func(ctx context.Context, tx *store.Tx) (grown bool, err error) {
		found, contradicts = nil, false
		r, err := readRow(ctx, tx, OriginHash(c.Origin))
		if err != nil {
			return false, err
		}
		if !r.paused {
			return false, errors.New("the log is not paused: its state is known")
		}
		signed, err := w.signedByLog(r, c)
		if err != nil {
			return false, err
		}
		if c.Size < r.size {
			return false, fmt.Errorf("size %d is below size %d, which was cosigned too", c.Size, r.size)
		}
		// Two roots of one size under our own cosignature, or under the log's.
		a, err := contradicted(ctx, tx, r, signed)
		if err != nil {
			return false, err
		}
		if a != nil {
			contradicts = true
			_, err = w.keepFork(ctx, tx, r, a, signed, w.now(), &found)
			return false, err
		}
		next := &tlog.SignedCheckpoint{Checkpoint: c.Checkpoint, Signatures: append(signed.Signatures[:len(signed.Signatures):len(signed.Signatures)], own...)}
		_, err = tx.ExecContext(ctx, `UPDATE witness_log SET size = $2, root = $3, checkpoint = $4, cosigned_at = $5, grown = grown + 1, paused = $6, reason = $7
			WHERE origin_hash = $1`, r.hash[:], c.Size, c.Root[:], next.Marshal(), w.now(), false, reason)
		if err != nil {
			return false, err
		}
		return true, keepView(ctx, tx, &row{hash: r.hash, grown: r.grown + 1}, signed)
	})
	if err == nil && contradicts {
		w.tell(found)
		return errors.New("it contradicts what was cosigned at that size: see the evidence")
	}
	return err
}

// ErrNoFork is returned by [Witness.Hold] for what shows no fork.
var ErrNoFork = errors.New("the two checkpoints do not contradict each other by themselves")

// Hold takes evidence that was found elsewhere: two checkpoints of one size and
// two roots, both signed by the log. It is kept as a fork, and the log is not
// cosigned until [Witness.Resume]. A fork that an operator has accepted does not
// hold the log again. What needs more than two checkpoints to be shown is
// [ErrNoFork]; whoever has checked it may pause the log.
func (w *Witness) Hold(ctx context.Context, origin string, a, b []byte) error {
	var both [2]*tlog.SignedCheckpoint
	for i, text := range [][]byte{a, b} {
		c, err := tlog.ParseCheckpoint(text)
		if err != nil {
			return fmt.Errorf("holding %s: checkpoint %d: %w", origin, i+1, err)
		}
		if c.Origin != origin {
			return fmt.Errorf("holding %s: checkpoint %d is one of %s: %w", origin, i+1, c.Origin, ErrNoFork)
		}
		both[i] = c
	}
	if both[0].Size != both[1].Size || both[0].Root == both[1].Root {
		return fmt.Errorf("holding %s: %w", origin, ErrNoFork)
	}
	var found []Evidence
	err := w.update(ctx, func(ctx context.Context, tx *store.Tx) error {
		found = nil
		r, err := readRow(ctx, tx, OriginHash(origin))
		if err != nil {
			return err
		}
		var signed [2]*tlog.SignedCheckpoint
		for i, c := range both {
			if signed[i], err = w.signedByLog(r, c); err != nil {
				return fmt.Errorf("checkpoint %d: %w", i+1, err)
			}
		}
		// Those that are the other way around are the same fork.
		if string(signed[0].Root[:]) > string(signed[1].Root[:]) {
			signed[0], signed[1] = signed[1], signed[0]
		}
		_, err = w.keepFork(ctx, tx, r, signed[0].Marshal(), signed[1], w.now(), &found)
		return err
	})
	if err != nil {
		return fmt.Errorf("holding %s: %w", origin, err)
	}
	w.tell(found)
	return nil
}
