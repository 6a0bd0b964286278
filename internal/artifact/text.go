package artifact

import (
	"bytes"
	"fmt"
	"io"
	"strings"
)

// context is how many lines that both have stand around a difference.
const around = 2

// maxLines bounds the memory that a comparison by lines takes.
const maxLines = 400_000

var newline = []byte("\n")

// texts compares two texts by lines.
func (s *session) texts(p place, a, b blob) (outcome, error) {
	if max(a.Size(), b.Size()) > s.o.Text {
		s.skip(p.where, fmt.Errorf("a text of more than %d bytes is compared by bytes", s.o.Text))
		return s.bytes(p, a, b), s.ctx.Err()
	}
	x, err := io.ReadAll(io.NewSectionReader(a, 0, a.Size()))
	if err != nil {
		return outcome{}, err
	}
	y, err := io.ReadAll(io.NewSectionReader(b, 0, b.Size()))
	if err != nil {
		return outcome{}, err
	}
	if max(bytes.Count(x, newline), bytes.Count(y, newline)) > maxLines {
		s.skip(p.where, fmt.Errorf("a text of more than %d lines is compared by bytes", maxLines))
		return s.bytes(p, a, b), s.ctx.Err()
	}
	if c := s.documented(p, x, y); c != nil {
		return outcome{verdict: Explained, rung: RungLines, causes: c}, nil
	}
	la, lb := lines(x), lines(y)
	edits := diffLines(la, lb)
	gone, come := 0, 0
	for _, e := range edits {
		gone, come = gone+e.a1-e.a0, come+e.b1-e.b0
	}
	d := Difference{Where: p.where, What: "content", Shipped: fmt.Sprintf("%d lines, %d of them only here", count(la), gone),
		Rebuilt: fmt.Sprintf("%d lines, %d of them only here", count(lb), come), Hunks: hunks(la, lb, edits, s.o.Hunks)}
	return different(d), nil
}

func count(l [][]byte) int {
	if n := len(l); n > 0 && len(l[n-1]) == 0 {
		return n - 1
	}
	return len(l)
}

// hunks shows edits with what stands around them, up to max lines.
func hunks(a, b [][]byte, edits []edit, max int) (out []Hunk) {
	left := max
	for i := 0; i < len(edits); {
		j := i + 1
		for j < len(edits) && edits[j].a0-edits[j-1].a1 <= 2*around {
			j++
		}
		h := Hunk{Title: fmt.Sprintf("line %d", edits[i].a0+1)}
		show := func(mark string, l []byte, counts bool) {
			switch {
			case len(l) == 0: // behind the last end of a line
			case left > 0:
				h.Lines = append(h.Lines, mark+visible(l))
				left--
			case counts:
				h.More++
			}
		}
		for at := clip(edits[i].a0-around, len(a)); at < edits[i].a0; at++ {
			show("  ", a[at], false)
		}
		for k := i; k < j; k++ {
			e := edits[k]
			for _, l := range a[e.a0:e.a1] {
				show("- ", l, true)
			}
			for _, l := range b[e.b0:e.b1] {
				show("+ ", l, true)
			}
			stop := clip(e.a1+around, len(a))
			if k+1 < j {
				stop = edits[k+1].a0
			}
			for at := e.a1; at < stop; at++ {
				show("  ", a[at], false)
			}
		}
		if len(h.Lines) == 0 && len(out) > 0 {
			out[len(out)-1].More += h.More
		} else {
			out = append(out, h)
		}
		i = j
	}
	return out
}

func clip(n, high int) int { return min(max(n, 0), high) }

// visible is a line for people, with its end where that is not the usual one.
func visible(l []byte) string {
	body, ended := bytes.CutSuffix(l, []byte("\n"))
	s := strings.ToValidUTF8(string(body), "�")
	if cr, ok := strings.CutSuffix(s, "\r"); ok {
		s = cr + "␍"
	}
	if len(s) > 300 {
		cut := 300
		for cut > 0 && s[cut]&0xc0 == 0x80 {
			cut--
		}
		s = s[:cut] + "…"
	}
	if !ended {
		s += " (no end of line)"
	}
	return s
}
