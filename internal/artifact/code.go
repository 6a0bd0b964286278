package artifact

import (
	"errors"
	"fmt"
	"strings"

	"vitrine.example/internal/artifact/binary"
)

// errCode says that an executable could not be read as one.
var errCode = errors.New("compared by bytes")

// code compares two executables.
func (s *session) code(p place, a, b blob) (outcome, error) {
	r, err := binary.Compare(s.ctx, binary.File{ReaderAt: a, Size: a.Size(), Name: a.name},
		binary.File{ReaderAt: b, Size: b.Size(), Name: b.name}, binary.Options{Built: s.o.Built})
	if errors.Is(err, binary.ErrFormat) || errors.Is(err, binary.ErrTooLarge) {
		return outcome{}, fmt.Errorf("%w: %w", err, errCode)
	}
	if err != nil {
		return outcome{}, err
	}
	out := outcome{verdict: Different, rung: Rung(r.Rung)}
	if r.Rung == binary.RungNone {
		out.rung = RungNone
	}
	for _, c := range r.Causes {
		out.causes = append(out.causes, Cause{Name: c.Name, Where: p.where, Example: c.Where, Detail: c.Detail, Proved: c.Proved || r.Explained, Proof: proofPatched})
	}
	if r.Explained && len(out.causes) > 0 {
		out.verdict = Explained
		return out, nil
	}
	out.diffs = codeDifferences(p, r)
	if len(out.diffs) == 0 {
		out.diffs = s.bytes(p, a, b).diffs
	}
	return out, s.ctx.Err()
}

// codeDifferences lists functions, then data, then what else lies in the files;
// each with its lines, where some are shown.
func codeDifferences(p place, r binary.Result) (all []Difference) {
	for _, f := range r.Functions {
		d := Difference{Where: p.where, What: "function " + f.Name, Shipped: spanText(f.A, f.Lines), Rebuilt: spanText(f.B, f.Lines)}
		switch f.Kind {
		case "only in a":
			d.Rebuilt = ""
		case "only in b":
			d.Shipped = ""
		default:
			d.What = f.Kind + " " + d.What
			d.Shipped += orEmpty(": ", f.Why)
		}
		all = append(all, d)
	}
	for _, x := range r.Data {
		d := Difference{Where: p.where, What: fmt.Sprintf("data in %s at %#x", x.Section, x.Off), Shipped: x.A, Rebuilt: x.B}
		if x.Symbol != "" {
			d.What += ", " + x.Symbol
		}
		if len(x.Users) > 0 {
			d.What += ", used by " + strings.Join(x.Users, ", ")
		}
		all = append(all, d)
	}
	for _, x := range r.Sections {
		if x.Cause != "" || x.Moved || x.Kind == "code" && len(r.Functions) > 0 || x.Kind == "data" && len(r.Data) > 0 {
			continue
		}
		all = append(all, Difference{Where: p.where, What: "section " + x.Name, Shipped: sectionText(x.A, x), Rebuilt: sectionText(x.B, x)})
	}
	for _, h := range r.Hunks {
		attach(all, Hunk{Title: h.Title, Lines: h.Lines, More: h.More})
	}
	return all
}

func spanText(s binary.Span, lines string) string {
	return fmt.Sprintf("%d bytes at %#x", s.Size, s.Addr) + orEmpty(", ", lines)
}

func orEmpty(before, s string) string {
	if s == "" {
		return ""
	}
	return before + s
}

func sectionText(size int64, s binary.Section) string {
	if size < 0 {
		return ""
	}
	return fmt.Sprintf("%d bytes, %d differ, the first at %#x", size, s.Bytes, s.First)
}

// attach puts lines to the difference that they show, or to the first.
func attach(all []Difference, h Hunk) {
	best := -1
	for i, d := range all {
		if strings.HasSuffix(d.What, " "+h.Title) || best < 0 && strings.Contains(d.What, h.Title) {
			best = i
		}
	}
	if best < 0 {
		best = 0
	}
	if len(all) > 0 {
		all[best].Hunks = append(all[best].Hunks, h)
	}
}
