package statement_test

import (
	"testing"

	"vitrine.example/key"
	"vitrine.example/statement"
)

// What a node does with each statement that it is given.
func BenchmarkAdmit(b *testing.B) {
	raw := read(b, "golden", "release-p256", "envelope.json")
	k, err := key.ParsePublic(read(b, "golden", "release-p256", "public.pem"))
	if err != nil {
		b.Fatal(err)
	}
	e, err := statement.Parse(raw)
	if err != nil {
		b.Fatal(err)
	}
	leaf, err := e.Leaf(k)
	if err != nil {
		b.Fatal(err)
	}
	for name, f := range map[string]func() error{
		"parse":     func() error { _, err := statement.Parse(raw); return err },
		"verify":    func() error { return e.Verify(k) },
		"leaf":      func() error { _, err := e.Leaf(k); return err },
		"parseleaf": func() error { _, err := statement.ParseLeaf(leaf); return err },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := f(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
