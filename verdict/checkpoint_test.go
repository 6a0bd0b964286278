package verdict_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"vitrine.example/internal/fixture"
	"vitrine.example/key"
	"vitrine.example/tlog"
	"vitrine.example/verdict"
)

// Whatever [tlog.Policy.Check] refuses is refused, also where the policy has no
// requirement of its own for it.
func TestWhatCheckRefusesIsRefused(t *testing.T) {
	for name, alter := range map[string]func(s *scene){
		"a bad line of a listed witness": func(s *scene) { s.breakSignature("sin") },
		"two lines of a listed witness": func(s *scene) {
			s.checkpoint(func(c *tlog.SignedCheckpoint) { c.Signatures = append(c.Signatures, c.Signatures[1]) })
		},
		"two lines of the log": func(s *scene) {
			s.checkpoint(func(c *tlog.SignedCheckpoint) { c.Signatures = append(c.Signatures, c.Signatures[0]) })
		},
		"a bad line of another listed log": func(s *scene) {
			other := fixture.New("other", key.P256, "a", "b", "c").Witnesses[2].Verifier()
			s.policy.Log.Logs = append(s.policy.Log.Logs, tlog.PolicyLog{Key: other})
			s.checkpoint(func(c *tlog.SignedCheckpoint) {
				c.Signatures = append(c.Signatures, tlog.Signature{Name: other.Name(), KeyID: other.KeyID(), Bytes: make([]byte, 8+2420)})
			})
		},
	} {
		for _, quorum := range []int{0, 2} {
			for _, age := range []time.Duration{0, 72 * time.Hour} {
				s := newScene(key.Ed25519)
				s.policy = policyOf(s.world, quorum)
				s.policy.MaxAge = age
				if v := verdict.Evaluate(s.policy, s.input); !v.Accepted {
					t.Fatalf("%s: refused before:\n%s", name, v)
				}
				alter(s)
				if _, err := s.policy.Log.Check(s.input.Bundle.Statements[0].Proof.Checkpoint); err == nil {
					t.Fatalf("%s: Check accepts it", name)
				}
				v := verdict.Evaluate(s.policy, s.input)
				checkSane(t, v)
				if v.Accepted {
					t.Errorf("%s, %d witnesses asked for, age %s: accepted:\n%s", name, quorum, age, v)
				}
			}
		}
	}
}

// A log with two keys signs a time with one of them. It counts whichever of the
// keys stands first in the policy, and one more signature never hurts.
func TestLogWithTwoKeysSignsATime(t *testing.T) {
	s := newScene(key.Ed25519)
	private, err := key.Generate(key.MLDSA44, nil)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := tlog.NewSigner(s.world.Origin, tlog.MLDSA44Cosignature, private, func() (time.Time, error) { return fixture.Epoch, nil })
	if err != nil {
		t.Fatal(err)
	}
	keys := []tlog.PolicyLog{{Key: s.world.Log.Verifier()}, {Key: signer.Verifier()}}
	for range 2 {
		slices.Reverse(keys)
		s.policy = policyOf(s.world, 0)
		s.policy.Log = tlog.Policy{Logs: slices.Clone(keys), Quorum: tlog.QuorumNone}
		s.policy.MaxAge = time.Hour
		for _, tt := range []struct {
			now    time.Duration
			plain  bool
			accept bool
		}{
			{0, false, true}, {0, true, true}, {time.Hour, true, true}, {-5 * time.Minute, true, true},
			{time.Hour + time.Second, true, false}, {-5*time.Minute - time.Second, true, false},
		} {
			s.checkpoint(func(c *tlog.SignedCheckpoint) {
				sig, err := signer.SignCheckpoint(c.Checkpoint)
				if err != nil {
					t.Fatal(err)
				}
				*c = *s.world.Signed(c.Checkpoint)
				c.Signatures = append(c.Signatures, sig)
				if !tt.plain {
					c.Signatures = c.Signatures[1:]
				}
			})
			s.input.Now = fixture.Epoch.Add(tt.now)
			v := verdict.Evaluate(s.policy, s.input)
			checkSane(t, v)
			if v.Accepted != tt.accept {
				t.Errorf("%s first, %+v: accepted is %v\n%s", keys[0].Key.Type(), tt, v.Accepted, v)
			}
		}
	}
}

// Whatever lines stand under a checkpoint and whatever the policy asks, an
// accepted verdict is one that the packages below agree to.
func TestAcceptedMeansChecked(t *testing.T) {
	base := newScene(key.Ed25519)
	stranger := fixture.New("stranger", key.P256, "x").Witnesses[0]
	rapid.Check(t, func(t *rapid.T) {
		s := *base
		s.policy = policyOf(s.world, rapid.SampledFrom([]int{0, 0, 1, 2, 3}).Draw(t, "quorum"))
		s.policy.MaxAge = rapid.SampledFrom([]time.Duration{0, time.Hour}).Draw(t, "age")
		if s.policy.MaxAge == 0 && rapid.Bool().Draw(t, "no witnesses") {
			s.policy.Log.Witnesses, s.policy.Log.Groups, s.policy.Log.Quorum = nil, nil, tlog.QuorumNone
		}
		s.checkpoint(func(c *tlog.SignedCheckpoint) {
			foreign, err := stranger.SignCheckpoint(c.Checkpoint)
			if err != nil {
				t.Fatal(err)
			}
			lines := append(c.Signatures, foreign)
			c.Signatures = nil
			for i, line := range lines {
				switch rapid.IntRange(0, 9).Draw(t, fmt.Sprint("line ", i)) {
				case 0:
					line.Bytes = slices.Clone(line.Bytes)
					line.Bytes[rapid.IntRange(0, len(line.Bytes)-1).Draw(t, "byte")] ^= 1
				case 1:
					line.KeyID ^= 1
				case 2:
					c.Signatures = append(c.Signatures, line)
				case 3:
					continue
				}
				c.Signatures = append(c.Signatures, line)
			}
			if rapid.IntRange(0, 9).Draw(t, "extend") == 0 {
				c.Extensions = []string{"x"}
			}
		})
		l := s.input.Bundle.Statements[0]
		_, err := s.policy.Log.Check(l.Proof.Checkpoint)
		v := verdict.Evaluate(s.policy, s.input)
		checkSane(t, v)
		if v.Accepted && (err != nil || l.Verify(s.world.Vendor.Public()) != nil) {
			t.Fatalf("accepted, and Check says %v:\n%s", err, v)
		}
		// The scene's times are an hour old and all the same.
		if !v.Accepted && err == nil && s.policy.Log.Quorum != tlog.QuorumNone {
			t.Fatalf("refused, and Check accepts:\n%s", v)
		}
	})
}
