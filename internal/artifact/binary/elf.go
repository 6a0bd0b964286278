package binary

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
)

// elfHead is what the causes need to know of an ELF file.
type elfHead struct {
	is64         bool
	kind         elf.Type
	shoff, phoff uint64
	shnum, phnum int
	shentsize    uint64
	phentsize    uint64
	sections     []elfSection
	segments     []elfSegment
}

type elfSection struct {
	name                         string
	typ                          elf.SectionType
	flags                        elf.SectionFlag
	addr, off, size, align, ents uint64
	link, info                   uint32
}

type elfSegment struct {
	typ                                           elf.ProgType
	flags                                         elf.ProgFlag
	off, vaddr, paddr, filesz, memsz, align, head uint64
}

func (s *elfSection) loaded() bool { return s.flags&elf.SHF_ALLOC != 0 }

// inFile says how many bytes of the file a section takes.
func (s *elfSection) inFile() uint64 {
	if s.typ == elf.SHT_NOBITS || s.typ == elf.SHT_NULL {
		return 0
	}
	return s.size
}

// elfOrder reads the identification (gABI, "ELF Identification").
func elfOrder(file []byte) (order binary.ByteOrder, is64 bool, err error) {
	if len(file) < 52 || string(file[:4]) != elf.ELFMAG {
		return nil, false, fmt.Errorf("elf: no header: %w", ErrFormat)
	}
	switch elf.Data(file[elf.EI_DATA]) {
	case elf.ELFDATA2LSB:
		order = binary.LittleEndian
	case elf.ELFDATA2MSB:
		order = binary.BigEndian
	default:
		return nil, false, fmt.Errorf("elf: byte order %d: %w", file[elf.EI_DATA], ErrFormat)
	}
	switch elf.Class(file[elf.EI_CLASS]) {
	case elf.ELFCLASS64:
		return order, true, nil
	case elf.ELFCLASS32:
		return order, false, nil
	}
	return nil, false, fmt.Errorf("elf: class %d: %w", file[elf.EI_CLASS], ErrFormat)
}

var elfArch = map[elf.Machine]string{
	elf.EM_X86_64: "amd64", elf.EM_AARCH64: "arm64", elf.EM_386: "386", elf.EM_ARM: "arm",
	elf.EM_RISCV: "riscv64", elf.EM_PPC64: "ppc64", elf.EM_S390: "s390x", elf.EM_LOONGARCH: "loong64",
}

// parseELF reads an executable or a shared library.
func parseELF(file []byte) (*image, error) {
	order, is64, err := elfOrder(file)
	if err != nil {
		return nil, err
	}
	v := &view{b: file, o: order}
	h := &elfHead{is64: is64, kind: elf.Type(v.u16(16))}
	m := &image{format: "elf", file: file, order: order, elf: h, ptr: 4}
	machine := elf.Machine(v.u16(18))
	if m.arch = elfArch[machine]; m.arch == "" {
		m.arch = machine.String()
	}
	at := uint64(40)
	if is64 {
		m.ptr, at = 8, 52
		h.phoff, h.shoff = v.u64(32), v.u64(40)
	} else {
		h.phoff, h.shoff = uint64(v.u32(28)), uint64(v.u32(32))
	}
	size := uint64(v.u16(at))
	h.phentsize, h.phnum = uint64(v.u16(at+2)), int(v.u16(at+4))
	h.shentsize, h.shnum = uint64(v.u16(at+6)), int(v.u16(at+8))
	if v.bad || h.phnum > maxSegments || h.shnum > maxSections {
		return nil, fmt.Errorf("elf: header with %d segments and %d sections: %w", h.phnum, h.shnum, ErrFormat)
	}
	m.regions = append(m.regions, region{name: "header", kind: kindHeader, size: int64(min(size, uint64(len(file))))})
	h.readSegments(v)
	if err := m.elfSections(v, int(v.u16(at+10))); err != nil {
		return nil, err
	}
	if v.bad {
		return nil, fmt.Errorf("elf: headers lie beyond the file's end: %w", ErrFormat)
	}
	m.elfRegions()
	if err := m.index(); err != nil {
		return nil, fmt.Errorf("elf: %w", err)
	}
	m.elfSymbols()
	return m, nil
}

