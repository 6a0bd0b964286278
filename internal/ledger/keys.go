package ledger

import (
	"errors"
	"time"

	"vitrine.example/tlog"
)

// Verifier tells whether the log signed a checkpoint: a [tlog.Verifier], or
// [AnyOf] those that it had.
type Verifier interface {
	Name() string // the origin
	// Verify fails with [tlog.ErrNotSigned] where the log did not sign.
	Verify(*tlog.SignedCheckpoint) (time.Time, error)
}

// AnyOf is the verifier of a log whose key was rotated: what one of its keys has
// signed, the log has signed. A signature line under the key ID of one of them
// that is wrong is an error, whatever the others say.
func AnyOf(first tlog.Verifier, others ...tlog.Verifier) Verifier {
	if len(others) == 0 {
		return first
	}
	return anyOf(append([]tlog.Verifier{first}, others...))
}

type anyOf []tlog.Verifier

// Name implements [Verifier].
func (a anyOf) Name() string { return a[0].Name() }

// Verify implements [Verifier].
func (a anyOf) Verify(c *tlog.SignedCheckpoint) (at time.Time, err error) {
	none := tlog.ErrNotSigned
	for _, v := range a {
		t, err := v.Verify(c)
		if errors.Is(err, tlog.ErrNotSigned) {
			if none == tlog.ErrNotSigned {
				none = err
			}
			continue
		} else if err != nil {
			return time.Time{}, err
		}
		if at.IsZero() {
			at = t
		}
		none = nil
	}
	return at, none
}

// SignedAlone picks the one of keys under which all that lies in dir can be
// verified: the newest checkpoint, and the one that is shown where others cosign
// it. Of several, the first.
func SignedAlone(dir string, keys ...tlog.Verifier) (tlog.Verifier, error) {
	var first error
	for _, v := range keys {
		_, err := files{dir}.readPublished(v)
		if err == nil {
			_, _, err = files{dir}.readCosigned(v)
		}
		if err == nil {
			return v, nil
		}
		if first == nil {
			first = err
		}
	}
	return tlog.Verifier{}, first
}
