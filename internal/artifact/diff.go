package artifact

import "bytes"

// edit is a stretch of lines: those of a from a0 to a1 stand where b has b0 to b1.
type edit struct{ a0, a1, b0, b1 int }

// lines cuts a text; each line keeps its end.
func lines(b []byte) [][]byte { return bytes.SplitAfter(b, []byte("\n")) }

// maxDiffWork is how many lines are looked at in all: texts can be made for which
// each anchor cuts off a line or two. What is left then is one difference.
const maxDiffWork = 20_000_000

// diffLines finds the stretches in which two texts differ. Lines that are there
// once in each anchor the comparison (patience diff), so the time is n log n
// whatever the texts are; between anchors only the common ends are taken off.
func diffLines(a, b [][]byte) []edit {
	var out []edit
	work := []edit{{0, len(a), 0, len(b)}}
	for budget := maxDiffWork; len(work) > 0; {
		s := work[len(work)-1]
		work = work[:len(work)-1]
		for s.a0 < s.a1 && s.b0 < s.b1 && bytes.Equal(a[s.a0], b[s.b0]) {
			s.a0, s.b0 = s.a0+1, s.b0+1
		}
		for s.a0 < s.a1 && s.b0 < s.b1 && bytes.Equal(a[s.a1-1], b[s.b1-1]) {
			s.a1, s.b1 = s.a1-1, s.b1-1
		}
		if s.a0 == s.a1 && s.b0 == s.b1 {
			continue
		}
		var anchors [][2]int
		if budget -= s.a1 - s.a0 + s.b1 - s.b0; budget > 0 {
			anchors = anchored(a[s.a0:s.a1], b[s.b0:s.b1])
		}
		if len(anchors) == 0 {
			out = append(out, s)
			continue
		}
		// The last stretch first on the stack, so that edits come out in order.
		next := edit{s.a1, s.a1, s.b1, s.b1}
		for i := len(anchors) - 1; i >= 0; i-- {
			x, y := s.a0+anchors[i][0], s.b0+anchors[i][1]
			work = append(work, edit{x + 1, next.a0, y + 1, next.b0})
			next = edit{x, x, y, y}
		}
		work = append(work, edit{s.a0, next.a0, s.b0, next.b0})
	}
	return out
}

// anchored finds lines that each text has exactly once, in the longest order that
// both share.
func anchored(a, b [][]byte) [][2]int {
	type seen struct{ na, nb, ia, ib int }
	m := make(map[string]*seen, len(a))
	for i, l := range a {
		s := m[string(l)]
		if s == nil {
			s = &seen{}
			m[string(l)] = s
		}
		s.na, s.ia = s.na+1, i
	}
	for i, l := range b {
		if s := m[string(l)]; s != nil {
			s.nb, s.ib = s.nb+1, i
		}
	}
	var pairs [][2]int
	for i, l := range a {
		if s := m[string(l)]; s.na == 1 && s.nb == 1 {
			pairs = append(pairs, [2]int{i, s.ib})
		}
	}
	return rising(pairs)
}

// rising is the longest run of pairs that rises in both (patience sorting).
func rising(pairs [][2]int) [][2]int {
	var tops []int // of the piles, as places in pairs
	before := make([]int, len(pairs))
	for i, p := range pairs {
		lo, hi := 0, len(tops)
		for lo < hi {
			if mid := (lo + hi) / 2; pairs[tops[mid]][1] < p[1] {
				lo = mid + 1
			} else {
				hi = mid
			}
		}
		before[i] = -1
		if lo > 0 {
			before[i] = tops[lo-1]
		}
		if lo == len(tops) {
			tops = append(tops, i)
		} else {
			tops[lo] = i
		}
	}
	if len(tops) == 0 {
		return nil
	}
	out := make([][2]int, len(tops))
	for i, at := len(tops)-1, tops[len(tops)-1]; at >= 0; i, at = i-1, before[at] {
		out[i] = pairs[at]
	}
	return out
}
