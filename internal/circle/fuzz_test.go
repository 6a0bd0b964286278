package circle_test

import (
	"testing"

	"vitrine.example/internal/circle"
	"vitrine.example/proof"
)

// FuzzFile reads hostile files: whatever a file says, only what its members'
// keys signed counts, so that no change of a bit puts anybody else in force.
func FuzzFile(f *testing.F) {
	v1, items := material(f)
	good := evaluate(f, v1, items...)
	raw, err := good.File()
	if err != nil {
		f.Fatal(err)
	}
	known := map[string]bool{}
	for _, v := range good.Versions {
		known[v.Statement.String()] = true
	}
	f.Add(0, byte(0))
	for i := 1; i < 40; i++ {
		f.Add(i*len(raw)/40, byte(1<<(i%8)))
	}
	root := v1.Envelope.Digest()
	f.Fuzz(func(t *testing.T, at int, with byte) {
		if at < 0 || at >= len(raw) {
			return
		}
		changed := append([]byte(nil), raw...)
		changed[at] ^= with
		b, err := proof.Parse(changed)
		if err != nil {
			return
		}
		h, err := circle.Evaluate(root, b.Statements)
		if err != nil {
			return
		}
		for _, v := range h.Versions {
			if !known[v.Statement.String()] {
				t.Fatalf("a list that nobody signed: %s", v.Statement)
			}
		}
		if len(h.Used)+len(h.Refused) > len(b.Statements) {
			t.Fatal("more statements than the file has")
		}
	})
}
