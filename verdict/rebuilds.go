package verdict

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"vitrine.example/digest"
	"vitrine.example/proof"
	"vitrine.example/statement"
)

// Rebuilds is how many organisations beside the release's signer must have
// built the release again and got what shipped. The zero value asks for none.
type Rebuilds struct {
	Require    int  // organisations; 0: not asked
	Continents int  // on so many continents; 0: not asked
	Explained  bool // differences that are all explained count as well
}

// checkRebuilds refuses what can never be met.
func (p *Policy) checkRebuilds() *PolicyError {
	r := p.Rebuilds
	switch {
	case r == (Rebuilds{}):
		return nil
	case r.Require < 1 || r.Require > MaxList:
		return at("rebuilds.require", ErrValue, "%d: 1 to %d", r.Require, MaxList)
	case r.Continents < 0 || r.Continents > len(Continents):
		return at("rebuilds.continents", ErrValue, "%d: 1 to %d", r.Continents, len(Continents))
	}
	// A release by the only one who could also rebuild it is rebuilt by nobody:
	// some signer of releases must leave enough others.
	most, on := 0, 0
	for i := range p.Signers {
		s := &p.Signers[i]
		if !s.may(statement.ReleaseType) {
			continue
		}
		others := p.rebuilders(s)
		most, on = max(most, len(parties(others))), max(on, len(continentsUnder(others)))
	}
	if most < r.Require {
		return at("rebuilds.require", ErrNeverMet, "%d are required, but only %d organisations beside the release's signer may say %s", r.Require, most, shortType(statement.RebuildType))
	}
	if on < r.Continents {
		return at("rebuilds.continents", ErrNeverMet, "%d are required, but those who may rebuild are on %d: give each [[signer]] its continent", r.Continents, on)
	}
	return nil
}

// may reports whether s is trusted for a predicate type.
func (s *Signer) may(t string) bool { return slices.Contains(s.May, t) }

// party is whom a signer counts as: its organisation, else its own name.
func (s *Signer) party() string {
	return strings.ToLower(cmp.Or(s.Organisation, s.Name))
}

// words writes "Example Audit (NL, Europe)".
func (s *Signer) words() string {
	var parts []string
	for _, w := range []string{s.Organisation, s.Country, s.Continent} {
		if w != "" && w != s.Name {
			parts = append(parts, w)
		}
	}
	if parts == nil {
		return s.Name
	}
	return s.Name + " (" + strings.Join(parts, ", ") + ")"
}

// rebuilders are those whose rebuilds count for a release of by.
func (p *Policy) rebuilders(by *Signer) []*Signer {
	var out []*Signer
	for i := range p.Signers {
		if s := &p.Signers[i]; s.may(statement.RebuildType) && (by == nil || s.party() != by.party()) {
			out = append(out, s)
		}
	}
	return out
}

// parties are the different organisations of signers, in order.
func parties(signers []*Signer) []string {
	var out []string
	for _, s := range signers {
		if !slices.Contains(out, s.party()) {
			out = append(out, s.party())
		}
	}
	slices.Sort(out)
	return out
}

func continentsUnder(signers []*Signer) []string {
	var out []string
	for _, s := range signers {
		if s.Continent != "" && !slices.Contains(out, s.Continent) {
			out = append(out, s.Continent)
		}
	}
	slices.Sort(out)
	return out
}

// rebuild is what a trusted key says that came of building a release again.
type rebuild struct {
	logged *proof.Logged
	signer *Signer
	said   *statement.Rebuild
	why    string // it does not count for any release; "": its place is proved
}

// rebuilt reads a rebuild of a trusted key whose signature has verified, and
// looks at its place in the log: like a release it must be logged and witnessed.
func (e *evaluation) rebuilt(l *proof.Logged, s *Signer) {
	said, err := l.Envelope.Statement().Rebuild()
	if err != nil {
		e.ignore(l, "its rebuild cannot be read: "+cleanError(err))
		return
	}
	r := rebuild{logged: l, signer: s, said: said}
	if err := l.VerifyInclusion(s.Key); err != nil {
		r.why = "its place in the log is not proved: " + cleanError(err)
	} else if seen := e.see(l); seen.logErr != nil {
		r.why = cleanError(seen.logErr)
	} else if !seen.quorum {
		r.why = "not enough witnesses cosigned its log"
	}
	e.rebuilds = append(e.rebuilds, r)
}

// rebuiltText is what is asked.
func (p *Policy) rebuiltText() string {
	r := p.Rebuilds
	text := "built again by " + plural(int64(r.Require), "organisation")
	if r.Continents > 0 {
		text += " on " + plural(int64(r.Continents), "continent")
	}
	if r.Explained {
		return text + ", with the same bytes or every difference explained"
	}
	return text + ", with the same bytes"
}

