package binary

import (
	"bytes"
	"encoding/binary"
	"strings"
)

// Magic numbers of pclntab (internal/abi/symtab.go of the Go distribution).
const (
	magic118 = 0xfffffff0
	magic120 = 0xfffffff1
)

// pclntab is the table of functions, files and lines that every Go program
// carries, stripped or not. The layouts of Go 1.18 to 1.27 are read
// (runtime/symtab.go, runtime/runtime2.go, cmd/link/internal/ld/pcln.go).
// Nothing in it can be trusted: each offset is checked when it is used.
type pclntab struct {
	data  []byte // from the header on
	addr  uint64
	order binary.ByteOrder
	minLC uint32
	ptr   int
	fixed uint64 // bytes of a _func before its pcdata
	nfunc int
	text  uint64 // what entries are relative to
	types uint64 // what type and name offsets are relative to; 0: not known
	gofn  uint64 // what funcdata is relative to; 0: not known

	names, cus, files, pcs, funcs []byte
}

var pclntabNames = []string{".gopclntab", ".data.rel.ro.gopclntab", "__TEXT,__gopclntab", "__DATA_CONST,__gopclntab"}

// findPclntab looks for the table by the name of its section, then by its magic.
func (m *image) findPclntab() {
	if m.gotab != nil {
		return
	}
	for _, name := range pclntabNames {
		if r := m.region(name); r != nil {
			if m.gotab = m.readPclntab(m.data(r), r.addr); m.gotab != nil {
				m.goText()
			}
			return
		}
	}
	if m.format == "elf" && len(m.elf.sections) > 0 {
		return
	}
	for i := range m.regions {
		r := &m.regions[i]
		if r.kind != kindData || m.gotab != nil {
			continue
		}
		m.scanPclntab(m.data(r), r.addr)
	}
}

func (m *image) scanPclntab(data []byte, addr uint64) {
	magic := make([]byte, 4)
	m.order.PutUint32(magic, magic120)
	for at := 0; ; at += 4 {
		i := bytes.Index(data[at:], magic)
		if i < 0 {
			return
		}
		at += i
		if at%8 != 0 {
			continue
		}
		if m.gotab = m.readPclntab(data[at:], addr+uint64(at)); m.gotab != nil {
			m.goText()
			return
		}
	}
}

// readPclntab reads the header, and returns nil if it is not one.
func (m *image) readPclntab(data []byte, addr uint64) *pclntab {
	v := &view{b: data, o: m.order}
	t := &pclntab{data: data, addr: addr, order: m.order, minLC: uint32(v.u8(6)), ptr: int(v.u8(7)), fixed: 44}
	switch magic := v.u32(0); {
	case magic == magic118:
		t.fixed = 40
	case magic != magic120:
		return nil
	}
	if v.bad || v.u16(4) != 0 || t.ptr != m.ptr || t.minLC != 1 && t.minLC != 2 && t.minLC != 4 {
		return nil
	}
	field := func(i uint64) uint64 { return v.word(8+i*uint64(t.ptr), t.ptr) }
	nfunc := field(0)
	t.text = field(2)
	at := []uint64{field(3), field(4), field(5), field(6), field(7), uint64(len(data))}
	for i := 1; i < len(at); i++ {
		if at[i] < at[i-1] {
			return nil
		}
	}
	if v.bad || at[0] < 8+8*uint64(t.ptr) || nfunc > maxFuncs || 8*nfunc+4 > at[5]-at[4] {
		return nil
	}
	t.nfunc = int(nfunc)
	t.names, t.cus, t.files = data[at[0]:at[1]], data[at[1]:at[2]], data[at[2]:at[3]]
	t.pcs, t.funcs = data[at[3]:at[4]], data[at[4]:]
	return t
}

// goText finds where text starts: in the module data, which points to the
// table; then in the table's header, which says it up to Go 1.25; then by the
// name of the section.
func (m *image) goText() {
	t := m.gotab
	if md := m.moduledata(); md != nil {
		v := &view{b: md, o: m.order}
		word := func(i int) uint64 { return v.word(uint64(i*t.ptr), t.ptr) }
		text, types, gofn := word(22), word(35), word(38)
		if t.fixed == 44 { // covctrs and ecovctrs came with Go 1.20
			types, gofn = word(37), word(40)
		}
		if !v.bad && m.at(text) != nil {
			t.text, t.types, t.gofn = text, types, gofn
			return
		}
	}
	if t.text != 0 && m.at(t.text) != nil {
		return
	}
	for _, name := range []string{".text", "__TEXT,__text"} {
		if r := m.region(name); r != nil {
			t.text = r.addr
			return
		}
	}
}

// moduledata finds runtime.firstmoduledata: the address of pclntab followed by
// that of its table of names.
func (m *image) moduledata() []byte {
	t := m.gotab
	names := t.addr + uint64(len(t.data)-len(t.funcs)-len(t.pcs)-len(t.files)-len(t.cus)-len(t.names))
	for i := range m.regions {
		r := &m.regions[i]
		if r.kind != kindData {
			continue
		}
		d := m.data(r)
		for p := 0; p+2*t.ptr <= len(d); p += t.ptr {
			v := view{b: d[p:], o: m.order}
			if v.word(0, t.ptr) == t.addr && v.word(uint64(t.ptr), t.ptr) == names {
				return d[p:]
			}
		}
	}
	return nil
}

