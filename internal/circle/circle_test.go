package circle_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"vitrine.example/internal/circle"
	"vitrine.example/internal/fixture"
	"vitrine.example/key"
	"vitrine.example/proof"
	"vitrine.example/statement"
	"vitrine.example/tlog"
)

func orgs(t testing.TB, letters ...string) (out []*org) {
	for _, l := range letters {
		out = append(out, newOrg(t, l))
	}
	return out
}

// four makes a circle of four that all have confirmed.
func four(t testing.TB) (m []*org, v1 proof.Logged, items []proof.Logged) {
	m = orgs(t, "a", "b", "c", "d")
	v1 = m[0].propose(t, list(nil, statement.Rule{Witnesses: 2}, m...))
	for _, x := range m[1:] {
		items = append(items, x.consent(t, v1))
	}
	return m, v1, items
}

func TestAnInvitedMemberCountsForNothing(t *testing.T) {
	m := orgs(t, "a", "b", "c")
	v1 := m[0].propose(t, list(nil, statement.Rule{Witnesses: 2}, m...))
	h := evaluate(t, v1)
	want(t, h, 1, "a:confirmed", "b:invited", "c:invited")
	p, err := h.Current.WitnessPolicy("a.example", fixture.Epoch)
	if err != nil || p.Quorum != tlog.QuorumNone {
		t.Errorf("quorum %q, %v: invited members are no witnesses", p.Quorum, err)
	}
	if _, err := h.Current.WitnessPolicy("b.example", fixture.Epoch); err == nil {
		t.Error("an invited member has a policy")
	}
	v2 := m[1].propose(t, list(&v1, statement.Rule{}, m...))
	want(t, evaluate(t, v1, v2), 1, "a:confirmed", "b:invited", "c:invited")
	h = evaluate(t, v1, m[1].consent(t, v1), m[2].consent(t, v1))
	want(t, h, 1, "a:confirmed", "b:confirmed", "c:confirmed")
	if p, err = h.Current.WitnessPolicy("a.example", fixture.Epoch); err != nil || p.Groups[0].K != 2 || len(p.Witnesses) != 2 {
		t.Errorf("policy %+v, %v", p, err)
	}
	if p.Witnesses[0].URL != "https://b.example/witness/" {
		t.Errorf("witness URL %q", p.Witnesses[0].URL)
	}
}

// A witness key that ends does not make a log one that needs fewer witnesses.
func TestKeysThatEndAskForNoFewer(t *testing.T) {
	m := orgs(t, "a", "b", "c")
	end := fixture.Epoch.Add(time.Hour)
	l := list(nil, statement.Rule{Witnesses: 2}, m...)
	for i := range l.Members[1].Witness {
		l.Members[1].Witness[i].Until = end
	}
	v1 := m[0].propose(t, l)
	h := evaluate(t, v1, m[1].consent(t, v1), m[2].consent(t, v1))
	if p, err := h.Current.WitnessPolicy("a.example", end.Add(-time.Second)); err != nil || p.Groups[len(p.Groups)-1].K != 2 {
		t.Fatalf("before: %+v, %v", p, err)
	}
	if p, err := h.Current.WitnessPolicy("a.example", end); !errors.Is(err, circle.ErrNoKeys) {
		t.Errorf("after: %+v, %v", p, err)
	}
}

func TestAChangeNeedsAMajority(t *testing.T) {
	m, v1, items := four(t)
	e := newOrg(t, "e")
	v2 := m[0].propose(t, list(&v1, statement.Rule{}, append(m, e)...))
	items = append(items, v2, m[1].consent(t, v2))
	want(t, evaluate(t, v1, items...), 1, "a:confirmed", "b:confirmed", "c:confirmed", "d:confirmed")
	items = append(items, e.consent(t, v2)) // a new member has no say in its own coming
	h := evaluate(t, v1, items...)
	want(t, h, 1, "a:confirmed", "b:confirmed", "c:confirmed", "d:confirmed")
	if v := h.Versions[1]; v.Have != 2 || v.Need != 3 || v.Status != circle.Proposed {
		t.Errorf("%d of %d, %s", v.Have, v.Need, v.Status)
	}
	items = append(items, m[2].consent(t, v2))
	want(t, evaluate(t, v1, items...), 2, "a:confirmed", "b:confirmed", "c:confirmed", "d:confirmed", "e:confirmed")
}

