package verdict_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"vitrine.example/digest"
	"vitrine.example/internal/fixture"
	"vitrine.example/key"
	"vitrine.example/proof"
	"vitrine.example/statement"
	"vitrine.example/verdict"
)

var rebuilders = []struct{ name, organisation, country, continent string }{
	{"ams", "Example Audit", "NL", "Europe"}, {"sin", "Example Review", "SG", "Asia"}, {"nyc", "Example Proof", "US", "North America"},
	{"fra", "Example Audit", "DE", "Europe"}, // the first one's other key
}

func rebuilderKey(name string) *key.Signer { return fixture.StatementKey("rebuilder "+name, key.P256) }

// newRebuilt is a scene whose policy asks two of three organisations to have
// built the release again.
func newRebuilt() *scene {
	s := newScene(key.Ed25519)
	for _, r := range rebuilders {
		s.policy.Signers = append(s.policy.Signers, verdict.Signer{
			Name: r.name, Key: rebuilderKey(r.name).Public(), May: []string{statement.RebuildType},
			Operator: verdict.Operator{Organisation: r.organisation, Country: r.country, Continent: r.continent},
		})
	}
	s.policy.Rebuilds = verdict.Rebuilds{Require: 2}
	return s
}

// rebuild says that a release was built again with this outcome.
func rebuild(of proof.Logged, outcome statement.Outcome, by *key.Signer) *statement.Envelope {
	rel := must(of.Envelope.Statement().Release())
	recipe, other := digest.Of([]byte("recipe")), digest.Of([]byte("something else"))
	r := &statement.Rebuild{Release: of.Envelope.Digest(), Outcome: outcome, Recipe: &recipe, Job: &recipe, Engine: "embedded"}
	try := statement.RebuildAttempt{Engine: "embedded", Started: fixture.Epoch, Finished: fixture.Epoch.Add(time.Minute), Outcome: outcome, Output: &other}
	for _, a := range rel.Artifacts {
		x := statement.RebuiltArtifact{Name: a.Name, Shipped: a.SHA256, Outcome: outcome}
		switch outcome {
		case statement.Identical:
			x.Rebuilt = &a.SHA256
		case statement.Explained, statement.Different:
			x.Rebuilt = &other
			r.Explanation = &statement.Evidence{MediaType: "application/json", Size: 1, SHA256: other}
			try.Detail = "function main.check differs"
		default:
			try.Output, try.Reason, try.Detail = nil, statement.ReasonTime, "over its time of 1h"
		}
		r.Artifacts = append(r.Artifacts, x)
	}
	r.Attempts = []statement.RebuildAttempt{try}
	return must(statement.Sign(must(statement.New(r.Subjects(), r)), by))
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// said adds rebuilds to the bundle.
func (s *scene) said(by string, outcome statement.Outcome) {
	k := rebuilderKey(by)
	s.input.Bundle.Statements = append(s.input.Bundle.Statements, s.publish(rebuild(s.input.Bundle.Statements[0], outcome, k), k))
}

func TestRebuilds(t *testing.T) {
	tests := map[string]struct {
		alter func(s *scene)
		want  bool
		words string // in evidence or what is missing
	}{
		"two organisations": {func(s *scene) { s.said("ams", statement.Identical); s.said("sin", statement.Identical) }, true, "sin (Example Review, SG, Asia): the same bytes"},
		"nobody":            {func(*scene) {}, false, "0 of 2 did"},
		"one":               {func(s *scene) { s.said("ams", statement.Identical) }, false, "1 of 2 did"},
		"one organisation with two keys": {func(s *scene) {
			s.said("ams", statement.Identical)
			s.said("fra", statement.Identical)
		}, false, "1 of 2 did"},
		"the same twice": {func(s *scene) {
			s.said("ams", statement.Identical)
			s.said("ams", statement.Identical)
		}, false, "1 of 2 did"},
		"two, and one says different": {func(s *scene) {
			s.said("ams", statement.Identical)
			s.said("sin", statement.Identical)
			s.said("nyc", statement.Different)
		}, true, "nyc (Example Proof, US, North America): other bytes (function main.check differs)"},
		"all different": {func(s *scene) {
			for _, name := range []string{"ams", "sin", "nyc"} {
				s.said(name, statement.Different)
			}
		}, false, "0 of 2 did: ams (Example Audit, NL, Europe): other bytes (function main.check differs)"},
		"failed": {func(s *scene) {
			s.said("ams", statement.Failed)
			s.said("sin", statement.Identical)
		}, false, "could not be built (over its time of 1h)"},
		"explained, not asked for": {func(s *scene) {
			s.said("ams", statement.Explained)
			s.said("sin", statement.Identical)
		}, false, "1 of 2 did"},
		"explained": {func(s *scene) {
			s.policy.Rebuilds.Explained = true
			s.said("ams", statement.Explained)
			s.said("sin", statement.Identical)
		}, true, "every difference explained"},
		"on one continent": {func(s *scene) {
			s.policy.Rebuilds.Continents = 2
			s.policy.Signers[2].Continent = "Europe"
			s.said("ams", statement.Identical)
			s.said("sin", statement.Identical)
		}, false, "2 organisations did, on 1 continent of 2"},
		"of another release": {func(s *scene) {
			other := s.release(s.world.Vendor, "1.1.0")
			for _, name := range []string{"ams", "sin"} {
				k := rebuilderKey(name)
				s.input.Bundle.Statements = append(s.input.Bundle.Statements, s.publish(rebuild(other, statement.Identical, k), k))
			}
		}, false, "0 of 2 did"},
		"not cosigned": {func(s *scene) {
			for _, name := range []string{"ams", "sin"} {
				k := rebuilderKey(name)
				env := rebuild(s.input.Bundle.Statements[0], statement.Identical, k)
				s.input.Bundle.Statements = append(s.input.Bundle.Statements, s.publish(env, k, s.world.Witnesses[0]))
			}
		}, false, "which does not count: not enough witnesses cosigned its log"},
		"in no place": {func(s *scene) {
			s.said("ams", statement.Identical)
			s.said("sin", statement.Identical)
			s.input.Bundle.Statements[2].Proof = s.input.Bundle.Statements[1].Proof
		}, false, "its place in the log is not proved"},
		"by a stranger": {func(s *scene) {
			for _, name := range []string{"x", "y"} {
				s.said(name, statement.Identical)
			}
		}, false, "0 of 2 did"},
		"by who may only release": {func(s *scene) {
			s.policy.Signers[3].May = []string{statement.ReleaseType}
			s.said("ams", statement.Identical)
			s.said("nyc", statement.Identical)
		}, false, "1 of 2 did"},
		"by the signer of the release": {func(s *scene) {
			s.policy.Signers[0].May = append(slices.Clone(s.policy.Signers[0].May), statement.RebuildType)
			s.said("ams", statement.Identical)
			env := rebuild(s.input.Bundle.Statements[0], statement.Identical, s.world.Vendor)
			s.input.Bundle.Statements = append(s.input.Bundle.Statements, s.publish(env, s.world.Vendor))
		}, false, "1 of 2 did"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := newRebuilt()
			tt.alter(s)
			v := verdict.Evaluate(s.policy, s.input)
			r := v.Requirements[len(v.Requirements)-1]
			if v.Accepted != tt.want || r.ID != verdict.IDRebuilt || r.Met != tt.want {
				t.Errorf("accepted is %v:\n%s", v.Accepted, v)
			}
			if all := strings.Join(append(r.Evidence, r.Missing), "\n"); !strings.Contains(all, tt.words) {
				t.Errorf("%q does not say %q", all, tt.words)
			}
			if r.Met == (r.Remedy != "") {
				t.Errorf("met is %v, and the remedy is %q", r.Met, r.Remedy)
			}
			for _, u := range v.Requirements[:len(v.Requirements)-1] {
				if !u.Met {
					t.Errorf("%s is not met either", u.ID)
				}
			}
		})
	}
}

