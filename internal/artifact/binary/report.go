package binary

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
)

// compareCode fills in what the comparison of sections and functions finds.
func compareCode(ctx context.Context, a, b *image, o Options, r *Result, p *proof) error {
	var wg sync.WaitGroup
	wg.Go(a.findFuncs)
	b.findFuncs()
	wg.Wait()
	r.Go = a.gotab != nil
	pairFuncs(a, b)
	c := newComparer(a, b)
	verdicts, refs, err := c.functions(ctx, o.Workers)
	if err != nil {
		return err
	}
	refs = c.tables(verdicts, refs)
	m := newMatcher(c, refs)
	m.cuts(verdicts)
	m.run()
	m.judge(verdicts)
	r.Counts.FunctionsA, r.Counts.FunctionsB = countFuncs(a), countFuncs(b)
	c.reportFunctions(r, verdicts, o)
	m.reportData(r, p, o)
	m.reportHunks(r, verdicts, o)
	c.reportSections(r, m)
	c.rung(r, verdicts)
	return ctx.Err()
}

func countFuncs(m *image) (n int) {
	for i := range m.funcs {
		if !m.funcs[i].gap {
			n++
		}
	}
	return n
}

// functions compares all pairs of functions, side by side.
func (c *comparer) functions(ctx context.Context, workers int) ([]verdict, []ref, error) {
	verdicts := make([]verdict, len(c.a.funcs))
	parts := make([][]ref, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			var refs []ref
			from, to := w*len(verdicts)/workers, (w+1)*len(verdicts)/workers
			for i := from; i < to && ctx.Err() == nil; i++ {
				if c.a.funcs[i].pair >= 0 {
					verdicts[i], refs = c.function(i, refs)
				}
			}
			parts[w] = refs
		})
	}
	wg.Wait()
	return verdicts, slices.Concat(parts...), ctx.Err()
}

// cuts finds the data that functions refer to which differ, in each file.
func (m *matcher) cuts(verdicts []verdict) {
	for i := range m.c.a.funcs {
		if f := &m.c.a.funcs[i]; f.pair < 0 || verdicts[i].changed {
			m.cutA = append(m.cutA, m.c.a.references(f)...)
		}
	}
	for i := range m.c.b.funcs {
		if g := &m.c.b.funcs[i]; g.pair < 0 || verdicts[g.pair].changed {
			m.cutB = append(m.cutB, m.c.b.references(g)...)
		}
	}
}

// judge turns what the matcher found into verdicts on functions.
func (m *matcher) judge(verdicts []verdict) {
	for _, r := range m.reject {
		if r.fn < 0 {
			continue
		}
		switch v := &verdicts[r.fn]; {
		case r.kind == refCode && !v.changed:
			v.changed, v.why = true, fmt.Sprintf("%s, rebuilt %s", m.c.a.describe(r.x), m.c.b.describe(r.y))
		case r.kind == refTable:
			v.table = true
		}
	}
	for i, p := range m.flagged {
		if v := &verdicts[i]; !v.changed {
			v.changed = true
			v.why = fmt.Sprintf("refers to %s+%#x, which differs", p.twin.a.name, p.x-p.twin.a.addr)
		}
	}
}

// reportFunctions lists the functions that differ.
func (c *comparer) reportFunctions(r *Result, verdicts []verdict, o Options) {
	add := func(f Function) {
		if len(r.Functions) < o.Items {
			r.Functions = append(r.Functions, f)
		}
	}
	for i := range c.a.funcs {
		f, v := &c.a.funcs[i], &verdicts[i]
		out := Function{Name: f.name, A: Span{f.addr, f.size}, Lines: c.a.where(f), Why: v.why}
		switch {
		case f.pair < 0:
			out.Kind = "only in a"
			r.Counts.OnlyA++
		case v.changed:
			out.Kind = "changed"
			r.Counts.Changed++
		case v.table:
			r.Counts.Tables++
			continue
		default:
			continue
		}
		if f.pair >= 0 {
			out.B = Span{c.b.funcs[f.pair].addr, c.b.funcs[f.pair].size}
		}
		if f.gap {
			out.Name = fmt.Sprintf("%s at %#x", f.name, f.addr)
		}
		add(out)
	}
	for i := range c.b.funcs {
		if g := &c.b.funcs[i]; g.pair < 0 {
			r.Counts.OnlyB++
			add(Function{Name: g.name, Kind: "only in b", B: Span{g.addr, g.size}, Lines: c.b.where(g)})
		}
	}
}

// where says from which lines a function comes.
func (m *image) where(f *fn) string {
	if m.gotab == nil || f.table < 0 {
		return ""
	}
	file, first, last := m.gotab.lines(f.table, f.size)
	if file == "" {
		return ""
	}
	return fmt.Sprintf("%s:%d-%d", shortPath(file), first, last)
}

// reportData lists the places outside code that differ and that no proved
// cause covers.
func (m *matcher) reportData(r *Result, proved *proof, o Options) {
	slices.SortFunc(m.places, func(p, q place) int { return cmp.Compare(p.x, q.x) })
	r.Counts.Data = m.count
	for _, p := range m.places {
		off := p.twin.a.off + int64(p.x-p.twin.a.addr)
		if p.lenA > 0 && proved.covers(off, int64(p.lenA)) {
			r.Counts.Data--
			continue
		}
		if len(r.Data) >= o.Items {
			continue
		}
		d := Data{Section: p.twin.a.name, Off: int64(p.x - p.twin.a.addr), Len: int64(p.lenA), Symbol: m.c.a.symbolAt(p.x),
			A: m.c.a.quote(p.x, p.lenA), B: m.c.b.quote(p.y, p.lenB)}
		for _, i := range p.fns[:min(len(p.fns), 4)] {
			d.Users = append(d.Users, m.c.a.funcs[i].name)
		}
		r.Data = append(r.Data, d)
	}
}