// The traps: one party that would shrink the electorate to itself.
func TestNobodyTakesACircleOverAlone(t *testing.T) {
	m, v1, items := four(t)
	for name, c := range map[string]*statement.Circle{
		"by removing the others": list(&v1, statement.Rule{}, m[3]),
		"by another rule":        list(&v1, statement.Rule{Consents: 1}, m...),
		"by giving them its keys": func() *statement.Circle {
			x := orgs(t, "x", "y", "z")
			c := list(&v1, statement.Rule{}, m...)
			for i := range x {
				c.Members[i].Statement = x[i].Member.Statement
			}
			return c
		}(),
		"by revoking their keys": func() *statement.Circle {
			c := list(&v1, statement.Rule{}, m[3])
			for _, x := range m[:3] {
				c.Revoked = append(c.Revoked, revoke(x.Member.Statement[0].ID(), x.Member.Log[0].ID())...)
			}
			return c
		}(),
	} {
		t.Run(name, func(t *testing.T) {
			v2 := m[3].propose(t, c)
			h := evaluate(t, v1, append(slices.Clone(items), v2)...)
			want(t, h, 1, "a:confirmed", "b:confirmed", "c:confirmed", "d:confirmed")
			if len(h.Current.Suspended) != 0 {
				t.Errorf("one member suspended %v", h.Current.Suspended)
			}
		})
	}
}

func TestAMemberLeavesWithoutConsent(t *testing.T) {
	m, v1, items := four(t)
	items = append(items, m[3].leave(t, v1))
	want(t, evaluate(t, v1, items...), 1, "a:confirmed", "b:confirmed", "c:confirmed", "d:left")
	v2 := m[0].propose(t, list(&v1, statement.Rule{}, m...))
	items = append(items, v2, m[1].consent(t, v2))
	want(t, evaluate(t, v1, items...), 2, "a:confirmed", "b:confirmed", "c:confirmed", "d:invited")
	items = append(items, m[3].consent(t, v2))
	want(t, evaluate(t, v1, items...), 2, "a:confirmed", "b:confirmed", "c:confirmed", "d:confirmed")
}

func TestRotationLeavesNoGap(t *testing.T) {
	m, v1, items := four(t)
	old := m[1].Vendor
	fresh := fixture.StatementKey("fresh", key.P256)
	m[1].Member.Statement = append(m[1].Member.Statement, statement.MemberKey{Key: string(fresh.Public().PEM()), From: fixture.Epoch})
	v2 := m[1].propose(t, list(&v1, statement.Rule{}, m...))
	items = append(items, v2, m[0].consent(t, v2), m[2].consent(t, v2))
	h := evaluate(t, v1, items...)
	want(t, h, 2, "a:confirmed", "b:confirmed", "c:confirmed", "d:confirmed")
	b, _ := h.Current.Member("b.example")
	if k, err := circle.StatementKeys(b.Statement, fixture.Epoch); err != nil || len(k) != 2 {
		t.Errorf("%d keys in the overlap, %v", len(k), err)
	}
	if k, _ := circle.StatementKeys(b.Statement, fixture.Epoch.Add(-1)); len(k) != 1 || !k[0].Equal(old.Public()) {
		t.Errorf("before the change: %d keys", len(k))
	}
	m[1].Member.Statement = m[1].Member.Statement[1:]
	m[1].Vendor = fresh
	v3 := m[1].propose(t, list(&v2, statement.Rule{}, m...))
	items = append(items, v3, m[0].consent(t, v3), m[2].consent(t, v3))
	want(t, evaluate(t, v1, items...), 3, "a:confirmed", "b:confirmed", "c:confirmed", "d:confirmed")
	// The old key proposes nothing any more; what it said before still holds.
	m[1].Vendor = old
	v4 := m[1].propose(t, list(&v3, statement.Rule{}, m...))
	h = evaluate(t, v1, append(items, v4)...)
	want(t, h, 3, "a:confirmed", "b:confirmed", "c:confirmed", "d:confirmed")
	for _, v := range h.Versions {
		if v.Statement == v4.Envelope.Digest() {
			t.Errorf("the old key proposed a list: %+v", v)
		}
	}
}

func TestARevokedKeySaysNothing(t *testing.T) {
	m, v1, items := four(t)
	stolen := m[3].Member.Statement[0].ID()
	c := list(&v1, statement.Rule{}, m[:3]...)
	c.Revoked = revoke(stolen)
	v2 := m[0].propose(t, c)
	// Two members: not enough for a version, enough to trust the key no more.
	items = append(items, v2, m[1].consent(t, v2))
	h := evaluate(t, v1, append(items, m[3].consent(t, v2))...)
	if v := h.Versions[1]; v.Have != 2 || v.Need != 3 {
		t.Errorf("%d of %d consents; the revoked key's must not count", v.Have, v.Need)
	}
	if d, _ := h.Current.Member("d.example"); len(d.Statement) != 0 || !slices.Contains(h.Current.Suspended, stolen) {
		t.Errorf("the stolen key is still trusted: %v", d.Statement)
	}
	items = append(items, m[2].consent(t, v2))
	want(t, evaluate(t, v1, items...), 2, "a:confirmed", "b:confirmed", "c:confirmed")
	// It cannot come back under a later version either.
	back := list(&v2, statement.Rule{}, m...)
	back.Revoked = nil
	v3 := m[0].propose(t, back)
	items = append(items, v3, m[1].consent(t, v3), m[2].consent(t, v3))
	want(t, evaluate(t, v1, items...), 2, "a:confirmed", "b:confirmed", "c:confirmed")
}

