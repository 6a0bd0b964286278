package verdict

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"vitrine.example/proof"
	"vitrine.example/statement"
)

// candidate is a release statement of a trusted key, with what became of each
// requirement.
type candidate struct {
	logged       *proof.Logged
	signer       *Signer
	release      *statement.Release
	requirements []Requirement
	met          int
	hasFile      bool
}

// asked lists what p asks, nothing of it met.
func (c *candidate) asked(p *Policy) []Requirement {
	reqs := []Requirement{
		{ID: IDSigned, Text: "a release signed by " + list(signerNames(p), "or")},
		{ID: IDLogged, Text: "logged in " + list(p.logNames(), "or")},
	}
	if k, members := quorumGroup(&p.Log); k > 0 {
		text := fmt.Sprintf("cosigned by %d of ", k)
		switch {
		case len(members) == 1:
			text = "cosigned by "
		case k == len(members):
			text = "cosigned by all of "
		}
		reqs = append(reqs, Requirement{ID: IDWitnessed, Text: text + list(members, "and") + p.onContinents()})
	}
	if p.MaxAge > 0 {
		reqs = append(reqs, Requirement{ID: IDFresh, Text: "seen within " + span(p.MaxAge)})
	}
	if p.Product != "" {
		reqs = append(reqs, Requirement{ID: IDProduct, Text: "product " + p.Product})
	}
	if p.Channel != "" {
		reqs = append(reqs, Requirement{ID: IDChannel, Text: "channel " + p.Channel})
	}
	if len(p.Versions) > 0 {
		reqs = append(reqs, Requirement{ID: IDVersion, Text: "version " + list(p.Versions, "or")})
	}
	reqs = append(reqs, Requirement{ID: IDFile, Text: "this file is an artifact of the release"})
	if p.Rebuilds.Require > 0 {
		reqs = append(reqs, Requirement{ID: IDRebuilt, Text: p.rebuiltText()})
	}
	return reqs
}

func signerNames(p *Policy) []string {
	var names []string
	for _, s := range p.Signers {
		if slices.Contains(s.May, statement.ReleaseType) {
			names = append(names, s.Name)
		}
	}
	return names
}

// weigh decides each requirement.
func (c *candidate) weigh(e *evaluation) {
	var s *seen // the checkpoint, once its inclusion is proved
	inclusion := c.logged.VerifyInclusion(c.signer.Key)
	if inclusion == nil {
		s = e.see(c.logged)
	}
	c.requirements = c.asked(e.policy)
	for i := range c.requirements {
		r := &c.requirements[i]
		switch r.ID {
		case IDSigned:
			r.meet(fmt.Sprintf("%s%s key %s", other(r.Text, c.signer.Name), algorithm(c.signer.Key.Algorithm()), shortID(c.signer.Key)))
		case IDLogged:
			c.logs(r, s, inclusion)
		case IDWitnessed:
			c.witnesses(r, s, e.policy)
		case IDFresh:
			c.fresh(r, s, e)
		case IDProduct:
			r.is(c.release.Product, []string{e.policy.Product}, "use the policy for this product, or get the product that you want")
		case IDChannel:
			r.is(c.release.Channel, []string{e.policy.Channel}, "get the file from the channel that you want")
		case IDVersion:
			r.is(c.release.Version, e.policy.Versions, "get one of the versions that the policy allows")
		case IDFile:
			c.file(r, e.in)
		case IDRebuilt:
			c.rebuiltBy(r, e)
		}
		if r.Met {
			c.met++
		}
	}
}

// compare orders candidates by how near they come; no two differ in nothing but
// their place in the bundle.
func (c *candidate) compare(d *candidate) int {
	return cmp.Or(
		compareBool(c.hasFile && c.met == len(c.requirements), d.hasFile && d.met == len(d.requirements)),
		compareBool(c.hasFile, d.hasFile),
		cmp.Compare(c.met, d.met),
		strings.Compare(c.order(), d.order()),
	)
}

func (c *candidate) order() string {
	d := c.logged.Envelope.Digest()
	return string(d[:]) + string(c.logged.Proof.Marshal())
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	default:
		return -1
	}
}

// why says in one line what became of a candidate that was not chosen.
func (c *candidate) why() string {
	what := fmt.Sprintf("release %s %s by %s", clean(c.release.Product), clean(c.release.Version), c.signer.Name)
	for _, r := range c.requirements {
		if !r.Met {
			return what + ", not met: " + r.ID
		}
	}
	return what + ", which would be accepted too"
}

// other returns which of several is meant, where the text leaves it open.
func other(text, name string) string {
	if strings.HasSuffix(text, " "+name) && !strings.Contains(text, " or ") {
		return ""
	}
	return name + ", "
}

func (r *Requirement) meet(evidence ...string) {
	r.Met, r.Evidence = true, evidence
}

func (r *Requirement) miss(missing, remedy string) {
	r.Missing, r.Remedy = missing, remedy
}

// is meets r where got is one of want.
func (r *Requirement) is(got string, want []string, remedy string) {
	switch {
	case slices.Contains(want, got):
		r.meet(clean(got))
	case got == "":
		r.miss("the release names none", remedy)
	default:
		r.miss("the release says "+clean(got), remedy)
	}
}