func (h *elfHead) readSegments(v *view) {
	for i := range h.phnum {
		p := h.phoff + uint64(i)*h.phentsize
		s := elfSegment{typ: elf.ProgType(v.u32(p)), head: p}
		if h.is64 {
			s.flags = elf.ProgFlag(v.u32(p + 4))
			s.off, s.vaddr, s.paddr = v.u64(p+8), v.u64(p+16), v.u64(p+24)
			s.filesz, s.memsz, s.align = v.u64(p+32), v.u64(p+40), v.u64(p+48)
		} else {
			s.off, s.vaddr, s.paddr = uint64(v.u32(p+4)), uint64(v.u32(p+8)), uint64(v.u32(p+12))
			s.filesz, s.memsz = uint64(v.u32(p+16)), uint64(v.u32(p+20))
			s.flags, s.align = elf.ProgFlag(v.u32(p+24)), uint64(v.u32(p+28))
		}
		h.segments = append(h.segments, s)
		if v.bad {
			return
		}
	}
}

func (m *image) elfSections(v *view, names int) error {
	h := m.elf
	var nameAt []uint64
	for i := range h.shnum {
		p := h.shoff + uint64(i)*h.shentsize
		s := elfSection{typ: elf.SectionType(v.u32(p + 4))}
		nameAt = append(nameAt, uint64(v.u32(p)))
		if h.is64 {
			s.flags = elf.SectionFlag(v.u64(p + 8))
			s.addr, s.off, s.size = v.u64(p+16), v.u64(p+24), v.u64(p+32)
			s.link, s.info, s.align, s.ents = v.u32(p+40), v.u32(p+44), v.u64(p+48), v.u64(p+56)
		} else {
			s.flags = elf.SectionFlag(v.u32(p + 8))
			s.addr, s.off, s.size = uint64(v.u32(p+12)), uint64(v.u32(p+16)), uint64(v.u32(p+20))
			s.link, s.info = v.u32(p+24), v.u32(p+28)
			s.align, s.ents = uint64(v.u32(p+32)), uint64(v.u32(p+36))
		}
		h.sections = append(h.sections, s)
		if v.bad {
			return nil
		}
	}
	if h.shnum == 0 {
		return nil
	}
	if names >= h.shnum {
		return fmt.Errorf("elf: names of sections in section %d of %d: %w", names, h.shnum, ErrFormat)
	}
	table := v.bytes(h.sections[names].off, h.sections[names].inFile())
	for i := range h.sections {
		name, ok := m.name(table, nameAt[i])
		if !ok && h.sections[i].typ != elf.SHT_NULL {
			return fmt.Errorf("elf: section %d has no name: %w", i, ErrFormat)
		}
		h.sections[i].name = name
	}
	return nil
}

