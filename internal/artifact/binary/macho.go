package binary

import (
	"bytes"
	"debug/macho"
	"encoding/binary"
	"fmt"
)

// machoHead is what the causes need to know of a Mach-O file (Apple,
// mach-o/loader.h).
type machoHead struct {
	is64     bool
	ncmds    uint32
	cmdBytes uint32
	first    uint64 // offset of the first load command
	linkedit uint64 // offset of the load command of __LINKEDIT
	codeSig  uint64 // offset of LC_CODE_SIGNATURE
	uuid     uint64 // offset of LC_UUID
	sigOff   uint32
	sigSize  uint32
}

// Load commands that debug/macho has no name for.
const (
	lcUUID          = 0x1b
	lcCodeSignature = 0x1d
	lcDyldInfo      = 0x22
	lcDyldInfoOnly  = 0x80000022
)

// linkeditData names the load commands that point to data in __LINKEDIT.
var linkeditData = map[uint32]string{
	lcCodeSignature: "code signature", 0x1e: "split info", 0x26: "function starts", 0x29: "data in code",
	0x2b: "code signing requirements", 0x2e: "optimization hint", 0x80000033: "exports trie", 0x80000034: "chained fixups",
}

var machoArch = map[macho.Cpu]string{
	macho.CpuAmd64: "amd64", macho.CpuArm64: "arm64", macho.Cpu386: "386", macho.CpuArm: "arm",
}

// parseMachO reads a thin Mach-O file.
func parseMachO(file []byte) (*image, error) {
	if len(file) < 28 {
		return nil, fmt.Errorf("mach-o: no header: %w", ErrFormat)
	}
	h := &machoHead{first: 28}
	m := &image{format: "mach-o", file: file, order: binary.LittleEndian, macho: h, ptr: 4}
	switch magic := binary.LittleEndian.Uint32(file); magic {
	case macho.Magic32:
	case macho.Magic64:
		h.is64, h.first, m.ptr = true, 32, 8
	default:
		return nil, fmt.Errorf("mach-o: no header: %w", ErrFormat)
	}
	v := &view{b: file, o: m.order}
	cpu := macho.Cpu(v.u32(4))
	if m.arch = machoArch[cpu]; m.arch == "" {
		m.arch = cpu.String()
	}
	h.ncmds, h.cmdBytes = v.u32(16), v.u32(20)
	if v.bytes(h.first, uint64(h.cmdBytes)); v.bad || h.ncmds > maxSegments {
		return nil, fmt.Errorf("mach-o: header with %d load commands: %w", h.ncmds, ErrFormat)
	}
	m.regions = append(m.regions, region{name: "header", kind: kindHeader, size: int64(h.first) + int64(h.cmdBytes)})
	end := h.first + uint64(h.cmdBytes)
	for i, at := uint32(0), h.first; i < h.ncmds; i++ {
		size := uint64(v.u32(at + 4))
		if size < 8 || at+size > end {
			return nil, fmt.Errorf("mach-o: load command %d of %d bytes: %w", i, size, ErrFormat)
		}
		if err := m.machoCommand(&view{b: file[at : at+size], o: m.order}, at); err != nil {
			return nil, err
		}
		at += size
	}
	if err := m.index(); err != nil {
		return nil, fmt.Errorf("mach-o: %w", err)
	}
	m.sortSymbols()
	return m, nil
}

