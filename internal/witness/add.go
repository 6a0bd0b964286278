package witness

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"vitrine.example/internal/store"
	"vitrine.example/tlog"
)

// keptViews is how many of the last checkpoints of a log are kept, to recognise
// another history among smaller checkpoints that come late.
const keptViews = 1024

// addCheckpoint serves the call of that name (tlog-witness, section
// "add-checkpoint"), in the order of its text, and returns signature lines.
func (w *Witness) addCheckpoint(ctx context.Context, body []byte) ([]byte, error) {
	q, err := tlog.ParseAddCheckpoint(body)
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "%v", err)
	}
	if err := w.trusted(); err != nil {
		return nil, err
	}
	h := OriginHash(q.Checkpoint.Origin)
	leave, err := w.gate.enterLog(h)
	if err != nil {
		return nil, err
	}
	defer leave()
	// What is remembered of the log may be out of date. That can only lead to a
	// refusal, as the update names all that was relied on; no request is refused
	// without having looked.
	if r := w.recent.get(h); r != nil {
		if out, err := w.serveAdd(ctx, r, q, nil); err == nil {
			return out, nil
		}
	}
	r, err := w.lookup(ctx, q.Checkpoint.Origin)
	if err != nil {
		return nil, err
	}
	return w.serveAdd(ctx, r, q, w.judge)
}

// serveAdd checks a request against a row, cosigns and advances. judge, where it
// is given, sees what the log has signed and is refused.
func (w *Witness) serveAdd(ctx context.Context, r *row, q *tlog.AddCheckpoint, judge func(context.Context, *row, *tlog.SignedCheckpoint, error)) ([]byte, error) {
	c, err := w.signedByLog(r, q.Checkpoint)
	if err != nil {
		return nil, err
	}
	// The log has signed this: whatever is wrong from here on may be its fault.
	if err := checkGrowth(r, q, c); err != nil {
		if judge != nil {
			judge(ctx, r, c, err)
		}
		return nil, err
	}
	if err := held(r); err != nil {
		return nil, err
	}
	if err := w.rates.take(r, c.Size > r.size, w.o.Now()); err != nil {
		return nil, err
	}
	w.commits.coming.Add(1)
	sigs, err := w.cosign(c.Checkpoint)
	w.commits.coming.Add(-1)
	if err != nil {
		return nil, err
	}
	if err := w.advance(ctx, r, c, sigs); err != nil {
		return nil, err
	}
	var out []byte
	for _, s := range sigs {
		out = append(out, s.Marshal()...)
	}
	return out, nil
}

// lookup finds a log: "If the checkpoint origin is unknown, the witness MUST
// respond with a 404".
func (w *Witness) lookup(ctx context.Context, origin string) (r *row, err error) {
	err = w.view(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		r, err = readRow(ctx, tx, OriginHash(origin))
		return err
	})
	if errors.Is(err, ErrUnknown) {
		return nil, refuse(http.StatusNotFound, "this witness does not know a log of that origin")
	}
	return r, err
}

// signedByLog checks the log's signatures and returns the checkpoint with these
// alone. "It MUST ignore signatures from unknown keys"; 403 "if either no
// signature from a trusted key for the origin is present, or a signature line's
// key name and ID match a trusted key but the signature itself fails to verify".
func (w *Witness) signedByLog(r *row, c *tlog.SignedCheckpoint) (*tlog.SignedCheckpoint, error) {
	keys, err := w.keys.parse(r.vkeys)
	if err != nil {
		return nil, err
	}
	return verifiedBy(keys, c)
}

