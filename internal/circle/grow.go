package circle

import (
	"fmt"
	"maps"
	"slices"

	"vitrine.example/digest"
	"vitrine.example/statement"
)

// grow confirms the members of a version that took effect, finds the proposals
// that follow on it, counts their consents, and goes on with those that have
// enough. A tree: of two proposals of one version both may have enough.
func (e *evaluation) grow(n *node) {
	e.nodes = append(e.nodes, n)
	e.confirm(n)
	for _, s := range e.about[n.digest] {
		if s.circle == nil {
			continue
		}
		c, err := e.propose(n, s)
		if err != nil {
			s.reason = err.Error()
			continue
		}
		e.count(n, c)
		n.children = append(n.children, c)
		if c.carried {
			e.grow(c)
		} else {
			e.nodes = append(e.nodes, c)
			e.spoke(c) // new members may agree before the others have
		}
	}
	n.contradictions()
}

// member returns a listed member.
func member(c *statement.Circle, origin string) *statement.Member {
	for i := range c.Members {
		if c.Members[i].Origin == origin {
			return &c.Members[i]
		}
	}
	return nil
}

// confirm says what each member of n is.
func (e *evaluation) confirm(n *node) {
	states := make(map[string]State, len(n.circle.Members))
	spoke := e.spoke(n)
	for i := range n.circle.Members {
		m := &n.circle.Members[i]
		states[m.Origin] = Invited
		if spoke[m.Origin] || n.version.Proposer == m.Origin && n.holds(m, n.revoked) == nil {
			states[m.Origin] = Confirmed
		} else if p := n.parent; p != nil && p.version.States[m.Origin] == Confirmed && !p.left[m.Origin] && same(member(p.circle, m.Origin), m) {
			states[m.Origin] = Confirmed
		}
	}
	for _, s := range e.about[n.digest] {
		if s.leave == nil {
			continue
		}
		m := member(n.circle, s.leave.Origin)
		if err := s.speaks(n, m, s.leave.Circle, s.leave.Version); err != nil {
			s.reason = err.Error()
			continue
		}
		n.left[m.Origin] = true
	}
	n.version.States = states
}

// spoke notes the consents of members under the keys of n itself.
func (e *evaluation) spoke(n *node) map[string]bool {
	out := map[string]bool{}
	for _, s := range e.about[n.digest] {
		if s.consent == nil {
			continue
		}
		m := member(n.circle, s.consent.Origin)
		if err := s.speaks(n, m, s.consent.Circle, s.consent.Version); err != nil {
			if s.used == nil { // it may have counted under the keys of the version before
				s.reason = err.Error()
			}
			continue
		}
		out[m.Origin] = true
		n.vote(s, false)
	}
	return out
}

// vote notes a consent for people.
func (n *node) vote(s *speech, counts bool) {
	v := Vote{Origin: s.consent.Origin, Statement: s.digest, Index: s.used.Proof.Index, At: s.consent.At, Counts: counts}
	for i := range n.version.Consents {
		if n.version.Consents[i].Statement == s.digest {
			n.version.Consents[i].Counts = n.version.Consents[i].Counts || counts
			return
		}
	}
	n.version.Consents = append(n.version.Consents, v)
}

// speaks checks what m says of n, under the keys that n lists.
func (s *speech) speaks(n *node, m *statement.Member, name string, version int64) error {
	switch {
	case m == nil:
		return fmt.Errorf("its member is not listed in version %d", n.circle.Version)
	case name != n.circle.Name || version != n.circle.Version:
		return fmt.Errorf("it names version %d of %.80q, its subject is version %d of %s", version, name, n.circle.Version, n.circle.Name)
	}
	return s.holds(m, n.revoked)
}

// same reports whether a member needs no new consent: nothing of it changed but
// its roles, and keys were at most taken away.
func same(was, is *statement.Member) bool {
	if was == nil || was.Name != is.Name || was.URL != is.URL || was.Country != is.Country {
		return false
	}
	for _, l := range [][2][]statement.MemberKey{
		{was.Statement, is.Statement}, {was.Log, is.Log}, {was.Witness, is.Witness}, {was.Mirror, is.Mirror},
	} {
		for _, k := range l[1] {
			if !slices.ContainsFunc(l[0], func(o statement.MemberKey) bool { return o.Key == k.Key && o.From.Equal(k.From) }) {
				return false
			}
		}
	}
	return true
}

// propose checks a proposal that follows on n.
func (e *evaluation) propose(n *node, s *speech) (*node, error) {
	c := newNode(s, n)
	if s.circle.Version != n.circle.Version+1 || s.circle.Name != n.circle.Name {
		return nil, fmt.Errorf("version %d of %.80q does not follow on version %d of %s", s.circle.Version, s.circle.Name, n.circle.Version, n.circle.Name)
	}
	if err := checkVKeys(s.circle); err != nil {
		return nil, err
	}
	for i := range s.circle.Members {
		for _, k := range s.circle.Members[i].Keys() {
			if n.revoked[k.ID()] {
				return nil, fmt.Errorf("it lists key %s, which was revoked", k.ID())
			}
		}
	}
	m := n.signer(s)
	if m == nil || n.version.States[m.Origin] != Confirmed {
		return nil, fmt.Errorf("its signer is no confirmed member of version %d", n.circle.Version)
	}
	if err := s.holds(m, c.revoked); err != nil {
		return nil, err
	}
	c.propose(m.Origin)
	return c, nil
}

