package binary

import (
	"bytes"
	"fmt"
)

// Names of causes (docs/spec/explain-binary.md).
const (
	CauseSymbols     = "symbol table"
	CauseDWARF       = "dwarf"
	CauseDebugLink   = "debuglink"
	CauseSections    = "section table"
	CauseGNUBuildID  = "gnu build-id"
	CauseGoBuildID   = "go build id"
	CauseBuildInfo   = "go build info"
	CausePath        = "build path"
	CauseDate        = "date"
	CauseTimestamp   = "pe timestamp"
	CausePDB         = "pdb reference"
	CauseUUID        = "mach-o uuid"
	CauseAuthenticod = "authenticode signature"
	CauseCodeSign    = "mach-o code signature"
)

// extent is a range of bytes of a file.
type extent struct{ off, n int64 }

// prover applies causes to the rebuilt file, one after the other.
type prover struct {
	a, b   *image // b changes: it is the rebuilt file with the causes so far
	o      Options
	owned  bool // b's bytes are the prover's own
	causes []Cause
	where  [][]extent // of each cause, in a
}

type proof struct {
	causes    []Cause
	where     [][]extent
	explained bool
	residue   int64
	out       []byte
}

// prove finds the causes and applies them. Only the comparison of bytes at its
// end counts: whatever a step overlooks or gets wrong, the file is explained
// only if what came out is the shipped file.
func prove(a, b *image, o Options) proof {
	p := &prover{a: a, b: b, o: o}
	switch a.format {
	case "elf":
		p.elfLayout()
		p.gnuBuildID()
	case "pe":
		p.peStamps()
	case "mach-o":
		p.machoUUID()
	}
	p.goBuildID()
	p.goBuildInfo()
	p.goPaths()
	p.dates()
	switch a.format {
	case "pe":
		p.authenticode()
	case "mach-o":
		p.codeSignature()
	}
	out := p.b.file
	r := proof{causes: p.causes, where: p.where, out: out, residue: differing(a.file, out), explained: len(p.causes) > 0 && bytes.Equal(a.file, out)}
	for i := range r.causes {
		c := &r.causes[i]
		for _, e := range p.where[i] {
			end := e.off + e.n
			c.Proved = c.Proved && end <= int64(len(out)) && end <= int64(len(a.file)) && bytes.Equal(out[e.off:end], a.file[e.off:end])
		}
	}
	return r
}

// nameCauses names, for each section, the proved cause after which it is the
// shipped one.
func (r *proof) nameCauses(a *image, sections []Section) {
	for i := range sections {
		s := &sections[i]
		end := s.AOff + s.A
		if s.A <= 0 || end > int64(len(r.out)) || !bytes.Equal(a.file[s.AOff:end], r.out[s.AOff:end]) {
			continue
		}
		for k := range r.causes {
			for _, e := range r.where[k] {
				if r.causes[k].Proved && s.Cause == "" && e.off < end && e.off+e.n > s.AOff {
					s.Cause = r.causes[k].Name
				}
			}
		}
	}
}

// covers reports whether a proved cause covers a range of a.
func (r *proof) covers(off, n int64) bool {
	for k := range r.causes {
		for _, e := range r.where[k] {
			if r.causes[k].Proved && e.off <= off && off+n <= e.off+e.n {
				return true
			}
		}
	}
	return false
}

// cause records a cause that covers some extents of a. One that was found but
// could not be applied is not proved.
func (p *prover) cause(name, where string, applied bool, detail string, covers ...extent) {
	p.causes = append(p.causes, Cause{Name: name, Where: where, Detail: detail, Proved: applied})
	p.where = append(p.where, covers)
}

// replace makes out the rebuilt file. It must still be an executable.
func (p *prover) replace(out []byte) bool {
	m, err := parse(out)
	if err != nil {
		return false
	}
	p.b, p.owned = m, true
	return true
}

// writable returns the rebuilt file for changing; the caller's copy stays as it is.
func (p *prover) writable() []byte {
	if !p.owned {
		m := *p.b
		m.file = bytes.Clone(m.file)
		p.b, p.owned = &m, true
	}
	return p.b.file
}

// edit overwrites bytes of the rebuilt file at the place where they lie in both.
func (p *prover) edit(off int64, with []byte) { copy(p.writable()[off:], with) }

// sameSpot returns a region that lies at the same place in both files.
func (p *prover) sameSpot(name string) (x, y *region) {
	x, y = p.a.region(name), p.b.region(name)
	if x == nil || y == nil || x.off != y.off || x.size != y.size {
		return nil, nil
	}
	return x, y
}

// shorten shows the middle of a long text as dots.
func shorten(s string) string {
	if len(s) > 72 {
		return s[:44] + "…" + s[len(s)-24:]
	}
	return s
}

func versus(a, b string) string {
	return fmt.Sprintf("%s, rebuilt %s", shorten(a), shorten(b))
}
