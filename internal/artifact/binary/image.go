package binary

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// Bounds of what headers may claim.
const (
	maxSections = 10_000
	maxSegments = 1_000
	maxFuncs    = 1_000_000
	maxName     = 64 << 10 // bytes of a symbol's name
)

// image is an executable as the comparison sees it. Nothing in it can be
// trusted but that offsets and sizes of regions lie in the file.
type image struct {
	format  string
	arch    string
	ptr     int // bytes of an address
	order   binary.ByteOrder
	file    []byte
	regions []region // sorted by offset; they cover every byte of the file once
	symbols []symbol // of code and data, sorted by address
	notes   []string
	named   int // bytes of names that were read

	elf   *elfHead
	pe    *peHead
	macho *machoHead

	byAddr []int // regions that are loaded, by address
	gotab  *pclntab
	funcs  []fn
}

// Kinds of regions.
const (
	kindCode   = "code"
	kindData   = "data"
	kindZero   = "zero"
	kindUnload = "not loaded"
	kindHeader = "header"
	kindGap    = "gap"
)

// region is a part of the file, a section as a rule, and where it is loaded.
type region struct {
	name     string
	kind     string
	off      int64 // in the file
	size     int64 // in the file
	addr     uint64
	mem      uint64 // bytes in memory; 0 if it is not loaded
	writable bool
}

// symbol is a name for an address.
type symbol struct {
	name string
	addr uint64
	size uint64
	code bool
}

// data returns the bytes of a region in the file.
func (m *image) data(r *region) []byte { return m.file[r.off : r.off+r.size] }

// region returns the first region of a name, or nil.
func (m *image) region(name string) *region {
	for i := range m.regions {
		if m.regions[i].name == name {
			return &m.regions[i]
		}
	}
	return nil
}

// at returns the loaded region that holds an address.
func (m *image) at(addr uint64) *region {
	i, ok := slices.BinarySearchFunc(m.byAddr, addr, func(i int, addr uint64) int {
		return cmp.Compare(m.regions[i].addr, addr)
	})
	if !ok {
		i--
	}
	if i < 0 {
		return nil
	}
	r := &m.regions[m.byAddr[i]]
	if addr-r.addr >= r.mem {
		return nil
	}
	return r
}

// bytesAt returns the bytes from an address to the end of its region's file part.
func (m *image) bytesAt(addr uint64) []byte {
	r := m.at(addr)
	if r == nil || addr-r.addr >= uint64(r.size) {
		return nil
	}
	return m.data(r)[addr-r.addr:]
}

// index sorts the regions, names what lies between them, and cuts what
// overlaps, so that every byte of the file belongs to one region.
func (m *image) index() error {
	slices.SortStableFunc(m.regions, func(x, y region) int {
		if c := cmp.Compare(x.off, y.off); c != 0 {
			return c
		}
		return cmp.Compare(min(x.size, 1), min(y.size, 1))
	})
	var all []region
	end, last := int64(0), "the start"
	gap := func(upto int64) {
		if upto > end {
			all = append(all, region{name: "after " + last, kind: kindGap, off: end, size: upto - end})
			end = upto
		}
	}
	for _, r := range m.regions {
		if r.off < 0 || r.size < 0 || r.off > int64(len(m.file))-r.size {
			return fmt.Errorf("%s: %d bytes at %d do not lie in the file: %w", r.name, r.size, r.off, ErrFormat)
		}
		if r.size > 0 && r.off < end {
			m.note("%s overlaps %s", r.name, last)
			cut := min(end-r.off, r.size)
			r.off, r.size = r.off+cut, r.size-cut
			if r.addr != 0 {
				r.addr += uint64(cut)
				r.mem -= min(r.mem, uint64(cut))
			}
			if r.size == 0 {
				r.off = end
			}
		}
		if r.size > 0 {
			gap(r.off)
			end, last = r.off+r.size, r.name
		}
		all = append(all, r)
	}
	gap(int64(len(m.file)))
	m.regions = all
	for i, r := range all {
		if r.mem > 0 && r.addr+r.mem >= r.addr {
			m.byAddr = append(m.byAddr, i)
		}
	}
	slices.SortStableFunc(m.byAddr, func(i, j int) int { return cmp.Compare(all[i].addr, all[j].addr) })
	return nil
}

// note keeps a remark for the result, each once and not too many.
func (m *image) note(format string, args ...any) {
	s := fmt.Sprintf(format, args...)
	if len(m.notes) < 8 && !slices.Contains(m.notes, s) {
		m.notes = append(m.notes, s)
	}
}

// sortSymbols orders symbols by address; of several at one address the one
// with a size, then the shortest, comes first.
func (m *image) sortSymbols() {
	slices.SortFunc(m.symbols, func(x, y symbol) int {
		return cmp.Or(cmp.Compare(x.addr, y.addr), cmp.Compare(min(y.size, 1), min(x.size, 1)),
			cmp.Compare(len(x.name), len(y.name)), strings.Compare(x.name, y.name))
	})
}

// symbolAt returns the name of what lies at an address, with an offset, or "".
func (m *image) symbolAt(addr uint64) string {
	i, ok := slices.BinarySearchFunc(m.symbols, addr, func(s symbol, addr uint64) int { return cmp.Compare(s.addr, addr) })
	if ok {
		return m.symbols[i].name
	}
	for j := i - 1; j >= 0 && j > i-8; j-- {
		if s := m.symbols[j]; addr-s.addr < s.size {
			return fmt.Sprintf("%s+%#x", s.name, addr-s.addr)
		}
	}
	return ""
}

// view reads numbers out of a file; a read beyond its end gives 0 and is kept
// as a fault, so that a parser can look once after a group of reads.
type view struct {
	b   []byte
	o   binary.ByteOrder
	bad bool
}

func (v *view) bytes(off, n uint64) []byte {
	if off > uint64(len(v.b)) || n > uint64(len(v.b))-off {
		v.bad = true
		return nil
	}
	return v.b[off : off+n]
}

func (v *view) u8(off uint64) uint8 {
	if b := v.bytes(off, 1); b != nil {
		return b[0]
	}
	return 0
}

func (v *view) u16(off uint64) uint16 {
	if b := v.bytes(off, 2); b != nil {
		return v.o.Uint16(b)
	}
	return 0
}

func (v *view) u32(off uint64) uint32 {
	if b := v.bytes(off, 4); b != nil {
		return v.o.Uint32(b)
	}
	return 0
}

func (v *view) u64(off uint64) uint64 {
	if b := v.bytes(off, 8); b != nil {
		return v.o.Uint64(b)
	}
	return 0
}

// word reads an address of n bytes.
func (v *view) word(off uint64, n int) uint64 {
	if n == 4 {
		return uint64(v.u32(off))
	}
	return v.u64(off)
}

// cstring returns the bytes before the zero byte that ends a name.
func cstring(b []byte, off uint64) ([]byte, bool) {
	if off >= uint64(len(b)) {
		return nil, false
	}
	b = b[off:]
	if len(b) > maxName {
		b = b[:maxName]
	}
	i := bytes.IndexByte(b, 0)
	if i < 0 {
		return nil, false
	}
	return b[:i], true
}

// name reads a name that ends with a zero byte. All names together take no
// more memory than the file: a table may point to one long name many times.
func (m *image) name(table []byte, off uint64) (string, bool) {
	b, ok := cstring(table, off)
	m.named += len(b) + 16
	if !ok || m.named > 4*len(m.file)+1<<16 {
		return "", false
	}
	return string(b), true
}
