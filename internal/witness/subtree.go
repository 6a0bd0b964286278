package witness

import (
	"context"
	"errors"
	"net/http"
	"time"

	"vitrine.example/tlog"
)

// signSubtree serves the call of that name (tlog-witness, section
// "sign-subtree"), and returns the signature line of the ML-DSA-44 key.
func (w *Witness) signSubtree(ctx context.Context, body []byte) ([]byte, error) {
	signers := w.subtreeSigners()
	if len(signers) == 0 {
		return nil, refuse(http.StatusNotFound, "this witness has no key for subtrees")
	}
	q, err := tlog.ParseSignSubtree(body)
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "%v", err)
	}
	if err := w.trusted(); err != nil {
		return nil, err
	}
	leave, err := w.gate.enterLog(OriginHash(q.Checkpoint.Origin))
	if err != nil {
		return nil, err
	}
	defer leave()
	r, err := w.lookup(ctx, q.Checkpoint.Origin)
	if err != nil {
		return nil, err
	}
	// "The witness MUST verify that the checkpoint includes a valid cosignature
	// from one of its own keys."
	if _, err := verifiedBy(w.Verifiers(), q.Checkpoint); err != nil {
		return nil, err
	}
	if err := q.Subtree.Verify(q.Checkpoint.Size, q.Checkpoint.Root, q.Proof); err != nil {
		return nil, refuse(http.StatusUnprocessableEntity, "%v", err)
	}
	if err := held(r); err != nil {
		return nil, err
	}
	if err := w.rates.take(r, false, w.o.Now()); err != nil {
		return nil, err
	}
	var lines []byte
	for _, s := range signers {
		sig, err := s.SignSubtree(q.Checkpoint.Origin, q.Subtree)
		if err != nil {
			w.o.Log.Error("cosigning a subtree", "origin", q.Checkpoint.Origin, "err", err)
			return nil, later(http.StatusServiceUnavailable, time.Minute, "the witness cannot sign at present")
		}
		lines = append(lines, sig.Marshal()...)
	}
	return lines, nil
}

// subtreeSigners are the keys that sign subtrees: one, or two while one takes the
// place of the other. "The response body MUST be a sequence of one or more note
// signature lines."
func (w *Witness) subtreeSigners() (out []*tlog.Signer) {
	for _, s := range w.o.Signers {
		if s.Verifier().Type() == tlog.MLDSA44Cosignature {
			out = append(out, s)
		}
	}
	return out
}

// checkpoint returns the newest cosigned checkpoint of a log.
func (w *Witness) checkpoint(ctx context.Context, hash [32]byte) ([]byte, error) {
	if err := w.trusted(); err != nil {
		return nil, err
	}
	r, err := w.byHash(ctx, hash)
	if errors.Is(err, ErrUnknown) || err == nil && r.checkpoint == nil {
		// "If the witness has never cosigned a checkpoint for that log, it MUST
		// respond with a 404."
		return nil, refuse(http.StatusNotFound, "this witness has not cosigned a checkpoint of that log")
	} else if err != nil {
		return nil, err
	}
	return r.checkpoint, nil
}
