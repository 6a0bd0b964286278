package artifact

import (
	"bytes"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestEditsMakeTheOtherText: the edits, applied to one text, give the other, and
// texts that are the same have none.
func TestEditsMakeTheOtherText(t *testing.T) {
	text := rapid.Custom(func(t *rapid.T) []byte {
		return []byte(strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a\n", "b\n", "c\n", "\n", "long line\n", "d"}), 0, 40).Draw(t, "lines"), ""))
	})
	rapid.Check(t, func(t *rapid.T) {
		x, y := text.Draw(t, "a"), text.Draw(t, "b")
		a, b := lines(x), lines(y)
		edits := diffLines(a, b)
		var out [][]byte
		at := 0
		for _, e := range edits {
			if e.a0 < at || e.a0 == e.a1 && e.b0 == e.b1 {
				t.Fatalf("edits out of order, or empty: %v", edits)
			}
			out = append(append(out, a[at:e.a0]...), b[e.b0:e.b1]...)
			at = e.a1
		}
		out = append(out, a[at:]...)
		if got := bytes.Join(out, nil); !bytes.Equal(got, y) {
			t.Fatalf("%q, want %q", got, y)
		}
		if bytes.Equal(x, y) != (len(edits) == 0) {
			t.Fatalf("%d edits", len(edits))
		}
	})
}
