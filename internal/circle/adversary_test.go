package circle_test

import (
	"testing"

	"pgregory.net/rapid"

	"vitrine.example/internal/circle"
	"vitrine.example/proof"
	"vitrine.example/statement"
)

// TestOneMemberAloneChangesNothing lets one member say anything it can sign:
// lists on lists, that remove, revoke and rewrite the rule, consents to all of
// them, leaving. The list in force and the others' keys stay as they are.
func TestOneMemberAloneChangesNothing(t *testing.T) {
	m, v1, items := four(t)
	v2 := m[0].propose(t, list(&v1, statement.Rule{Witnesses: 2}, m...))
	items = append(items, v2, m[1].consent(t, v2), m[2].consent(t, v2))
	bad := m[3]
	x := orgs(t, "x", "y", "z") // whom the member brings
	rapid.Check(t, func(rt *rapid.T) {
		lists := []proof.Logged{v1, v2}
		said := append([]proof.Logged{v1}, items...)
		for range rapid.IntRange(1, 12).Draw(rt, "statements") {
			on := rapid.SampledFrom(lists).Draw(rt, "on")
			switch rapid.IntRange(0, 4).Draw(rt, "what") {
			case 0:
				said = append(said, bad.consent(t, on))
			case 1:
				said = append(said, bad.leave(t, on))
			case 2: // those whom it brought agree with all
				for _, o := range x {
					said = append(said, o.consent(t, on))
				}
			default:
				with := []*org{bad}
				for _, o := range append(m[:3:3], x...) {
					if rapid.Bool().Draw(rt, o.World.Origin) {
						with = append(with, o)
					}
				}
				c := list(&on, statement.Rule{Consents: rapid.Int64Range(0, 1).Draw(rt, "rule")}, with...)
				if rapid.Bool().Draw(rt, "revoke") && len(with) == 1 && len(c.Revoked) == 0 {
					for _, o := range m[:3] {
						c.Revoked = append(c.Revoked, revoke(o.Member.Statement[0].ID(), o.Member.Log[0].ID(), o.Member.Witness[0].ID())...)
					}
				}
				if c.Validate(c.Subjects()) != nil {
					continue // it lists what the one before revoked
				}
				l := bad.propose(t, c)
				lists, said = append(lists, l), append(said, l)
			}
		}
		h, err := circle.Evaluate(v1.Envelope.Digest(), said)
		if err != nil {
			rt.Fatal(err)
		}
		if h.Current.Statement != v2.Envelope.Digest() || len(h.Current.Suspended) > 0 {
			rt.Fatalf("version %d is in force, %v suspended", h.Current.Version, h.Current.Suspended)
		}
		for _, o := range m[:3] {
			now, ok := h.Current.Member(o.World.Origin)
			if !ok || now.State != circle.Confirmed || len(now.Keys()) != 3 {
				rt.Fatalf("%s: %+v", o.World.Origin, now)
			}
		}
	})
}