// elfRegions makes a region of each section, or of each loaded segment where
// there are no sections.
func (m *image) elfRegions() {
	h := m.elf
	if h.phnum > 0 {
		m.regions = append(m.regions, region{name: "program headers", kind: kindHeader,
			off: int64(h.phoff), size: int64(uint64(h.phnum) * h.phentsize)})
	}
	if h.shnum > 0 {
		m.regions = append(m.regions, region{name: "section headers", kind: kindHeader,
			off: int64(h.shoff), size: int64(uint64(h.shnum) * h.shentsize)})
	}
	for i := range h.sections {
		s := &h.sections[i]
		if s.typ == elf.SHT_NULL {
			continue
		}
		r := region{name: s.name, kind: kindUnload, off: int64(s.off), size: int64(s.inFile()), addr: s.addr}
		if r.size == 0 {
			r.off = 0
		}
		if s.loaded() {
			r.mem, r.writable = s.size, s.flags&elf.SHF_WRITE != 0
			r.kind = kindData
			if s.flags&elf.SHF_EXECINSTR != 0 {
				r.kind = kindCode
			} else if s.typ == elf.SHT_NOBITS {
				r.kind = kindZero
			}
			if s.flags&elf.SHF_TLS != 0 && s.typ == elf.SHT_NOBITS {
				r.mem = 0 // takes no addresses of its own
			}
		}
		m.regions = append(m.regions, r)
	}
	if len(h.sections) > 0 {
		return
	}
	for _, s := range h.segments {
		if s.typ != elf.PT_LOAD {
			continue
		}
		r := region{name: "segment at " + hex(s.vaddr), kind: kindData, off: int64(s.off), size: int64(s.filesz),
			addr: s.vaddr, mem: s.memsz, writable: s.flags&elf.PF_W != 0}
		if s.flags&elf.PF_X != 0 {
			r.kind = kindCode
		}
		m.regions = append(m.regions, r)
	}
}

func hex(n uint64) string { return fmt.Sprintf("%#x", n) }

// elfSymbols reads .symtab and .dynsym. What cannot be read is left out: names
// help people, and nothing is proved by them.
func (m *image) elfSymbols() {
	h := m.elf
	for i := range h.sections {
		s := &h.sections[i]
		if (s.typ != elf.SHT_SYMTAB && s.typ != elf.SHT_DYNSYM) || int(s.link) >= len(h.sections) {
			continue
		}
		strs := &h.sections[s.link]
		v := &view{b: m.file, o: m.order}
		table, names := v.bytes(s.off, s.inFile()), v.bytes(strs.off, strs.inFile())
		if !v.bad {
			m.elfSymbolTable(table, names)
		}
	}
	m.sortSymbols()
}

func (m *image) elfSymbolTable(table, names []byte) {
	v := &view{b: table, o: m.order}
	size := uint64(elf.Sym32Size)
	if m.elf.is64 {
		size = elf.Sym64Size
	}
	for p := size; p+size <= uint64(len(table)); p += size {
		var s symbol
		var info uint8
		var section uint16
		if m.elf.is64 {
			info, section, s.addr, s.size = v.u8(p+4), v.u16(p+6), v.u64(p+8), v.u64(p+16)
		} else {
			s.addr, s.size, info, section = uint64(v.u32(p+4)), uint64(v.u32(p+8)), v.u8(p+12), v.u16(p+14)
		}
		typ := elf.ST_TYPE(info)
		if section == uint16(elf.SHN_UNDEF) || section >= uint16(elf.SHN_LORESERVE) || typ > elf.STT_FUNC && typ != elf.STT_GNU_IFUNC || typ == elf.STT_SECTION {
			continue
		}
		name, ok := m.name(names, uint64(v.u32(p)))
		if !ok || name == "" || name[0] == '$' { // $x, $d: mapping symbols of ARM
			continue
		}
		s.name, s.code = name, typ == elf.STT_FUNC || typ == elf.STT_GNU_IFUNC
		m.symbols = append(m.symbols, s)
	}
}

// notes calls f for each well-formed note of a section: name, type, where the
// description starts in the section, and the description.
func elfNotes(b []byte, o binary.ByteOrder, f func(name string, typ uint32, at int, desc []byte)) (whole bool) {
	for at := 0; at < len(b); {
		v := &view{b: b[at:], o: o}
		n, d, typ := uint64(v.u32(0)), uint64(v.u32(4)), v.u32(8)
		name := v.bytes(12, n)
		start := 12 + (n+3)&^3
		desc := v.bytes(start, d)
		if v.bad || n == 0 || n > 64 {
			return false
		}
		f(string(bytes.TrimRight(name, "\x00")), typ, at+int(start), desc)
		at += int(min(start+(d+3)&^3, uint64(len(b)-at)))
	}
	return true
}
