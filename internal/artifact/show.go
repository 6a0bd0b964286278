package artifact

import (
	"fmt"
	"io"
	"strings"
	"unicode"
)

// screen is how many lines a report has unless all of it is asked for.
const screen = 40

// Text writes the report for people: one screen, or with all everything in it.
func (r *Report) Text(w io.Writer, all bool) error {
	p := &printer{left: screen}
	if all {
		p.left = 1 << 30
	}
	p.head(r)
	p.causes(r)
	p.rest(r)
	_, err := io.WriteString(w, p.b.String())
	return err
}

type printer struct {
	b    strings.Builder
	left int
}

func (p *printer) line(format string, args ...any) {
	p.left--
	p.b.WriteString(clean(strings.TrimRight(fmt.Sprintf(format, args...), " ")) + "\n")
}

// clean keeps what others wrote from drawing on a terminal.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' {
			return ' '
		}
		if !unicode.IsPrint(r) {
			return '�'
		}
		return r
	}, s)
}

func (p *printer) head(r *Report) {
	p.line("%s", r.Verdict)
	p.line("  shipped   %s", sideText(r.Shipped))
	p.line("  rebuilt   %s", sideText(r.Rebuilt))
	p.line("  agree on  %s", rungText(r))
	c := r.Compared
	p.line("  compared  %d bytes read, %d inflated, %d members, %d files", c.Read, c.Inflated, c.Members, c.Files)
	for _, f := range r.Facts {
		p.line("  %s: %s", at(f.Where, f.Name), sides(f.Shipped, f.Rebuilt))
	}
	p.list("not compared", r.Ignored, 2)
	p.list("not looked into", r.Unread, 4)
}

func (p *printer) list(what string, all []string, max int) {
	for i, s := range all {
		if i >= max && p.left < 1<<20 {
			p.line("  %s: %d more", what, len(all)-i)
			return
		}
		p.line("  %s: %s", what, shorten(s, 300))
	}
}

func sideText(s Side) string {
	t := fmt.Sprintf("%s (%s", shorten(s.Name, 200), s.Format)
	if s.SHA256 != "" {
		t += fmt.Sprintf(", %d bytes, SHA-256 %s", s.Size, s.SHA256)
	}
	return t + ")"
}

func rungText(r *Report) string {
	switch r.Rung {
	case RungBytes:
		return "every byte"
	case RungStream:
		return "the decompressed stream; the compressed bytes differ"
	case RungEntries:
		if r.Verdict == Explained {
			return "entries: names, types, permissions and contents, but for the causes below"
		}
		return "entries: names, types and permissions; contents differ"
	case RungSections:
		return "sections: what is loaded when the program runs"
	case RungFunctions:
		return "functions: their code is the same, data differs"
	case RungLines:
		if r.Verdict == Explained {
			return "lines of text, but for the causes below"
		}
		return "source lines: functions differ, and come from the same lines"
	}
	return "nothing as a whole"
}

func at(where, what string) string {
	if where == "" {
		return what
	}
	return shorten(where, 200) + ": " + what
}

func sides(a, b string) string {
	a, b = shorten(a, 160), shorten(b, 160)
	switch {
	case a == b:
		return a + " (both)"
	case a == "":
		return "only rebuilt: " + b
	case b == "":
		return "only shipped: " + a
	}
	return "shipped " + a + ", rebuilt " + b
}

func shorten(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n]) + "…"
	}
	return s
}

