package verdict

import (
	"errors"
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
	asOf     time.Time   // newest time that the quorum vouches for; zero: none
	tooLate  []string    // witnesses whose time lies after now and Skew
	signedAt []time.Time // by keys of that log which sign a time
}

// see checks a checkpoint once: the way to [tlog.Policy.Check] and, where that
// refuses, to the reasons.
func see(p *Policy, c *tlog.SignedCheckpoint, now time.Time) *seen {
	s := &seen{}
	res, err := p.Log.Check(c)
	if err == nil {
		s.log, s.witness, s.missing = res.Log, res.Witnesses, res.Missing
		s.quorum = p.continentsMet(names(s.witness))
	} else {
		s.examine(p, c, err)
	}
	if s.logErr == nil {
		s.signedAt = logTimes(p, c)
	}
	s.date(p, now)
	return s
}

// logTimes returns the times that the log's own signatures bear. It has several
// keys where one of them is plain, and says nothing about time with that.
func logTimes(p *Policy, c *tlog.SignedCheckpoint) []time.Time {
	var times []time.Time
	for _, l := range p.Log.Logs {
		if l.Key.Name() != c.Origin || l.Key.Type() == tlog.Ed25519 {
			continue
		}
		if t, err := l.Key.Verify(c); err == nil {
			times = append(times, t)
		}
	}
	return times
}

// examine finds out why the policy refused c. Where the log is not to blame, a
// requirement about witnesses is; where there is none, the log is not shown.
func (s *seen) examine(p *Policy, c *tlog.SignedCheckpoint, refusal error) {
	s.logErr = refusal
	log, ok := signedBy(p, c)
	if !ok {
		return // anybody can write one more checkpoint: its witnesses are not worth the work
	}
	s.log = log
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
	s.quorum = p.quorumMet(has) && len(s.invalid) == 0
	if p.Log.Quorum != noQuorum && !s.quorum {
		s.logErr = nil // "witnessed" is not met, and says so
	}
}

// signedBy returns the first key of the log that signed c, if one did and none
// of them has a bad signature on it.
func signedBy(p *Policy, c *tlog.SignedCheckpoint) (log tlog.Verifier, ok bool) {
	for _, l := range p.Log.Logs {
		if l.Key.Name() != c.Origin {
			continue
		}
		_, err := l.Key.Verify(c)
		if err != nil && !errors.Is(err, tlog.ErrNotSigned) {
			return tlog.Verifier{}, false
		}
		if err == nil && !ok {
			log, ok = l.Key, true
		}
	}
	return log, ok
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
		for _, t := range s.signedAt {
			switch {
			case t.After(latest):
				s.tooLate = append(s.tooLate, s.log.Name())
			case t.After(s.asOf):
				s.asOf = t
			}
		}
		return
	}
	has := make(map[string]bool, len(times))
	for _, w := range times {
		has[w.Name] = true
		if p.quorumMet(has) {
			s.asOf = w.Time
			return
		}
	}
}
