package circle

import (
	"slices"
	"time"

	"vitrine.example/digest"
	"vitrine.example/statement"
)

// Retired is a key that a member had in a list that took effect, and has no more.
type Retired struct {
	statement.MemberKey
	Until   time.Time // when the list that dropped it was published
	Version int64     // of that list
}

// RetiredKeys are a member's keys of lists before the one in force, by kind, in
// the order in which they went: what they signed stays said. Keys that are
// revoked or suspended are not among them.
type RetiredKeys struct {
	Statement, Log, Witness, Mirror []Retired
}

// Retired returns the retired keys of a member.
func (h *History) Retired(origin string) (out RetiredKeys) {
	var was *statement.Member
	for _, v := range h.Versions {
		if v.Status != InForce && v.Status != Superseded {
			continue
		}
		now := entry(v.Circle, origin)
		if was != nil {
			h.gone(&out.Statement, v, was.Statement, now.Statement)
			h.gone(&out.Log, v, was.Log, now.Log)
			h.gone(&out.Witness, v, was.Witness, now.Witness)
			h.gone(&out.Mirror, v, was.Mirror, now.Mirror)
		}
		was = now
	}
	return out
}

// entry is a member's entry in a list; an empty one where there is none.
func entry(c *statement.Circle, origin string) *statement.Member {
	if m := member(c, origin); m != nil {
		return m
	}
	return &statement.Member{}
}

// gone adds the keys that a list has dropped, and forgets those that came back.
func (h *History) gone(out *[]Retired, v *Version, was, now []statement.MemberKey) {
	has := func(list []statement.MemberKey, id digest.Digest) bool {
		return slices.ContainsFunc(list, func(k statement.MemberKey) bool { return k.ID() == id })
	}
	*out = slices.DeleteFunc(*out, func(r Retired) bool { return has(now, r.ID()) })
	for _, k := range was {
		if id := k.ID(); !has(now, id) && !h.Current.distrusts(id) {
			*out = append(*out, Retired{MemberKey: k, Until: v.Published, Version: v.Circle.Version})
		}
	}
}

// distrusts reports whether a key is revoked or suspended.
func (c *Current) distrusts(id digest.Digest) bool {
	return slices.Contains(c.Suspended, id) || slices.ContainsFunc(c.Revoked, func(r statement.Revocation) bool { return r.Key == id })
}
