package archive

// rangeDecoder reads bits of LZMA from one chunk that lies in memory whole. Where
// the chunk is too short it reads zeros and goes beyond its end, which its
// callers ask for.
type rangeDecoder struct {
	buf       []byte
	pos       int
	rng, code uint32
}

const (
	probInit   = 1024
	probBits   = 11
	probMove   = 5
	rangeTop   = 1 << 24
	lzmaStates = 12
	posStates  = 16
)

// begin takes the five bytes that a chunk begins with; the first is zero.
func (d *rangeDecoder) begin(chunk []byte) bool {
	if len(chunk) < 5 || chunk[0] != 0 {
		return false
	}
	d.buf, d.pos, d.rng = chunk, 5, 0xffffffff
	d.code = be.Uint32(chunk[1:])
	return true
}

func (d *rangeDecoder) next() uint32 {
	if d.pos < len(d.buf) {
		c := d.buf[d.pos]
		d.pos++
		return uint32(c)
	}
	d.pos++
	return 0
}

// bit reads one bit and learns from it.
func (d *rangeDecoder) bit(p *uint16) uint32 {
	v := uint32(*p)
	bound := (d.rng >> probBits) * v
	var b uint32
	if d.code < bound {
		d.rng = bound
		*p = uint16(v + (1<<probBits-v)>>probMove)
	} else {
		d.rng -= bound
		d.code -= bound
		*p = uint16(v - v>>probMove)
		b = 1
	}
	if d.rng < rangeTop {
		d.rng <<= 8
		d.code = d.code<<8 | d.next()
	}
	return b
}

// tree reads bits from the highest; probs has 1<<bits of them.
func (d *rangeDecoder) tree(probs []uint16, bits int) uint32 {
	rng, code, pos, buf := d.rng, d.code, d.pos, d.buf
	m, top := uint32(1), uint32(1)<<bits
	probs = probs[:top]
	for m < top {
		p := &probs[m]
		v := uint32(*p)
		bound := (rng >> probBits) * v
		if code < bound {
			rng = bound
			*p = uint16(v + (1<<probBits-v)>>probMove)
			m <<= 1
		} else {
			rng -= bound
			code -= bound
			*p = uint16(v - v>>probMove)
			m = m<<1 | 1
		}
		if rng < rangeTop {
			rng <<= 8
			code <<= 8
			if pos < len(buf) {
				code |= uint32(buf[pos])
			}
			pos++
		}
	}
	d.rng, d.code, d.pos = rng, code, pos
	return m - top
}

// reverse reads bits from the lowest.
func (d *rangeDecoder) reverse(probs []uint16, bits int) uint32 {
	m, out := uint32(1), uint32(0)
	for i := range bits {
		b := d.bit(&probs[m])
		m = m<<1 | b
		out |= b << i
	}
	return out
}

// direct reads bits that are as likely 0 as 1, without asking which they are.
func (d *rangeDecoder) direct(bits int) uint32 {
	rng, code, pos, buf := d.rng, d.code, d.pos, d.buf
	out := uint32(0)
	for range bits {
		rng >>= 1
		code -= rng
		sign := uint32(int32(code) >> 31) // all ones where it was below
		code += rng & sign
		out = out<<1 + sign + 1
		if rng < rangeTop {
			rng <<= 8
			code <<= 8
			if pos < len(buf) {
				code |= uint32(buf[pos])
			}
			pos++
		}
	}
	d.rng, d.code, d.pos = rng, code, pos
	return out
}

// literal reads a byte of which nothing is known but its neighbours. It is most
// of the work with texts, so the decoder lies in variables of its own.
func (d *rangeDecoder) literal(probs *[0x300]uint16) byte {
	rng, code, pos, buf := d.rng, d.code, d.pos, d.buf
	m := uint32(1)
	for m < 0x100 {
		p := &probs[m]
		v := uint32(*p)
		bound := (rng >> probBits) * v
		if code < bound {
			rng = bound
			*p = uint16(v + (1<<probBits-v)>>probMove)
			m <<= 1
		} else {
			rng -= bound
			code -= bound
			*p = uint16(v - v>>probMove)
			m = m<<1 | 1
		}
		if rng < rangeTop {
			rng <<= 8
			code <<= 8
			if pos < len(buf) {
				code |= uint32(buf[pos])
			}
			pos++
		}
	}
	d.rng, d.code, d.pos = rng, code, pos
	return byte(m)
}

// matched reads a byte that differs from the one at the last distance.
func (d *rangeDecoder) matched(probs *[0x300]uint16, last byte) byte {
	m, with, offset := uint32(1), uint32(last), uint32(0x100)
	for m < 0x100 {
		with <<= 1
		hint := with & offset
		b := d.bit(&probs[offset+hint+m])
		m = m<<1 | b
		if b == 0 {
			offset &^= hint
		} else {
			offset &= hint
		}
	}
	return byte(m)
}

// lengths decodes lengths of matches.
type lengths struct {
	choice, choice2 uint16
	low, mid        [posStates][8]uint16
	high            [256]uint16
}

func (l *lengths) read(d *rangeDecoder, posState uint32) int {
	if d.bit(&l.choice) == 0 {
		return 2 + int(d.tree(l.low[posState][:], 3))
	}
	if d.bit(&l.choice2) == 0 {
		return 10 + int(d.tree(l.mid[posState][:], 3))
	}
	return 18 + int(d.tree(l.high[:], 8))
}