// gofunc is a function's record, decoded.
type gofunc struct {
	entry, name, cu        uint32
	args                   int32
	deferreturn            uint32
	pcsp, pcfile, pcln     uint32
	startLine              int32
	id, flag               uint8
	pcdata, funcdata       []byte // arrays of 4-byte offsets
	recordStart, recordEnd uint64 // in t.data
}

// span returns the addresses that the table takes: up to its last record.
func (t *pclntab) span() (start, end uint64) {
	n := uint64(len(t.data) - len(t.funcs) + 8*t.nfunc + 4)
	for i := range t.nfunc {
		if f, ok := t.fun(i); ok {
			n = max(n, f.recordEnd)
		}
	}
	return t.addr, t.addr + n
}

// entry returns the start of function i, as an offset from text.
func (t *pclntab) entry(i int) uint32 {
	return t.order.Uint32(t.funcs[8*i:])
}

// fun decodes the record of function i.
func (t *pclntab) fun(i int) (f gofunc, ok bool) {
	at := uint64(t.order.Uint32(t.funcs[8*i+4:]))
	v := &view{b: t.funcs, o: t.order}
	f.entry, f.name, f.args = v.u32(at), v.u32(at+4), int32(v.u32(at+8))
	f.deferreturn = v.u32(at + 12)
	f.pcsp, f.pcfile, f.pcln = v.u32(at+16), v.u32(at+20), v.u32(at+24)
	npcdata := uint64(v.u32(at + 28))
	f.cu = v.u32(at + 32)
	p := at + 36
	if t.fixed == 44 {
		f.startLine = int32(v.u32(p))
		p += 4
	}
	f.id, f.flag = v.u8(p), v.u8(p+1)
	nfuncdata := uint64(v.u8(p + 3))
	if v.bad || npcdata > 64 {
		return f, false
	}
	f.pcdata = v.bytes(p+4, 4*npcdata)
	f.funcdata = v.bytes(p+4+4*npcdata, 4*nfuncdata)
	base := uint64(len(t.data) - len(t.funcs))
	f.recordStart, f.recordEnd = base+at, base+p+4+4*npcdata+4*nfuncdata
	return f, !v.bad
}

// pcvalue walks one delta table of a function: f is called with the end of
// each run, as an offset from the function's entry, and its value. It returns
// the bytes that the table takes, or 0 if it is malformed.
func (t *pclntab) pcvalue(off uint32, size uint64, f func(end uint64, val int32)) int {
	if uint64(off) >= uint64(len(t.pcs)) {
		return 0
	}
	p := t.pcs[off:]
	val, pc := int32(-1), uint64(0)
	for n := 0; ; {
		d, k := binary.Uvarint(p[n:])
		if k <= 0 || d > 1<<32-1 {
			return 0
		}
		n += k
		if d == 0 && pc > 0 {
			return n
		}
		val += int32(d>>1) ^ -int32(d&1)
		step, k := binary.Uvarint(p[n:])
		if k <= 0 || step > 1<<32-1 || step == 0 {
			return 0
		}
		n += k
		pc += step * uint64(t.minLC)
		if pc > size+64 {
			return 0
		}
		if f != nil {
			f(pc, val)
		}
	}
}

// fileName returns the path of a file by its index in a function's unit.
func (t *pclntab) fileName(cu uint32, index int32) string {
	if index < 0 {
		return ""
	}
	v := &view{b: t.cus, o: t.order}
	off := v.u32(4 * (uint64(cu) + uint64(index)))
	if name, ok := cstring(t.files, uint64(off)); ok && !v.bad && len(name) < 4096 {
		return string(name)
	}
	return ""
}

// line returns the file and line of an offset in function i.
func (t *pclntab) line(i int, size, off uint64) (file string, line int32) {
	f, ok := t.fun(i)
	if !ok {
		return "", 0
	}
	at := func(table uint32) (found int32) {
		found = -1
		var from uint64
		t.pcvalue(table, size, func(end uint64, val int32) {
			if off >= from && off < end {
				found = val
			}
			from = end
		})
		return found
	}
	return t.fileName(f.cu, at(f.pcfile)), at(f.pcln)
}

// lines returns the first and last line of a function in its own file, and
// that file.
func (t *pclntab) lines(i int, size uint64) (file string, first, last int32) {
	file, _ = t.line(i, size, 0)
	f, ok := t.fun(i)
	if !ok {
		return "", 0, 0
	}
	type run struct {
		end uint64
		val int32
	}
	var fileRuns []run
	t.pcvalue(f.pcfile, size, func(end uint64, val int32) { fileRuns = append(fileRuns, run{end, val}) })
	var from uint64
	k := 0
	t.pcvalue(f.pcln, size, func(end uint64, val int32) {
		for k < len(fileRuns)-1 && fileRuns[k].end <= from {
			k++
		}
		if k < len(fileRuns) && fileRuns[k].val == fileRuns[0].val && val > 0 {
			if first == 0 || val < first {
				first = val
			}
			last = max(last, val)
		}
		from = end
	})
	return file, first, last
}

// shortPath leaves the last two elements of a path: enough for a report.
func shortPath(p string) string {
	if i := strings.LastIndexAny(p, `/\`); i > 0 {
		if j := strings.LastIndexAny(p[:i], `/\`); j >= 0 {
			return p[j+1:]
		}
	}
	return p
}
