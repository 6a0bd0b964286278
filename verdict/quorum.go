package verdict

import (
	"slices"
	"strings"

	"vitrine.example/tlog"
)

// noQuorum is what tlog-policy calls a policy without witnesses.
const noQuorum = "none"

// quorumName is what the quorum of a policy file is called in its tlog.Policy.
const quorumName = "quorum"

func (p *Policy) checkWitnesses() *PolicyError {
	if len(p.Log.Witnesses) > MaxList {
		return at("witness", ErrValue, "%d witnesses, at most %d", len(p.Log.Witnesses), MaxList)
	}
	for i, w := range p.Log.Witnesses {
		if err := p.checkWitnessName(w.Name, i); err != nil {
			return err
		}
		switch w.Key.Type() {
		case tlog.Ed25519Cosignature, tlog.MLDSA44Cosignature:
		default:
			return at(path("witness", i, "key"), ErrValue, "key type %#02x is not that of a witness", byte(w.Key.Type()))
		}
		if err := checkKeyName(w.Key, path("witness", i, "key")); err != nil {
			return err
		}
		if err := p.Operators[w.Name].check("witness", i); err != nil {
			return err
		}
	}
	for name := range p.Operators {
		if !slices.ContainsFunc(p.Log.Witnesses, func(w tlog.PolicyWitness) bool { return w.Name == name }) {
			return at("witness", ErrValue, "an operator is given for %.80q, which is no witness", name)
		}
	}
	return nil
}

// check refuses what cannot be shown, in element i of a list.
func (o Operator) check(list string, i int) *PolicyError {
	switch {
	case o.Organisation != "" && !isTitle(o.Organisation):
		return at(path(list, i, "organisation"), ErrValue, "%.80q is not a name", o.Organisation)
	case o.Country != "" && !isCountry(o.Country):
		return at(path(list, i, "country"), ErrValue, "%.80q: two capital letters of ISO 3166-1, like NL", o.Country)
	case o.Continent != "" && !slices.Contains(Continents, o.Continent):
		return at(path(list, i, "continent"), ErrValue, "%.80q: one of %q", o.Continent, Continents)
	}
	return nil
}

func (p *Policy) checkWitnessName(name string, i int) *PolicyError {
	if !isName(name) || name == noQuorum || name == quorumName {
		return at(path("witness", i, "name"), ErrValue, "%.80q is not a name of a witness; no spaces, and not none or quorum", name)
	}
	for _, w := range p.Log.Witnesses[:i] {
		if w.Name == name {
			return at(path("witness", i, "name"), ErrValue, "%q stands twice", name)
		}
	}
	return nil
}

// checkQuorum checks the groups and the quorum over them.
func (p *Policy) checkQuorum() *PolicyError {
	if len(p.Log.Groups) > MaxList+1 {
		return at("group", ErrValue, "%d groups, at most %d", len(p.Log.Groups), MaxList)
	}
	known := make(map[string][]string) // witnesses under each name
	for _, w := range p.Log.Witnesses {
		known[w.Name] = []string{w.Name}
	}
	used := make(map[string]string)
	for i, g := range p.Log.Groups {
		where := func(field string) string {
			if g.Name == p.Log.Quorum && i == len(p.Log.Groups)-1 {
				return "witnesses." + map[string]string{"require": "require", "of": "of", "name": "require"}[field]
			}
			return path("group", i, field)
		}
		if !isName(g.Name) || g.Name == noQuorum || (g.Name == quorumName && p.Log.Quorum != quorumName) {
			return at(where("name"), ErrValue, "%.80q is not a name of a group", g.Name)
		}
		if known[g.Name] != nil {
			return at(where("name"), ErrValue, "%q stands twice", g.Name)
		}
		var under []string
		for _, m := range g.Members {
			if known[m] == nil {
				return at(where("of"), ErrValue, "%.80q is no witness and no group listed before", m)
			}
			if used[m] != "" {
				return at(where("of"), ErrTwice, "%q is a member of %q already", m, used[m])
			}
			used[m] = g.Name
			under = append(under, known[m]...)
		}
		if len(g.Members) == 0 {
			return at(where("of"), ErrNeverMet, "no members")
		}
		if g.K < 1 {
			return at(where("require"), ErrValue, "%d: at least 1", g.K)
		}
		if g.K > len(g.Members) {
			return at(where("require"), ErrNeverMet, "%d are required of %d", g.K, len(g.Members))
		}
		if g.K > 1 {
			if err := p.checkOrganisations(g, known, where("of")); err != nil {
				return err
			}
		}
		known[g.Name] = under
	}
	switch {
	case p.Log.Quorum == noQuorum:
		return nil
	case p.Log.Quorum == "":
		return at("witnesses", ErrValue, "no quorum is given")
	case known[p.Log.Quorum] == nil:
		return at("witnesses", ErrValue, "%.80q is no witness and no group", p.Log.Quorum)
	}
	return nil
}

// checkOrganisations refuses a group that one organisation could meet more than
// one part of. An organisation with several keys puts them in a group of its own.
func (p *Policy) checkOrganisations(g tlog.PolicyGroup, known map[string][]string, where string) *PolicyError {
	member := make(map[string]string)
	for _, m := range g.Members {
		for _, w := range known[m] {
			name := p.Operators[w].Organisation
			if name == "" {
				continue
			}
			o := strings.ToLower(name)
			if other, ok := member[o]; ok && other != m {
				return at(where, ErrTwice, "%q runs both %s and %s; put them into one [[group]] with require = 1", name, other, m)
			}
			member[o] = m
		}
	}
	return nil
}

// quorumMet reports whether the witnesses in has meet the quorum. Groups refer
// only to what stands before them (Validate), so one pass decides.
func quorumMet(p *tlog.Policy, has map[string]bool) bool {
	if p.Quorum == noQuorum {
		return true
	}
	met := make(map[string]bool, len(has)+len(p.Groups))
	for _, w := range p.Witnesses {
		met[w.Name] = has[w.Name]
	}
	for _, g := range p.Groups {
		n := 0
		for _, m := range g.Members {
			if met[m] {
				n++
			}
		}
		met[g.Name] = n >= g.K
	}
	return met[p.Quorum]
}

// quorumGroup returns what the quorum asks for: K of Members.
func quorumGroup(p *tlog.Policy) (k int, members []string) {
	if p.Quorum == noQuorum {
		return 0, nil
	}
	for _, g := range p.Groups {
		if g.Name == p.Quorum {
			return g.K, g.Members
		}
	}
	return 1, []string{p.Quorum}
}