// lzma is the state that chunks hand on.
type lzma struct {
	rangeDecoder
	lc, lp, pb uint

	state          uint32
	rep            [4]uint32
	isMatch        [lzmaStates][posStates]uint16
	isRep          [lzmaStates]uint16
	isRep0         [lzmaStates]uint16
	isRep1, isRep2 [lzmaStates]uint16
	isRep0Long     [lzmaStates][posStates]uint16
	slot           [4][64]uint16
	special        [128]uint16
	align          [16]uint16
	match, again   lengths
	lit            [][0x300]uint16
}

// properties takes the byte that says how literals and positions are modelled.
func (z *lzma) properties(b byte) bool {
	if b >= 9*5*5 {
		return false
	}
	z.lc, z.lp, z.pb = uint(b%9), uint(b/9%5), uint(b/45)
	if z.lc+z.lp > 4 { // LZMA2 allows no more
		return false
	}
	z.lit = make([][0x300]uint16, 1<<(z.lc+z.lp))
	return true
}

// reset forgets everything but the properties.
func (z *lzma) reset() {
	z.state, z.rep = 0, [4]uint32{}
	fill := func(p []uint16) {
		for i := range p {
			p[i] = probInit
		}
	}
	for i := range z.isMatch {
		fill(z.isMatch[i][:])
		fill(z.isRep0Long[i][:])
	}
	for _, p := range [][]uint16{z.isRep[:], z.isRep0[:], z.isRep1[:], z.isRep2[:], z.special[:], z.align[:]} {
		fill(p)
	}
	for i := range z.slot {
		fill(z.slot[i][:])
	}
	for _, l := range []*lengths{&z.match, &z.again} {
		l.choice, l.choice2 = probInit, probInit
		for i := range l.low {
			fill(l.low[i][:])
			fill(l.mid[i][:])
		}
		fill(l.high[:])
	}
	for i := range z.lit {
		fill(z.lit[i][:])
	}
}

// decode writes into win from at to end; what stands before reaches back to
// bottom. begun is how much came out before at since the dictionary was new.
func (z *lzma) decode(win []byte, bottom, at, end int, begun uint64) bool {
	d := &z.rangeDecoder
	maskPos, maskLit := uint32(1)<<z.pb-1, uint32(1)<<z.lp-1
	total := uint32(begun) - uint32(at)
	for at < end {
		posState := (total + uint32(at)) & maskPos
		if d.bit(&z.isMatch[z.state][posState]) == 0 {
			before := byte(0)
			if at > bottom {
				before = win[at-1]
			}
			probs := &z.lit[(total+uint32(at))&maskLit<<z.lc|uint32(before)>>(8-z.lc)]
			if z.state < 7 {
				win[at] = d.literal(probs)
			} else {
				from := at - int(z.rep[0]) - 1
				if from < bottom {
					return false
				}
				win[at] = d.matched(probs, win[from])
			}
			at++
			switch {
			case z.state < 4:
				z.state = 0
			case z.state < 10:
				z.state -= 3
			default:
				z.state -= 6
			}
			continue
		}
		n := z.matchLength(posState)
		from := at - int(z.rep[0]) - 1
		if n == 0 || from < bottom || n > end-at {
			return false
		}
		at = copyWithin(win, from, at, n)
	}
	return true
}

// matchLength reads a match: its length, and its distance into rep[0]. 0 is the
// mark of an end, which LZMA2 does not have.
func (z *lzma) matchLength(posState uint32) int {
	d := &z.rangeDecoder
	s := z.state
	if d.bit(&z.isRep[s]) == 0 {
		z.rep[3], z.rep[2], z.rep[1] = z.rep[2], z.rep[1], z.rep[0]
		z.state = next(s, 7)
		n := z.match.read(d, posState)
		z.rep[0] = z.distance(n)
		if z.rep[0] == 0xffffffff {
			return 0
		}
		return n
	}
	if d.bit(&z.isRep0[s]) == 0 {
		if d.bit(&z.isRep0Long[s][posState]) == 0 {
			z.state = next(s, 9)
			return 1
		}
	} else {
		var dist uint32
		switch {
		case d.bit(&z.isRep1[s]) == 0:
			dist = z.rep[1]
		case d.bit(&z.isRep2[s]) == 0:
			dist, z.rep[2] = z.rep[2], z.rep[1]
		default:
			dist, z.rep[3], z.rep[2] = z.rep[3], z.rep[2], z.rep[1]
		}
		z.rep[1], z.rep[0] = z.rep[0], dist
	}
	z.state = next(s, 8)
	return z.again.read(d, posState)
}

// next is the state after a match of some kind: 7, 8 or 9 after a literal.
func next(s, after uint32) uint32 {
	switch {
	case s < 7:
		return after
	case after == 7:
		return 10
	}
	return 11
}

func (z *lzma) distance(n int) uint32 {
	d := &z.rangeDecoder
	slot := d.tree(z.slot[min(n-2, 3)][:], 6)
	if slot < 4 {
		return slot
	}
	bits := int(slot>>1) - 1
	dist := (2 | slot&1) << bits
	if slot < 14 {
		return dist + d.reverse(z.special[dist-slot:], bits)
	}
	return dist + d.direct(bits-4)<<4 + d.reverse(z.align[:], 4)
}

// copyWithin copies n bytes forward, those that it has written itself included.
func copyWithin(win []byte, from, at, n int) int {
	if at-from >= n {
		copy(win[at:at+n], win[from:from+n])
		return at + n
	}
	for i := range n {
		win[at+i] = win[from+i]
	}
	return at + n
}
