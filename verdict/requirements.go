package verdict

import (
	"fmt"
	"slices"
	"strings"

	"vitrine.example/statement"
)

const getAgain = "get the bundle again from the publisher; if that does not help, report it: somebody changed it"

func (c *candidate) logs(r *Requirement, s *seen, inclusion error) {
	switch {
	case inclusion != nil:
		r.miss("its place in the log is not proved: "+cleanError(inclusion), getAgain)
	case s.logErr != nil:
		r.miss(cleanError(s.logErr), getAgain)
	default:
		r.meet(fmt.Sprintf("%sentry %s of %s", other(r.Text, s.log.Name()), grouped(c.logged.Proof.Index), grouped(c.logged.Proof.Checkpoint.Size)))
	}
}

func (c *candidate) witnesses(r *Requirement, s *seen, p *Policy) {
	if s == nil || s.logErr != nil {
		r.miss("not looked at, as the log is not shown", "")
		return
	}
	var names []string
	for _, w := range s.witness {
		names = append(names, w.Name)
	}
	switch {
	case len(s.invalid) > 0:
		r.miss("the cosignature of "+list(s.invalid, "and")+" is not valid", getAgain)
	case s.quorum:
		for _, w := range s.witness {
			evidence := p.operatorWords(w.Name)
			if !w.Time.IsZero() {
				evidence += " at " + moment(w.Time)
			}
			r.Evidence = append(r.Evidence, evidence)
		}
		r.Met = true
	case near(r, s, p):
	default:
		got := "none did"
		if len(names) > 0 {
			got = "only " + list(names, "and") + " did"
		}
		if len(names) > 0 {
			got += "; " + list(s.missing, "and") + " did not"
		}
		r.miss(got,
			"get a newer bundle from the publisher, with cosignatures of "+list(s.missing, "or"))
	}
}

// near misses r where the witnesses that cosigned are on too few continents.
func near(r *Requirement, s *seen, p *Policy) bool {
	missing, remedy := p.tooNear(s)
	if missing != "" {
		r.miss(missing, remedy)
	}
	return missing != ""
}

func (c *candidate) fresh(r *Requirement, s *seen, e *evaluation) {
	switch {
	case s == nil || s.logErr != nil:
		r.miss("not looked at, as the log is not shown", "")
	case s.asOf.IsZero() && len(s.tooLate) > 0:
		r.miss(fmt.Sprintf("the time of %s lies in the future: it is %s here", list(s.tooLate, "and"), moment(e.in.Now)),
			"set this computer's clock; if it is right, report the witness")
	case !s.quorum:
		r.miss("not looked at, as the quorum is not met", "")
	case s.asOf.IsZero():
		r.miss("nobody who counts signed a time", "get a newer bundle from the publisher")
	case e.in.Now.Sub(s.asOf) > e.policy.MaxAge:
		r.miss(fmt.Sprintf("last seen %s, %s ago", moment(s.asOf), span(e.in.Now.Sub(s.asOf))),
			"get a newer bundle from the publisher; if there is none, somebody may be holding back what is new")
	default:
		r.meet(moment(s.asOf))
	}
}

func (c *candidate) file(r *Requirement, in Input) {
	var sameName, sameDigest *statement.Artifact
	for i := range c.release.Artifacts {
		a := &c.release.Artifacts[i]
		switch {
		case a.SHA256 == in.Digest && a.Size == in.Size:
			c.hasFile = true
			r.meet(fmt.Sprintf("%s, %s", clean(a.Name), plural(a.Size, "byte")))
			return
		case a.SHA256 == in.Digest:
			sameDigest = a
		case a.Name == baseName(in.File):
			sameName = a
		}
	}
	switch {
	case sameDigest != nil:
		r.miss(fmt.Sprintf("the release says %s for it, the file has %s", plural(sameDigest.Size, "byte"), plural(in.Size, "byte")), getAgain)
	case sameName != nil:
		r.miss(fmt.Sprintf("%s in the release is another: sha256 %s, %s", clean(sameName.Name), sameName.SHA256, plural(sameName.Size, "byte")),
			"do not use this file; it was changed, damaged or belongs to another release: get it again")
	default:
		r.miss("the release has "+artifacts(c.release.Artifacts), "use the bundle that belongs to this file, or one of these files")
	}
}

// artifacts names at most three files and counts the rest.
func artifacts(as []statement.Artifact) string {
	var names []string
	for i, a := range as {
		if i == 3 {
			names = append(names, fmt.Sprintf("%d more", len(as)-i))
			break
		}
		names = append(names, fmt.Sprintf("%s (sha256 %.16s…)", clean(a.Name), a.SHA256))
	}
	return list(slices.Clip(names), "and")
}

func baseName(path string) string { return path[strings.LastIndexAny(path, `/\`)+1:] }
