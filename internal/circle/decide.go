package circle

import (
	"maps"
	"slices"

	"vitrine.example/digest"
	"vitrine.example/proof"
	"vitrine.example/statement"
)

// decide follows the versions that took effect from the first one on.
func decide(first *node) []*node {
	chain := []*node{first}
	for n := first; ; {
		next := n.winner()
		if next == nil {
			return chain
		}
		chain = append(chain, next)
		n = next
	}
}

// winner returns the child that took effect. Where two have enough consents, at
// least one member agreed with both: a member then counts for the one below
// which it went on, else for the only one it agreed with, else for none. Most
// members win, then the smaller digest.
func (n *node) winner() *node {
	var carried []*node
	for _, c := range n.children {
		if c.carried {
			carried = append(carried, c)
		}
	}
	if len(carried) < 2 {
		return append(carried, nil)[0]
	}
	score := map[*node]int{}
	for _, origin := range n.confirmed() {
		if c := position(carried, origin); c != nil {
			score[c]++
		}
	}
	for _, c := range carried {
		c.version.Notes = append(c.version.Notes, "another list of the same version has enough consents too: members agreed with both")
	}
	return slices.MinFunc(carried, func(a, b *node) int {
		if score[a] != score[b] {
			return score[b] - score[a]
		}
		return compare(a.digest, b.digest)
	})
}

// position returns the one of several lists that a member stands for.
func position(lists []*node, origin string) *node {
	var below, on []*node
	for _, c := range lists {
		if c.wentOn(origin) {
			below = append(below, c)
		}
		if c.voters[origin] {
			on = append(on, c)
		}
	}
	switch {
	case len(below) == 1:
		return below[0]
	case len(below) == 0 && len(on) == 1:
		return on[0]
	}
	return nil
}

// wentOn reports whether a member agreed with something that follows on n.
func (n *node) wentOn(origin string) bool {
	for _, c := range n.children {
		if c.voters[origin] || c.wentOn(origin) {
			return true
		}
	}
	return false
}

// current is the list at the end of the chain, without keys that are not to be
// trusted.
func (e *evaluation) current(chain []*node) *Current {
	n := chain[len(chain)-1]
	c := &Current{
		Name: n.circle.Name, Root: chain[0].digest, Version: n.circle.Version, Statement: n.digest, Rule: n.circle.Rule,
		Suspended: slices.SortedFunc(maps.Keys(e.suspend), compare),
	}
	told := map[digest.Digest]bool{}
	for _, x := range chain {
		for _, r := range x.circle.Revoked {
			if !told[r.Key] {
				told[r.Key] = true
				c.Revoked = append(c.Revoked, r)
			}
		}
	}
	for _, m := range n.circle.Members {
		x := Member{Member: m, State: n.version.States[m.Origin]}
		if x.State == Confirmed && n.left[m.Origin] {
			x.State = Left
		}
		for _, list := range []*[]statement.MemberKey{&x.Statement, &x.Log, &x.Witness, &x.Mirror} {
			*list = slices.DeleteFunc(slices.Clone(*list), func(k statement.MemberKey) bool { return e.suspend[k.ID()] || n.revoked[k.ID()] })
		}
		c.Members = append(c.Members, x)
	}
	return c
}

// tell writes down what became of everything.
func (e *evaluation) tell(h *History, chain []*node) {
	won := map[*node]bool{}
	for _, n := range chain {
		won[n] = true
	}
	for _, n := range e.nodes {
		v := n.version
		switch {
		case n == chain[len(chain)-1]:
			v.Status = InForce
		case won[n]:
			v.Status = Superseded
		case won[n.parent] && n.parent == chain[len(chain)-1]:
			v.Status = Proposed
		default:
			v.Status = Lost
		}
		for origin := range n.left {
			if v.States[origin] == Confirmed {
				v.States[origin] = Left
			}
		}
		slices.Sort(v.Notes)
		slices.SortFunc(v.Consents, func(a, b Vote) int {
			if a.Origin != b.Origin {
				return map[bool]int{true: -1, false: 1}[a.Origin < b.Origin]
			}
			return compare(a.Statement, b.Statement)
		})
		h.Versions = append(h.Versions, v)
	}
	e.between()
	rank := map[Status]int{InForce: 0, Superseded: 0, Proposed: 1, Lost: 2}
	slices.SortFunc(h.Versions, func(a, b *Version) int {
		switch {
		case a.Version != b.Version:
			return int(a.Version - b.Version)
		case a.Status != b.Status:
			return rank[a.Status] - rank[b.Status]
		}
		return compare(a.Statement, b.Statement)
	})
	for _, d := range slices.SortedFunc(maps.Keys(e.byDigest), compare) {
		s := e.byDigest[d]
		if s.used == nil {
			h.Refused = append(h.Refused, Refusal{Statement: d, Reason: s.reason})
			continue
		}
		h.Used = append(h.Used, proof.Logged{Envelope: s.used.Envelope, Proof: s.used.Proof})
	}
}