// One signature of a party that was revoked later must not bring the list back
// that trusted it (DESIGN.md, "Two lists").
func TestARevokedPartyCannotTurnBackTheList(t *testing.T) {
	m := orgs(t, "a", "b", "c")
	n := newOrg(t, "n")
	v1 := m[0].propose(t, list(nil, statement.Rule{}, m...))
	items := []proof.Logged{m[1].consent(t, v1), m[2].consent(t, v1)}
	va := m[0].propose(t, list(&v1, statement.Rule{}, append(m, n)...)) // a and c agree
	vb := m[1].propose(t, list(&v1, statement.Rule{}, m...))            // b prefers another
	items = append(items, va, m[2].consent(t, va), n.consent(t, va), vb)
	c := list(&va, statement.Rule{}, m[0], m[1], n)
	c.Revoked = revoke(m[2].Member.Statement[0].ID(), m[2].Member.Log[0].ID(), m[2].Member.Witness[0].ID())
	v3 := m[0].propose(t, c)
	items = append(items, v3, m[1].consent(t, v3), n.consent(t, v3))
	want(t, evaluate(t, v1, items...), 3, "a:confirmed", "b:confirmed", "n:confirmed")
	late := m[2].consent(t, vb)
	h := evaluate(t, v1, append(items, late)...)
	want(t, h, 3, "a:confirmed", "b:confirmed", "n:confirmed")
	noted := false
	for _, v := range h.Versions {
		noted = noted || strings.Contains(strings.Join(v.Notes, " "), "c.example agreed with 2 lists")
	}
	if !noted {
		t.Error("the contradiction is not shown")
	}
}

func TestWhatDoesNotHoldIsRefused(t *testing.T) {
	m, v1, _ := four(t)
	x := newOrg(t, "x")
	good := m[1].consent(t, v1)
	_, subject := about(v1)
	moved := m[1].consent(t, v1)
	moved.Proof = x.Prove(x.Publish(moved.Envelope, m[1].Vendor, 1))
	forged := m[1].consent(t, v1)
	p := *forged.Proof
	p.Index++
	forged.Proof = &p
	for name, l := range map[string]proof.Logged{
		"signed by a stranger": m[1].consentAs(t, v1, x.Vendor),
		"signed by another":    m[1].consentAs(t, v1, m[2].Vendor),
		"logged elsewhere":     moved,
		"of no member":         x.consent(t, v1),
		"with a wrong place":   forged,
		"of another version":   m[1].say(t, subject, &statement.Consent{Circle: "Programme", Version: 2, Origin: "b.example", At: fixture.Epoch}, nil),
		"of another name":      m[1].say(t, []statement.Subject{statement.NewSubject("Other", v1.Envelope.Digest())}, &statement.Consent{Circle: "Other", Version: 1, Origin: "b.example", At: fixture.Epoch}, nil),
		"of another statement": m[1].say(t, []statement.Subject{statement.NewSubject("Programme", good.Envelope.Digest())}, &statement.Consent{Circle: "Programme", Version: 1, Origin: "b.example", At: fixture.Epoch}, nil),
		"that is no circle's":  {Envelope: fixture.Release(m[1].Vendor, "pkg:generic/app", "1", "", fixture.File{Name: "f"}), Proof: good.Proof},
	} {
		t.Run(name, func(t *testing.T) {
			h := evaluate(t, v1, l)
			want(t, h, 1, "a:confirmed", "b:invited", "c:invited", "d:invited")
			if len(h.Refused) != 1 || h.Refused[0].Reason == "" {
				t.Errorf("refused %+v", h.Refused)
			}
		})
	}
	if _, err := circle.Evaluate(good.Envelope.Digest(), []proof.Logged{v1, good}); err == nil {
		t.Error("a consent as a root was accepted")
	}
}

