package verdict

import (
	"fmt"
	"slices"

	"vitrine.example/tlog"
)

// checkContinents refuses a number of continents that can never be met.
func (p *Policy) checkContinents() *PolicyError {
	const where = "witnesses.continents"
	switch {
	case p.Continents == 0:
		return nil
	case p.Continents < 1 || p.Continents > len(Continents):
		return at(where, ErrValue, "%d: 1 to %d", p.Continents, len(Continents))
	case p.Log.Quorum == noQuorum:
		return at(where, ErrNeverMet, "no witness is asked for")
	}
	if n := len(p.continentsOf(p.counted())); n < p.Continents {
		return at(where, ErrNeverMet, "%d are required, but the witnesses that count are on %d: give each [[witness]] its continent", p.Continents, n)
	}
	return nil
}

// counted returns the witnesses that the quorum counts, groups resolved.
func (p *Policy) counted() map[string]bool {
	in := map[string]bool{p.Log.Quorum: true}
	for _, g := range slices.Backward(p.Log.Groups) { // members stand before their group
		if in[g.Name] {
			for _, m := range g.Members {
				in[m] = true
			}
		}
	}
	return in
}

// continentsOf returns the continents of the witnesses in has, in order.
func (p *Policy) continentsOf(has map[string]bool) []string {
	var out []string
	for _, w := range p.Log.Witnesses {
		if c := p.Operators[w.Name].Continent; has[w.Name] && c != "" && !slices.Contains(out, c) {
			out = append(out, c)
		}
	}
	slices.Sort(out)
	return out
}

// quorumMet reports whether the witnesses in has are enough, and on enough
// continents.
func (p *Policy) quorumMet(has map[string]bool) bool {
	return quorumMet(&p.Log, has) && p.continentsMet(has)
}

func (p *Policy) continentsMet(has map[string]bool) bool {
	if p.Continents == 0 {
		return true
	}
	counted := map[string]bool{}
	for name := range p.counted() {
		counted[name] = has[name]
	}
	return len(p.continentsOf(counted)) >= p.Continents
}

// names is a set of those that cosigned.
func names(ws []tlog.Witnessed) map[string]bool {
	has := make(map[string]bool, len(ws))
	for _, w := range ws {
		has[w.Name] = true
	}
	return has
}

// tooNear says that enough witnesses cosigned, and on too few continents; ""
// where that is not what is wrong.
func (p *Policy) tooNear(s *seen) (missing, remedy string) {
	has := names(s.witness)
	if len(s.invalid) > 0 || !quorumMet(&p.Log, has) || p.continentsMet(has) {
		return "", ""
	}
	var who, elsewhere []string
	on := p.continentsOf(has)
	for _, w := range s.witness {
		who = append(who, p.operatorWords(w.Name))
	}
	for _, name := range s.missing {
		if c := p.Operators[name].Continent; c != "" && !slices.Contains(on, c) {
			elsewhere = append(elsewhere, p.operatorWords(name))
		}
	}
	return fmt.Sprintf("%s did, on %s of the %s", list(who, "and"), plural(int64(len(on)), "continent"), grouped(int64(p.Continents))),
		"get a newer bundle from the publisher, with a cosignature from another continent: of " + list(elsewhere, "or")
}

// onContinents is what is asked beside the number of witnesses.
func (p *Policy) onContinents() string {
	switch p.Continents {
	case 0:
		return ""
	case 1:
		return ", one of known continent at least"
	}
	return fmt.Sprintf(", on at least %d continents", p.Continents)
}