func verifiedBy(keys []tlog.Verifier, c *tlog.SignedCheckpoint) (*tlog.SignedCheckpoint, error) {
	out := &tlog.SignedCheckpoint{Checkpoint: c.Checkpoint}
	for _, k := range keys {
		switch _, err := k.Verify(c); {
		case errors.Is(err, tlog.ErrNotSigned):
			continue
		case err != nil:
			return nil, refuse(http.StatusForbidden, "%v", err)
		}
		for _, s := range c.Signatures {
			if s.Name == k.Name() && s.KeyID == k.KeyID() {
				out.Signatures = append(out.Signatures, s)
			}
		}
	}
	if len(out.Signatures) == 0 {
		return nil, refuse(http.StatusForbidden, "no signature of a key that is trusted here for that origin")
	}
	return out, nil
}

// checkGrowth checks sizes and proof against what was cosigned last.
func checkGrowth(r *row, q *tlog.AddCheckpoint, c *tlog.SignedCheckpoint) error {
	switch {
	case q.Old > c.Size:
		return refuse(http.StatusBadRequest, "the old size %d is above the size %d of the checkpoint", q.Old, c.Size)
	case q.Old != r.size:
		return conflict(r.size)
	case c.Size == 0 && c.Root != tlog.EmptyRoot():
		return refuse(http.StatusUnprocessableEntity, "a checkpoint of size 0 with another root hash than that of the empty tree")
	}
	if err := tlog.VerifyConsistency(q.Old, c.Size, r.root, c.Root, q.Proof); err != nil {
		return refuse(http.StatusUnprocessableEntity, "%v", err)
	}
	return nil
}

// held refuses logs that an operator has to look at. The specification has no
// answer for it; 503 says that neither the request nor the log is unknown or
// malformed.
func held(r *row) error {
	switch {
	case r.forked:
		return refuse(http.StatusServiceUnavailable,
			"this log has signed two histories: it is not cosigned until the operator of the witness has accepted that")
	case r.paused:
		return refuse(http.StatusServiceUnavailable, "the operator of the witness has paused this log")
	}
	return nil
}

