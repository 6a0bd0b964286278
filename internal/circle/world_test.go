package circle_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"testing"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/circle"
	"vitrine.example/internal/fixture"
	"vitrine.example/key"
	"vitrine.example/proof"
	"vitrine.example/statement"
	"vitrine.example/tlog"
)

// org is a member with its own log.
type org struct {
	*fixture.World
	statement.Member
}

// newOrg makes a member named by a letter: a.example.
func newOrg(t testing.TB, letter string) *org {
	t.Helper()
	w := fixture.New("circle "+letter, key.P256, letter)
	w.Origin = letter + ".example"
	o := &org{World: w}
	o.World.Log = signerOf(t, "circle log "+letter, w.Origin, tlog.Ed25519)
	o.Member = statement.Member{
		Name: "Org " + letter, Origin: w.Origin, URL: "https://" + w.Origin, Country: "DE", Continent: "EU", Roles: []string{"centre"},
		Statement: []statement.MemberKey{{Key: string(w.Vendor.Public().PEM())}},
		Log:       []statement.MemberKey{{Key: o.World.Log.Verifier().String()}},
		Witness:   []statement.MemberKey{{Key: w.Witnesses[0].Verifier().String()}},
	}
	return o
}

func signerOf(t testing.TB, seed, name string, typ tlog.KeyType) *tlog.Signer {
	t.Helper()
	d := sha256.Sum256([]byte(seed))
	s, err := tlog.NewSigner(name, typ, ed25519.NewKeyFromSeed(d[:]), func() (time.Time, error) { return fixture.Epoch, nil })
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// say logs a predicate in the organisation's log, signed by k (nil: its own key).
func (o *org) say(t testing.TB, subjects []statement.Subject, p statement.Predicate, k *key.Signer) proof.Logged {
	t.Helper()
	if k == nil {
		k = o.Vendor
	}
	s, err := statement.New(subjects, p)
	if err != nil {
		t.Fatal(err)
	}
	env, err := statement.Sign(s, k)
	if err != nil {
		t.Fatal(err)
	}
	i := o.Publish(env, k, 1)
	return proof.Logged{Envelope: env, Proof: o.Prove(i)}
}

// list makes a version; prev is nil for the first.
func list(prev *proof.Logged, rule statement.Rule, members ...*org) *statement.Circle {
	c := &statement.Circle{Name: "Programme", Version: 1, Published: fixture.Epoch, Rule: rule}
	if prev != nil {
		was, err := prev.Envelope.Statement().Circle()
		if err != nil {
			panic(err)
		}
		d := prev.Envelope.Digest()
		c.Version, c.Previous, c.Revoked = was.Version+1, &d, append([]statement.Revocation(nil), was.Revoked...)
	}
	for _, m := range members {
		c.Members = append(c.Members, m.Member)
	}
	return c
}

func (o *org) propose(t testing.TB, c *statement.Circle) proof.Logged {
	t.Helper()
	return o.say(t, c.Subjects(), c, nil)
}

func about(l proof.Logged) (*statement.Circle, []statement.Subject) {
	c, err := l.Envelope.Statement().Circle()
	if err != nil {
		panic(err)
	}
	return c, []statement.Subject{statement.NewSubject(c.Name, l.Envelope.Digest())}
}

func (o *org) consent(t testing.TB, to proof.Logged) proof.Logged {
	return o.consentAs(t, to, nil)
}

func (o *org) consentAs(t testing.TB, to proof.Logged, k *key.Signer) proof.Logged {
	t.Helper()
	c, subject := about(to)
	return o.say(t, subject, &statement.Consent{Circle: c.Name, Version: c.Version, Origin: o.World.Origin, At: fixture.Epoch}, k)
}

func (o *org) leave(t testing.TB, from proof.Logged) proof.Logged {
	t.Helper()
	c, subject := about(from)
	return o.say(t, subject, &statement.Leave{Circle: c.Name, Version: c.Version, Origin: o.World.Origin, At: fixture.Epoch}, nil)
}

func evaluate(t testing.TB, root proof.Logged, items ...proof.Logged) *circle.History {
	t.Helper()
	h, err := circle.Evaluate(root.Envelope.Digest(), append([]proof.Logged{root}, items...))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// want checks version and states, written like "a.example:confirmed".
func want(t testing.TB, h *circle.History, version int64, states ...string) {
	t.Helper()
	if h.Current.Version != version {
		t.Fatalf("version %d is in force, want %d; refused: %+v", h.Current.Version, version, h.Refused)
	}
	var have []string
	for _, m := range h.Current.Members {
		have = append(have, m.Origin[:1]+":"+string(m.State))
	}
	if len(have) != len(states) {
		t.Fatalf("members %v, want %v", have, states)
	}
	for i := range states {
		if have[i] != states[i] {
			t.Fatalf("members %v, want %v; refused: %+v", have, states, h.Refused)
		}
	}
}

func revoke(ids ...digest.Digest) []statement.Revocation {
	var out []statement.Revocation
	for _, id := range ids {
		out = append(out, statement.Revocation{Key: id, Since: fixture.Epoch, Reason: "stolen"})
	}
	return out
}
