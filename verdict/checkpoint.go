package verdict

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"vitrine.example/tlog"
)

// seen is what the policy's keys say of one checkpoint.
type seen struct {
	logErr   error            // why no trusted log signed it; nil: one did
	log      tlog.Verifier    // that did
	witness  []tlog.Witnessed // valid cosignatures, in the policy's order
	missing  []string         // witnesses without one
	invalid  []string         // witnesses whose line does not verify
	quorum   bool
	asOf     time.Time // newest time that the quorum vouches for; zero: none
	tooLate  []string  // witnesses whose time lies after now and Skew
	signedAt time.Time // by a log key that signs a time
}

// see checks a checkpoint once: the way to [tlog.Policy.Check] and, where that
// refuses, to the reasons.
func see(p *Policy, c *tlog.SignedCheckpoint, now time.Time) *seen {
	s := &seen{}
	res, err := p.Log.Check(c)
	if err == nil {
		s.log, s.witness, s.missing, s.quorum = res.Log, res.Witnesses, res.Missing, true
	} else {
		s.examine(p, c, err)
	}
	if s.logErr == nil {
		s.signedAt, s.logErr = logTime(s.log, c)
	}
	s.date(p, now)
	return s
}

// logTime returns the time that a log's own signature bears. ML-DSA-44
// signatures do not cover extension lines (tlog-checkpoint, "signatures"), so a
// checkpoint that has some is not what the log signed.
func logTime(log tlog.Verifier, c *tlog.SignedCheckpoint) (time.Time, error) {
	if log.Type() == tlog.Ed25519 {
		return time.Time{}, nil
	}
	if len(c.Extensions) > 0 {
		return time.Time{}, fmt.Errorf("the checkpoint has extension lines, which this log's key does not sign")
	}
	return log.Verify(c)
}

// examine finds out why the policy refused c.
func (s *seen) examine(p *Policy, c *tlog.SignedCheckpoint, refusal error) {
	s.logErr = refusal
	for _, l := range p.Log.Logs {
		if l.Key.Name() != c.Origin {
			continue
		}
		_, err := l.Key.Verify(c)
		if err != nil && !errors.Is(err, tlog.ErrNotSigned) {
			s.logErr = refusal
			break
		}
		if err == nil && s.logErr != nil {
			s.log, s.logErr = l.Key, nil
		}
	}
	has := make(map[string]bool)
	for _, w := range p.Log.Witnesses {
		t, err := w.Key.Verify(c)
		switch {
		case err == nil:
			s.witness = append(s.witness, tlog.Witnessed{Name: w.Name, Key: w.Key, Time: t})
			has[w.Name] = true
		case errors.Is(err, tlog.ErrNotSigned):
			s.missing = append(s.missing, w.Name)
		default:
			s.invalid = append(s.invalid, w.Name)
		}
	}
	s.quorum = quorumMet(&p.Log, has) && len(s.invalid) == 0
	if s.quorum && s.logErr == nil {
		// Check is what decides; the rest of this function only explains.
		s.logErr = refusal
	}
}

// date finds the newest time at or after which cosignatures alone meet the
// quorum: one witness with a wrong clock, or a bad one, cannot make an old
// checkpoint look new. Times after now and Skew are no times at all.
func (s *seen) date(p *Policy, now time.Time) {
	latest := now.Add(Skew)
	var times []tlog.Witnessed
	for _, w := range s.witness {
		if w.Time.IsZero() {
			continue // tlog-cosignature: timestamp 0 makes no statement about time
		}
		if w.Time.After(latest) {
			s.tooLate = append(s.tooLate, w.Name)
			continue
		}
		times = append(times, w)
	}
	slices.SortStableFunc(times, func(a, b tlog.Witnessed) int { return b.Time.Compare(a.Time) })
	if p.Log.Quorum == noQuorum {
		if len(times) > 0 {
			s.asOf = times[0].Time
		}
		switch {
		case s.signedAt.After(latest):
			s.tooLate = append(s.tooLate, s.log.Name())
		case s.signedAt.After(s.asOf):
			s.asOf = s.signedAt
		}
		return
	}
	has := make(map[string]bool, len(times))
	for _, w := range times {
		has[w.Name] = true
		if quorumMet(&p.Log, has) {
			s.asOf = w.Time
			return
		}
	}
}
