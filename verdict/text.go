package verdict

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

func isChannel(s string) bool {
	return s != "" && len(s) <= 64 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

func isCountry(s string) bool {
	return len(s) == 2 && s[0] >= 'A' && s[0] <= 'Z' && s[1] >= 'A' && s[1] <= 'Z'
}

// isName accepts printable text without spaces.
func isName(s string) bool { return isTitle(s) && !strings.ContainsFunc(s, unicode.IsSpace) }

// isTitle accepts one line of printable text without spaces around it.
func isTitle(s string) bool {
	return s != "" && len(s) <= MaxName && utf8.ValidString(s) && strings.TrimSpace(s) == s &&
		!strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// clean makes foreign text fit to be shown: one line, printable, bounded.
func clean(s string) string {
	const most = 128
	var b strings.Builder
	for _, r := range strings.ToValidUTF8(s, "\uFFFD") {
		if b.Len() > most {
			b.WriteRune('…')
			break
		}
		if !unicode.IsPrint(r) {
			r = '\uFFFD'
		}
		b.WriteRune(r)
	}
	return b.String()
}

// cleanError is clean for errors, which quote what they found; it allows more.
func cleanError(err error) string {
	var b strings.Builder
	for part := range strings.SplitSeq(err.Error(), ": ") {
		if b.Len() > 0 {
			b.WriteString(": ")
		}
		b.WriteString(clean(part))
		if b.Len() > 400 {
			b.WriteString(" …")
			break
		}
	}
	return b.String()
}

var errNothing = errors.New("nothing to decide on")

// span writes a duration in days, hours and minutes, at most two of them.
func span(d time.Duration) string {
	if d < time.Minute {
		return plural(int64(d/time.Second), "second")
	}
	var parts []string
	for _, u := range []struct {
		name string
		d    time.Duration
	}{{"day", 24 * time.Hour}, {"hour", time.Hour}, {"minute", time.Minute}} {
		if n := int64(d / u.d); n > 0 && len(parts) < 2 {
			parts = append(parts, plural(n, u.name))
			d -= time.Duration(n) * u.d
		}
	}
	return strings.Join(parts, " ")
}

func plural(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%s %ss", grouped(n), what)
}

// grouped writes 1234567 as 1,234,567.
func grouped(n int64) string {
	s := fmt.Sprint(n)
	start := 0
	if n < 0 {
		start = 1
	}
	for i := len(s) - 3; i > start; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// list writes a, b and c.
func list(items []string, last string) string {
	switch len(items) {
	case 0:
		return ""
	case 1:
		return items[0]
	}
	return strings.Join(items[:len(items)-1], ", ") + " " + last + " " + items[len(items)-1]
}

// moment writes a time in UTC to the second.
func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }
