package circle_test

import (
	"context"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"vitrine.example/digest"
	"vitrine.example/internal/circle"
	"vitrine.example/internal/store/storetest"
	"vitrine.example/proof"
	"vitrine.example/statement"
)

// What counts is kept with all that it hangs on: the file alone gives the same list.
func TestTheFileAloneGivesTheSame(t *testing.T) {
	m, v1, items := four(t)
	p := m[0].propose(t, list(&v1, statement.Rule{}, m...))
	strange := newOrg(t, "x").propose(t, list(&p, statement.Rule{}, m...)) // nobody's, but between
	on := m[1].propose(t, list(&strange, statement.Rule{}, m...))
	h := evaluate(t, v1, append(items, p, strange, on, m[2].consent(t, p))...)
	want(t, h, 2, "a:confirmed", "b:confirmed", "c:confirmed", "d:confirmed")
	again, err := circle.Evaluate(v1.Envelope.Digest(), h.Used)
	if err != nil {
		t.Fatal(err)
	}
	if digestOf(again) != digestOf(h) {
		t.Errorf("the file says\n%s\nand all says\n%s", digestOf(again), digestOf(h))
	}
}

func usedOf(h *circle.History) (out []digest.Digest) {
	for i := range h.Used {
		out = append(out, h.Used[i].Envelope.Digest())
	}
	return out
}

// A member that fills the file, itself and with those whom it would bring along,
// keeps nobody from being heard: the others propose, agree and revoke its keys. The
// order of statements changes nothing, and what is kept stays what is kept.
func TestAFullFileIsShared(t *testing.T) {
	const limit = 36
	m, v1, items := four(t)
	bad, x := m[3], orgs(t, "x", "y", "z")
	base := append([]proof.Logged{v1}, items...)
	v2 := m[0].propose(t, list(&v1, statement.Rule{Witnesses: 1}, m...))
	base = append(base, v2, m[1].consent(t, v2), m[2].consent(t, v2))
	c := list(&v2, statement.Rule{Witnesses: 1}, m[:3]...)
	c.Revoked = revoke(bad.Member.Statement[0].ID())
	pending := m[1].propose(t, c)
	agrees := m[2].consent(t, pending)
	rapid.Check(t, func(rt *rapid.T) {
		lists := []proof.Logged{v1, v2, pending}
		said := slices.Concat(base, []proof.Logged{pending, agrees})
		for len(said) < limit+12 {
			on := rapid.SampledFrom(lists).Draw(rt, "on")
			switch rapid.IntRange(0, 3).Draw(rt, "what") {
			case 0:
				said = append(said, bad.consent(t, on))
			case 1:
				for _, o := range x {
					said = append(said, o.consent(t, on))
				}
			default:
				c := list(&on, statement.Rule{Witnesses: rapid.Int64Range(0, 2).Draw(rt, "rule")}, append(x, m...)...)
				c.Members[0].Name = rapid.StringMatching("[a-z]{8}").Draw(rt, "name")
				if on.Envelope.Digest() == pending.Envelope.Digest() || len(c.Revoked) > 0 {
					c.Members = c.Members[:len(c.Members)-1] // without the revoked key
				}
				l := bad.propose(t, c)
				lists, said = append(lists, l), append(said, l)
			}
		}
		root := v1.Envelope.Digest()
		whole, err := circle.Evaluate(root, said)
		if err != nil {
			rt.Fatal(err)
		}
		h, err := circle.Fit(root, said, limit)
		if err != nil {
			rt.Fatal(err)
		}
		used := usedOf(h)
		for _, l := range slices.Concat(base, []proof.Logged{pending, agrees}) {
			if !slices.Contains(used, l.Envelope.Digest()) {
				rt.Fatalf("%s was pushed out", l.Envelope.Digest())
			}
		}
		if len(used) > limit || h.Current.Statement != whole.Current.Statement || !slices.Equal(h.Current.Suspended, whole.Current.Suspended) || len(h.Current.Suspended) != 1 {
			rt.Fatalf("%d statements, version %d, %v suspended", len(used), h.Current.Version, h.Current.Suspended)
		}
		shuffled := rapid.Permutation(said).Draw(rt, "order")
		for _, more := range [][]proof.Logged{shuffled, h.Used} {
			again, err := circle.Fit(root, more, limit)
			if err != nil {
				rt.Fatal(err)
			}
			if got := usedOf(again); !slices.Equal(got, used) {
				rt.Fatalf("kept %d, then %d others", len(used), len(got))
			}
		}
	})
}

// The list in force changes against the will of a member that has filled the file.
func TestAMemberThatFilledTheFileIsRemoved(t *testing.T) {
	m, v1, items := four(t)
	flood := append([]proof.Logged{v1}, items...)
	for i := range int64(proof.MaxStatements) {
		c := list(&v1, statement.Rule{}, m...)
		c.Revoked = []statement.Revocation{{Key: digest.Of([]byte{byte(i), byte(i >> 8)}), Since: c.Published, Reason: "flood"}}
		flood = append(flood, m[3].propose(t, c))
	}
	s := circle.Store{DB: storetest.Open(t, storetest.SQLite(t))}
	ctx, root := context.Background(), v1.Envelope.Digest()
	for part := range slices.Chunk(flood, 1000) {
		if _, _, err := s.Merge(ctx, root, part); err != nil {
			t.Fatal(err)
		}
	}
	v2 := m[0].propose(t, list(&v1, statement.Rule{}, m[:3]...))
	for _, l := range []proof.Logged{v2, m[1].consent(t, v2), m[2].consent(t, v2)} {
		if _, changed, err := s.Merge(ctx, root, []proof.Logged{l}); err != nil || !changed {
			t.Fatalf("changed %t: %v", changed, err)
		}
	}
	h, err := s.Load(ctx)
	if err != nil {
		t.Fatal(err)
	}
	want(t, h, 2, "a:confirmed", "b:confirmed", "c:confirmed")
	if _, err := h.File(); err != nil {
		t.Error(err)
	}
}
