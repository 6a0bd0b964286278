package binary

import "strings"

// frames returns the functions that unwinding tables describe: .eh_frame in
// ELF (LSB, "Exception Frames"), .pdata in PE32+ for amd64. They tell where
// functions start and end in a file without symbols.
func (m *image) frames() []Span {
	switch m.format {
	case "elf":
		if r := m.region(".eh_frame"); r != nil && m.ptr == 8 {
			return m.ehFrame(m.data(r), r.addr)
		}
	case "pe":
		if r := m.region(".pdata"); r != nil && m.arch == "amd64" {
			return m.pdata(m.data(r))
		}
	}
	return nil
}

func (m *image) pdata(b []byte) (spans []Span) {
	v := &view{b: b, o: m.order}
	for p := uint64(0); p+12 <= uint64(len(b)) && len(spans) < maxFuncs; p += 12 {
		start, end := uint64(v.u32(p)), uint64(v.u32(p+4))
		if end > start {
			spans = append(spans, Span{m.pe.base + start, end - start})
		}
	}
	return spans
}

// ehFrame reads FDEs whose addresses are encoded as gcc and clang do it.
func (m *image) ehFrame(b []byte, addr uint64) (spans []Span) {
	v := &view{b: b, o: m.order}
	for p := uint64(0); p+8 <= uint64(len(b)) && len(spans) < maxFuncs; {
		n := uint64(v.u32(p))
		if n < 4 || n >= 0xfffffff0 || v.bytes(p+4, n) == nil {
			break
		}
		id := uint64(v.u32(p + 4))
		if id != 0 && id <= p+4 {
			if s, ok := m.fde(v, p+8, addr, m.cieEncoding(v, p+4-id)); ok && !v.bad {
				spans = append(spans, s)
			}
		}
		p += 4 + n
	}
	return spans
}

// cieEncoding returns how the FDEs of a CIE encode addresses (the 'R' of its
// augmentation), or 0xff.
func (m *image) cieEncoding(v *view, p uint64) byte {
	aug, ok := cstring(v.b, p+9)
	if !ok || len(aug) > 8 || v.u32(p+4) != 0 {
		return 0xff
	}
	at := p + 9 + uint64(len(aug)) + 1
	if !strings.HasPrefix(string(aug), "z") {
		return 0
	}
	skip := func() {
		for v.u8(at)&0x80 != 0 && !v.bad {
			at++
		}
		at++
	}
	skip() // code alignment
	skip() // data alignment
	skip() // return register
	skip() // length of the augmentation
	for _, c := range string(aug[1:]) {
		switch c {
		case 'R':
			return v.u8(at)
		case 'P':
			size := map[byte]uint64{0: 8, 2: 2, 3: 4, 4: 8}[v.u8(at)&7]
			if size == 0 {
				return 0xff
			}
			at += 1 + size
		case 'L':
			at++
		case 'S', 'B':
		default:
			return 0xff
		}
	}
	return 0
}

func (m *image) fde(v *view, p, addr uint64, encoding byte) (Span, bool) {
	switch encoding {
	case 0x1b: // relative to the field, 4 bytes, signed
		return Span{addr + p + uint64(int64(int32(v.u32(p)))), uint64(v.u32(p + 4))}, true
	case 0x03, 0x0b:
		return Span{uint64(v.u32(p)), uint64(v.u32(p + 4))}, true
	case 0x00, 0x04:
		return Span{v.u64(p), v.u64(p + 8)}, true
	}
	return Span{}, false
}
