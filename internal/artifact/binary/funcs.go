package binary

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// fn is a stretch of code: a function, or what lies between two.
type fn struct {
	name   string
	addr   uint64
	code   []byte // without padding at its end
	size   uint64 // with padding
	sized  uint64 // what a symbol says
	table  int    // index in pclntab; -1: none
	number bool   // has no name, only a number
	gap    bool   // no function that anything names
	pair   int    // index of its counterpart in the other image; -1: none
}

// findFuncs splits all code into functions: those of pclntab, then those that
// symbols name, then those that .eh_frame describes. What is left is a gap, so
// that each byte of code belongs to one fn.
func (m *image) findFuncs() {
	m.findPclntab()
	var starts []fn
	if t := m.gotab; t != nil {
		starts = m.goFuncs(t)
	}
	for _, s := range m.symbols {
		if strings.HasSuffix(s.name, "runtime.etext") || strings.HasSuffix(s.name, "runtime.text") {
			continue // marks of Go's linker
		}
		if r := m.at(s.addr); r != nil && r.kind == kindCode && (s.code || m.format != "elf") {
			starts = append(starts, fn{name: s.name, addr: s.addr, size: s.size, table: -1})
		}
	}
	for _, f := range m.frames() {
		starts = append(starts, fn{addr: f.Addr, size: f.Size, table: -1})
	}
	slices.SortStableFunc(starts, func(x, y fn) int { return cmp.Compare(x.addr, y.addr) })
	for i := range m.regions {
		if r := &m.regions[i]; r.kind == kindCode && r.mem > 0 {
			starts = m.splitRegion(r, starts)
		}
	}
	slices.SortFunc(m.funcs, func(x, y fn) int { return cmp.Compare(x.addr, y.addr) })
	m.nameFrames()
}

// goFuncs lists the functions of pclntab.
func (m *image) goFuncs(t *pclntab) []fn {
	fns := make([]fn, 0, t.nfunc)
	for i := range t.nfunc {
		f, ok := t.fun(i)
		start, end := t.entry(i), t.entry(i+1)
		if !ok || end < start {
			m.note("pclntab: the record of function %d is malformed", i)
			continue
		}
		name, ok := m.name(t.names, uint64(f.name))
		if !ok || name == "" {
			name = fmt.Sprintf("function %d", i)
		}
		fns = append(fns, fn{name: name, addr: t.text + uint64(start), size: uint64(end - start), table: i})
	}
	return fns
}

// splitRegion turns the starts that lie in a region of code into functions; it
// returns the others.
func (m *image) splitRegion(r *region, starts []fn) (rest []fn) {
	data := m.data(r)
	lo, _ := slices.BinarySearchFunc(starts, r.addr, func(f fn, a uint64) int { return cmp.Compare(f.addr, a) })
	end := r.addr + uint64(len(data))
	hi, _ := slices.BinarySearchFunc(starts, end, func(f fn, a uint64) int { return cmp.Compare(f.addr, a) })
	at := r.addr
	add := func(f fn, from, to uint64) {
		f.sized = f.size
		f.addr, f.size, f.pair = from, to-from, -1
		all := data[from-r.addr : to-r.addr]
		f.code = trimPadding(m.arch, all)
		if n := f.sized; n > 0 && n < uint64(len(all)) && onlyPadding(m.arch, all[n:]) {
			f.code = all[:n]
		}
		if id, ok := textID(all); ok && onlyPadding(m.arch, all[len(goIDStart)+len(id)+len(goIDEnd):]) {
			return // no code; goBuildID speaks of it
		}
		if f.gap {
			if len(f.code) == 0 {
				return
			}
			f.name = fmt.Sprintf("%s (no function)", r.name)
		}
		m.funcs = append(m.funcs, f)
	}
	for i := lo; i < hi; i++ {
		f := starts[i]
		if f.addr < at { // another name for the same code, or a part of it
			continue
		}
		if f.addr > at {
			add(fn{gap: true, table: -1}, at, f.addr)
		}
		next := end
		for j := i + 1; j < hi; j++ {
			if starts[j].addr > f.addr {
				next = starts[j].addr
				break
			}
		}
		if f.size > 0 && f.size < next-f.addr && !onlyPadding(m.arch, data[f.addr+f.size-r.addr:next-r.addr]) {
			next = f.addr + f.size
		}
		add(f, f.addr, next)
		at = next
	}
	if at < end {
		add(fn{gap: true, table: -1}, at, end)
	}
	return starts
}

// trimPadding cuts what linkers put between functions; other bytes stay and
// are compared.
func trimPadding(arch string, b []byte) []byte {
	n := len(b)
	switch arch {
	case "amd64", "386":
		for n > 0 && b[n-1] == 0xcc {
			n--
		}
		if len(bytes.Trim(b[:n], "\x00\xcc")) == 0 {
			n = 0
		}
	case "arm64":
		for n >= 4 && n%4 == 0 && b[n-1]|b[n-2]|b[n-3]|b[n-4] == 0 {
			n -= 4
		}
	}
	return b[:n]
}

func onlyPadding(arch string, b []byte) bool {
	if len(trimPadding(arch, b)) == 0 || zeros(b) {
		return true
	}
	if arch != "amd64" {
		return false
	}
	for len(b) > 0 { // gcc fills with NOPs of one to eleven bytes
		i := decodeX86(b)
		if i.n == 0 || !i.nop {
			return false
		}
		b = b[i.n:]
	}
	return true
}

// nameFrames gives functions without a name one by their place: the same count
// in both files then names the same function, as long as none came or went.
func (m *image) nameFrames() {
	n := 0
	for i := range m.funcs {
		if m.funcs[i].name == "" {
			n++
			m.funcs[i].name, m.funcs[i].number = fmt.Sprintf("function #%d", n), true
		}
	}
}

// funcAt returns the index of the function that holds an address, or -1.
func (m *image) funcAt(addr uint64) int {
	i, ok := slices.BinarySearchFunc(m.funcs, addr, func(f fn, a uint64) int { return cmp.Compare(f.addr, a) })
	if !ok {
		i--
	}
	if i < 0 || addr-m.funcs[i].addr >= m.funcs[i].size {
		return -1
	}
	return i
}

// pairFuncs pairs functions of one name, those of the same name in order.
// Functions that only have a number are paired by their code where their
// counts differ.
func pairFuncs(a, b *image) {
	apart := len(a.numbered()) != len(b.numbered())
	if apart {
		pairNumbered(a, b)
	}
	index := make(map[string][]int, len(b.funcs))
	for i := range b.funcs {
		if !b.funcs[i].number || !apart {
			index[b.funcs[i].name] = append(index[b.funcs[i].name], i)
		}
	}
	for i := range a.funcs {
		name := a.funcs[i].name
		if a.funcs[i].number && apart {
			continue
		}
		if rest := index[name]; len(rest) > 0 {
			a.funcs[i].pair, b.funcs[rest[0]].pair = rest[0], i
			index[name] = rest[1:]
		}
	}
}
