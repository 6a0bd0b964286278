package verdict_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"vitrine.example/key"
	"vitrine.example/verdict"
)

// spread asks for 2 of 3 witnesses on n continents: ams and fra in Europe, sin in Asia.
func spread(s *scene, n int) {
	s.policy.Continents = n
	s.policy.Operators = map[string]verdict.Operator{
		"ams": {Organisation: "A", Country: "NL", Continent: "Europe"},
		"fra": {Organisation: "F", Country: "DE", Continent: "Europe"},
		"sin": {Organisation: "S", Country: "SG", Continent: "Asia"},
	}
}

func TestWitnessesOnContinents(t *testing.T) {
	for _, test := range []struct {
		by       []string
		accepted bool
		says     string
	}{
		{[]string{"ams", "sin"}, true, "on at least 2 continents"},
		{[]string{"fra", "sin"}, true, "sin (S, SG, Asia)"},
		{[]string{"ams", "fra", "sin"}, true, ""},
		{[]string{"ams", "fra"}, false, "did, on 1 continent"},
		{[]string{"sin"}, false, "only sin did"},
		{nil, false, "none did"},
	} {
		s := newScene(key.P256)
		spread(s, 2)
		s.cosignedBy(test.by...)
		v := verdict.Evaluate(s.policy, s.input)
		if v.Accepted != test.accepted || !strings.Contains(v.String(), test.says) {
			t.Errorf("%v: accepted %t, want %t and %q:\n%s", test.by, v.Accepted, test.accepted, test.says, v)
		}
		if !test.accepted && strings.Join(test.by, " ") == "ams fra" && !strings.Contains(v.String(), "of sin (S, SG, Asia)") {
			t.Errorf("the remedy does not name the witness elsewhere:\n%s", v)
		}
	}
}

// More cosignatures never hurt, and fewer continents are never harder to meet.
func TestContinentsAreMonotone(t *testing.T) {
	names := []string{"ams", "fra", "sin"}
	rapid.Check(t, func(t *rapid.T) {
		by := rapid.SliceOfDistinct(rapid.SampledFrom(names), rapid.ID[string]).Draw(t, "by")
		n := rapid.IntRange(1, 2).Draw(t, "continents")
		accepts := func(n int, by []string) bool {
			s := newScene(key.Ed25519)
			spread(s, n)
			s.cosignedBy(by...)
			return verdict.Evaluate(s.policy, s.input).Accepted
		}
		if !accepts(n, by) {
			return
		}
		if !accepts(n-1, by) || !accepts(n, append(by, names...)) {
			t.Fatalf("%v accepted on %d continents, not on %d or with more cosignatures", by, n, n-1)
		}
	})
}

func TestContinentsOfAPolicyFile(t *testing.T) {
	s := newScene(key.P256)
	spread(s, 2)
	raw, err := s.policy.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	p, err := verdict.ParsePolicy(raw)
	if err != nil || p.Continents != 2 {
		t.Fatalf("%v\n%s", err, raw)
	}
	if again, err := p.Marshal(); err != nil || !bytes.Equal(again, raw) {
		t.Errorf("written differently: %v\n%s", err, again)
	}
	if words := strings.Join(p.Words(), "\n"); !strings.Contains(words, "must have cosigned the log, on at least 2 continents.") {
		t.Errorf("words:\n%s", words)
	}
	for change, kind := range map[string]error{
		"continents = 3":     verdict.ErrNeverMet,
		"continents = 0":     verdict.ErrValue,
		"continents = 8":     verdict.ErrValue,
		"continents = -1":    verdict.ErrValue,
		"continents = \"2\"": verdict.ErrSyntax,
		"continent = 2":      verdict.ErrUnknownKey,
	} {
		if _, err := verdict.ParsePolicy(bytes.Replace(raw, []byte("continents = 2"), []byte(change), 1)); !errors.Is(err, kind) {
			t.Errorf("%s: %v, want %v", change, err, kind)
		}
	}
}
