package tlog

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// ErrUnknownLog is returned where the origin of a checkpoint is that of no log
// of the policy.
var ErrUnknownLog = errors.New("not a log of the policy")

// QuorumError says which witnesses a checkpoint lacks.
type QuorumError struct {
	Quorum   string   // name of the witness or group that was required
	Cosigned []string // names of witnesses with a valid cosignature
	Missing  []string // names of witnesses without one
	text     string
}

// Error returns, for instance,
// `quorum G: 2 of 3 required, only W1 cosigned; missing: W2, W3`.
func (e *QuorumError) Error() string { return "quorum " + e.Quorum + ": " + e.text }

// Result says how a checkpoint met a policy.
type Result struct {
	Log       Verifier    // the first key of the policy with a valid signature for the origin
	Witnesses []Witnessed // with a valid cosignature, in the policy's order
	Missing   []string    // names of witnesses without one
}

// Witnessed is a valid cosignature.
type Witnessed struct {
	Name string // in the policy
	Key  Verifier
	Time time.Time // zero where the cosignature makes no statement about time
}

// Check verifies the log's signature and the cosignatures on c, and whether
// these are a quorum. The signature of one log whose key bears the name of the
// origin is enough. Signatures of keys that the policy does not list are
// ignored.
//
// The errors: [ErrUnknownLog]; [ErrNotSigned], the log has not signed;
// [ErrBadSignature], a signature of a listed key does not verify, or there are
// two of one key; a [*QuorumError], which names what is missing; and that of an
// invalid policy or checkpoint. The Result has no meaning where there is one.
//
// Times are not judged: what is too old or in the future, the caller decides.
func (p *Policy) Check(c *SignedCheckpoint) (Result, error) {
	if err := p.Validate(); err != nil {
		return Result{}, err
	}
	if c == nil {
		return Result{}, errors.New("checking a checkpoint against a policy: no checkpoint")
	}
	res, err := p.check(c)
	if err != nil {
		return Result{}, fmt.Errorf("checking %s: %w", c.Checkpoint, err)
	}
	return res, nil
}

func (p *Policy) check(c *SignedCheckpoint) (Result, error) {
	if err := errors.Join(c.Validate(), c.checkRoot()); err != nil {
		return Result{}, err
	}
	var res Result
	var err error
	text := c.Text()
	if res.Log, err = p.checkLogs(c, text); err != nil {
		return Result{}, err
	}
	witnessed := map[string]bool{QuorumNone: true}
	for _, w := range p.Witnesses {
		at, err := w.Key.verifyValid(c, text)
		switch {
		case errors.Is(err, ErrNotSigned):
			res.Missing = append(res.Missing, w.Name)
		case err != nil:
			return Result{}, fmt.Errorf("witness %s: %w", w.Name, err)
		default:
			res.Witnesses = append(res.Witnesses, Witnessed{Name: w.Name, Key: w.Key, Time: at})
			witnessed[w.Name] = true
		}
	}
	for _, g := range p.Groups { // members stand before their group
		witnessed[g.Name] = countTrue(witnessed, g.Members) >= g.K
	}
	if !witnessed[p.Quorum] {
		return Result{}, p.quorumError(res, witnessed)
	}
	return res, nil
}

// checkLogs returns the first log key of c's origin that has signed c. The
// signatures of all log keys are verified, those of other origins too. The text
// is that of c.
func (p *Policy) checkLogs(c *SignedCheckpoint, text []byte) (Verifier, error) {
	var signed Verifier
	var asked, known []string
	for _, l := range p.Logs {
		key := l.Key
		known = append(known, key.Name())
		if key.Name() == c.Origin {
			asked = append(asked, fmt.Sprintf("%s+%08x", key.Name(), key.KeyID()))
		}
		_, err := key.verifyValid(c, text)
		switch {
		case errors.Is(err, ErrNotSigned):
		case err != nil:
			return Verifier{}, fmt.Errorf("log %s: %w", key.Name(), err)
		case key.Name() == c.Origin && signed.IsZero():
			signed = key
		}
	}
	switch {
	case len(known) == 0:
		return Verifier{}, fmt.Errorf("%w, which lists none", ErrUnknownLog)
	case len(asked) == 0:
		slices.Sort(known)
		return Verifier{}, fmt.Errorf("%w, which lists %s", ErrUnknownLog, strings.Join(slices.Compact(known), ", "))
	case signed.IsZero():
		return Verifier{}, fmt.Errorf("the log has not signed it: %w: %s", ErrNotSigned, strings.Join(asked, " or "))
	}
	return signed, nil
}

func countTrue(m map[string]bool, names []string) int {
	n := 0
	for _, name := range names {
		if m[name] {
			n++
		}
	}
	return n
}

func (p *Policy) quorumError(res Result, witnessed map[string]bool) *QuorumError {
	e := &QuorumError{Quorum: p.Quorum, Missing: res.Missing}
	for _, w := range res.Witnesses {
		e.Cosigned = append(e.Cosigned, w.Name)
	}
	e.text = p.explain(p.Quorum, witnessed)
	if e.text == "" {
		e.text = "the witness has not cosigned"
	}
	return e
}

// explain says what a group lacks, and "" of a witness.
func (p *Policy) explain(name string, witnessed map[string]bool) string {
	i := slices.IndexFunc(p.Groups, func(g PolicyGroup) bool { return g.Name == name })
	if i < 0 {
		return ""
	}
	g := p.Groups[i]
	var have, missing []string
	for _, m := range g.Members {
		if witnessed[m] {
			have = append(have, m)
		} else if why := p.explain(m, witnessed); why != "" {
			missing = append(missing, m+" ("+why+")")
		} else {
			missing = append(missing, m)
		}
	}
	only := "none"
	if len(have) > 0 {
		only = "only " + strings.Join(have, ", ")
	}
	return fmt.Sprintf("%d of %d required, %s cosigned; missing: %s", g.K, len(g.Members), only, strings.Join(missing, ", "))
}
