package binary

import "bytes"

// funcdataInl is the index of the tree of inlined calls (internal/abi,
// FUNCDATA_InlTree): it holds lines, which move when a line is added above.
const funcdataInl = 3

// tables compares what the runtime knows of each pair of Go functions: how
// to unwind it, where pointers live. The addresses of its function data are
// appended to refs.
func (c *comparer) tables(verdicts []verdict, refs []ref) []ref {
	ta, tb := c.a.gotab, c.b.gotab
	if ta == nil || tb == nil {
		return refs
	}
	for i := range c.a.funcs {
		f := &c.a.funcs[i]
		if f.pair < 0 || f.table < 0 || c.b.funcs[f.pair].table < 0 || verdicts[i].changed {
			continue
		}
		g := &c.b.funcs[f.pair]
		x, ok1 := ta.fun(f.table)
		y, ok2 := tb.fun(g.table)
		if !ok1 || !ok2 || !ta.sameTables(tb, &x, &y, f, g) {
			verdicts[i].table = true
			continue
		}
		if ta.gofn == 0 || tb.gofn == 0 {
			continue
		}
		for k := 0; k+4 <= len(x.funcdata); k += 4 {
			ox, oy := ta.order.Uint32(x.funcdata[k:]), tb.order.Uint32(y.funcdata[k:])
			if ox == ^uint32(0) || oy == ^uint32(0) {
				verdicts[i].table = verdicts[i].table || ox != oy
				continue
			}
			kind := int8(refTable)
			if k/4 == funcdataInl {
				kind = refInl
			}
			refs = append(refs, ref{x: ta.gofn + uint64(ox), y: tb.gofn + uint64(oy), fn: int32(i), kind: kind})
		}
	}
	return refs
}

// sameTables compares two records, all but files, lines and function data.
func (t *pclntab) sameTables(u *pclntab, x, y *gofunc, f, g *fn) bool {
	if x.args != y.args || x.deferreturn != y.deferreturn || x.id != y.id || x.flag != y.flag ||
		len(x.pcdata) != len(y.pcdata) || len(x.funcdata) != len(y.funcdata) {
		return false
	}
	same := func(ox, oy uint32) bool {
		if ox == 0 || oy == 0 {
			return ox == oy
		}
		nx, ny := t.pcvalue(ox, f.size, nil), u.pcvalue(oy, g.size, nil)
		return nx == ny && nx > 0 && bytes.Equal(t.pcs[ox:int(ox)+nx], u.pcs[oy:int(oy)+ny])
	}
	if !same(x.pcsp, y.pcsp) {
		return false
	}
	for k := 0; k+4 <= len(x.pcdata); k += 4 {
		if !same(t.order.Uint32(x.pcdata[k:]), u.order.Uint32(y.pcdata[k:])) {
			return false
		}
	}
	return true
}
