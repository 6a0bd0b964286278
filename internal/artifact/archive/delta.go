package archive

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// causeContent stands for what follows from the content: sizes, checksums. It is
// set only where the content itself was proven.
const causeContent Cause = "content"

// deltas gathers the fields in which two members differ.
type deltas []Delta

func (d *deltas) text(field, a, b string, c Cause) {
	if a != b {
		*d = append(*d, Delta{field, a, b, c})
	}
}

// mode compares permissions. That a group may write is a umask of the builder;
// all other bits, above all those to execute and to change identity, count.
func (d *deltas) mode(a, b int64) {
	c := Cause("")
	if a^b == 0o20 && a&0o7000 == 0 {
		c = CauseUmask
	}
	d.text("mode", modeText(a), modeText(b), c)
}

// stamp writes seconds since 1970 for people, and what is not a number as it is.
func stamp(s string) string {
	whole, frac, _ := strings.Cut(s, ".")
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || n < -1<<40 || n > 1<<40 {
		return s
	}
	t := time.Unix(n, 0).UTC().Format("2006-01-02 15:04:05")
	if frac != "" {
		t += "." + frac
	}
	return t
}

// firstOther names the first byte of a's frames that b's do not have.
func firstOther(a, b *Entry) string {
	x, y := a.frame.bytes(), b.frame.bytes()
	for i := range x {
		if i >= len(y) || x[i] != y[i] {
			return fmt.Sprintf("byte %d is %#02x, of %d", i, x[i], len(x))
		}
	}
	return fmt.Sprintf("%d bytes", len(x))
}
