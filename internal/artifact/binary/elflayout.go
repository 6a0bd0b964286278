package binary

import (
	"bytes"
	"debug/elf"
	"fmt"
	"strings"
)

// unloadedCause names the cause that a section belongs to which is not loaded
// when the program runs; "" is no such section.
func unloadedCause(name string) string {
	switch name {
	case ".symtab", ".strtab", ".symtab_shndx":
		return CauseSymbols
	case ".shstrtab":
		return CauseSections
	case ".gnu_debuglink", ".gnu_debugaltlink":
		return CauseDebugLink
	case ".gdb_index", ".gnu_debugdata":
		return CauseDWARF
	}
	if strings.HasPrefix(name, ".debug_") || strings.HasPrefix(name, ".zdebug_") {
		return CauseDWARF
	}
	return ""
}

// idNote reports a section that holds a build id and nothing else.
func (m *image) idNote(s *elfSection) bool {
	if s.typ != elf.SHT_NOTE || s.name != ".note.gnu.build-id" && s.name != ".note.go.buildid" {
		return false
	}
	b := m.file[min(s.off, uint64(len(m.file))):]
	b = b[:min(s.size, uint64(len(b)))]
	n, ok := 0, true
	whole := elfNotes(b, m.order, func(name string, typ uint32, _ int, desc []byte) {
		n++
		ok = ok && (name == "GNU" && typ == 3 && len(desc) <= 64 || name == "Go" && typ == 4 && len(desc) <= 256)
	})
	return whole && ok && n == 1
}

// elfLayout applies what symbol tables, debugging data and build ids that are
// there or not do to a file: what is loaded is taken from the rebuilt file, what
// is not loaded, and the tables that point to it, from the shipped one. All that
// is taken from the shipped file must be of a known kind.
func (p *prover) elfLayout() {
	a, b := p.a, p.b
	if !p.layoutDiffers() {
		return
	}
	head, why := p.sameLoads()
	var out []byte
	if why == "" {
		out = bytes.Clone(a.file)
		for _, s := range b.elf.segments {
			if s.typ == elf.PT_LOAD {
				copy(out[s.off:s.off+s.filesz], b.file[s.off:s.off+s.filesz])
			}
		}
		copy(out[:head], a.file[:head])
		why = unloadedIsKnown(a, b, head)
		if why == "" { // nothing is thrown away in silence either
			why = unloadedIsKnown(b, a, head)
		}
	}
	applied := why == "" && p.layoutCauses(a, b, true) && p.replace(out)
	if !applied {
		p.causes, p.where = nil, nil
		p.layoutCauses(a, b, false)
		if why != "" {
			a.note("symbols and debugging data are not taken over: %s", why)
		}
	}
}

// layoutDiffers reports a difference in what is not loaded or in the headers.
func (p *prover) layoutDiffers() bool {
	a, b := p.a, p.b
	ha, hb := a.elf, b.elf
	if len(a.file) != len(b.file) || ha.shoff != hb.shoff || ha.shnum != hb.shnum || ha.phnum != hb.phnum {
		return true
	}
	for i := range a.regions {
		r := &a.regions[i]
		if (r.mem == 0 && r.size > 0) && !bytes.Equal(a.data(r), b.file[r.off:r.off+r.size]) {
			return true
		}
	}
	return false
}

// sameLoads checks that both files load the same ranges, and returns where the
// headers and build ids at their start end.
func (p *prover) sameLoads() (head uint64, why string) {
	a, b := p.a, p.b
	fixed := func(m *image) (s []elfSegment) {
		for _, g := range m.elf.segments {
			if n := uint64(m.elf.phnum) * m.elf.phentsize; g.typ == elf.PT_PHDR && g.filesz == n && g.memsz == n {
				g.filesz, g.memsz = 0, 0 // follows from the number of segments
			}
			if g.head = 0; g.typ != elf.PT_NOTE {
				s = append(s, g)
			}
		}
		return s
	}
	fa, fb := fixed(a), fixed(b)
	if len(fa) != len(fb) {
		return 0, "the files have other segments"
	}
	for i := range fa {
		if fa[i] != fb[i] {
			return 0, "the files load other segments"
		}
		if s := fa[i]; s.typ == elf.PT_LOAD && (s.off+s.filesz < s.off || s.off+s.filesz > uint64(min(len(a.file), len(b.file)))) {
			return 0, "a segment lies beyond the file's end"
		}
	}
	head = ^uint64(0)
	for _, m := range []*image{a, b} {
		for i := range m.elf.sections {
			if s := &m.elf.sections[i]; s.loaded() && s.inFile() > 0 && !m.idNote(s) {
				head = min(head, s.off)
			}
		}
	}
	if head > uint64(min(len(a.file), len(b.file))) || head < uint64(a.regions[0].size) {
		return 0, "the headers do not lie at the start"
	}
	return head, p.sameHeader()
}

