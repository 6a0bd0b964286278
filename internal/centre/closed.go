package centre

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"vitrine.example/internal/circle"
	"vitrine.example/internal/ledger"
	"vitrine.example/internal/store"
	"vitrine.example/tlog"
)

// A log that was cosigned goes on without witnesses only at its operator's word: an
// agreement with a list that asks for none, or a witness-policy with `quorum none`.
// Others can remove the node from the circle, and a database with the circle can be
// lost; neither may turn the log into one that its operator alone vouches for.

// errClosed says that it is not known who has to cosign a log that was cosigned.
var errClosed = errors.New("this log was cosigned and nobody is left who has to: name witnesses with witness-policy, or a policy that says `quorum none` to publish without any from now on")

// errForgotten is why nothing is published where the circle was lost.
var errForgotten = fmt.Errorf("%w: the circle or the witness-policy that it was cosigned by is not known any more: `vitrine circle join` brings the circle back", errClosed)

// nobody cosigns nothing, for a reason: it keeps a log from being published
// without those who have to cosign it.
type nobody struct{ why error }

// Cosign implements [ledger.Cosigner]. It waits, so that it is not asked all the time.
func (n nobody) Cosign(ctx context.Context, _ *tlog.SignedCheckpoint, _ func(int64) ([]tlog.Hash, error)) (*tlog.SignedCheckpoint, error) {
	<-ctx.Done()
	return nil, n.why
}

// Awaiting implements [ledger.Cosigner].
func (n nobody) Awaiting() string { return "nobody who could cosign: " + n.why.Error() }

// circlePolicy is who has to cosign the log of origin as the circle's list in force
// says; nil for nobody. h is nil where there is no circle, was says whether the log
// was cosigned until now. The error is [errClosed] or [circle.ErrNoKeys] where it is
// not known who can.
func circlePolicy(h *circle.History, origin string, was bool, now time.Time) (*tlog.Policy, error) {
	if h == nil {
		if was {
			return nil, errForgotten
		}
		return nil, nil
	}
	c := h.Current
	m, listed := c.Member(origin)
	switch {
	case listed && m.State == circle.Invited && was:
		// A list changed the node's keys or address. It is cosigned as before, or
		// it could not even agree.
		c = asConfirmed(c, origin)
	case !listed || m.State != circle.Confirmed:
		if was {
			return nil, fmt.Errorf("%w: version %d of the circle %s does not have %s as a member", errClosed, c.Version, c.Name, origin)
		}
		return nil, nil
	}
	p, err := c.WitnessPolicy(origin, now)
	if err != nil || p.Quorum != tlog.QuorumNone {
		return p, err
	}
	if was && !agreedToNone(h, origin) {
		return nil, fmt.Errorf("%w: version %d of the circle %s asks for no witnesses, and %s has not agreed with that", errClosed, c.Version, c.Name, origin)
	}
	return nil, nil
}

// asConfirmed is the list as if a member had agreed with it.
func asConfirmed(c *circle.Current, origin string) *circle.Current {
	out := *c
	out.Members = slices.Clone(c.Members)
	if m, ok := out.Member(origin); ok {
		m.State = circle.Confirmed
	}
	return &out
}

// agreedToNone reports whether a member agreed with the list in force, or with one
// before it since which no list has asked for witnesses.
func agreedToNone(h *circle.History, origin string) bool {
	for _, v := range slices.Backward(h.Versions) {
		if v.Status != circle.InForce && v.Status != circle.Superseded {
			continue
		}
		if v.Rule.Witnesses > 0 {
			return false
		}
		if slices.ContainsFunc(v.Consents, func(c circle.Vote) bool { return c.Origin == origin }) {
			return true
		}
	}
	return false
}

// publication finds out whether the node would publish when it is started.
func (e *examination) publication(ctx context.Context, db *store.DB) {
	if e.cfg.WitnessPolicy != "" {
		return
	}
	h, err := circle.Store{DB: db}.Load(ctx)
	if err != nil && !errors.Is(err, circle.ErrNone) {
		e.bad("publication", "make it again: move the database away and run `vitrine circle join`", "%v", err)
		return
	}
	was, err := ledger.Cosigned(filepath.Join(e.dir, logDir))
	if err == nil {
		_, err = circlePolicy(h, e.cfg.origin, was, time.Now())
	}
	if err != nil {
		e.bad("publication", "witness-policy in "+ConfigFile+" says who cosigns, or that nobody has to; or have the circle's list changed", "nothing is published: %v", err)
	}
}
