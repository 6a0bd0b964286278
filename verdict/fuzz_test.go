package verdict_test

import (
	"fmt"
	"testing"
	"time"

	"vitrine.example/internal/fixture"
	"vitrine.example/key"
	"vitrine.example/proof"
	"vitrine.example/verdict"
)

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
