package binary

import "bytes"

// Instructions of arm64 that hold an address or a part of one (Arm ARM, C4.1).
const (
	armNone   = iota
	armBranch // B, BL: 26 bits
	armShort  // B.cond, CBZ, CBNZ, LDR literal: 19 bits
	armTest   // TBZ, TBNZ: 14 bits
	armADR    // ADR: 21 bits
	armPage   // ADRP: 21 bits of pages
	armOffset // ADD immediate, LDR/STR unsigned offset: 12 bits, after an ADRP
)

// decodeARM classifies an instruction and returns the mask of its address bits.
func decodeARM(w uint32) (kind int, mask uint32) {
	switch {
	case w&0x7c000000 == 0x14000000:
		return armBranch, 0x03ffffff
	case w&0xff000010 == 0x54000000, w&0x7e000000 == 0x34000000, w&0x3b000000 == 0x18000000:
		return armShort, 0x00ffffe0
	case w&0x7e000000 == 0x36000000:
		return armTest, 0x0007ffe0
	case w&0x9f000000 == 0x10000000:
		return armADR, 0x60ffffe0
	case w&0x9f000000 == 0x90000000:
		return armPage, 0x60ffffe0
	case w&0x7f800000 == 0x11000000, w&0x3b000000 == 0x39000000:
		return armOffset, 0x003ffc00
	}
	return armNone, 0
}

// signed extends the sign of the low n bits.
func signed(w uint32, n uint) uint64 {
	return uint64(int64(int32(w<<(32-n)) >> (32 - n)))
}

// armTarget returns the address that a branch, ADR or ADRP names.
func armTarget(kind int, w uint32, pc uint64) uint64 {
	switch kind {
	case armBranch:
		return pc + signed(w, 26)<<2
	case armShort:
		return pc + signed(w>>5, 19)<<2
	case armTest:
		return pc + signed(w>>5, 14)<<2
	case armADR:
		return pc + signed(w>>3&^3&0x1ffffc|w>>29&3, 21)
	case armPage:
		return pc&^0xfff + signed(w>>3&^3&0x1ffffc|w>>29&3, 21)<<12
	}
	return 0
}

// armImm returns the 12-bit offset of ADD, LDR or STR in bytes.
func armImm(w uint32) uint64 {
	imm := uint64(w >> 10 & 0xfff)
	if w&0x3b000000 == 0x39000000 {
		scale := w >> 30
		if w&0x04800000 == 0x04800000 { // 128-bit vector
			scale = 4
		}
		return imm << scale
	}
	if w&0x00400000 != 0 {
		return imm << 12
	}
	return imm
}

func armRd(w uint32) uint32 { return w & 31 }
func armRn(w uint32) uint32 { return w >> 5 & 31 }

// armPages is what ADRP put into registers: a page in each file, which the
// instruction that adds an offset completes to an address.
type armPages [32]struct {
	x, y   uint64
	at     int
	set    bool
	differ bool // the two ADRP differ and nothing has completed them yet
}

// take gives a register a new page, or none; it reports where a page was set
// whose difference nothing has explained.
func (p *armPages) take(r uint32, x, y uint64, at int, set, differ bool) (open int, ok bool) {
	was := p[r]
	p[r].x, p[r].y, p[r].at, p[r].set, p[r].differ = x, y, at, set, differ
	return was.at, !was.set || !was.differ
}

// functionARM walks over both functions in step.
func (c *comparer) functionARM(i int, f, g *fn, refs []ref) (verdict, []ref) {
	x, y := f.code, g.code
	var pages armPages
	for p := 0; p+4 <= len(x) && p+4 <= len(y); p += 4 {
		wx, wy := c.a.order.Uint32(x[p:]), c.b.order.Uint32(y[p:])
		kind, mask := decodeARM(wx)
		if (wx^wy)&^mask != 0 {
			return differAt(x, y, p), refs
		}
		pcx, pcy := f.addr+uint64(p), g.addr+uint64(p)
		ok, open, why := true, p, ""
		switch kind {
		case armNone:
			open, ok = pages.take(armRd(wx), 0, 0, p, false, false)
		case armPage:
			open, ok = pages.take(armRd(wx), armTarget(kind, wx, pcx), armTarget(kind, wy, pcy), p, true, wx != wy)
		case armOffset:
			refs, ok, why = c.offsetARM(i, &pages, wx, wy, refs)
		default:
			tx, ty := armTarget(kind, wx, pcx), armTarget(kind, wy, pcy)
			if tx-f.addr == ty-g.addr && tx-f.addr < f.size {
				break
			}
			refs, ok, why = c.target(i, tx, ty, refs)
		}
		if !ok {
			if why == "" {
				return differAt(x, y, open), refs
			}
			return verdict{changed: true, at: uint64(p), why: why}, refs
		}
	}
	for r := range pages {
		if pages[r].set && pages[r].differ {
			return differAt(x, y, pages[r].at), refs
		}
	}
	if n := len(x) &^ 3; len(x) == len(y) && !bytes.Equal(x[n:], y[n:]) {
		return differAt(x, y, n), refs
	}
	return verdict{}, refs
}

// offsetARM judges ADD, LDR or STR with an offset.
func (c *comparer) offsetARM(i int, pages *armPages, wx, wy uint32, refs []ref) ([]ref, bool, string) {
	base := &pages[armRn(wx)]
	ok, why := wx == wy, ""
	if base.set {
		base.differ = false
		refs, ok, why = c.target(i, base.x+armImm(wx), base.y+armImm(wy), refs)
	}
	if isStore := wx&0x3b400000 == 0x39000000; !isStore && ok {
		if _, closed := pages.take(armRd(wx), 0, 0, 0, false, false); !closed {
			return refs, false, "" // the page was thrown away
		}
	}
	return refs, ok, why
}
