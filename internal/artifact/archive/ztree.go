package archive

// The trees of zlib's and gzip's encoder. Which code a symbol gets depends on how
// ties are broken while the tree is built, so that is done here as they do it: a
// heap of frequencies and depths, and lengths moved down where they are too long.

const (
	zLits     = 286
	zDists    = 30
	zBits     = 19
	zEnd      = 256
	zHeapSize = 2*zLits + 1
)

var (
	zLenExtra  = [29]uint8{0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0}
	zDistExtra = [30]uint8{0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13}
	zBitExtra  = [19]uint8{16: 2, 17: 3, 18: 7}
	zBitOrder  = [19]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}
)

// zLengthCode is the code of a length less 3, and what is left for its extra bits.
func zLengthCode(n int) (code, rest int) {
	if n == 255 {
		return 28, 0
	}
	base := 0
	for c, e := range zLenExtra[:28] {
		if n < base+1<<e {
			return c, n - base
		}
		base += 1 << e
	}
	return 28, 0
}

// zDistCode is the code of a distance less 1.
func zDistCode(d int) (code, rest int) {
	if d < 4 {
		return d, 0
	}
	top := 0
	for x := d; x > 1; x >>= 1 {
		top++
	}
	code = 2*top + d>>(top-1)&1
	return code, d - (2|code&1)<<(top-1)
}

// zTree is one alphabet with its frequencies, lengths and codes.
type zTree struct {
	freq, len, code [zHeapSize]uint16
	dad             [zHeapSize]uint16
	n, base         int // symbols; where those with extra bits begin
	extra           []uint8
	fixed           func(int) int // lengths of the fixed code; nil: there is none
	max             uint8         // length of a code at most
	last            int           // the last symbol in use
}

func fixedLit(n int) int {
	switch {
	case n <= 143:
		return 8
	case n <= 255:
		return 9
	case n <= 279:
		return 7
	}
	return 8
}

func fixedDist(int) int { return 5 }

// zHeap is what a tree is built with.
type zHeap struct {
	heap  [zHeapSize]int
	len   int
	max   int
	depth [zHeapSize]uint8
}

func (h *zHeap) smaller(t *zTree, n, m int) bool {
	return t.freq[n] < t.freq[m] || t.freq[n] == t.freq[m] && h.depth[n] <= h.depth[m]
}

func (h *zHeap) down(t *zTree, k int) {
	v := h.heap[k]
	for j := 2 * k; j <= h.len; j *= 2 {
		if j < h.len && h.smaller(t, h.heap[j+1], h.heap[j]) {
			j++
		}
		if h.smaller(t, v, h.heap[j]) {
			break
		}
		h.heap[k], k = h.heap[j], j
	}
	h.heap[k] = v
}

// build gives lengths and codes, and adds to the lengths of the block: with this
// tree, and with the fixed one.
func (t *zTree) build(optimal, static *int) {
	h := &zHeap{max: zHeapSize}
	t.last = -1
	for n := range t.n {
		if t.freq[n] != 0 {
			h.len++
			h.heap[h.len], t.last = n, n
		} else {
			t.len[n] = 0
		}
	}
	for h.len < 2 { // a tree has two codes at least
		node := 0
		if t.last < 2 {
			t.last++
			node = t.last
		}
		h.len++
		h.heap[h.len], t.freq[node] = node, 1
		*optimal--
		if t.fixed != nil {
			*static -= t.fixed(node)
		}
	}
	for n := h.len / 2; n >= 1; n-- {
		h.down(t, n)
	}
	for node := t.n; ; node++ {
		n := h.heap[1]
		h.heap[1] = h.heap[h.len]
		h.len--
		h.down(t, 1)
		m := h.heap[1]
		h.max--
		h.heap[h.max] = n
		h.max--
		h.heap[h.max] = m
		t.freq[node] = t.freq[n] + t.freq[m]
		h.depth[node] = max(h.depth[n], h.depth[m]) + 1
		t.dad[n], t.dad[m] = uint16(node), uint16(node)
		h.heap[1] = node
		h.down(t, 1)
		if h.len < 2 {
			break
		}
	}
	h.max--
	h.heap[h.max] = h.heap[1]
	t.codes(t.lengths(h, optimal, static))
}

// lengths walks from the root; what is too long is moved down as little as can be.
func (t *zTree) lengths(h *zHeap, optimal, static *int) (count [16]int) {
	over := 0
	t.len[h.heap[h.max]] = 0
	at := h.max + 1
	for ; at < zHeapSize; at++ {
		n := h.heap[at]
		bits := t.len[t.dad[n]] + 1
		if bits > uint16(t.max) {
			bits = uint16(t.max)
			over++
		}
		t.len[n] = bits
		if n > t.last {
			continue
		}
		count[bits]++
		x := 0
		if n >= t.base {
			x = int(t.extra[n-t.base])
		}
		*optimal += int(t.freq[n]) * (int(bits) + x)
		if t.fixed != nil {
			*static += int(t.freq[n]) * (t.fixed(n) + x)
		}
	}
	if over == 0 {
		return count
	}
	for ; over > 0; over -= 2 {
		bits := t.max - 1
		for count[bits] == 0 {
			bits--
		}
		count[bits]--
		count[bits+1] += 2
		count[t.max]--
	}
	for bits := t.max; bits != 0; bits-- {
		for n := count[bits]; n != 0; {
			at--
			m := h.heap[at]
			if m > t.last {
				continue
			}
			if t.len[m] != uint16(bits) {
				*optimal += (int(bits) - int(t.len[m])) * int(t.freq[m])
				t.len[m] = uint16(bits)
			}
			n--
		}
	}
	return count
}

// codes gives the codes that follow from the lengths (RFC 1951, section 3.2.2).
func (t *zTree) codes(count [16]int) {
	var next [17]uint16
	code := uint16(0)
	for bits := 1; bits <= 15; bits++ {
		code = (code + uint16(count[bits-1])) << 1
		next[bits] = code
	}
	for n := 0; n <= t.last; n++ {
		if l := t.len[n]; l != 0 {
			t.code[n] = reversed(next[l], l)
			next[l]++
		}
	}
}

func reversed(code, bits uint16) (out uint16) {
	for range bits {
		out = out<<1 | code&1
		code >>= 1
	}
	return out
}

// runs tells the lengths of a tree in runs, as the header of a block has them.
func (t *zTree) runs(each func(symbol, count int)) {
	before, count := -1, 0
	most, least := 7, 4
	if t.len[0] == 0 {
		most, least = 138, 3
	}
	for n := 0; n <= t.last; n++ {
		cur, next := int(t.len[n]), 0xffff
		if n < t.last {
			next = int(t.len[n+1])
		}
		if count++; count < most && cur == next {
			continue
		}
		switch {
		case count < least:
			for range count {
				each(cur, 0)
			}
		case cur != 0:
			if cur != before {
				each(cur, 0)
				count--
			}
			each(16, count-3)
		case count <= 10:
			each(17, count-3)
		default:
			each(18, count-11)
		}
		count, before = 0, cur
		switch {
		case next == 0:
			most, least = 138, 3
		case cur == next:
			most, least = 6, 3
		default:
			most, least = 7, 4
		}
	}
}