// sameHeader compares the ELF header but for the fields that tables move, and
// the loaded sections in the section tables.
func (p *prover) sameHeader() (why string) {
	a, b := p.a, p.b
	n := 52
	fields := [][2]int{{32, 36}, {44, 46}, {48, 52}} // e_shoff, e_phnum, e_shnum and e_shstrndx
	if a.elf.is64 {
		n, fields = 64, [][2]int{{40, 48}, {56, 58}, {60, 64}}
	}
	if len(a.file) < n || len(b.file) < n {
		return "the header is cut off"
	}
	x, y := bytes.Clone(a.file[:n]), bytes.Clone(b.file[:n])
	for _, f := range fields {
		clear(x[f[0]:f[1]])
		clear(y[f[0]:f[1]])
	}
	if !bytes.Equal(x, y) {
		return "the ELF headers differ"
	}
	sa, sb := p.loadedSections(a), p.loadedSections(b)
	if len(sa) != len(sb) {
		return "the files load other sections"
	}
	for i := range sa {
		if sa[i] != sb[i] {
			return fmt.Sprintf("the table says other things of section %s", sa[i].name)
		}
	}
	return ""
}

// loadedSections lists the sections that are loaded, but for build ids; a link
// is compared by the name of the section that it leads to.
func (p *prover) loadedSections(m *image) (out []elfSection) {
	for i := range m.elf.sections {
		s := m.elf.sections[i]
		if !s.loaded() || m.idNote(&s) {
			continue
		}
		s.link = 0
		out = append(out, s)
	}
	return out
}

// unloadedIsKnown checks that all bytes of a that do not come from b belong to
// sections of a kind that can be taken over, are tables, or are zero.
func unloadedIsKnown(a, b *image, head uint64) (why string) {
	known := make([]extent, 0, 64)
	for i := range a.regions {
		r := &a.regions[i]
		if r.kind == kindHeader {
			known = append(known, extent{r.off, r.size})
		}
	}
	for _, s := range a.elf.segments {
		if s.typ == elf.PT_LOAD {
			from := max(s.off, head)
			if end := s.off + s.filesz; end > from {
				known = append(known, extent{int64(from), int64(end - from)})
			}
		}
		if s.typ == elf.PT_NOTE && !noteSegment(a, b, &s) {
			return "a segment of notes holds something else than build ids"
		}
	}
	for i := range a.elf.sections {
		s := &a.elf.sections[i]
		if s.inFile() == 0 {
			continue
		}
		switch {
		case s.loaded() && a.idNote(s):
		case s.loaded():
			continue
		case a.inLoad(s):
			return fmt.Sprintf("section %s is loaded, though it says that it is not", s.name)
		case unloadedCause(s.name) != "" && a.wellFormed(s):
		case sameUnloaded(a, b, s):
		default:
			return fmt.Sprintf("section %s is of no known kind and differs", s.name)
		}
		known = append(known, extent{int64(s.off), int64(s.size)})
	}
	if at := uncovered(a.file, known); at >= 0 {
		return fmt.Sprintf("at %#x there is something that no section holds", at)
	}
	return ""
}

// noteSegment reports a PT_NOTE that lies over build ids, or is in b as well.
func noteSegment(a, b *image, s *elfSegment) bool {
	for _, g := range b.elf.segments {
		h := *s
		h.head, g.head = 0, 0
		if g == h {
			return true
		}
	}
	end := s.off
	for i := range a.elf.sections {
		if n := &a.elf.sections[i]; n.off >= end && n.off+n.size <= s.off+s.filesz && a.idNote(n) {
			end = n.off + n.size
		}
	}
	return end == s.off+s.filesz && s.filesz == s.memsz
}

func (m *image) inLoad(s *elfSection) bool {
	for _, g := range m.elf.segments {
		if g.typ == elf.PT_LOAD && s.off < g.off+g.filesz && s.off+s.size > g.off {
			return true
		}
	}
	return false
}

