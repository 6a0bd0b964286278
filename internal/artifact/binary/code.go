package binary

import (
	"bytes"
	"fmt"
)

// ref is an address that a function of a names where its counterpart names
// another: data at x and y. Whether they are the same data is settled when all
// of them are known.
type ref struct {
	x, y uint64
	fn   int32 // index in a.funcs
	kind int8
}

const (
	refCode  = iota // from an instruction
	refTable        // from a table of the function
	refInl          // from a function to its tree of inlined calls
	refData         // from data
)

// verdict of one pair of functions.
type verdict struct {
	changed bool
	table   bool   // the tables of the runtime differ
	at      uint64 // offset of the first difference
	why     string
}

// comparer compares the code of two images.
type comparer struct {
	a, b  *image
	twins map[*region]*twin
	same  bool // all data is the same and lies at the same addresses
}

// twin is a region of a and its counterpart.
type twin struct {
	a, b  *region
	equal bool // the same bytes
}

func newComparer(a, b *image) *comparer {
	c := &comparer{a: a, b: b, twins: map[*region]*twin{}, same: true}
	index := map[string][]*region{}
	for i := range b.regions {
		r := &b.regions[i]
		index[r.name] = append(index[r.name], r)
	}
	for i := range a.regions {
		r := &a.regions[i]
		if rest := index[r.name]; len(rest) > 0 {
			s := rest[0]
			t := &twin{a: r, b: s, equal: r.mem == s.mem && bytes.Equal(a.data(r), b.data(s))}
			c.twins[r], index[r.name] = t, rest[1:]
			c.same = c.same && (r.mem == 0 && s.mem == 0 || r.addr == s.addr && (t.equal || r.kind == kindCode && r.mem == s.mem))
		} else if r.mem > 0 {
			c.same = false
		}
	}
	for _, rest := range index {
		for _, r := range rest {
			c.same = c.same && r.mem == 0
		}
	}
	return c
}

// function compares function i of a with its counterpart. Addresses of data
// that cannot be judged yet are appended to refs.
func (c *comparer) function(i int, refs []ref) (verdict, []ref) {
	f := &c.a.funcs[i]
	g := &c.b.funcs[f.pair]
	if c.same && f.addr == g.addr && bytes.Equal(f.code, g.code) {
		return verdict{}, refs
	}
	var v verdict
	n := len(refs)
	switch {
	case c.a.arch != c.b.arch:
		v = verdict{changed: true, why: "for another processor"}
	case c.a.arch == "amd64":
		v, refs = c.functionX86(i, f, g, refs)
	case c.a.arch == "arm64":
		v, refs = c.functionARM(i, f, g, refs)
	case !bytes.Equal(f.code, g.code):
		v = differAt(f.code, g.code, 0)
	}
	if !v.changed && len(f.code) != len(g.code) {
		v = verdict{changed: true, at: uint64(min(len(f.code), len(g.code)))}
	}
	if v.changed {
		refs = refs[:n]
		if len(f.code) != len(g.code) {
			v.why = fmt.Sprintf("%d bytes of code, rebuilt %d", len(f.code), len(g.code))
		}
	}
	return v, refs
}

func differAt(x, y []byte, from int) verdict {
	n := min(len(x), len(y))
	for i := from; i < n; i++ {
		if x[i] != y[i] {
			return verdict{changed: true, at: uint64(i), why: fmt.Sprintf("instruction at +%#x", from)}
		}
	}
	return verdict{changed: true, at: uint64(n), why: fmt.Sprintf("code at +%#x", n)}
}

// functionX86 walks over both functions, instruction by instruction.
func (c *comparer) functionX86(i int, f, g *fn, refs []ref) (verdict, []ref) {
	x, y := f.code, g.code
	for p := 0; p < len(x) && p < len(y); {
		in := decodeX86(x[p:])
		if in.n == 0 {
			if x[p] != y[p] {
				return differAt(x, y, p), refs
			}
			p++
			continue
		}
		if p+in.n > len(y) {
			return differAt(x, y, p), refs
		}
		xi, yi := x[p:p+in.n], y[p:p+in.n]
		same := bytes.Equal(xi, yi)
		var ok bool
		var why string
		switch {
		case in.rel > 0:
			field := in.rel + in.relLen
			if !bytes.Equal(xi[:in.rel], yi[:in.rel]) || !bytes.Equal(xi[field:], yi[field:]) {
				return differAt(x, y, p), refs
			}
			tx, ty := in.target(xi, f.addr+uint64(p)), in.target(yi, g.addr+uint64(p))
			if tx-f.addr == ty-g.addr && tx-f.addr < f.size {
				break // within the function
			}
			refs, ok, why = c.target(i, tx, ty, refs)
			if !ok {
				return verdict{changed: true, at: uint64(p), why: why}, refs
			}
		case same && in.imm == 0 && in.disp == 0:
		default:
			refs, ok = c.absolute(i, &in, xi, yi, refs)
			if !ok {
				return differAt(x, y, p), refs
			}
		}
		p += in.n
	}
	return verdict{}, refs
}

