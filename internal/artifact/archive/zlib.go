package archive

import (
	"encoding/binary"
	"io"
)

// zEncoder encodes DEFLATE as zlib does (1.2 to 1.3, 32 KiB window, memory level
// 8), or as GNU gzip, from which it came: the same search for matches, blocks
// twice as long, cut short where they compress well. It exists to tell who wrote
// a stream; the bits must be theirs, so nothing in it may be improved.
type zEncoder struct {
	out  io.Writer
	gnu  bool
	conf zConfig

	in             []byte // given, and not in the window yet
	win            []byte // two windows long
	head           [zHash]uint16
	prev           [zWindow]uint16
	at, ahead      int // where it stands; what it can see
	block          int // where the block began; less than 0 where that has left the window
	length, start  int // of the match found last
	available      bool
	closed         bool
	symbols        []zSymbol
	matches        int // of the block (gzip looks at them)
	lit, dist, bl  zTree
	optimal, fixed int // bits of the block
	bits           uint64
	filled         uint
	buf            []byte
	err            error
}

// zSymbol is a literal, or a match where dist is not 0.
type zSymbol struct {
	dist uint16
	n    uint8
}

const (
	zWindow   = 32 << 10
	zHash     = 32 << 10
	zMinMatch = 3
	zMaxMatch = 258
	zAhead    = zMaxMatch + zMinMatch + 1
	zFar      = zWindow - zAhead
	zTooFar   = 4096
)

// zConfig is how hard a level tries.
type zConfig struct {
	good, lazy, nice, chain int
	slow                    bool
}

var zLevels = [10]zConfig{
	1: {4, 4, 8, 4, false}, 2: {4, 5, 16, 8, false}, 3: {4, 6, 32, 32, false},
	4: {4, 4, 16, 16, true}, 5: {8, 16, 32, 32, true}, 6: {8, 16, 128, 128, true},
	7: {8, 32, 128, 256, true}, 8: {32, 128, 258, 1024, true}, 9: {32, 258, 258, 4096, true},
}

func newZEncoder(w io.Writer, level int, gnu bool) *zEncoder {
	z := &zEncoder{out: w, gnu: gnu, conf: zLevels[level], win: make([]byte, 2*zWindow), length: zMinMatch - 1}
	z.lit.n, z.lit.base, z.lit.extra, z.lit.fixed, z.lit.max = zLits, 257, zLenExtra[:], fixedLit, 15
	z.dist.n, z.dist.extra, z.dist.fixed, z.dist.max = zDists, zDistExtra[:], fixedDist, 15
	z.bl.n, z.bl.extra, z.bl.max = zBits, zBitExtra[:], 7
	z.fresh()
	return z
}

// fresh begins a block.
func (z *zEncoder) fresh() {
	clear(z.lit.freq[:zLits])
	clear(z.dist.freq[:zDists])
	clear(z.bl.freq[:zBits])
	z.lit.freq[zEnd] = 1
	z.optimal, z.fixed, z.matches, z.symbols = 0, 0, 0, z.symbols[:0]
}

func (z *zEncoder) Write(p []byte) (int, error) {
	z.in = append(z.in, p...)
	z.run()
	return len(p), z.err
}

func (z *zEncoder) Close() error {
	z.closed = true
	z.run()
	if z.available {
		z.tally(0, int(z.win[z.at-1]))
	}
	z.flush(true)
	if z.err == nil {
		_, z.err = z.out.Write(z.buf)
	}
	return z.err
}

// fill takes input where there is room, and moves the window on where there is
// none. It reports whether there is enough to go on.
func (z *zEncoder) fill() bool {
	for z.ahead < zAhead {
		slide := z.at >= zWindow+zFar
		room := 2*zWindow - z.ahead - z.at
		if slide {
			room += zWindow
		}
		if len(z.in) < room && !z.closed {
			return false
		}
		if slide {
			z.slide()
		}
		n := copy(z.win[z.at+z.ahead:], z.in)
		z.in = z.in[n:]
		z.ahead += n
		if len(z.in) == 0 && z.closed {
			break
		}
	}
	return z.ahead > 0
}

func (z *zEncoder) slide() {
	copy(z.win, z.win[zWindow:])
	z.at, z.start, z.block = z.at-zWindow, z.start-zWindow, z.block-zWindow
	for _, t := range [][]uint16{z.head[:], z.prev[:]} {
		for i, v := range t {
			t[i] = max(v, zWindow) - zWindow
		}
	}
}