// wellFormed checks the form of sections that are taken over, where they have one.
func (m *image) wellFormed(s *elfSection) bool {
	if s.off+s.size < s.off || s.off+s.size > uint64(len(m.file)) {
		return false
	}
	b := m.file[s.off : s.off+s.size]
	name, ok := cstring(b, 0)
	switch s.name {
	case ".gnu_debuglink": // a name, zeros up to a multiple of four, a CRC
		pad := (len(name) + 4) &^ 3
		return ok && printable(name) && len(b) == pad+4 && zeros(b[len(name):pad])
	case ".gnu_debugaltlink": // a name, a build id
		return ok && printable(name) && len(b) <= len(name)+1+64
	case ".debug_gdb_scripts": // names of files; gdb would run what else may stand there
		for len(b) > 0 {
			name, ok := cstring(b, 1)
			if !ok || b[0] != 1 && b[0] != 3 || !printable(name) {
				return false
			}
			b = b[len(name)+2:]
		}
	case ".symtab":
		return s.typ == elf.SHT_SYMTAB && s.ents > 0 && s.size%s.ents == 0
	case ".strtab", ".shstrtab":
		return s.typ == elf.SHT_STRTAB
	}
	return s.typ != elf.SHT_NOBITS
}

func printable(b []byte) bool {
	for _, c := range b {
		if c < 0x20 || c == 0x7f {
			return false
		}
	}
	return len(b) > 0 && len(b) < 8192
}

// sameUnloaded reports a section that b has with the same bytes.
func sameUnloaded(a, b *image, s *elfSection) bool {
	for i := range b.elf.sections {
		t := &b.elf.sections[i]
		if t.name == s.name && t.typ == s.typ && t.flags == s.flags && t.size == s.size && t.off+t.size <= uint64(len(b.file)) &&
			t.off+t.size >= t.off && s.off+s.size >= s.off && s.off+s.size <= uint64(len(a.file)) {
			return bytes.Equal(a.file[s.off:s.off+s.size], b.file[t.off:t.off+t.size])
		}
	}
	return false
}

// uncovered returns the first byte that is not zero and in no extent, or -1.
func uncovered(file []byte, known []extent) int64 {
	sortExtents(known)
	at := int64(0)
	for _, e := range append(known, extent{int64(len(file)), 0}) {
		for ; at < e.off && at < int64(len(file)); at++ {
			if file[at] != 0 {
				return at
			}
		}
		at = max(at, e.off+e.n)
	}
	return -1
}

// layoutCauses records a cause for each kind of section that differs.
func (p *prover) layoutCauses(a, b *image, applied bool) bool {
	for _, name := range []string{CauseSymbols, CauseDWARF, CauseDebugLink} {
		sa, ea, da := a.unloaded(name)
		sb, _, db := b.unloaded(name)
		if sa == sb && bytes.Equal(da, db) {
			continue
		}
		p.cause(name, "not loaded", applied, versus(sa, sb), ea...)
	}
	if !applied {
		return false
	}
	for _, name := range []string{".note.go.buildid", ".note.gnu.build-id"} {
		ra, rb := a.region(name), b.region(name)
		cause := CauseGoBuildID
		if name == ".note.gnu.build-id" {
			cause = CauseGNUBuildID
		}
		switch {
		case ra == nil && rb == nil:
		case ra == nil:
			p.cause(cause, name, applied, "none, rebuilt has one")
		case rb == nil || !bytes.Equal(a.data(ra), b.data(rb)):
			p.cause(cause, name, applied, versus(a.idText(ra), b.idText(rb)), extent{ra.off, ra.size})
		}
	}
	ta, tb := a.region("section headers"), b.region("section headers")
	if ta != nil && (tb == nil || !bytes.Equal(a.data(ta), b.data(tb))) {
		p.cause(CauseSections, "section headers", applied, fmt.Sprintf("%d sections, rebuilt %d", a.elf.shnum, b.elf.shnum),
			a.tableExtents()...)
	}
	return true
}

// tableExtents returns the section table, the names of sections and the header
// that points to them.
func (m *image) tableExtents() (where []extent) {
	for i := range m.regions {
		if r := &m.regions[i]; r.kind == kindHeader || r.name == ".shstrtab" {
			where = append(where, extent{r.off, r.size})
		}
	}
	return where
}

// idText shows a build id.
func (m *image) idText(r *region) (text string) {
	text = "none"
	if r != nil {
		elfNotes(m.data(r), m.order, func(name string, _ uint32, _ int, desc []byte) {
			if text = hexText(desc); name == "Go" && goID(desc) {
				text = string(desc)
			}
		})
	}
	return text
}

// unloaded describes the sections of a cause.
func (m *image) unloaded(cause string) (text string, where []extent, all []byte) {
	n, size := 0, int64(0)
	for i := range m.regions {
		r := &m.regions[i]
		if r.kind == kindUnload && unloadedCause(r.name) == cause {
			n++
			size += r.size
			where = append(where, extent{r.off, r.size})
			all = append(all, m.data(r)...)
		}
	}
	if n == 0 {
		return "none", nil, nil
	}
	return fmt.Sprintf("%d sections, %d bytes", n, size), where, all
}
