package binary

import (
	"fmt"
	"strings"

	"golang.org/x/arch/arm64/arm64asm"
	"golang.org/x/arch/x86/x86asm"
)

// maxListing bounds the instructions of a function that are listed.
const maxListing = 4000

// reportHunks shows the first functions that differ as disassembly, then
// places of data that no such function explains.
func (m *matcher) reportHunks(r *Result, verdicts []verdict, o Options) {
	c := m.c
	for i := range c.a.funcs {
		f := &c.a.funcs[i]
		if len(r.Hunks) >= o.Hunks {
			return
		}
		if f.pair < 0 || !verdicts[i].changed {
			continue
		}
		x, offs := c.a.list(f)
		y, _ := c.b.list(&c.b.funcs[f.pair])
		h, first := hunk(x, y, o.HunkLines)
		h.Title = f.name
		if at := c.a.lineAt(f, offs[min(first, len(offs)-1)]); at != "" {
			h.Title += " at " + at
		}
		if len(h.Lines) == 0 { // the same instructions, about other data
			h.Lines = []string{"~ " + verdicts[i].why}
		}
		r.Hunks = append(r.Hunks, h)
	}
	for i := range r.Data {
		d := &r.Data[i]
		if len(r.Hunks) >= o.Hunks {
			return
		}
		h := Hunk{Title: fmt.Sprintf("%s+%#x", d.Section, d.Off), Lines: []string{"- " + d.A, "+ " + d.B}}
		if d.Symbol != "" {
			h.Title += " " + d.Symbol
		}
		if len(d.Users) > 0 {
			h.Title += ", used by " + strings.Join(d.Users, ", ")
		}
		r.Hunks = append(r.Hunks, h)
	}
}

// lineAt returns the source line of an offset in a function.
func (m *image) lineAt(f *fn, off uint64) string {
	if m.gotab == nil || f.table < 0 {
		return ""
	}
	file, line := m.gotab.line(f.table, f.size, off)
	if file == "" || line <= 0 {
		return ""
	}
	return fmt.Sprintf("%s:%d", shortPath(file), line)
}

// list disassembles a function; addresses are given by name.
func (m *image) list(f *fn) (lines []string, offs []uint64) {
	p := 0
	for p < len(f.code) && len(lines) < maxListing {
		text, n := m.instruction(f, p)
		lines, offs = append(lines, text), append(offs, uint64(p))
		p += n
	}
	return lines, append(offs, uint64(p))
}

// instruction disassembles one instruction. The disassemblers are made for
// well-formed code; what makes one of them panic is shown as bytes.
func (m *image) instruction(f *fn, p int) (text string, n int) {
	code, pc := f.code[p:], f.addr+uint64(p)
	n = 1
	if m.arch == "arm64" {
		n = 4
	}
	n = min(n, len(code))
	text = fmt.Sprintf(".byte %x", code[:n])
	defer func() {
		if recover() != nil {
			text = fmt.Sprintf(".byte %x", code[:n])
		}
	}()
	switch m.arch {
	case "amd64":
		in, err := x86asm.Decode(code, 64)
		if err != nil || in.Len == 0 {
			if d := decodeX86(code); d.n > 0 {
				return fmt.Sprintf(".byte %x", code[:d.n]), d.n
			}
			return text, n
		}
		if d := decodeX86(code); d.n > 0 && d.n != in.Len {
			return fmt.Sprintf(".byte %x", code[:d.n]), d.n // x86asm takes VZEROUPPER for a prefix
		}
		n = in.Len
		text = x86asm.GoSyntax(in, pc, m.namer(f))
		if rel, ok := in.Args[0].(x86asm.Rel); ok { // how far, not where to: that moves with the code
			text = strings.Replace(text, hex(pc+uint64(n)+uint64(int64(rel))), fmt.Sprintf("%+d(PC)", int64(rel)), 1)
		}
	case "arm64":
		in, err := arm64asm.Decode(code)
		if err != nil {
			return text, n
		}
		text = arm64asm.GoSyntax(in, pc, m.namer(f), nil)
	}
	return text, n
}

// namer gives addresses their names: places in the function as an offset.
func (m *image) namer(f *fn) func(uint64) (string, uint64) {
	return func(addr uint64) (string, uint64) {
		if m.at(addr) == nil {
			return "", 0
		}
		if addr-f.addr < f.size {
			return "self", f.addr
		}
		if i := m.funcAt(addr); i >= 0 {
			return m.funcs[i].name, m.funcs[i].addr
		}
		return m.describe(addr), addr
	}
}

// hunk compares two listings and keeps what differs, with a line of context.
// It also returns where the first difference is.
func hunk(x, y []string, limit int) (h Hunk, first int) {
	pre := 0
	for pre < len(x) && pre < len(y) && x[pre] == y[pre] {
		pre++
	}
	if pre == len(x) && pre == len(y) {
		return h, 0
	}
	post := 0
	for post < len(x)-pre && post < len(y)-pre && x[len(x)-1-post] == y[len(y)-1-post] {
		post++
	}
	lines := diffLines(x[pre:len(x)-post], y[pre:len(y)-post])
	if pre > 0 {
		lines = append([]string{"  " + x[pre-1]}, lines...)
	}
	if post > 0 {
		lines = append(lines, "  "+x[len(x)-post])
	}
	for _, l := range lines {
		switch {
		case len(h.Lines) < limit:
			h.Lines = append(h.Lines, l)
		case l[0] != ' ':
			h.More++
		}
	}
	return h, pre
}

// diffLines finds a longest common subsequence; long listings are not searched.
func diffLines(x, y []string) (out []string) {
	if len(x)*len(y) > 1<<20 {
		x, y = x[:min(len(x), 1000)], y[:min(len(y), 1000)]
	}
	w := len(y) + 1
	best := make([]uint16, (len(x)+1)*w)
	for i := len(x) - 1; i >= 0; i-- {
		for j := len(y) - 1; j >= 0; j-- {
			if x[i] == y[j] {
				best[i*w+j] = best[(i+1)*w+j+1] + 1
			} else {
				best[i*w+j] = max(best[(i+1)*w+j], best[i*w+j+1])
			}
		}
	}
	for i, j := 0, 0; i < len(x) || j < len(y); {
		switch {
		case i < len(x) && j < len(y) && x[i] == y[j]:
			out = append(out, "  "+x[i])
			i, j = i+1, j+1
		case j == len(y) || i < len(x) && best[(i+1)*w+j] >= best[i*w+j+1]:
			out = append(out, "- "+x[i])
			i++
		default:
			out = append(out, "+ "+y[j])
			j++
		}
	}
	return out
}