func (z *zEncoder) run() {
	for z.err == nil && z.fill() {
		if z.conf.slow {
			z.slow()
		} else {
			z.fast()
		}
		if len(z.buf) > 64<<10 {
			_, z.err = z.out.Write(z.buf)
			z.buf = z.buf[:0]
		}
	}
}

// insert puts the string at a place into its chain and gives the one before.
func (z *zEncoder) insert(at int) int {
	h := (uint(z.win[at])<<10 ^ uint(z.win[at+1])<<5 ^ uint(z.win[at+2])) & (zHash - 1)
	before := z.head[h]
	z.prev[at&(zWindow-1)] = before
	z.head[h] = uint16(at)
	return int(before)
}

// longest finds the longest match in a chain that is longer than best.
func (z *zEncoder) longest(cur, best int) int {
	chain, nice := z.conf.chain, min(z.conf.nice, z.ahead)
	if best >= z.conf.good {
		chain >>= 2
	}
	limit := max(z.at-zFar, 0)
	most := min(zMaxMatch, z.ahead)
	scan := z.win[z.at:]
	for {
		match := z.win[cur:]
		if best < most && match[best] == scan[best] && match[best-1] == scan[best-1] && match[0] == scan[0] && match[1] == scan[1] {
			n := 2
			for n < most && match[n] == scan[n] {
				n++
			}
			if n > best {
				z.start, best = cur, n
				if n >= nice {
					break
				}
			}
		}
		cur = int(z.prev[cur&(zWindow-1)])
		if chain--; cur <= limit || chain == 0 {
			break
		}
	}
	return min(best, z.ahead)
}

// fast is the search of levels 1 to 3.
func (z *zEncoder) fast() {
	head := 0
	if z.ahead >= zMinMatch {
		head = z.insert(z.at)
	}
	n := 0
	if head != 0 && z.at-head <= zFar {
		n = z.longest(head, zMinMatch-1)
	}
	if n < zMinMatch {
		full := z.tally(0, int(z.win[z.at]))
		z.at, z.ahead = z.at+1, z.ahead-1
		if full {
			z.flush(false)
		}
		return
	}
	full := z.tally(z.at-z.start, n-zMinMatch)
	z.ahead -= n
	if n <= z.conf.lazy && z.ahead >= zMinMatch {
		for range n - 1 {
			z.at++
			z.insert(z.at)
		}
		z.at++
	} else {
		z.at += n
	}
	if full {
		z.flush(false)
	}
}

// slow is the search of levels 4 to 9: a match waits for a better one behind it.
func (z *zEncoder) slow() {
	head := 0
	if z.ahead >= zMinMatch {
		head = z.insert(z.at)
	}
	before, from := z.length, z.start
	z.length = zMinMatch - 1
	if head != 0 && before < z.conf.lazy && z.at-head <= zFar {
		z.length = z.longest(head, before)
		if z.length == zMinMatch && z.at-z.start > zTooFar {
			z.length = zMinMatch - 1
		}
	}
	switch {
	case before >= zMinMatch && z.length <= before:
		most := z.at + z.ahead - zMinMatch
		full := z.tally(z.at-1-from, before-zMinMatch)
		z.ahead -= before - 1
		for range before - 2 {
			if z.at++; z.at <= most {
				z.insert(z.at)
			}
		}
		z.available, z.length = false, zMinMatch-1
		z.at++
		if full {
			z.flush(false)
		}
	case z.available:
		if z.tally(0, int(z.win[z.at-1])) {
			z.flush(false)
		}
		z.at, z.ahead = z.at+1, z.ahead-1
	default:
		z.available = true
		z.at, z.ahead = z.at+1, z.ahead-1
	}
}

// tally counts a symbol and reports whether the block is full.
func (z *zEncoder) tally(dist, n int) bool {
	z.symbols = append(z.symbols, zSymbol{uint16(dist), uint8(n)})
	if dist == 0 {
		z.lit.freq[n]++
	} else {
		z.matches++
		code, _ := zLengthCode(n)
		z.lit.freq[code+257]++
		code, _ = zDistCode(dist - 1)
		z.dist.freq[code]++
	}
	if !z.gnu {
		return len(z.symbols) == 16<<10-1
	}
	return z.shorter() || len(z.symbols) == 32<<10-1 || z.matches == 32<<10
}

