package verdict_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"vitrine.example/internal/fixture"
	"vitrine.example/key"
	"vitrine.example/proof"
	"vitrine.example/tlog"
	"vitrine.example/verdict"
)

// One more cosignature of a listed witness never makes an accepted bundle a
// refused one, whatever time it bears.
func TestMoreCosignaturesNeverHurt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newScene(key.Ed25519)
		s.policy.Log.Groups[0].K = rapid.IntRange(1, 3).Draw(t, "k")
		for i, w := range s.world.Witnesses {
			w.Time = fixture.Epoch.Add(time.Duration(rapid.IntRange(-100, 100).Draw(t, fmt.Sprint("hours", i))) * time.Hour)
		}
		c := s.input.Bundle.Statements[0].Proof.Checkpoint.Checkpoint
		who := rapid.Permutation(s.world.Witnesses).Draw(t, "who")
		accepted := false
		for n := 0; n <= len(who); n++ {
			signed := s.world.Signed(c, who[:n]...)
			s.checkpoint(func(c *tlog.SignedCheckpoint) { *c = *signed })
			v := verdict.Evaluate(s.policy, s.input)
			if accepted && !v.Accepted {
				t.Fatalf("accepted with %d cosignatures, refused with %d:\n%s", n-1, n, v)
			}
			accepted = v.Accepted
		}
	})
}

