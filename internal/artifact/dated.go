package artifact

import (
	"bytes"
	"path"
	"strings"

	"vitrine.example/internal/artifact/archive"
)

// CauseDate is the time of a build that stands in a document.
const CauseDate archive.Cause = "embedded-date"

// A date in what a program reads may decide what it does, so only what people
// read counts: files of these names, and documents in directories of documents.
var (
	prose    = lazily(`(?i)^(readme|copying|licen[cs]e|notice|authors|changes|changelog|news)(\.(txt|md|rst|adoc))?$`)
	document = lazily(`(?i)\.(txt|md|rst|adoc|html?|[1-8])$`)
	shelf    = lazily(`(?i)(^|/)(docs?|man|man[1-8]|javadoc|apidocs)/`)
	recipe   = lazily(`(?i)^(cmakelists|requirements.*|constraints.*)\.txt$`)
)

func isDocument(name string) bool {
	base := path.Base(name)
	return prose().MatchString(base) || document().MatchString(base) && shelf().MatchString(name) && !recipe().MatchString(base) ||
		base == ".PKGINFO"
}

// stampToken matches what a build writes of its time: a date with or without the
// time of day, in the forms of ISO 8601, RFC 5322 and ctime, or a month and a year.
var stampToken = lazily(`\b(?:` + strings.Join([]string{
	`(?:19|20)\d\d-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?: ?(?:Z|UTC|GMT|[+-]\d\d:?\d\d))?)?`,
	`(?:(?:` + weekday + `)[a-z]*,? )?\d{1,2} (?:` + month + `)[a-z]* (?:19|20)\d\d(?: \d\d:\d\d(?::\d\d)?(?: (?:UTC|GMT|[+-]\d{4}))?)?`,
	`(?:` + weekday + `)[a-z]* (?:` + month + `)[a-z]* {1,2}\d{1,2} \d\d:\d\d:\d\d (?:[A-Z]{3,4} )?(?:19|20)\d\d`,
	`(?:` + month + `)[a-z]* (?:\d{1,2}, )?(?:19|20)\d\d`,
}, "|") + `)\b`)

const (
	weekday = "Mon|Tue|Wed|Thu|Fri|Sat|Sun"
	month   = "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"
)

var (
	// copyright matches a line whose years say when, and nothing else.
	copyright = lazily(`(?i)copyright|\(c\)|©`)
	yearToken = lazily(`\b(?:19|20)\d\d\b`)
	// builddate is the line of an Alpine package that says when it was built.
	builddate  = lazily(`^builddate = `)
	epochToken = lazily(`\b\d{9,10}\b`)
	// active matches lines of a page that a browser may run.
	active = lazily(`(?i)<\s*/?\s*(script|style|iframe|form|object|embed|meta\s+http-equiv)|javascript:|\son[a-z]+\s*=`)
)

// dated says whether two documents differ by the time of their build alone, and
// proves it: the shipped dates, put into the rebuilt text, give the shipped text.
func dated(p place, a, b []byte) (Cause, bool) {
	c := Cause{Name: string(CauseDate), Where: p.where, Proved: true, Proof: proofReplaced}
	base := path.Base(p.name)
	if p.exec || !isDocument(p.name) || bytes.HasPrefix(a, []byte("#!")) || bytes.HasPrefix(b, []byte("#!")) {
		return c, false
	}
	page := strings.Contains(strings.ToLower(path.Ext(base)), "htm")
	if page && (active().Match(a) || active().Match(b)) {
		return c, false
	}
	la, lb := lines(a), lines(b)
	if len(la) != len(lb) {
		return c, false
	}
	var out []byte
	for i := range la {
		got := lb[i]
		if !bytes.Equal(la[i], got) {
			var was, is string
			if got, was, is = redate(base, la[i], lb[i]); c.Shipped == "" {
				c.Shipped, c.Rebuilt = was, is
			}
			c.Members++
		}
		out = append(out, got...)
	}
	return c, bytes.Equal(out, a)
}

// redate puts the dates of line a into line b.
func redate(base string, a, b []byte) (out []byte, shipped, rebuilt string) {
	forms := []pattern{stampToken}
	switch {
	case copyright().Match(a) && copyright().Match(b):
		forms = append(forms, yearToken)
	case strings.HasSuffix(base, "PKGINFO") && builddate().Match(a) && builddate().Match(b):
		forms = append(forms, epochToken)
	}
	for _, form := range forms {
		x, y := form().FindAll(a, -1), form().FindAllIndex(b, -1)
		if len(x) == 0 || len(x) != len(y) {
			continue
		}
		var line []byte
		last := 0
		for i, at := range y {
			line = append(append(line, b[last:at[0]]...), x[i]...)
			last = at[1]
			if old := b[at[0]:at[1]]; shipped == "" && !bytes.Equal(old, x[i]) {
				shipped, rebuilt = string(x[i]), string(old)
			}
		}
		if line = append(line, b[last:]...); bytes.Equal(line, a) {
			return line, shipped, rebuilt
		}
	}
	return b, shipped, rebuilt
}
