package binary

import (
	"cmp"
	"slices"
)

// maxPlaces bounds the places outside code that are kept; more are counted.
const maxPlaces = 4096

// anchor says that what lies at x in a lies at y in b.
type anchor struct {
	x, y uint64
	refs []ref // that say so
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
	skip    *region         // pclntab, which is compared as the table that it is
	flagged map[int32]place // functions that refer to read-only data that differs
	found   []ref           // addresses in data that point to data
	collect bool
}

func newMatcher(c *comparer, refs []ref) *matcher {
	m := &matcher{c: c, refs: map[*twin][]ref{}, anchors: map[*twin][]anchor{}}
	if t := c.a.gotab; t != nil {
		m.skip = c.a.at(t.addr)
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
			if t != nil && t.a.mem > 0 && t.a.kind == kindData && !t.equal && t.a != m.skip {
				m.compare(t)
			}
		}
		m.add(m.found)
		m.found = nil
	}
}

// settle turns the votes on a region into anchors. A pair counts when both of
// its ends prefer it; with one vote only, a neighbour must have moved as far.
func (m *matcher) settle(t *twin) {
	refs := m.refs[t]
	slices.SortFunc(refs, func(p, q ref) int {
		return cmp.Or(cmp.Compare(p.x, q.x), cmp.Compare(p.y, q.y), cmp.Compare(p.fn, q.fn))
	})
	all := []anchor{{x: t.a.addr, y: t.b.addr}}
	for i := 0; i < len(refs); {
		j := i + 1
		for j < len(refs) && refs[j].x == refs[i].x && refs[j].y == refs[i].y {
			j++
		}
		if refs[i].x == t.a.addr && refs[i].y == t.b.addr {
			all[0].refs = refs[i:j]
		} else {
			all = append(all, anchor{refs[i].x, refs[i].y, refs[i:j]})
		}
		i = j
	}
	straight := t.a.mem == t.b.mem // then what did not move is right where votes are equal
	weight := func(a *anchor) int {
		w := 2 * len(a.refs)
		if straight && a.x-t.a.addr == a.y-t.b.addr {
			w++
		}
		return w
	}
	best := func(order []int, same func(p, q *anchor) bool, bad []bool) {
		for i := 0; i < len(order); {
			j, top := i, i
			for ; j < len(order) && same(&all[order[i]], &all[order[j]]); j++ {
				if weight(&all[order[j]]) > weight(&all[order[top]]) {
					top = j
				}
			}
			for k := i; k < j; k++ {
				if k != top {
					bad[order[k]] = true
				}
			}
			i = j
		}
	}
	order := make([]int, len(all))
	for i := range order {
		order[i] = i
	}
	bad := make([]bool, len(all))
	best(order, func(p, q *anchor) bool { return p.x == q.x }, bad)
	slices.SortFunc(order, func(i, j int) int { return cmp.Or(cmp.Compare(all[i].y, all[j].y), cmp.Compare(i, j)) })
	best(order, func(p, q *anchor) bool { return p.y == q.y }, bad)
	m.lonely(t, all, bad, straight)
	kept := all[:0:0]
	for i := range all {
		if bad[i] && i > 0 {
			m.reject = append(m.reject, all[i].refs...)
		} else {
			kept = append(kept, all[i])
		}
	}
	m.anchors[t] = kept
}

// lonely rejects pairs that moved otherwise than both of their neighbours,
// where content cannot tell: those with one vote in data that may be written,
// those that only data votes for, and all in a region that is the same.
func (m *matcher) lonely(t *twin, all []anchor, bad []bool, straight bool) {
	var good []int
	for i := range all {
		if !bad[i] {
			good = append(good, i)
		}
	}
	for k, i := range good {
		shift := all[i].y - all[i].x
		still := shift == t.b.addr-t.a.addr
		near := k > 0 && all[good[k-1]].y-all[good[k-1]].x == shift ||
			k+1 < len(good) && all[good[k+1]].y-all[good[k+1]].x == shift
		switch {
		case i == 0:
		case !near && all[i].refs[0].fn < 0 && all[i].refs[len(all[i].refs)-1].fn < 0:
			bad[i] = true // numbers in data that look like addresses
		case still:
		case t.equal && straight && t.a.kind != kindZero: // the same content did not move
			bad[i] = true
		case !near && len(all[i].refs) < 2 && (t.a.writable || t.a.kind == kindZero):
			bad[i] = true
		}
	}
}

// crossed rejects variables that seem to lie in another section, unless one
// went from the section in a and one came to the section in b just there.
func (m *matcher) crossed() {
	for _, r := range m.cross {
		tx := m.c.twins[m.c.a.near(r.x)]
		ry := m.c.b.near(r.y)
		ok := tx.a.writable && ry != nil && ry.writable && m.room(tx, r.x, true)
		if ok {
			for _, t := range m.c.twins {
				if t.b == ry {
					ok = m.room(t, r.y, false)
				}
			}
		}
		if !ok {
			m.reject = append(m.reject, r)
		}
	}
}

// room reports whether, around an address, one of the two has more between the
// nearest anchors than the other: something is there that the other has not.
func (m *matcher) room(t *twin, addr uint64, inA bool) bool {
	from, to := anchor{x: t.a.addr, y: t.b.addr}, anchor{x: t.a.addr + t.a.mem, y: t.b.addr + t.b.mem}
	pos := func(a anchor) uint64 {
		if inA {
			return a.x
		}
		return a.y
	}
	for _, a := range m.anchors[t] {
		switch p := pos(a); {
		case p == addr && len(a.refs) > 0:
			return false
		case p <= addr && p > pos(from):
			from = a
		case p > addr && p < pos(to):
			to = a
		}
	}
	if inA {
		return to.x-from.x > to.y-from.y
	}
	return to.y-from.y > to.x-from.x
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
	if t.a == m.skip {
		return x-rx.addr == y-ry.addr
	}
	near := m.anchors[t]
	i, ok := slices.BinarySearchFunc(near, x, func(a anchor, x uint64) int { return cmp.Compare(a.x, x) })
	if !ok {
		i--
	}
	if i < 0 {
		return x-rx.addr == y-ry.addr
	}
	return y-near[i].y == x-near[i].x
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
	tail := 0
	for first := int(diff[0].x - an.x); tail < n-first && x[len(x)-1-tail] == y[len(y)-1-tail]; {
		tail++
	}
	m.differ(t, an, diff[0].x, diff[0].y, uint64(len(x)-tail)-(diff[0].x-an.x), uint64(len(y)-tail)-(diff[0].y-an.y))
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
	for _, r := range an.refs {
		if r.fn < 0 || r.kind != refCode {
			continue
		}
		// What only came or went lies behind the object, as far as anyone can tell.
		if _, ok := m.flagged[r.fn]; !ok && !t.a.writable && lenA > 0 && lenB > 0 {
			m.flagged[r.fn] = p
		}
		if len(p.fns) < 16 && !slices.Contains(p.fns, r.fn) {
			p.fns = append(p.fns, r.fn)
		}
	}
	if len(m.places) < maxPlaces {
		m.places = append(m.places, p)
	}
}
