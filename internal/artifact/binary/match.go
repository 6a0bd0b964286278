package binary

import (
	"bytes"
	"cmp"
	"slices"
)

// maxPlaces bounds the places outside code that are kept; more are counted.
const maxPlaces = 4096

// anchor says that what lies at x in a lies at y in b.
type anchor struct {
	x, y uint64
	refs []ref // that say so
	seen bool  // its functions are flagged already
}

// place is a stretch of data that differs, and is not an address of the same
// thing.
type place struct {
	twin       *twin
	x, y       uint64
	lenA, lenB uint64
	from       uint64 // the anchor before it, in a
	fns        []int32
}

// matcher decides which data of a corresponds to which data of b. Every
// address that code holds votes: "what I find at x in a, I find at y in b".
type matcher struct {
	c       *comparer
	refs    map[*twin][]ref
	anchors map[*twin][]anchor
	cross   []ref // variables that lie in another section: with a value at the start, or without
	reject  []ref
	places  []place
	count   int
	skip    *region  // holds pclntab, which is compared as the table that it is
	table   [2]Span  // pclntab in a and in b
	cutA    []uint64 // where objects start that only functions which differ refer to
	cutB    []uint64
	flagged map[int32]place // functions that refer to read-only data that differs
	found   []ref           // addresses in data that point to data
	collect bool
}

func newMatcher(c *comparer, refs []ref) *matcher {
	m := &matcher{c: c, refs: map[*twin][]ref{}, anchors: map[*twin][]anchor{}}
	if c.a.gotab != nil && c.b.gotab != nil {
		m.skip = c.a.at(c.a.gotab.addr)
		for i, t := range []*pclntab{c.a.gotab, c.b.gotab} {
			start, end := t.span()
			m.table[i] = Span{start, end - start}
		}
	}
	m.add(refs)
	return m
}

func (m *matcher) add(refs []ref) {
	for _, r := range refs {
		t := m.c.twins[m.c.a.near(r.x)]
		switch {
		case t == nil:
		case t.b == m.c.b.near(r.y):
			m.refs[t] = append(m.refs[t], r)
		default:
			m.cross = append(m.cross, r)
		}
	}
}

// run settles all votes, finds addresses in data that are votes too, settles
// again, and compares what lies between.
func (m *matcher) run() {
	slices.Sort(m.cutA)
	slices.Sort(m.cutB)
	for round := range 2 {
		m.reject, m.places, m.count, m.flagged = nil, nil, 0, map[int32]place{}
		m.collect = round == 0
		for i := range m.c.a.regions {
			if t := m.c.twins[&m.c.a.regions[i]]; t != nil && t.a.mem > 0 {
				m.settle(t)
			}
		}
		m.crossed()
		for i := range m.c.a.regions {
			t := m.c.twins[&m.c.a.regions[i]]
			switch {
			case t == nil || t.a.mem == 0 || t.a.kind != kindData:
			case !t.equal:
				m.compare(t)
			case m.collect:
				m.pointers(t)
			}
		}
		m.add(m.found)
		m.found = nil
	}
}

// matches reports whether two addresses name the same thing.
func (m *matcher) matches(x, y uint64) bool {
	a, b := m.c.a, m.c.b
	rx, ry := a.near(x), b.near(y)
	if rx == nil || ry == nil {
		return rx == nil && ry == nil && x == y
	}
	if rx.kind == kindCode && ry.kind == kindCode {
		fx, fy := a.funcAt(x), b.funcAt(y)
		if fx >= 0 && fy >= 0 {
			return a.funcs[fx].pair == fy && x-a.funcs[fx].addr == y-b.funcs[fy].addr
		}
		return rx.name == ry.name && (x-rx.addr == y-ry.addr || x == rx.addr+rx.mem && y == ry.addr+ry.mem)
	}
	t := m.c.twins[rx]
	if t == nil || t.b != ry {
		return false
	}
	if x == rx.addr+rx.mem || y == ry.addr+ry.mem {
		return x-rx.addr-rx.mem == y-ry.addr-ry.mem
	}
	if m.inTable(x) {
		return x-m.table[0].Addr == y-m.table[1].Addr
	}
	near := m.anchors[t]
	i, ok := slices.BinarySearchFunc(near, x, func(a anchor, x uint64) int { return cmp.Compare(a.x, x) })
	if !ok {
		i--
	}
	if i < 0 {
		return x-rx.addr == y-ry.addr
	}
	if y-near[i].y == x-near[i].x {
		return true
	}
	next := i+1 < len(near) && y-near[i+1].y == x-near[i+1].x
	return !ok && (next || m.alike(t, x, y))
}

