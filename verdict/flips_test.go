package verdict_test

import (
	"bytes"
	"flag"
	"fmt"
	"sync/atomic"
	"testing"

	"vitrine.example/internal/fixture"
	"vitrine.example/key"
	"vitrine.example/proof"
	"vitrine.example/verdict"
)

var everyFlip = flag.Bool("flips", false, "flip every bit of 50 bundles (a minute of two cores) instead of every bit of one and some of the others")

// No single bit of 50 bundles can be flipped so that the result is accepted,
// where the policy asks for every signature that is in them. Every byte that a
// reader sees is thus covered by a signature or by the one encoding.
func TestNoBitFlipIsAccepted(t *testing.T) {
	const bundles, share = 50, 307
	var flips, parsed atomic.Int64
	t.Run("bundles", func(t *testing.T) {
		for i := range bundles {
			step := share
			if *everyFlip || i == 1 {
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
	if flips.Load() < 8_000 || parsed.Load() < 2_000 {
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
