package binary

import (
	"cmp"
	"slices"
)

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
			all = append(all, anchor{x: refs[i].x, y: refs[i].y, refs: refs[i:j]})
		}
		i = j
	}
	if t.a == m.skip {
		all = append(all, m.tableAnchors(t, refs)...)
		slices.SortFunc(all, func(p, q anchor) int { return cmp.Compare(p.x, q.x) })
	}
	straight := t.a.mem == t.b.mem // then what did not move is right where votes are equal
	weight := func(a *anchor) int {
		w := 0
		for _, r := range a.refs {
			if r.fn >= 0 {
				w += 16
			} else if w&15 < 12 { // data votes less than any code
				w += 2
			}
		}
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
		if bad[i] && i > 0 && len(all[i].refs) > 0 {
			m.reject = append(m.reject, all[i].refs...)
		} else {
			kept = append(kept, all[i])
		}
	}
	m.anchors[t] = kept
}

// tableAnchors says where pclntab starts and ends, where nothing else says it.
func (m *matcher) tableAnchors(t *twin, refs []ref) (out []anchor) {
	a, b := m.table[0], m.table[1]
	for _, p := range []anchor{{x: a.Addr, y: b.Addr}, {x: a.Addr + a.Size, y: b.Addr + b.Size}} {
		known := slices.ContainsFunc(refs, func(r ref) bool { return r.x == p.x })
		if !known && p.x > t.a.addr && p.x < t.a.addr+t.a.mem && p.y > t.b.addr && p.y < t.b.addr+t.b.mem {
			out = append(out, p)
		}
	}
	return out
}

// inTable reports an address in pclntab of a.
func (m *matcher) inTable(x uint64) bool { return x-m.table[0].Addr < m.table[0].Size }

// lonely rejects pairs that moved otherwise than both of their neighbours,
// where content cannot tell: those with one vote in data that may be written,
// also where only data votes, and all in a region that is the same.
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
		case i == 0 || len(all[i].refs) == 0:
		case !near && len(all[i].refs) < 2 && all[i].refs[0].fn < 0:
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
	const some = 256 // for each of which all anchors are looked at
	for i, r := range m.cross {
		if i >= some {
			m.reject = append(m.reject, m.cross[i:]...)
			break
		}
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