// alike compares what lies at two addresses that nothing else tells apart, in a
// region that moved within itself: objects of other alignment move farther.
func (m *matcher) alike(t *twin, x, y uint64) bool {
	const enough = 24 // of a Go type: size, hash and kind, but no addresses
	if t.a.mem == t.b.mem || t.a.writable {
		return false
	}
	a, b := m.c.a.bytesAt(x), m.c.b.bytesAt(y)
	return len(a) >= enough && len(b) >= enough && bytes.Equal(a[:enough], b[:enough]) && !zeros(a[:enough])
}

// compare compares the content of a region, stretch by stretch between anchors.
func (m *matcher) compare(t *twin) {
	da, db := m.c.a.data(t.a), m.c.b.data(t.b)
	anchors := m.anchors[t]
	ys := make([]uint64, 0, len(anchors)+1)
	for i := range anchors {
		ys = append(ys, anchors[i].y)
	}
	ys = append(ys, t.b.addr+uint64(len(db)))
	slices.Sort(ys)
	endA := t.a.addr + uint64(len(da))
	for i := range anchors {
		an := &anchors[i]
		nextX, nextY := endA, an.y
		if i+1 < len(anchors) {
			nextX = min(endA, anchors[i+1].x)
		}
		if k, _ := slices.BinarySearch(ys, an.y+1); k < len(ys) {
			nextY = ys[k]
		}
		if m.inTable(an.x) {
			continue
		}
		nextX, nextY = m.cut(t, an, nextX, nextY)
		if an.x >= nextX || an.y >= nextY {
			if nextX > an.x || nextY > an.y {
				m.differ(t, an, an.x, an.y, nextX-min(an.x, nextX), nextY-min(an.y, nextY))
			}
			continue
		}
		x, y := da[an.x-t.a.addr:nextX-t.a.addr], db[an.y-t.b.addr:nextY-t.b.addr]
		m.piece(t, an, x, y)
	}
}

// cut ends a stretch where an object starts that only a function refers to
// which differs anyway; what lies from there on has no counterpart.
func (m *matcher) cut(t *twin, an *anchor, nextX, nextY uint64) (x, y uint64) {
	x, y = nextX, nextY
	if k, _ := slices.BinarySearch(m.cutA, an.x+1); k < len(m.cutA) && m.cutA[k] < x {
		x = m.cutA[k]
	}
	if k, _ := slices.BinarySearch(m.cutB, an.y+1); k < len(m.cutB) && m.cutB[k] < y {
		y = m.cutB[k]
	}
	if x < nextX || y < nextY {
		m.piece(t, &anchor{x: x, y: y}, m.c.a.slice(x, nextX), m.c.b.slice(y, nextY))
	}
	return x, y
}

// slice returns the bytes between two addresses of one region.
func (m *image) slice(from, to uint64) []byte {
	b := m.bytesAt(from)
	return b[:min(uint64(len(b)), to-from)]
}

// piece compares what lies between two anchors. Where lengths differ, the ends
// are compared too, so that what came or went is in the middle.
func (m *matcher) piece(t *twin, an *anchor, x, y []byte) {
	n := min(len(x), len(y))
	diff := m.stretch(t, an, an.x, an.y, x[:n], y[:n])
	if len(x) == len(y) {
		m.keep(t, an, diff)
		return
	}
	if len(diff) == 0 {
		if !zeros(x[n:]) || !zeros(y[n:]) {
			m.differ(t, an, an.x+uint64(n), an.y+uint64(n), uint64(len(x)-n), uint64(len(y)-n))
		}
		return
	}
	if m.padded(t, an, x, y, int(diff[0].x-an.x)) {
		return
	}
	tail := 0
	for first := int(diff[0].x - an.x); tail < n-first && x[len(x)-1-tail] == y[len(y)-1-tail]; {
		tail++
	}
	m.differ(t, an, diff[0].x, diff[0].y, uint64(len(x)-tail)-(diff[0].x-an.x), uint64(len(y)-tail)-(diff[0].y-an.y))
}

// padded reports whether two stretches are the same but for zeros in one of
// them, just before the first difference: padding before an aligned object.
func (m *matcher) padded(t *twin, an *anchor, x, y []byte, first int) bool {
	more := len(y) - len(x)
	for _, p := range []int{first &^ 7, first &^ 3, first} {
		px, py := p, p
		if more > 0 {
			py += more
		} else {
			px -= more
		}
		if px <= len(x) && py <= len(y) && zeros(x[p:px]) && zeros(y[p:py]) &&
			len(m.stretch(t, an, an.x+uint64(px), an.y+uint64(py), x[px:], y[py:])) == 0 {
			return true
		}
	}
	return false
}