func (m *image) machoCommand(v *view, at uint64) error {
	h := m.macho
	linkedit := func(name string, off, size uint32) {
		if size > 0 {
			r := region{name: name, kind: kindData, off: int64(off), size: int64(size)} // dyld acts upon it
			if name == "code signature" {
				r.kind = kindUnload
			}
			m.regions = append(m.regions, r)
		}
	}
	switch cmd := v.u32(0); {
	case cmd == uint32(macho.LoadCmdSegment64) || cmd == uint32(macho.LoadCmdSegment):
		return m.machoSegment(v, at, cmd == uint32(macho.LoadCmdSegment64))
	case cmd == uint32(macho.LoadCmdSymtab):
		off, n, strs, size := v.u32(8), v.u32(12), v.u32(16), v.u32(20)
		entry := uint32(12)
		if h.is64 {
			entry = 16
		}
		if uint64(n)*uint64(entry) > uint64(len(m.file)) {
			return fmt.Errorf("mach-o: %d symbols: %w", n, ErrFormat)
		}
		linkedit("symbols", off, n*entry)
		linkedit("symbol names", strs, size)
		m.machoSymbols(off, n, entry, strs, size)
	case cmd == uint32(macho.LoadCmdDysymtab):
		linkedit("indirect symbols", v.u32(56), 4*min(v.u32(60), uint32(len(m.file))))
	case cmd == lcDyldInfo || cmd == lcDyldInfoOnly:
		for i, name := range []string{"rebase info", "bind info", "weak bind info", "lazy bind info", "export info"} {
			linkedit(name, v.u32(8+8*uint64(i)), v.u32(12+8*uint64(i)))
		}
	case cmd == lcUUID:
		h.uuid = at
	case linkeditData[cmd] != "":
		if cmd == lcCodeSignature {
			h.codeSig, h.sigOff, h.sigSize = at, v.u32(8), v.u32(12)
		}
		linkedit(linkeditData[cmd], v.u32(8), v.u32(12))
	}
	if v.bad {
		return fmt.Errorf("mach-o: load command at %d is too short: %w", at, ErrFormat)
	}
	return nil
}

func (m *image) machoSegment(v *view, at uint64, is64 bool) error {
	name := string(bytes.TrimRight(v.bytes(8, 16), "\x00"))
	var prot, n uint32
	size, p := uint64(68), uint64(56)
	if is64 {
		size, p = 80, 72
		prot, n = v.u32(60), v.u32(64)
	} else {
		prot, n = v.u32(44), v.u32(48)
	}
	if name == "__LINKEDIT" {
		m.macho.linkedit = at
	}
	if v.bad || p+uint64(n)*size > uint64(len(v.b)) {
		return fmt.Errorf("mach-o: segment %q with %d sections: %w", name, n, ErrFormat)
	}
	for range n {
		m.machoSection(v, p, name, is64, prot&2 != 0)
		p += size
	}
	return nil
}

func (m *image) machoSection(v *view, p uint64, segment string, is64, writable bool) {
	r := region{kind: kindData, writable: writable}
	r.name = segment + "," + string(bytes.TrimRight(v.bytes(p, 16), "\x00"))
	var flags uint32
	if is64 {
		r.addr, r.mem, r.off, flags = v.u64(p+32), v.u64(p+40), int64(v.u32(p+48)), v.u32(p+64)
	} else {
		r.addr, r.mem, r.off, flags = uint64(v.u32(p+32)), uint64(v.u32(p+36)), int64(v.u32(p+40)), v.u32(p+56)
	}
	if r.size = int64(r.mem); r.size < 0 || r.size > int64(len(m.file)) {
		r.size = int64(len(m.file)) // index refuses it unless it is all zero
	}
	const instructions = 0x80000000 | 0x400 // S_ATTR_PURE_INSTRUCTIONS, S_ATTR_SOME_INSTRUCTIONS
	switch typ := flags & 0xff; {
	case typ == 1 || typ == 12 || typ == 18: // S_ZEROFILL, S_GB_ZEROFILL, S_THREAD_LOCAL_ZEROFILL
		r.kind, r.size, r.off = kindZero, 0, 0
	case segment == "__DWARF":
		r.kind, r.mem = kindUnload, 0
	case flags&instructions != 0:
		r.kind = kindCode
	}
	m.regions = append(m.regions, r)
}

func (m *image) machoSymbols(off, n, entry, strs, size uint32) {
	v := &view{b: m.file, o: m.order}
	table, names := v.bytes(uint64(off), uint64(n)*uint64(entry)), v.bytes(uint64(strs), uint64(size))
	if v.bad {
		return
	}
	v = &view{b: table, o: m.order}
	for p := uint64(0); p < uint64(len(table)); p += uint64(entry) {
		typ, addr := v.u8(p+4), v.word(p+8, m.ptr)
		if typ&0xe0 != 0 || typ&0x0e != 0x0e || addr == 0 { // N_STAB, N_SECT
			continue
		}
		name, ok := m.name(names, uint64(v.u32(p)))
		if ok && name != "" {
			m.symbols = append(m.symbols, symbol{name: name, addr: addr})
		}
	}
}
