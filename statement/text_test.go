package statement

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// textForms are the regular expressions of docs/spec/release-v1.md beside the
// functions that stand for them.
var textForms = func() map[string]struct {
	re *regexp.Regexp
	is func(string) bool
} {
	const (
		printable = `\p{L}\p{M}\p{N}\p{P}\p{S}`
		urlText   = `(?:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*`
		urlHost   = `[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?(?::[0-9]{1,5})?`
		urlRest   = `://` + urlHost + `(?:[/?#]` + urlText + `)?$`
	)
	type form = struct {
		re *regexp.Regexp
		is func(string) bool
	}
	return map[string]form{
		"version":   {regexp.MustCompile(`^[` + printable + `](?:[` + printable + ` ]{0,126}[` + printable + `])?$`), isVersion},
		"channel":   {regexp.MustCompile(`^[a-z0-9-]{1,64}$`), isChannel},
		"file":      {regexp.MustCompile(`^[` + printable + ` ]+$`), isFileText},
		"media":     {regexp.MustCompile(`^[a-z0-9][a-z0-9!#$&^_.+-]{0,126}/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}$`), isMediaType},
		"commit":    {regexp.MustCompile(`^(?:[0-9a-f]{40}|[0-9a-f]{64})$`), isCommit},
		"digest":    {regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,31}$`), isDigestName},
		"pageURL":   {regexp.MustCompile(`^https?` + urlRest), isPageURL},
		"sourceURL": {regexp.MustCompile(`^(?:https?|git\+https)` + urlRest), isSourceURL},
	}
}()

// sampleTexts hold what the forms are about, and their borders.
var sampleTexts = []string{
	"", " ", "1.0", " 1.0", "1.0 ", "1 0", "1\t0", "1\n", "ä", "\u00a0", "\u200b", "\ufffd", "e\u0301", "€", "٣",
	strings.Repeat("x", 127), strings.Repeat("x", 128), strings.Repeat("x", 129), strings.Repeat("ä", 128), strings.Repeat("ä", 129),
	strings.Repeat("a", 31), strings.Repeat("a", 32), strings.Repeat("a", 33), strings.Repeat("a", 63), strings.Repeat("a", 64), strings.Repeat("a", 65),
	strings.Repeat("a", 40), strings.Repeat("A", 40), "0a", "a0", "_a", "-a", "a_-", "stable-1", "Stable",
	"text/html", "text/HTML", "text/", "/html", "a/b/c", "application/vnd.cyclonedx+json", "+a/b",
	strings.Repeat("a", 127) + "/" + strings.Repeat("b", 127), strings.Repeat("a", 128) + "/b", "a/" + strings.Repeat("b", 128),
	"https://a", "http://a/", "git+https://a.b/c", "ftp://a", "https://", "https:///", "https://A", "https://a:", "https://a:1", "https://a:99999/x",
	"https://a:123456", "https://u@a", "https://a/%41", "https://a/%4", "https://a/%zz", "https://a/%", "https://a/b c", "https://a?x=[1]#y", "https://-a",
	"https://a-", "https://a-:1", "https://a.b-c.d", "https://" + strings.Repeat("a", 253), "https://" + strings.Repeat("a", 254),
	"https://a/\\", "https://a/ä", "https://a\n", "https://a://b",
}

func compareForms(t interface{ Errorf(string, ...any) }, s string) {
	for name, f := range textForms {
		if want, got := f.re.MatchString(s), f.is(s); want != got {
			t.Errorf("%s form of %q: %v, and the regular expression says %v", name, s, got, want)
		}
	}
}

func TestFormsAreThoseOfTheSpecification(t *testing.T) {
	for _, s := range sampleTexts {
		compareForms(t, s)
	}
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOfN(rapid.OneOf(
			rapid.SampledFrom(sampleTexts),
			rapid.StringN(0, 3, -1),
			rapid.SampledFrom([]string{"https://", "git+", "a", "0", "-", ".", ":", "/", "%", "%2F", "?", " ", "A", "é"}),
		), 0, 5).Draw(t, "parts")
		compareForms(t, strings.ToValidUTF8(strings.Join(parts, ""), "?"))
	})
}

// TestFormsRefuseWhatIsNotText: a regular expression takes a bad byte for
// U+FFFD, a printable character; JSON could not hold it.
func TestFormsRefuseWhatIsNotText(t *testing.T) {
	for name, f := range textForms {
		if s := "a\xff"; !utf8.ValidString(s) && f.is(s) {
			t.Errorf("%s form takes %q", name, s)
		}
	}
}

// The specifications name the version of Unicode, as what is printable differs
// between versions: two readers that have other tables read another language.
func TestUnicodeIsThatOfTheSpecifications(t *testing.T) {
	for _, file := range []string{"release-v1.md", "policy.md"} {
		text, err := os.ReadFile("../docs/spec/" + file)
		if err != nil {
			t.Fatal(err)
		}
		if version := strings.TrimSuffix(unicode.Version, ".0"); !strings.Contains(string(text), "Unicode "+version) {
			t.Errorf("%s does not say Unicode %s, of which the tables are: say so, and in the changelog too", file, version)
		}
	}
}