func zeros(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// stretch compares the same number of bytes word by word, and lets pass what
// is an address of the same thing.
func (m *matcher) stretch(t *twin, an *anchor, ax, ay uint64, x, y []byte) (diff []place) {
	ptr := m.c.a.ptr
	for p := 0; p < len(x); {
		if (ax+uint64(p))%uint64(ptr) == 0 && (ay+uint64(p))%uint64(ptr) == 0 && p+ptr <= len(x) {
			vx, vy := view{b: x[p:], o: m.c.a.order}, view{b: y[p:], o: m.c.b.order}
			wx, wy := vx.word(0, ptr), vy.word(0, ptr)
			if m.collect {
				m.pointer(wx, wy)
			}
			if wx == wy || m.isAddress(wx, wy) && m.matches(wx, wy) {
				p += ptr
				continue
			}
		}
		if (ax+uint64(p))%4 == 0 && p+4 <= len(x) {
			wx, wy := m.c.a.order.Uint32(x[p:]), m.c.b.order.Uint32(y[p:])
			if wx == wy || m.offset(wx, wy, an, ax+uint64(p), ay+uint64(p)) {
				p += 4
				continue
			}
		}
		if x[p] == y[p] {
			p++
			continue
		}
		if k := len(diff) - 1; k >= 0 && diff[k].x+diff[k].lenA+8 > ax+uint64(p) {
			diff[k].lenA = ax + uint64(p) + 1 - diff[k].x
			diff[k].lenB = diff[k].lenA
		} else if len(diff) < maxPlaces {
			diff = append(diff, place{twin: t, x: ax + uint64(p), y: ay + uint64(p), lenA: 1, lenB: 1})
		}
		p++
	}
	return diff
}

func (m *matcher) isAddress(x, y uint64) bool {
	return x != 0 && y != 0 && m.c.a.near(x) != nil && m.c.b.near(y) != nil
}

// pointer keeps a pair of words that point to the same region as a vote.
func (m *matcher) pointer(wx, wy uint64) {
	rx, ry := m.c.a.at(wx), m.c.b.at(wy)
	if rx == nil || ry == nil || rx.kind == kindCode {
		return
	}
	if t := m.c.twins[rx]; t != nil && t.b == ry && !t.equal {
		m.found = append(m.found, ref{x: wx, y: wy, fn: -1, kind: refData})
	}
}

// pointers finds the addresses in a region that is the same in both.
func (m *matcher) pointers(t *twin) {
	d, ptr := m.c.a.data(t.a), uint64(m.c.a.ptr)
	v := view{b: d, o: m.c.a.order}
	for p := (ptr - t.a.addr%ptr) % ptr; p+ptr <= uint64(len(d)); p += ptr {
		if w := v.word(p, int(ptr)); w != 0 {
			m.pointer(w, w)
		}
	}
}

// offset reports whether two words of 4 bytes name the same thing from one of
// the bases that compilers use: Go's text and types, the start of a table, the
// word itself; or the same name in pclntab.
func (m *matcher) offset(wx, wy uint32, an *anchor, ax, ay uint64) bool {
	sx, sy := uint64(int64(int32(wx))), uint64(int64(int32(wy)))
	try := func(bx, by uint64) bool { return m.isAddress(bx+sx, by+sy) && m.matches(bx+sx, by+sy) }
	if ta, tb := m.c.a.gotab, m.c.b.gotab; ta != nil && tb != nil {
		if try(ta.text, tb.text) || ta.types != 0 && tb.types != 0 && try(ta.types, tb.types) {
			return true
		}
		nx, ok1 := cstring(ta.names, uint64(wx))
		ny, ok2 := cstring(tb.names, uint64(wy))
		return ok1 && ok2 && len(nx) > 2 && string(nx) == string(ny)
	}
	return try(an.x, an.y) || try(ax, ay)
}

// keep records places that differ.
func (m *matcher) keep(t *twin, an *anchor, diff []place) {
	for i := range diff {
		m.differ(t, an, diff[i].x, diff[i].y, diff[i].lenA, diff[i].lenB)
	}
}

func (m *matcher) differ(t *twin, an *anchor, x, y, lenA, lenB uint64) {
	m.count++
	p := place{twin: t, x: x, y: y, lenA: lenA, lenB: lenB, from: an.x}
	// What only came or went lies behind the object, as far as anyone can tell.
	if !an.seen && !t.a.writable && lenA > 0 && lenB > 0 {
		an.seen = true
		for _, r := range an.refs {
			if _, ok := m.flagged[r.fn]; !ok && r.fn >= 0 && r.kind == refCode {
				m.flagged[r.fn] = p
			}
		}
	}
	if len(m.places) >= maxPlaces {
		return
	}
	for _, r := range an.refs[:min(len(an.refs), 64)] {
		if r.fn >= 0 && r.kind == refCode && len(p.fns) < 16 && !slices.Contains(p.fns, r.fn) {
			p.fns = append(p.fns, r.fn)
		}
	}
	m.places = append(m.places, p)
}