// rebuiltBy decides the requirement for one release and the file: the best that
// each organisation says counts, and what else was said is shown beside it.
func (c *candidate) rebuiltBy(r *Requirement, e *evaluation) {
	var good []*Signer
	var evidence, against []string
	for _, b := range e.rebuildsOf(c) {
		outcome := b.of(e.in.Digest)
		line := b.line(outcome)
		switch {
		case b.why != "":
			against = append(against, line+", which does not count: "+b.why)
		case outcome == statement.Identical, outcome == statement.Explained && e.policy.Rebuilds.Explained:
			good, evidence = append(good, b.signer), append(evidence, line)
		default:
			against = append(against, line)
		}
	}
	n, on := len(parties(good)), len(continentsUnder(good))
	if n >= e.policy.Rebuilds.Require && on >= e.policy.Rebuilds.Continents {
		r.meet(append(evidence, against...)...)
		return
	}
	missing := fmt.Sprintf("%d of %d did", n, e.policy.Rebuilds.Require)
	if n >= e.policy.Rebuilds.Require {
		missing = fmt.Sprintf("%s did, on %s of %d", plural(int64(n), "organisation"), plural(int64(on), "continent"), e.policy.Rebuilds.Continents)
	}
	remedy := "get a newer bundle from the publisher, with rebuilds by " + list(e.policy.missingRebuilders(c.signer, good), "or")
	if len(against) > 0 {
		missing += ": " + strings.Join(against[:min(len(against), 3)], "; ")
		if len(against) > 3 {
			missing += fmt.Sprintf("; and %d more", len(against)-3)
		}
		remedy = "do not use this file before the publisher has explained the difference; its source is not shown to make it"
	}
	r.miss(missing, remedy)
}

// missingRebuilders names who has not yet counted.
func (p *Policy) missingRebuilders(by *Signer, good []*Signer) []string {
	var names []string
	for _, s := range p.rebuilders(by) {
		if !slices.ContainsFunc(good, func(g *Signer) bool { return g.party() == s.party() }) {
			names = append(names, s.words())
		}
	}
	return names
}

// of is the outcome for the file; "" where the rebuild says nothing about it.
func (b *rebuild) of(file digest.Digest) statement.Outcome {
	for _, a := range b.said.Artifacts {
		if a.Shipped == file {
			return a.Outcome
		}
	}
	return ""
}

// line says in one line what somebody's rebuild gave, and why where it was not
// what shipped.
func (b *rebuild) line(outcome statement.Outcome) string {
	text := b.signer.words() + ": " + outcomeWords(outcome)
	if last := b.said.Attempts[len(b.said.Attempts)-1]; last.Detail != "" && (outcome == statement.Different || outcome == statement.Failed) {
		text += " (" + clean(last.Detail) + ")"
	}
	return text
}

// outcomeWords says an outcome to people.
func outcomeWords(outcome statement.Outcome) string {
	switch outcome {
	case statement.Identical:
		return "the same bytes"
	case statement.Explained:
		return "other bytes, every difference explained"
	case statement.Different:
		return "other bytes"
	case statement.Failed:
		return "could not be built"
	}
	return "nothing about this file"
}

// rebuildsOf are the rebuilds of the candidate's release by others, the same
// bundle in the same order whatever the order of its statements.
func (e *evaluation) rebuildsOf(c *candidate) []rebuild {
	var out []rebuild
	id := c.logged.Envelope.Digest()
	for _, b := range e.rebuilds {
		if b.said.Release == id && b.signer.party() != c.signer.party() {
			out = append(out, b)
		}
	}
	slices.SortFunc(out, func(a, b rebuild) int {
		return cmp.Or(strings.Compare(a.signer.Name, b.signer.Name), strings.Compare(a.order(), b.order()))
	})
	return out
}

func (b *rebuild) order() string {
	d := b.logged.Envelope.Digest()
	return string(d[:]) + string(b.logged.Proof.Marshal())
}

// rebuildWords says what is asked of rebuilds.
func (p *Policy) rebuildWords() []string {
	r := p.Rebuilds
	if r.Require == 0 {
		return []string{"Nobody is asked to have built the release again: its source may be another."}
	}
	var names []string
	for _, s := range p.rebuilders(nil) {
		names = append(names, s.words())
	}
	text := fmt.Sprintf("At least %s of %s must have built the release from its source and got ", plural(int64(r.Require), "organisation"), list(names, "and"))
	if r.Explained {
		text += "what shipped, or something of which every difference is explained"
	} else {
		text += "what shipped, byte for byte"
	}
	if r.Continents > 1 {
		text += fmt.Sprintf(", on at least %d continents", r.Continents)
	}
	return []string{text + "."}
}

func (f *policyFile) rebuilds(p *Policy, o *outline) *PolicyError {
	if !o.has("rebuilds") {
		return nil
	}
	r := f.Rebuilds
	if r.Require < 1 || r.Require > MaxList {
		return at("rebuilds.require", ErrValue, "%d: 1 to %d", r.Require, MaxList)
	}
	if o.has("rebuilds.continents") && (r.Continents < 1 || r.Continents > int64(len(Continents))) {
		return at("rebuilds.continents", ErrValue, "%d: 1 to %d", r.Continents, len(Continents))
	}
	p.Rebuilds = Rebuilds{Require: int(r.Require), Continents: int(r.Continents), Explained: r.Explained}
	return nil
}

func (w *policyWriter) rebuilds(r Rebuilds) {
	if r.Require == 0 {
		return
	}
	w.blank()
	w.comment("How many organisations beside the publisher must have built the release again.")
	w.line("[rebuilds]")
	w.line("require = %d", r.Require)
	if r.Continents > 0 {
		w.line("continents = %d", r.Continents)
	}
	if r.Explained {
		w.comment("Differences that are all explained, and proved to be harmless, count as well.")
		w.line("explained = true")
	}
}
