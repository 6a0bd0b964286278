package binary

import (
	"bytes"
	"hash/maphash"
)

// pairNumbered pairs functions that have only a number, where one file has more
// of them than the other: first those at both ends with the same code, then those
// with code that only one function of each file has, in order, then what is left
// between two of these, where it is as many in both. Addresses do not count.
func pairNumbered(a, b *image) {
	x, y := a.numbered(), b.numbered()
	seed := maphash.MakeSeed()
	hx, hy := a.shapes(x, seed), b.shapes(y, seed)
	join := func(i, j int) { a.funcs[x[i]].pair, b.funcs[y[j]].pair = y[j], x[i] }
	start := 0
	for start < len(x) && start < len(y) && hx[start] == hy[start] {
		join(start, start)
		start++
	}
	endX, endY := len(x), len(y)
	for endX > start && endY > start && hx[endX-1] == hy[endY-1] {
		endX, endY = endX-1, endY-1
		join(endX, endY)
	}
	only := map[uint64]int{} // where in y, or -1
	for j := start; j < endY; j++ {
		if _, twice := only[hy[j]]; twice {
			only[hy[j]] = -1
		} else {
			only[hy[j]] = j
		}
	}
	seen := map[uint64]int{}
	for i := start; i < endX; i++ {
		seen[hx[i]]++
	}
	lastX, lastY := start, start
	fill := func(i, j int) {
		for k := 0; i-lastX == j-lastY && k < i-lastX; k++ {
			join(lastX+k, lastY+k)
		}
	}
	for i := start; i < endX; i++ {
		if j, ok := only[hx[i]]; ok && j >= lastY && seen[hx[i]] == 1 {
			fill(i, j)
			join(i, j)
			lastX, lastY = i+1, j+1
		}
	}
	fill(endX, endY)
}

// numbered lists the functions that have only a number.
func (m *image) numbered() (out []int) {
	for i := range m.funcs {
		if m.funcs[i].number {
			out = append(out, i)
		}
	}
	return out
}

// shapes hashes the code of functions without the addresses in it.
func (m *image) shapes(fns []int, seed maphash.Seed) []uint64 {
	out := make([]uint64, len(fns))
	for k, i := range fns {
		code := bytes.Clone(m.funcs[i].code)
		switch m.arch {
		case "amd64":
			for p := 0; p < len(code); {
				in := decodeX86(code[p:])
				if in.rel > 0 && in.relLen == 4 {
					clear(code[p+in.rel : p+in.rel+4])
				}
				p += max(in.n, 1)
			}
		case "arm64":
			for p := 0; p+4 <= len(code); p += 4 {
				w := m.order.Uint32(code[p:])
				_, mask := decodeARM(w)
				m.order.PutUint32(code[p:], w&^mask)
			}
		}
		out[k] = maphash.Bytes(seed, code)
	}
	return out
}
