package binary

import (
	"bytes"
	"debug/pe"
	"encoding/binary"
	"fmt"
)

// peHead is what the causes need to know of a PE file ("PE Format", Microsoft).
type peHead struct {
	coff     uint64 // offset of the COFF header
	optional uint64 // offset of the optional header
	dirs     uint64 // offset of the data directories
	ndirs    uint32
	base     uint64 // image base
}

// Offsets in the optional header, the same in PE32 and PE32+.
const (
	peChecksum     = 64
	peDirSecurity  = 4
	peDirDebug     = 6
	peDirExport    = 0
	peSectionBytes = 40
)

var peArch = map[uint16]string{
	pe.IMAGE_FILE_MACHINE_AMD64: "amd64", pe.IMAGE_FILE_MACHINE_ARM64: "arm64",
	pe.IMAGE_FILE_MACHINE_I386: "386", pe.IMAGE_FILE_MACHINE_ARMNT: "arm",
}

// dir returns where a data directory lies; that of signatures is an offset in
// the file, all others are addresses.
func (m *image) dir(i int) (at, size uint32) {
	if m.pe == nil || uint32(i) >= m.pe.ndirs {
		return 0, 0
	}
	v := &view{b: m.file, o: m.order}
	p := m.pe.dirs + uint64(i)*8
	return v.u32(p), v.u32(p + 4)
}

// parsePE reads a PE32 or PE32+ image.
func parsePE(file []byte) (*image, error) {
	v := &view{b: file, o: binary.LittleEndian}
	h := &peHead{}
	m := &image{format: "pe", file: file, order: v.o, pe: h, ptr: 8}
	head := uint64(v.u32(0x3c))
	if sig := v.bytes(head, 4); v.bad || string(file[:2]) != "MZ" || !bytes.Equal(sig, []byte("PE\x00\x00")) {
		return nil, fmt.Errorf("pe: no header: %w", ErrFormat)
	}
	h.coff, h.optional = head+4, head+24
	machine, sections := v.u16(h.coff), int(v.u16(h.coff+2))
	if m.arch = peArch[machine]; m.arch == "" {
		m.arch = fmt.Sprintf("machine %#x", machine)
	}
	symtab, nsyms := uint64(v.u32(h.coff+8)), uint64(v.u32(h.coff+12))
	optional := uint64(v.u16(h.coff + 16))
	switch v.u16(h.optional) {
	case 0x10b:
		m.ptr, h.base, h.dirs = 4, uint64(v.u32(h.optional+28)), h.optional+96
	case 0x20b:
		h.base, h.dirs = v.u64(h.optional+24), h.optional+112
	default:
		return nil, fmt.Errorf("pe: optional header of unknown kind: %w", ErrFormat)
	}
	h.ndirs = v.u32(h.dirs - 4)
	if v.bad || h.ndirs > 16 || h.dirs+uint64(h.ndirs)*8 > h.optional+optional || sections > maxSections {
		return nil, fmt.Errorf("pe: header with %d directories and %d sections: %w", h.ndirs, sections, ErrFormat)
	}
	strs := m.peStrings(symtab, nsyms)
	table := h.optional + optional
	m.regions = append(m.regions, region{name: "header", kind: kindHeader, size: int64(table) + int64(sections)*peSectionBytes})
	for i := range sections {
		m.peSection(v, table+uint64(i)*peSectionBytes, strs)
	}
	if v.bad {
		return nil, fmt.Errorf("pe: headers lie beyond the file's end: %w", ErrFormat)
	}
	if symtab != 0 && nsyms > 0 {
		m.regions = append(m.regions, region{name: "symbols", kind: kindUnload, off: int64(symtab), size: int64(nsyms*18) + int64(len(strs))})
	}
	if at, size := m.dir(peDirSecurity); size > 0 {
		m.regions = append(m.regions, region{name: "certificates", kind: kindUnload, off: int64(at), size: int64(size)})
	}
	if err := m.index(); err != nil {
		return nil, fmt.Errorf("pe: %w", err)
	}
	m.peSymbols(symtab, nsyms, strs)
	return m, nil
}

// peStrings returns the string table behind the symbols, with its length field.
func (m *image) peStrings(symtab, nsyms uint64) []byte {
	v := &view{b: m.file, o: m.order}
	at := symtab + nsyms*18
	if symtab == 0 || nsyms == 0 {
		return nil
	}
	return v.bytes(at, uint64(v.u32(at)))
}

func (m *image) peName(raw, strs []byte) string {
	name := string(bytes.TrimRight(raw, "\x00"))
	var off uint64
	if n, _ := fmt.Sscanf(name, "/%d", &off); n == 1 && off >= 4 {
		if long, ok := m.name(strs, off); ok {
			return long
		}
	}
	return name
}

func (m *image) peSection(v *view, at uint64, strs []byte) {
	raw := v.bytes(at, 8)
	mem, addr := uint64(v.u32(at+8)), uint64(v.u32(at+12))
	size, off, flags := int64(v.u32(at+16)), int64(v.u32(at+20)), v.u32(at+36)
	if v.bad {
		return
	}
	r := region{name: m.peName(raw, strs), kind: kindData, off: off, size: size, addr: m.pe.base + addr, mem: max(mem, 1),
		writable: flags&pe.IMAGE_SCN_MEM_WRITE != 0}
	switch {
	case flags&pe.IMAGE_SCN_MEM_EXECUTE != 0:
		r.kind = kindCode
	case flags&pe.IMAGE_SCN_MEM_DISCARDABLE != 0 && (len(r.name) > 6 && (r.name[:6] == ".debug" || r.name[:7] == ".zdebug")):
		r.kind = kindUnload
	case size == 0:
		r.kind = kindZero
	}
	if size == 0 {
		r.off = 0
	}
	m.regions = append(m.regions, r)
}

// peSymbols reads the COFF symbols that Go's linker and gcc write.
func (m *image) peSymbols(symtab, nsyms uint64, strs []byte) {
	v := &view{b: m.file, o: m.order}
	sections := int(v.u16(m.pe.coff + 2))
	table := m.pe.optional + uint64(v.u16(m.pe.coff+16))
	for i := uint64(0); symtab != 0 && i < nsyms; i++ {
		p := symtab + i*18
		raw := v.bytes(p, 8)
		value, section, typ, aux := v.u32(p+8), int(int16(v.u16(p+12))), v.u16(p+14), v.u8(p+17)
		if v.bad {
			return
		}
		i += uint64(aux)
		if section < 1 || section > sections || raw[0] == '.' {
			continue
		}
		name := string(bytes.TrimRight(raw, "\x00"))
		if raw[0] == 0 && m.order.Uint32(raw) == 0 {
			name, _ = m.name(strs, uint64(m.order.Uint32(raw[4:])))
		}
		base := v.u32(table + uint64(section-1)*peSectionBytes + 12)
		if name != "" {
			m.symbols = append(m.symbols, symbol{name: name, addr: m.pe.base + uint64(base) + uint64(value), code: typ == 0x20})
		}
	}
	m.sortSymbols()
}