// shorter is gzip's guess that a block compresses well enough to end it here.
func (z *zEncoder) shorter() bool {
	if !z.conf.slow && z.conf.chain < 32 || len(z.symbols)&0xfff != 0 { // levels 1 and 2 do not look
		return false
	}
	out := len(z.symbols) * 8
	for code, n := range z.dist.freq[:zDists] {
		out += int(n) * (5 + int(zDistExtra[code]))
	}
	return z.matches < len(z.symbols)/2 && out>>3 < (z.at-z.block)/2
}

// flush ends the block: stored, with the fixed code or with its own.
func (z *zEncoder) flush(last bool) {
	z.lit.build(&z.optimal, &z.fixed)
	z.dist.build(&z.optimal, &z.fixed)
	codes := z.header()
	optimal, fixed := (z.optimal+3+7)>>3, (z.fixed+3+7)>>3
	optimal = min(optimal, fixed)
	size, end := z.at-z.block, uint64(0)
	if last {
		end = 1
	}
	switch {
	case size+4 <= optimal && z.block >= 0:
		z.send(end, 3)
		z.align()
		z.buf = binary.LittleEndian.AppendUint16(z.buf, uint16(size))
		z.buf = binary.LittleEndian.AppendUint16(z.buf, ^uint16(size))
		z.buf = append(z.buf, z.win[z.block:z.at]...)
	case fixed == optimal:
		z.send(2|end, 3)
		z.content(fixedCode, func(n int) (uint16, uint16) { return reversed(uint16(n), 5), 5 })
	default:
		z.send(4|end, 3)
		z.trees(codes)
		z.content(z.lit.of, z.dist.of)
	}
	z.fresh()
	z.block = z.at
	if last {
		z.align()
	}
}

func (t *zTree) of(n int) (code, bits uint16) { return t.code[n], t.len[n] }

// fixedCode is the fixed code of literals and lengths (RFC 1951, section 3.2.6).
func fixedCode(n int) (code, bits uint16) {
	switch {
	case n <= 143:
		return reversed(uint16(0x30+n), 8), 8
	case n <= 255:
		return reversed(uint16(0x190+n-144), 9), 9
	case n <= 279:
		return reversed(uint16(n-256), 7), 7
	}
	return reversed(uint16(0xc0+n-280), 8), 8
}

// header counts what the lengths of both trees take.
func (z *zEncoder) header() (codes int) {
	for _, t := range []*zTree{&z.lit, &z.dist} {
		t.runs(func(symbol, _ int) { z.bl.freq[symbol]++ })
	}
	none := 0
	z.bl.build(&z.optimal, &none)
	for codes = zBits; codes > 4 && z.bl.len[zBitOrder[codes-1]] == 0; codes-- {
	}
	z.optimal += 3*codes + 5 + 5 + 4
	return codes
}

func (z *zEncoder) trees(codes int) {
	z.send(uint64(z.lit.last+1-257), 5)
	z.send(uint64(z.dist.last), 5)
	z.send(uint64(codes-4), 4)
	for _, symbol := range zBitOrder[:codes] {
		z.send(uint64(z.bl.len[symbol]), 3)
	}
	for _, t := range []*zTree{&z.lit, &z.dist} {
		t.runs(func(symbol, count int) {
			code, bits := z.bl.of(symbol)
			z.send(uint64(code), uint(bits))
			z.send(uint64(count), uint(zBitExtra[symbol]))
		})
	}
}

func (z *zEncoder) content(lit, dist func(int) (uint16, uint16)) {
	put := func(code, bits uint16) { z.send(uint64(code), uint(bits)) }
	for _, s := range z.symbols {
		if s.dist == 0 {
			put(lit(int(s.n)))
			continue
		}
		code, rest := zLengthCode(int(s.n))
		put(lit(code + 257))
		z.send(uint64(rest), uint(zLenExtra[code]))
		code, rest = zDistCode(int(s.dist) - 1)
		put(dist(code))
		z.send(uint64(rest), uint(zDistExtra[code]))
	}
	put(lit(zEnd))
}

func (z *zEncoder) send(v uint64, n uint) {
	z.bits |= v << z.filled
	for z.filled += n; z.filled >= 8; z.filled -= 8 {
		z.buf = append(z.buf, byte(z.bits))
		z.bits >>= 8
	}
}

func (z *zEncoder) align() {
	if z.filled > 0 {
		z.buf = append(z.buf, byte(z.bits))
		z.bits, z.filled = 0, 0
	}
}