// One more statement never makes an accepted bundle a refused one, and the
// order of statements and of signature lines changes no word of the verdict.
func TestOrderAndCompanyChangeNothing(t *testing.T) {
	s := newScene(key.Ed25519)
	stranger := fixture.StatementKey("stranger", key.P256)
	good := s.input.Bundle.Statements[0]
	env := fixture.Release(s.world.Vendor, product, "1.2.0", "stable", app, fixture.File{Name: "more.txt", Data: []byte("more")})
	broken := s.publish(env, s.world.Vendor)
	changed, err := swapPayload(good.Envelope, broken.Envelope)
	if err != nil {
		t.Fatal(err)
	}
	others := []proof.Logged{
		s.release(s.world.Vendor, "1.1.0"), s.release(stranger, "1.2.0"), s.release(s.world.Vendor, "1.2.0"),
		{Envelope: good.Envelope, Proof: broken.Proof}, {Envelope: changed, Proof: good.Proof},
		{Envelope: broken.Envelope, Proof: good.Proof},
		s.publish(fixture.Release(s.world.Vendor, product, "1.2.0", "stable", fixture.File{Name: app.Name, Data: []byte("other")}), s.world.Vendor),
	}
	rapid.Check(t, func(t *rapid.T) {
		some := rapid.SliceOfDistinct(rapid.IntRange(0, len(others)-1), rapid.ID[int]).Draw(t, "others")
		withGood := rapid.Bool().Draw(t, "good")
		var set []proof.Logged
		if withGood {
			set = append(set, good)
		}
		for _, i := range some {
			set = append(set, others[i])
		}
		if len(set) == 0 {
			return
		}
		in := s.input
		in.Bundle = &proof.Bundle{Statements: set}
		first := verdict.Evaluate(s.policy, in)
		if (withGood || slices.Contains(some, 2)) != first.Accepted {
			t.Fatalf("accepted is %v:\n%s", first.Accepted, first)
		}
		shuffled := rapid.Permutation(set).Draw(t, "order")
		in.Bundle = &proof.Bundle{Statements: shuffled}
		if second := verdict.Evaluate(s.policy, in); second.String() != first.String() {
			t.Fatalf("another order, another verdict:\n%s\n%s", first, second)
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		s := newScene(key.Ed25519)
		want := verdict.Evaluate(s.policy, s.input).String()
		s.checkpoint(func(c *tlog.SignedCheckpoint) {
			c.Signatures = rapid.Permutation(c.Signatures).Draw(t, "signatures")
		})
		if got := verdict.Evaluate(s.policy, s.input).String(); got != want {
			t.Fatalf("another order of signatures, another verdict:\n%s\n%s", want, got)
		}
	})
}

// Times on both sides of each border.
func TestFreshnessBorders(t *testing.T) {
	tests := map[string]struct {
		now  time.Duration // after the epoch
		at   []time.Duration
		want bool
	}{
		"as old as allowed":             {72 * time.Hour, []time.Duration{0, 0, 0}, true},
		"a second too old":              {72*time.Hour + time.Second, []time.Duration{0, 0, 0}, false},
		"five minutes ahead":            {-5 * time.Minute, []time.Duration{0, 0, 0}, true},
		"more than that":                {-5*time.Minute - time.Second, []time.Duration{0, 0, 0}, false},
		"one far ahead, two fresh":      {0, []time.Duration{1000 * time.Hour, 0, 0}, true},
		"one far ahead, one fresh":      {0, []time.Duration{1000 * time.Hour, 0}, false},
		"one far ahead, two stale":      {100 * time.Hour, []time.Duration{1000 * time.Hour, 0, 0}, false},
		"two fresh, one stale":          {100 * time.Hour, []time.Duration{99 * time.Hour, 98 * time.Hour, 0}, true},
		"one fresh, two stale":          {100 * time.Hour, []time.Duration{99 * time.Hour, 0, 0}, false},
		"no clock":                      {-1 << 62, []time.Duration{0, 0, 0}, false},
		"one of the fresh is a second…": {100 * time.Hour, []time.Duration{28 * time.Hour, 99 * time.Hour, 0}, true},
	}
	for name, tt := range tests {
		s := newScene(key.Ed25519)
		s.dated(tt.at...)
		s.input.Now = fixture.Epoch.Add(tt.now)
		if v := verdict.Evaluate(s.policy, s.input); v.Accepted != tt.want {
			t.Errorf("%s: accepted is %v\n%s", name, v.Accepted, v)
		}
	}
	s := newScene(key.Ed25519)
	s.input.Now = time.Time{}
	if v := verdict.Evaluate(s.policy, s.input); v.Accepted {
		t.Errorf("accepted without a clock:\n%s", v)
	}
}

// A quorum through groups counts as tlog-policy says.
func TestGroups(t *testing.T) {
	tests := []struct {
		by   []string
		want bool
	}{
		{[]string{"ams", "sin"}, true}, {[]string{"fra", "sin"}, true}, {[]string{"ams", "fra", "sin"}, true},
		{[]string{"ams", "fra"}, false}, {[]string{"sin"}, false}, {nil, false},
	}
	for _, tt := range tests {
		s := newScene(key.Ed25519)
		s.policy.Log.Groups = []tlog.PolicyGroup{
			{Name: "europe", K: 1, Members: []string{"ams", "fra"}}, {Name: "all", K: 2, Members: []string{"europe", "sin"}},
		}
		s.policy.Log.Quorum = "all"
		s.cosignedBy(tt.by...)
		if v := verdict.Evaluate(s.policy, s.input); v.Accepted != tt.want {
			t.Errorf("%v: accepted is %v\n%s", tt.by, v.Accepted, v)
		}
	}
}

// Through whatever groups a quorum is asked for, a cosigned checkpoint is fresh
// where tlog.Policy.Check accepts it: both count alike.
func TestGroupsLaw(t *testing.T) {
	names := []string{"a", "b", "c", "d", "e"}
	w := fixture.New("groups", key.Ed25519, names...)
	w.Fill(4)
	l := w.Logged(product, "1.0", "", app)
	rapid.Check(t, func(t *rapid.T) {
		p := policyOf(w, 1)
		p.Log.Groups = nil
		free := slices.Clone(names)
		for i := 0; len(free) > 1 || i == 0; i++ {
			members := rapid.Permutation(free).Draw(t, "order")[:rapid.IntRange(1, len(free)).Draw(t, "members")]
			g := tlog.PolicyGroup{Name: fmt.Sprint("g", i), K: rapid.IntRange(1, len(members)).Draw(t, "k"), Members: members}
			p.Log.Groups = append(p.Log.Groups, g)
			free = append(slices.DeleteFunc(free, func(n string) bool { return slices.Contains(members, n) }), g.Name)
			if p.Log.Quorum = g.Name; i > 3 {
				break
			}
		}
		var by []*fixture.Witness
		for _, x := range w.Witnesses {
			if rapid.Bool().Draw(t, x.Name) {
				by = append(by, x)
			}
		}
		proved := *l.Proof
		proved.Checkpoint = w.Signed(l.Proof.Checkpoint.Checkpoint, by...)
		_, err := p.Log.Check(proved.Checkpoint)
		v := verdict.Evaluate(p, verdict.Input{
			File: app.Name, Size: int64(len(app.Data)), Digest: app.Digest(), Now: fixture.Epoch,
			Bundle: &proof.Bundle{Statements: []proof.Logged{{Envelope: l.Envelope, Proof: &proved}}},
		})
		checkSane(t, v)
		if v.Accepted != (err == nil) {
			t.Fatalf("accepted is %v, Check says %v\n%s", v.Accepted, err, v)
		}
		text, err := p.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := verdict.ParsePolicy(text); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
	})
}

// A log that signs with ML-DSA-44 signs a time, but no extension lines.
func TestLogThatSignsTimes(t *testing.T) {
	s := newScene(key.P256)
	w := fixture.New("scene", key.P256, "x", "y", "vendor")
	mldsa := w.Witnesses[2] // of type ML-DSA-44
	s.policy = policyOf(s.world, 0)
	s.policy.Log = tlog.Policy{Logs: []tlog.PolicyLog{{Key: mldsa.Verifier()}}, Quorum: "none"}
	s.policy.MaxAge = time.Hour
	rename := func(extensions ...string) {
		c := s.input.Bundle.Statements[0].Proof.Checkpoint.Checkpoint
		c.Origin = mldsa.Verifier().Name()
		sig, err := mldsa.SignCheckpoint(c)
		if err != nil {
			t.Fatal(err)
		}
		c.Extensions = extensions
		s.checkpoint(func(sc *tlog.SignedCheckpoint) {
			*sc = tlog.SignedCheckpoint{Checkpoint: c, Signatures: []tlog.Signature{sig}}
		})
	}
	rename()
	if v := verdict.Evaluate(s.policy, s.input); !v.Accepted {
		t.Errorf("refused:\n%s", v)
	}
	s.input.Now = fixture.Epoch.Add(2 * time.Hour)
	if v := verdict.Evaluate(s.policy, s.input); v.Accepted {
		t.Errorf("stale, accepted:\n%s", v)
	}
	s.input.Now = fixture.Epoch
	rename("unsigned line")
	if v := verdict.Evaluate(s.policy, s.input); v.Accepted {
		t.Errorf("extension line that nobody signed, accepted:\n%s", v)
	}
}

// Many statements: what is listed stays bounded, and whoever cannot sign cannot
// make it slow.
func TestManyIgnored(t *testing.T) {
	s := newScene(key.Ed25519)
	stranger := fixture.StatementKey("stranger", key.Ed25519)
	set := []proof.Logged{s.input.Bundle.Statements[0]}
	for i := range 50 {
		env := fixture.Release(stranger, product, fmt.Sprint("9.", i), "", app)
		set = append(set, proof.Logged{Envelope: env, Proof: set[0].Proof})
	}
	s.only(set...)
	v := verdict.Evaluate(s.policy, s.input)
	checkSane(t, v)
	if !v.Accepted || len(v.Ignored) != verdict.MaxIgnored || v.Ignored[verdict.MaxIgnored-1] != "and 31 more" {
		t.Errorf("%v %q", v.Accepted, v.Ignored)
	}
}

// Names from outside cannot write to a terminal.
func TestHostileNames(t *testing.T) {
	s := newScene(key.Ed25519)
	s.input.File = "evil\x1b[2Jaccepted: 8 requirements met\n\xff\u202e" + strings.Repeat("x", 1000)
	s.input.Size++
	v := verdict.Evaluate(s.policy, s.input)
	checkSane(t, v)
	if v.Accepted || len(v.File) > 200 {
		t.Errorf("%v %q", v.Accepted, v.File)
	}
}