// More rebuilds never hurt, and their order changes no word.
func TestRebuildsInAnyOrder(t *testing.T) {
	s := newRebuilt()
	for _, r := range rebuilders {
		for _, o := range []statement.Outcome{statement.Identical, statement.Different} {
			s.said(r.name, o)
		}
	}
	all := s.input.Bundle.Statements
	rapid.Check(t, func(t *rapid.T) {
		set := rapid.Permutation(all[1:]).Draw(t, "order")
		accepted := false
		for n := range len(set) + 1 {
			in := s.input
			in.Bundle = &proof.Bundle{Statements: append([]proof.Logged{all[0]}, set[:n]...)}
			v := verdict.Evaluate(s.policy, in)
			if accepted && !v.Accepted {
				t.Fatalf("one more rebuild, and it is refused:\n%s", v)
			}
			accepted = v.Accepted
			slices.Reverse(in.Bundle.Statements)
			if w := verdict.Evaluate(s.policy, in); w.String() != v.String() {
				t.Fatalf("another order, another verdict:\n%s\n%s", v, w)
			}
		}
		if !accepted {
			t.Fatal("never accepted")
		}
	})
}

func TestRebuildsThatNobodyCanMeet(t *testing.T) {
	for name, tt := range map[string]struct {
		alter func(p *verdict.Policy)
		words string
	}{
		"three of two":        {func(p *verdict.Policy) { p.Rebuilds.Require = 4 }, "rebuilds.require"},
		"too many continents": {func(p *verdict.Policy) { p.Rebuilds.Continents = 4 }, "rebuilds.continents"},
		"only continents":     {func(p *verdict.Policy) { p.Rebuilds = verdict.Rebuilds{Continents: 2} }, "rebuilds.require"},
		"a continent of none": {func(p *verdict.Policy) { p.Signers[1].Continent = "Atlantis" }, "signer[2].continent"},
		"the vendor's own": {func(p *verdict.Policy) {
			p.Signers[0].Organisation = "example review"
			p.Rebuilds.Require = 3
		}, "rebuilds.require"},
	} {
		p := newRebuilt().policy
		tt.alter(p)
		var perr *verdict.PolicyError
		if err := p.Validate(); !errors.As(err, &perr) || perr.Path != tt.words {
			t.Errorf("%s: %v, want an error at %s", name, err, tt.words)
		}
	}
}

func TestRebuildsAreWrittenAndRead(t *testing.T) {
	s := newRebuilt()
	s.policy.Rebuilds = verdict.Rebuilds{Require: 3, Continents: 3, Explained: true}
	text := must(s.policy.Marshal())
	p, err := verdict.ParsePolicy(text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if p.Rebuilds != s.policy.Rebuilds || !slices.Equal(must(p.Marshal()), text) {
		t.Errorf("read %+v of\n%s", p.Rebuilds, text)
	}
	words := strings.Join(p.Words(), "\n")
	if !strings.Contains(words, "At least 3 organisations of ams (Example Audit, NL, Europe), sin") || !strings.Contains(words, "on at least 3 continents") {
		t.Error(words)
	}
}