func (p *printer) causes(r *Report) {
	if len(r.Causes) == 0 {
		return
	}
	groups := groupCauses(r.Causes)
	p.line("causes (harmless; %s):", provedText(r.Causes))
	room := max(6, p.left/2)
	if len(r.Differences) == 0 {
		room = p.left - 1
	}
	for i, g := range groups {
		if room--; room <= 1 && i+1 < len(groups) {
			p.line("  … %d more causes: --all, --json or --html", len(groups)-i)
			return
		}
		c := g.first
		head := at(c.Where, c.Name)
		if g.places > 1 && c.Where == "" {
			head = fmt.Sprintf("%s of %d fields, the first", c.Name, g.places)
		} else if g.places > 1 {
			head = fmt.Sprintf("%s in %d places, the first %s", c.Name, g.places, shorten(c.Where, 120))
		}
		if c.Members > 0 && c.Example != "" {
			head += fmt.Sprintf(" of %d, the first %s", g.members, shorten(c.Example, 120))
		} else if c.Example != "" {
			head += " (" + shorten(c.Example, 80) + ")"
		}
		proof := c.Proof
		if !c.Proved {
			proof = "not proved: its member differs otherwise too"
		}
		values := sides(orNone(c.Shipped), orNone(c.Rebuilt))
		if c.Detail != "" {
			values = shorten(c.Detail, 300)
		}
		p.line("  %s: %s", head, values)
		if room > len(groups)-i {
			room--
			p.line("    proof: %s", proof)
		}
	}
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

func provedText(all []Cause) string {
	n := 0
	for _, c := range all {
		if c.Proved {
			n++
		}
	}
	if n == len(all) {
		return "each proved"
	}
	return fmt.Sprintf("%d of %d proved", n, len(all))
}

// causeGroup are causes of one name and one proof, in several places.
type causeGroup struct {
	first           Cause
	places, members int
}

func groupCauses(all []Cause) (out []causeGroup) {
	at := map[[3]string]int{}
	for _, c := range all {
		key := [3]string{c.Name, c.Proof, fmt.Sprint(c.Proved, c.Members > 0)}
		i, ok := at[key]
		if !ok {
			i = len(out)
			at[key] = i
			out = append(out, causeGroup{first: c})
		}
		out[i].places++
		out[i].members += c.Members
	}
	return out
}

// diffGroup are differences that say the same of several files.
type diffGroup struct {
	first Difference
	n     int
}

// rest shows the differences: one line for each, and under it what is to be seen,
// as far as the screen reaches.
func (p *printer) rest(r *Report) {
	if len(r.Differences) == 0 {
		return
	}
	groups := groupDiffs(r.Differences)
	p.line("differences: %d", len(r.Differences)+r.Omitted)
	for i, g := range groups {
		left := len(groups) - i
		if p.left <= 2 && left > 1 {
			p.line("  … %d more differences: --all, --json or --html", left)
			return
		}
		p.line("  %s: %s", groupText(g), sides(g.first.Shipped, g.first.Rebuilt))
		// What remains is shared by those that follow.
		room := p.left - 1
		if left > 1 {
			room = min(room, max(0, (p.left-min(left, 12))/min(left, 3)))
		}
		p.hunks(g.first.Hunks, room)
	}
	if r.Omitted > 0 && p.left > 0 {
		p.line("  … %d more than a report holds", r.Omitted)
	}
}

func groupText(g diffGroup) string {
	if g.n == 1 {
		return at(g.first.Where, g.first.What)
	}
	return fmt.Sprintf("%s of %d, the first %s", g.first.What, g.n, shorten(g.first.Where, 160))
}

// groupDiffs joins differences without hunks that say the same.
func groupDiffs(all []Difference) (out []diffGroup) {
	at := map[[3]string]int{}
	for _, d := range all {
		key := [3]string{d.What, d.Shipped, d.Rebuilt}
		i, ok := at[key]
		if len(d.Hunks) > 0 || !ok {
			if len(d.Hunks) == 0 {
				at[key] = len(out)
			}
			out = append(out, diffGroup{d, 1})
			continue
		}
		out[i].n++
	}
	return out
}

func (p *printer) hunks(all []Hunk, room int) {
	more := 0
	for _, h := range all {
		if room < 3 {
			more += len(h.Lines) + h.More
			continue
		}
		p.line("    %s", h.Title)
		room--
		for i, l := range h.Lines {
			if room <= 1 && i+1 < len(h.Lines) {
				more += len(h.Lines) - i
				break
			}
			p.line("    %s", shorten(l, 160))
			room--
		}
		more += h.More
	}
	if more > 0 && room > 0 {
		p.line("    … %d more lines", more)
	}
}
