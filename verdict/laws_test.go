package verdict_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
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

var everyFlip = flag.Bool("flips", false, "flip every bit of all 50 bundles (two minutes) instead of every bit of one and a share of the others")

// No single bit of 50 bundles can be flipped so that the result is accepted,
// where the policy asks for every signature that is in them. Every byte that a
// reader sees is thus covered by a signature or by the one encoding.
func TestNoBitFlipIsAccepted(t *testing.T) {
	const bundles, share = 50, 61
	var flips, parsed atomic.Int64
	t.Run("bundles", func(t *testing.T) {
		for i := range bundles {
			step := share
			if *everyFlip || i == 0 {
				step = 1
			}
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				f, p := flipBits(t, i, step)
				flips.Add(int64(f))
				parsed.Add(int64(p))
			})
		}
	})
	t.Logf("%d flips, of which %d could be read; none may be accepted", flips.Load(), parsed.Load())
	if flips.Load() < 20_000 || parsed.Load() < 4_000 {
		t.Error("too few to mean anything")
	}
}

// flipBits flips each step-th bit of the i-th bundle and returns how often, and
// how many of the results could still be read.
func flipBits(t *testing.T, i, step int) (flips, parsed int) {
	alg := []key.Algorithm{key.P256, key.Ed25519}[i%2]
	w := fixture.New(fmt.Sprint("flip", i), alg, []string{"ams", "fra"}[:(i+2)%3]...)
	w.Fill(i * 7)
	l := w.Logged(product, fmt.Sprint("1.", i), "", app)
	p := policyOf(w, len(w.Witnesses))
	b, err := (&proof.Bundle{Statements: []proof.Logged{l}}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	in := verdict.Input{File: app.Name, Size: int64(len(app.Data)), Digest: app.Digest(), Now: fixture.Epoch}
	decide := func() bool {
		bundle, err := proof.Parse(b)
		if err != nil {
			return false
		}
		parsed++
		in.Bundle = bundle
		return verdict.Evaluate(p, in).Accepted
	}
	if !decide() {
		t.Fatalf("not accepted as it is:\n%s", verdict.Evaluate(p, in))
	}
	for bit := i % step; bit < 8*len(b); bit += step {
		b[bit/8] ^= 1 << (bit % 8)
		flips++
		if decide() {
			t.Errorf("accepted with bit %d of byte %d flipped: %q", bit%8, bit/8, b[max(0, bit/8-20):min(len(b), bit/8+20)])
		}
		b[bit/8] ^= 1 << (bit % 8)
	}
	return flips, parsed
}

// ML-DSA-44 cosignatures hold as well: flips of a sample of their bits.
func TestNoBitFlipOfMLDSA(t *testing.T) {
	s := newScene(key.P256)
	s.policy.Log.Groups[0].K = 3
	b, err := s.input.Bundle.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	start := bytes.Index(b, []byte("sin.example"))
	for j := start; j < len(b); j += 13 {
		b[j] ^= 1
		if bundle, err := proof.Parse(b); err == nil {
			in := s.input
			in.Bundle = bundle
			if verdict.Evaluate(s.policy, in).Accepted {
				t.Errorf("accepted with byte %d changed: %q", j, b[max(0, j-20):min(len(b), j+20)])
			}
		}
		b[j] ^= 1
	}
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

func TestJSONMatchesSchema(t *testing.T) {
	text, err := os.ReadFile("../docs/spec/verdict.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("verdict.schema.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("verdict.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	check := func(b []byte) error {
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		return schema.Validate(v)
	}
	for _, tt := range scenes {
		s := newScene(key.Ed25519)
		tt.alter(s)
		b, err := verdict.Evaluate(s.policy, s.input).JSON()
		if err != nil {
			t.Fatal(err)
		}
		if err := check(b); err != nil {
			t.Errorf("%s: %v\n%s", tt.name, err, b)
		}
		if !bytes.HasSuffix(b, []byte("}\n")) || bytes.Count(b, []byte("\n")) != 1 {
			t.Errorf("%s: not one line:\n%s", tt.name, b)
		}
	}
	// The schema refuses what is no verdict.
	for _, bad := range []string{
		`{}`, `{"schema":"x","accepted":true}`,
		strings.Replace(string(mustJSON(t)), `"accepted":true`, `"accepted":"yes"`, 1),
		strings.Replace(string(mustJSON(t)), `"accepted":true`, `"accepted":true,"more":1`, 1),
		strings.Replace(string(mustJSON(t)), `"id":"file"`, `"id":"luck"`, 1),
	} {
		if check([]byte(bad)) == nil {
			t.Errorf("the schema accepts %s", bad)
		}
	}
	if !json.Valid(mustJSON(t)) {
		t.Error("not JSON")
	}
}

func mustJSON(t *testing.T) []byte {
	t.Helper()
	s := newScene(key.Ed25519)
	b, err := verdict.Evaluate(s.policy, s.input).JSON()
	if err != nil {
		t.Fatal(err)
	}
	return b
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

func FuzzEvaluate(f *testing.F) {
	s := newScene(key.Ed25519)
	b, err := s.input.Bundle.Marshal()
	if err != nil {
		f.Fatal(err)
	}
	p, err := s.policy.Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(p, b, app.Name, int64(0))
	f.Add([]byte(policyFile(f)), b, "", int64(1)<<40)
	f.Fuzz(func(t *testing.T, policy, bundle []byte, file string, seconds int64) {
		p, err := verdict.ParsePolicy(policy)
		if err != nil {
			p = s.policy
		}
		parsed, err := proof.Parse(bundle)
		if err != nil {
			return
		}
		in := verdict.Input{File: file, Size: int64(len(app.Data)), Digest: app.Digest(), Bundle: parsed, Now: fixture.Epoch.Add(time.Duration(seconds) * time.Second)}
		checkSane(t, verdict.Evaluate(p, in))
	})
}

func BenchmarkEvaluate(b *testing.B) {
	for _, alg := range []key.Algorithm{key.P256, key.Ed25519} {
		for _, n := range []int{0, 2, 3} {
			b.Run(fmt.Sprintf("%s/%d-witnesses", alg, n), func(b *testing.B) {
				w := fixture.New("bench", alg, []string{"ams", "fra", "sin"}[:n]...)
				w.Fill(100_000)
				p := policyOf(w, n)
				in := verdict.Input{
					File: app.Name, Size: int64(len(app.Data)), Digest: app.Digest(), Now: fixture.Epoch,
					Bundle: &proof.Bundle{Statements: []proof.Logged{w.Logged(product, "1.0", "", app)}},
				}
				text, err := in.Bundle.Marshal()
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(len(text)), "bundle-bytes")
				for b.Loop() {
					if in.Bundle, err = proof.Parse(text); err != nil {
						b.Fatal(err)
					}
					if v := verdict.Evaluate(p, in); !v.Accepted {
						b.Fatal(v)
					}
				}
			})
		}
	}
}
