package verdict

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"vitrine.example/digest"
	"vitrine.example/proof"
	"vitrine.example/statement"
)

// Evaluate decides. It never panics on hostile input, and the order of the
// statements in a bundle changes nothing.
//
// The verdict is accepted exactly if one release statement meets every
// requirement by itself. Where several are in the bundle, the one that comes
// nearest is reported: first one that has the file, then the one that meets most.
func Evaluate(p *Policy, in Input) *Verdict {
	v := &Verdict{
		Schema: Schema,
		File:   clean(in.File), Size: in.Size, Digest: in.Digest,
		Decided: in.Now.UTC().Truncate(time.Second),
	}
	if err := usable(p, in); err != nil {
		v.Requirements = []Requirement{{
			ID: IDUsable, Text: "the policy, the file and the bundle can be used",
			Missing: cleanError(err), Remedy: "mend what is named",
		}}
		return v
	}
	e := &evaluation{policy: p, in: in, checkpoints: make(map[string]*seen)}
	e.index()
	var best *candidate
	var all []*candidate
	for _, t := range e.trusted() {
		if c := e.candidate(t); c != nil {
			all = append(all, c)
			if best == nil || c.compare(best) > 0 {
				best = c
			}
		}
	}
	if best == nil {
		v.Requirements = e.nothing()
	} else {
		v.Requirements = best.requirements
		// Printable and bounded (package statement), so programs get them whole.
		v.Product, v.Version, v.Channel = best.release.Product, best.release.Version, best.release.Channel
		v.Accepted = best.met == len(best.requirements)
		for _, c := range all {
			if c != best {
				e.ignore(c.logged, c.why())
			}
		}
	}
	v.history(p, in)
	v.Ignored = e.ignoredLines()
	return v
}

func usable(p *Policy, in Input) error {
	switch {
	case p == nil:
		return fmt.Errorf("%w: no policy", errNothing)
	case in.Bundle == nil || len(in.Bundle.Statements) == 0:
		return fmt.Errorf("%w: the bundle has no statements", errNothing)
	case in.Size < 0 || in.Digest.IsZero():
		return fmt.Errorf("%w: no file", errNothing)
	}
	return p.Validate()
}

// evaluation is what one call of Evaluate knows.
type evaluation struct {
	policy      *Policy
	in          Input
	signers     map[digest.Digest]*Signer
	checkpoints map[string]*seen
	rebuilds    []rebuild
	ignored     []note
}

type note struct {
	statement digest.Digest
	why       string
}

func (e *evaluation) index() {
	e.signers = make(map[digest.Digest]*Signer, len(e.policy.Signers))
	for i := range e.policy.Signers {
		s := &e.policy.Signers[i]
		e.signers[s.Key.ID()] = s
	}
}

// said is a statement of the bundle by a trusted key, whose signature has verified.
type said struct {
	logged *proof.Logged
	signer *Signer
}

// trusted returns the releases of trusted keys that may say so, and keeps the
// rebuilds, which are weighed with each release. Why the others count for nothing is noted.
func (e *evaluation) trusted() (releases []said) {
	for i := range e.in.Bundle.Statements {
		l := &e.in.Bundle.Statements[i]
		s := e.signer(l)
		if s == nil {
			continue
		}
		switch t := l.Envelope.Statement().PredicateType; {
		case !s.may(t):
			e.ignore(l, fmt.Sprintf("%s signed it, but may not say %s", s.Name, clean(shortType(t))))
		case t == statement.ReleaseType:
			releases = append(releases, said{l, s})
		case t == statement.RebuildType:
			e.rebuilt(l, s)
		default:
			e.ignore(l, fmt.Sprintf("%s is not about a release", clean(shortType(t))))
		}
	}
	return releases
}

// signer returns the trusted key that signed l, or notes why there is none.
func (e *evaluation) signer(l *proof.Logged) *Signer {
	if l.Envelope == nil || l.Proof == nil || l.Proof.Checkpoint == nil {
		return nil
	}
	s, ok := e.signers[l.Envelope.KeyID()]
	if !ok {
		e.ignore(l, fmt.Sprintf("signed by a key that the policy does not know (%.16s)", l.Envelope.KeyID()))
		return nil
	}
	if err := l.VerifySignature(s.Key); err != nil {
		e.ignore(l, fmt.Sprintf("claims the key of %s, but the signature is not valid", s.Name))
		return nil
	}
	return s
}

// candidate reads a release and weighs it. It returns nil where that cannot be
// read, and notes why.
func (e *evaluation) candidate(t said) *candidate {
	r, err := t.logged.Envelope.Statement().Release()
	if err != nil {
		e.ignore(t.logged, "its release cannot be read: "+cleanError(err))
		return nil
	}
	c := &candidate{logged: t.logged, signer: t.signer, release: r}
	c.weigh(e)
	return c
}

// see looks at each checkpoint once, however many statements share it.
func (e *evaluation) see(l *proof.Logged) *seen {
	text := string(l.Proof.Checkpoint.Marshal())
	s, ok := e.checkpoints[text]
	if !ok {
		s = see(e.policy, l.Proof.Checkpoint, e.in.Now)
		e.checkpoints[text] = s
	}
	return s
}

func (e *evaluation) ignore(l *proof.Logged, why string) {
	e.ignored = append(e.ignored, note{l.Envelope.Digest(), why})
}

// ignoredLines lists what was ignored, in an order of its own.
func (e *evaluation) ignoredLines() []string {
	slices.SortFunc(e.ignored, func(a, b note) int {
		return cmp.Or(slices.Compare(a.statement[:], b.statement[:]), strings.Compare(a.why, b.why))
	})
	var lines []string
	for i, n := range e.ignored {
		if i == MaxIgnored-1 && len(e.ignored) > MaxIgnored {
			return append(lines, fmt.Sprintf("and %d more", len(e.ignored)-i))
		}
		lines = append(lines, fmt.Sprintf("statement %.16s: %s", n.statement, n.why))
	}
	return lines
}

// nothing is the list of requirements where no statement can be decided on.
func (e *evaluation) nothing() []Requirement {
	var c candidate
	reqs := c.asked(e.policy)
	for i := range reqs {
		reqs[i].Missing = "not looked at, as no statement counts"
	}
	n := len(e.in.Bundle.Statements)
	reqs[0].Missing = fmt.Sprintf("the bundle has %s, and none is a release signed by such a key", plural(int64(n), "statement"))
	if n == 1 && len(e.ignored) == 1 {
		reqs[0].Missing = "the one statement in the bundle does not count: " + e.ignored[0].why
		e.ignored = nil
	}
	reqs[0].Remedy = "ask the publisher for a bundle signed by " + list(e.policy.signerWords(statement.ReleaseType), "or") +
		"; if the key was changed, get a new policy from somebody you trust"
	return reqs
}
