package verdict

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// width is that of a terminal that people have.
const width = 78

// String says the verdict in words for a terminal, without colour. The last
// line is the decision.
func (v *Verdict) String() string {
	var b strings.Builder
	name := v.File
	if name == "" {
		name = "file"
	}
	fmt.Fprintf(&b, "%s, %s\nsha256 %s\n", name, plural(v.Size, "byte"), v.Digest)
	if v.Product != "" {
		line := "release " + v.Product + " " + v.Version
		if v.Channel != "" {
			line += ", channel " + v.Channel
		}
		wrap(&b, line, "", "        ")
	}
	b.WriteByte('\n')
	for _, r := range v.Requirements {
		r.write(&b)
	}
	if len(v.Ignored) > 0 {
		fmt.Fprintf(&b, "\n%s not counted:\n", plural(int64(len(v.Ignored)), "other statement"))
		for i, line := range v.Ignored {
			if i == 3 && len(v.Ignored) > 4 {
				fmt.Fprintf(&b, "  and %d more\n", len(v.Ignored)-i)
				break
			}
			wrap(&b, line, "  ", "    ")
		}
	}
	b.WriteByte('\n')
	total := plural(int64(len(v.Requirements)), "requirement")
	if v.Accepted {
		fmt.Fprintf(&b, "accepted: %s met\n", total)
	} else {
		fmt.Fprintf(&b, "refused: %d of %s not met\n", len(v.Unmet()), total)
	}
	return b.String()
}

// write says one requirement: in one paragraph where there is nothing to do.
func (r *Requirement) write(b *strings.Builder) {
	const indent = "           "
	mark, why := "  not met  ", r.Missing
	if r.Met {
		mark, why = "  met      ", strings.Join(r.Evidence, "; ")
	}
	switch {
	case r.Met && strings.HasSuffix(r.Text, " "+why):
		wrap(b, r.Text, mark, indent)
	case r.Remedy == "":
		wrap(b, r.Text+": "+why, mark, indent)
	default:
		wrap(b, r.Text, mark, indent)
		wrap(b, why, indent+"- ", indent+"  ")
		wrap(b, "to do: "+r.Remedy, indent+"- ", indent+"  ")
	}
}

// wrap breaks text at spaces; a word longer than a line stays whole.
func wrap(b *strings.Builder, text, first, rest string) {
	line := first
	empty := true
	for _, w := range strings.Fields(text) {
		if !empty && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(w) > width {
			b.WriteString(line + "\n")
			line, empty = rest, true
		}
		if !empty {
			line += " "
		}
		line, empty = line+w, false
	}
	b.WriteString(strings.TrimRight(line, " ") + "\n")
}