// cosign signs with all keys that can. Nothing of it may leave before advance
// has returned.
func (w *Witness) cosign(c tlog.Checkpoint) ([]tlog.Signature, error) {
	var able []*tlog.Signer
	for _, s := range w.o.Signers {
		if s.Verifier().Type() == tlog.MLDSA44Cosignature && len(c.Extensions) > 0 {
			continue // it would not cover the extension lines
		}
		able = append(able, s)
	}
	sigs, errs := make([]tlog.Signature, len(able)), make([]error, len(able))
	var wg sync.WaitGroup
	for i, s := range able {
		wg.Go(func() { sigs[i], errs[i] = s.SignCheckpoint(c) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		w.o.Log.Error("cosigning", "origin", c.Origin, "size", c.Size, "err", err)
		return nil, later(http.StatusServiceUnavailable, time.Minute, "the witness cannot sign at present")
	}
	for i, sig := range sigs {
		// "The timestamp MUST NOT be zero."
		if len(sig.Bytes) < 8 || binary.BigEndian.Uint64(sig.Bytes) == 0 {
			return nil, fmt.Errorf("cosigning with %s: the signer has no clock", able[i].Verifier())
		}
	}
	if len(sigs) == 0 && !w.o.pending {
		return nil, refuse(http.StatusUnprocessableEntity, "this witness has no key that covers extension lines")
	}
	return sigs, nil
}

// advance makes c the latest cosigned checkpoint, if r still is: in one
// transaction, and durably. "Checking the old size against the latest checkpoint
// and persisting the new checkpoint must be performed atomically."
func (w *Witness) advance(ctx context.Context, r *row, c *tlog.SignedCheckpoint, sigs []tlog.Signature) error {
	cosigned := &tlog.SignedCheckpoint{Checkpoint: c.Checkpoint}
	cosigned.Signatures = append(append(cosigned.Signatures, c.Signatures...), sigs...)
	next := *r
	next.size, next.root, next.checkpoint, next.cosigned = c.Size, c.Root, cosigned.Marshal(), w.now()
	grows := c.Size != r.size
	if grows {
		next.grown++
	}
	var outcome error
	var found []Evidence
	err := w.commit(ctx, func(ctx context.Context, tx *store.Tx) (grown bool, err error) {
		outcome, found = nil, nil
		condition := "" // what came under this size was judged when the log grew to it
		if grows {
			condition = unsuspected
		}
		moved, err := move(ctx, tx, r, &next, condition)
		if err == nil && !moved {
			moved, outcome, err = w.moveSuspected(ctx, tx, r, &next, c, &found)
		}
		if err != nil || !moved || !grows {
			return false, err
		}
		return true, keepView(ctx, tx, r, c)
	})
	if err == nil {
		w.tell(found)
	}
	if err != nil || outcome != nil {
		return errors.Join(err, outcome)
	}
	w.recent.put(&next)
	w.metrics.last.Set(float64(next.cosigned) / 1e6)
	if grows {
		w.metrics.growth.Inc()
	}
	return nil
}

// unsuspected is the condition that nothing was sent under the new size that the
// new checkpoint contradicts.
const unsuspected = ` AND NOT EXISTS (SELECT 1 FROM witness_evidence e
	WHERE e.origin_hash = $1 AND e.size = $2 AND e.root <> $3 AND e.kind = 'suspect')`

// move makes next of r, where the row is still r and the log is not held. This
// one statement is what keeps two requests from being cosigned side by side.
func move(ctx context.Context, tx *store.Tx, r, next *row, condition string) (bool, error) {
	res, err := tx.ExecAgain(ctx, `UPDATE witness_log
		SET size = $2, root = $3, checkpoint = $4, cosigned_at = $5, grown = $6
		WHERE origin_hash = $1 AND size = $7 AND root = $8 AND grown = $9 AND vkeys = $10 AND NOT paused AND NOT forked`+condition,
		r.hash[:], next.size, next.root[:], next.checkpoint, next.cosigned, next.grown, r.size, r.root[:], r.grown, r.vkeys)
	if err != nil {
		return false, err
	}
	n, err := res.RowsAffected()
	return n > 0, err
}

// moveSuspected is what remains where the row could not be moved at once: it may
// be held from now on, be moved after all (an operator has accepted what there
// is), or have been overtaken.
func (w *Witness) moveSuspected(ctx context.Context, tx *store.Tx, r, next *row, c *tlog.SignedCheckpoint, found *[]Evidence) (moved bool, outcome, err error) {
	if next.size != r.size {
		now, err := readRow(ctx, tx, r.hash)
		if err != nil {
			return false, nil, err
		}
		if err := held(now); err != nil {
			return false, err, nil
		}
		if now.size != r.size {
			return false, conflict(now.size), nil
		}
		forked, err := w.judgeSuspects(ctx, tx, r, c, next.cosigned, found)
		if err != nil || forked {
			return false, held(&row{forked: true}), err
		}
		if moved, err = move(ctx, tx, r, next, ""); moved || err != nil {
			return moved, nil, err
		}
	}
	outcome, err = overtaken(ctx, tx, r)
	return false, outcome, err
}

// keepView remembers what was cosigned.
func keepView(ctx context.Context, tx *store.Tx, r *row, c *tlog.SignedCheckpoint) error {
	_, err := tx.ExecAgain(ctx, `INSERT INTO witness_view (origin_hash, slot, size, root, checkpoint)
		VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (origin_hash, slot) DO UPDATE SET size = excluded.size, root = excluded.root, checkpoint = excluded.checkpoint`,
		r.hash[:], r.grown%keptViews, c.Size, c.Root[:], c.Marshal())
	return err
}

// overtaken says why the row is no longer as it was read.
func overtaken(ctx context.Context, tx *store.Tx, was *row) (answer, err error) {
	r, err := readRow(ctx, tx, was.hash)
	if err != nil {
		return nil, err
	}
	if err := held(r); err != nil {
		return err, nil
	}
	if r.size != was.size {
		return conflict(r.size), nil
	}
	return later(http.StatusServiceUnavailable, time.Second, "the log was changed meanwhile"), nil
}