// absolute compares an instruction that may hold an address as it is, as code
// that is not position-independent does.
func (c *comparer) absolute(i int, in *inst, xi, yi []byte, refs []ref) ([]ref, bool) {
	same := bytes.Equal(xi, yi)
	field, n := in.disp, 4
	if field == 0 || in.imm > 0 && bytes.Equal(xi[field:field+n], yi[field:field+n]) {
		field, n = in.imm, in.immLen
	}
	if field == 0 {
		return refs, same
	}
	if !same && (!bytes.Equal(xi[:field], yi[:field]) || !bytes.Equal(xi[field+n:], yi[field+n:])) {
		return refs, false
	}
	vx, vy := view{b: xi, o: c.a.order}, view{b: yi, o: c.b.order}
	ax, ay := vx.word(uint64(field), n), vy.word(uint64(field), n)
	if c.a.at(ax) == nil || c.b.at(ay) == nil {
		return refs, same // a number, not an address
	}
	grown, ok, _ := c.target(i, ax, ay, refs)
	if !ok {
		return refs, same // the same number may still be no address
	}
	if same {
		return refs, true
	}
	return grown, true
}

// target judges a pair of addresses: the same place in paired functions, or
// data, which is left for later.
func (c *comparer) target(i int, x, y uint64, refs []ref) ([]ref, bool, string) {
	rx, ry := c.a.near(x), c.b.near(y)
	if rx == nil || ry == nil {
		if rx == nil && ry == nil && x == y {
			return refs, true, ""
		}
		return refs, false, fmt.Sprintf("address %#x, rebuilt %#x", x, y)
	}
	if rx.kind == kindCode && ry.kind == kindCode {
		fx, fy := c.a.funcAt(x), c.b.funcAt(y)
		if fx >= 0 && fy >= 0 && c.a.funcs[fx].pair == fy && x-c.a.funcs[fx].addr == y-c.b.funcs[fy].addr {
			return refs, true, ""
		}
		if fx < 0 && fy < 0 && rx.name == ry.name && x-rx.addr == y-ry.addr {
			return refs, true, ""
		}
		return refs, false, fmt.Sprintf("%s, rebuilt %s", c.a.describe(x), c.b.describe(y))
	}
	t := c.twins[rx]
	if t == nil || t.b != ry && !(rx.writable && ry.writable && rx.kind != kindCode) {
		return refs, false, fmt.Sprintf("%s, rebuilt %s", c.a.describe(x), c.b.describe(y))
	}
	if t.b == ry && t.equal && x-rx.addr == y-ry.addr {
		return refs, true, ""
	}
	return append(refs, ref{x: x, y: y, fn: int32(i)}), true, ""
}

// references lists the addresses of data that a function's code holds.
func (m *image) references(f *fn) (out []uint64) {
	keep := func(addr uint64) {
		if r := m.at(addr); r != nil && r.kind == kindData {
			out = append(out, addr)
		}
	}
	switch m.arch {
	case "amd64":
		for p := 0; p < len(f.code); {
			in := decodeX86(f.code[p:])
			if in.rel > 0 {
				keep(in.target(f.code[p:], f.addr+uint64(p)))
			}
			p += max(in.n, 1)
		}
	case "arm64":
		var pages [32]uint64
		for p := 0; p+4 <= len(f.code); p += 4 {
			w := m.order.Uint32(f.code[p:])
			switch kind, _ := decodeARM(w); kind {
			case armPage:
				pages[armRd(w)] = armTarget(kind, w, f.addr+uint64(p))
			case armOffset:
				if page := pages[armRn(w)]; page != 0 {
					keep(page + armImm(w))
				}
			}
		}
	}
	return out
}

// near returns the region that holds an address or ends at it.
func (m *image) near(addr uint64) *region {
	if r := m.at(addr); r != nil {
		return r
	}
	return m.at(addr - 1)
}

// describe names an address.
func (m *image) describe(addr uint64) string {
	if i := m.funcAt(addr); i >= 0 {
		if off := addr - m.funcs[i].addr; off > 0 {
			return fmt.Sprintf("%s+%#x", m.funcs[i].name, off)
		}
		return m.funcs[i].name
	}
	if s := m.symbolAt(addr); s != "" {
		return s
	}
	r := m.near(addr)
	if r == nil {
		return hex(addr)
	}
	if s := quoteAt(m.bytesAt(addr)); s != "" && r.kind == kindData {
		return s
	}
	return fmt.Sprintf("%s+%#x", r.name, addr-r.addr)
}

// quoteAt quotes text, if there is some, at most 40 bytes of it.
func quoteAt(b []byte) string {
	n := 0
	for n < len(b) && n < 40 && b[n] >= 0x20 && b[n] < 0x7f {
		n++
	}
	if n < 4 {
		return ""
	}
	return fmt.Sprintf("%q", b[:n])
}