// count counts consents to c under the keys of the version before: else a list
// could bring the keys that agree with it. How many are needed does not
// shrink with those whom c removes or revokes: else the proposer could
// remove all who would not agree.
func (e *evaluation) count(n, c *node) {
	for _, s := range e.about[c.digest] {
		if s.consent == nil || n.version.States[s.consent.Origin] != Confirmed {
			continue
		}
		if s.consent.Circle != c.circle.Name || s.consent.Version != c.circle.Version {
			s.reason = "it names another version than its subject is"
			continue
		}
		m := member(n.circle, s.consent.Origin)
		if err := s.holds(m, c.revoked); err != nil {
			s.reason = err.Error()
			continue
		}
		c.voters[m.Origin], c.direct[m.Origin] = true, true
		c.vote(s, true)
	}
	e.below(c.digest, func(s *speech) {
		if m := agrees(s, n); m != nil && s.holds(m, c.revoked) == nil {
			c.voters[m.Origin] = true
			s.by = m.Origin
		}
	})
	electors := 0
	for _, origin := range n.confirmed() {
		if !n.left[origin] || c.voters[origin] {
			electors++
		}
	}
	c.version.Have, c.version.Need = len(c.voters), needed(n.circle.Rule, electors)
	c.carried = c.version.Have >= c.version.Need
}

// below calls f with everything that is said of lists that follow on a list,
// those lists included. Digests make no circles.
func (e *evaluation) below(d digest.Digest, f func(*speech)) {
	for _, s := range e.about[d] {
		if s.circle == nil {
			continue
		}
		f(s)
		for _, x := range e.about[s.digest] {
			if x.consent != nil {
				f(x)
			}
		}
		e.below(s.digest, f)
	}
}

// agrees returns the confirmed member of n that proposed or agreed: who goes on
// below a list agrees with it, whatever is said of it later.
func agrees(s *speech, n *node) *statement.Member {
	var m *statement.Member
	if s.circle != nil {
		m = n.signer(s)
	} else if s.consent != nil {
		m = member(n.circle, s.consent.Origin)
	}
	if m == nil || n.version.States[m.Origin] != Confirmed {
		return nil
	}
	return m
}

// needed is how many consents the rule asks for.
func needed(r statement.Rule, electors int) int {
	if r.Consents == 0 {
		return electors/2 + 1
	}
	return max(1, min(int(r.Consents), electors))
}

// confirmed returns the confirmed members in order, those that left included.
func (n *node) confirmed() []string {
	var out []string
	for _, origin := range slices.Sorted(maps.Keys(n.version.States)) {
		if n.version.States[origin] == Confirmed {
			out = append(out, origin)
		}
	}
	return out
}

// contradictions tells of members that agreed with two proposals of one version.
func (n *node) contradictions() {
	for _, origin := range n.confirmed() {
		var with []*node
		for _, c := range n.children {
			if c.direct[origin] {
				with = append(with, c)
			}
		}
		if len(with) < 2 {
			continue
		}
		for _, c := range with {
			c.version.Notes = append(c.version.Notes, fmt.Sprintf("%s agreed with %d lists that call themselves version %d", origin, len(with), c.circle.Version))
		}
	}
}

// suspensions finds keys that are to be trusted no more at once: a list anywhere
// below one that has enough revokes them, and two confirmed members of that one
// beside the key's owner back it under the keys that it lists (or one, where it
// lists only one other). It needs fewer than a new version, works in branches that lost too,
// and asks nothing of the lists between: so what undoes these does not undo it.
func (e *evaluation) suspensions() {
	for _, n := range e.nodes {
		if !n.carried {
			continue
		}
		e.below(n.digest, func(s *speech) {
			if s.circle == nil {
				return
			}
			for _, r := range s.circle.Revoked {
				if n.revoked[r.Key] || e.suspend[r.Key] {
					continue
				}
				if back := e.backed(n, s, r.Key); back != nil {
					e.suspend[r.Key] = true
					e.grounds[r.Key] = append(back, e.path(n.digest, func(x *speech) bool { return x == s })...)
				}
			}
		})
	}
}

// backed returns what members of n beside the key's owner back a list with; nil
// where these are too few.
func (e *evaluation) backed(n *node, list *speech, k digest.Digest) []*speech {
	owner := ""
	for i := range n.circle.Members {
		m := &n.circle.Members[i]
		if slices.ContainsFunc(m.Keys(), func(x statement.MemberKey) bool { return x.ID() == k }) {
			owner = m.Origin
		}
	}
	without := maps.Clone(n.revoked)
	without[k] = true
	back := map[string]*speech{}
	for _, s := range append([]*speech{list}, e.about[list.digest]...) {
		if s != list && s.consent == nil {
			continue
		}
		if m := agrees(s, n); m != nil && m.Origin != owner && back[m.Origin] == nil && s.holds(m, without) == nil {
			back[m.Origin] = s
		}
	}
	others := 0 // listed, not confirmed: that number nothing can change
	for _, m := range n.circle.Members {
		if m.Origin != owner {
			others++
		}
	}
	if len(back) == 0 || len(back) < min(2, others) {
		return nil
	}
	return append(slices.Collect(maps.Values(back)), list)
}