// A member whose key version 3 revokes confirms version 1 late, which raises
// the number of consents that later versions need. Those who went on to version
// 3 agreed with version 2 as well; version 3 itself may need one more, but the key
// stays untrusted all the time.
func TestALateConfirmationBringsNoKeyBack(t *testing.T) {
	m := orgs(t, "a", "b", "c", "d")
	v1 := m[0].propose(t, list(nil, statement.Rule{}, m...))
	v2 := m[0].propose(t, list(&v1, statement.Rule{}, m...))
	c := list(&v2, statement.Rule{}, m[:3]...)
	c.Revoked = revoke(m[3].Member.Statement[0].ID())
	v3 := m[0].propose(t, c)
	items := []proof.Logged{m[1].consent(t, v1), m[2].consent(t, v1), v2, m[2].consent(t, v2), v3, m[1].consent(t, v3)}
	want(t, evaluate(t, v1, items...), 3, "a:confirmed", "b:confirmed", "c:confirmed")
	h := evaluate(t, v1, append(items, m[3].consent(t, v1))...)
	want(t, h, 2, "a:confirmed", "b:confirmed", "c:confirmed", "d:confirmed")
	if d, _ := h.Current.Member("d.example"); len(d.Statement) != 0 || !slices.Contains(h.Current.Suspended, c.Revoked[0].Key) {
		t.Error("the key is trusted again")
	}
	items = append(items, m[3].consent(t, v1), m[2].consent(t, v3))
	want(t, evaluate(t, v1, items...), 3, "a:confirmed", "b:confirmed", "c:confirmed")
}

// material is a set of statements with every kind of trouble in it.
func material(t testing.TB) (proof.Logged, []proof.Logged) {
	m, v1, items := four(t)
	va := m[0].propose(t, list(&v1, statement.Rule{}, m...))
	vb := m[1].propose(t, list(&v1, statement.Rule{Witnesses: 1}, m...))
	items = append(items, va, vb, m[2].consent(t, va), m[2].consent(t, vb), m[3].consent(t, va), m[3].consent(t, vb), m[3].leave(t, va))
	c := list(&va, statement.Rule{}, m[:3]...)
	c.Revoked = revoke(m[3].Member.Statement[0].ID())
	v3 := m[0].propose(t, c)
	return v1, append(items, v3, m[1].consent(t, v3), m[2].consent(t, v3))
}

func digestOf(h *circle.History) string {
	var b strings.Builder
	for _, v := range h.Versions {
		fmt.Fprintf(&b, "%d %s %s %d/%d %v %v\n", v.Version, v.Statement, v.Status, v.Have, v.Need, v.States, v.Consents)
	}
	return fmt.Sprintf("%s%+v %+v", b.String(), h.Current, h.Refused)
}

func TestNeitherOrderNorRepetitionMatters(t *testing.T) {
	v1, items := material(t)
	all := append([]proof.Logged{v1}, items...)
	whole := digestOf(evaluate(t, v1, items...))
	rapid.Check(t, func(t *rapid.T) {
		mixed := rapid.Permutation(all).Draw(t, "order")
		for range rapid.IntRange(0, 4).Draw(t, "again") {
			mixed = append(mixed, rapid.SampledFrom(all).Draw(t, "repeated"))
		}
		h, err := circle.Evaluate(v1.Envelope.Digest(), mixed)
		if err != nil {
			t.Fatal(err)
		}
		if got := digestOf(h); got != whole {
			t.Fatalf("another result:\n%s\n%s", got, whole)
		}
	})
}

// More statements undo a version only where members agreed with two lists of
// one version, or where more members confirmed the list before it.
func TestMoreStatementsUndoNothingWithoutAReason(t *testing.T) {
	v1, items := material(t)
	rapid.Check(t, func(t *rapid.T) {
		some := rapid.SliceOfDistinct(rapid.IntRange(0, len(items)-1), rapid.ID[int]).Draw(t, "known")
		var known []proof.Logged
		for _, i := range some {
			known = append(known, items[i])
		}
		known = append(known, v1)
		extra := rapid.SampledFrom(items).Draw(t, "one more")
		was, err := circle.Evaluate(v1.Envelope.Digest(), known)
		if err != nil {
			t.Fatal(err)
		}
		is, err := circle.Evaluate(v1.Envelope.Digest(), append(known, extra))
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range was.Current.Suspended {
			if !slices.Contains(is.Current.Suspended, k) {
				t.Fatalf("key %s is trusted again", k)
			}
		}
		reason := false // a contradiction, or consents that are missing now
		for _, v := range is.Versions {
			reason = reason || len(v.Notes) > 0 || v.Have < v.Need
		}
		for _, v := range is.Versions {
			if v.Statement == was.Current.Statement && v.Status != circle.InForce && v.Status != circle.Superseded && !reason {
				t.Fatalf("version %d was undone without a reason", v.Circle.Version)
			}
		}
	})
}

// A member that says as much as a file can hold, list upon list, changes nothing.
func TestAFloodOfListsChangesNothing(t *testing.T) {
	m, v1, items := four(t)
	last := v1
	for range proof.MaxStatements - len(items) - 1 {
		last = m[3].propose(t, list(&last, statement.Rule{Consents: 1}, m[3]))
		items = append(items, last)
	}
	h := evaluate(t, v1, items...)
	want(t, h, 1, "a:confirmed", "b:confirmed", "c:confirmed", "d:confirmed")
	if len(h.Versions) != 2 {
		t.Errorf("%d versions", len(h.Versions))
	}
}