// quote shows what lies at an address: the text around it, if it is text, else
// at most 24 bytes in hexadecimal.
func (m *image) quote(addr, n uint64) string {
	r := m.at(addr)
	if r == nil || addr-r.addr >= uint64(r.size) {
		return ""
	}
	d, at := m.data(r), int(addr-r.addr)
	end := at + int(min(n, uint64(len(d)-at)))
	text := func(c byte) bool { return c >= 0x20 && c < 0x7f }
	from, to := at, end
	for from > 0 && at-from < 16 && text(d[from-1]) {
		from--
	}
	for to < len(d) && to-end < 16 && text(d[to]) {
		to++
	}
	if s := d[from:to]; n > 0 && to-from >= 4 && to-from < 80 && len(bytes.TrimFunc(s, func(r rune) bool { return r >= 0x20 && r < 0x7f })) == 0 {
		return fmt.Sprintf("%q", s)
	}
	more := ""
	if end-at > 24 {
		end, more = at+24, "…"
	}
	return fmt.Sprintf("%x%s", d[at:end], more)
}

// reportSections lists the parts of the files that differ.
func (c *comparer) reportSections(r *Result, m *matcher) {
	left := map[*region]int{}
	for i := range m.places {
		left[m.places[i].twin.a]++
	}
	matched := map[*region]bool{}
	for i := range c.a.regions {
		x := &c.a.regions[i]
		t := c.twins[x]
		if t == nil {
			r.Sections = append(r.Sections, Section{Name: x.name, A: max(x.size, 0), B: -1, Bytes: x.size, Kind: x.kind, AOff: x.off, AAddr: x.addr})
			continue
		}
		y := t.b
		matched[y] = true
		if t.equal && x.kind == y.kind && (x.mem == 0 || x.addr == y.addr) {
			continue
		}
		s := Section{Name: x.name, A: x.size, B: y.size, Kind: x.kind, AOff: x.off, BOff: y.off, AAddr: x.addr, BAddr: y.addr}
		dx, dy := c.a.data(x), c.b.data(y)
		s.Bytes = differing(dx, dy)
		s.First = int64(firstDiff(dx, dy))
		switch {
		case t.equal && x.kind == y.kind:
			s.Moved = true
		case x.kind == kindData && y.kind == kindData && x.mem > 0:
			s.Moved = left[x] == 0 && (x != m.skip || c.sameTable(m))
		case x.kind == kindCode && y.kind == kindCode:
			s.Moved = r.Counts.Changed+r.Counts.OnlyA+r.Counts.OnlyB == 0
		}
		r.Sections = append(r.Sections, s)
	}
	for i := range c.b.regions {
		if y := &c.b.regions[i]; !matched[y] {
			r.Sections = append(r.Sections, Section{Name: y.name, A: -1, B: y.size, Bytes: y.size, Kind: y.kind, BOff: y.off, BAddr: y.addr})
		}
	}
}

// sameTable reports whether pclntab is the same in both.
func (c *comparer) sameTable(m *matcher) bool {
	a, b := m.table[0], m.table[1]
	return bytes.Equal(c.a.slice(a.Addr, a.Addr+a.Size), c.b.slice(b.Addr, b.Addr+b.Size))
}

func firstDiff(a, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// rung finds the highest rung on which the two agree.
func (c *comparer) rung(r *Result, verdicts []verdict) {
	loaded := true
	for i := range r.Sections {
		s := &r.Sections[i]
		loaded = loaded && (s.Kind == kindUnload || s.Kind == kindGap && zeros(c.gapBytes(s)))
		if s.Kind == kindHeader {
			loaded = false
		}
	}
	switch {
	case loaded && len(c.a.funcs) > 0:
		r.Rung = RungSections
	case len(c.a.funcs) > 0 && r.Counts.Changed+r.Counts.OnlyA+r.Counts.OnlyB == 0:
		r.Rung = RungFunctions
	case c.sameLines(verdicts):
		r.Rung = RungLines
	}
}

// gapBytes returns what lies in a gap of either file.
func (c *comparer) gapBytes(s *Section) []byte {
	var b []byte
	if s.A > 0 {
		b = append(b, c.a.file[s.AOff:s.AOff+s.A]...)
	}
	if s.B > 0 {
		b = append(b, c.b.file[s.BOff:s.BOff+s.B]...)
	}
	return b
}

// sameLines reports whether the functions that differ are made of the same
// lines: the same compiler's tables for other code.
func (c *comparer) sameLines(verdicts []verdict) bool {
	if c.a.gotab == nil || c.b.gotab == nil {
		return false
	}
	for i := range c.a.funcs {
		f := &c.a.funcs[i]
		if f.pair < 0 {
			return false
		}
		if !verdicts[i].changed {
			continue
		}
		if w := c.a.where(f); w == "" || w != c.b.where(&c.b.funcs[f.pair]) {
			return false
		}
	}
	for i := range c.b.funcs {
		if c.b.funcs[i].pair < 0 {
			return false
		}
	}
	return true
}
