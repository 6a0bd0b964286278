package archive

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"sync"
)

// paxDir is compiled when it is first used: every command starts this program.
var paxDir = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`PaxHeaders(\.\d+)?/`) })

// tarForm knows which fields of a tar may be set.
type tarForm struct{}

func (tarForm) heads(a, b *Entry) (x, y *tarHead, err error) {
	if x, err = parseTar(a.frame.bytes()); err != nil {
		return nil, nil, err
	}
	y, err = parseTar(b.frame.bytes())
	return x, y, err
}

func (f tarForm) compare(a, b *Entry) ([]Delta, error) {
	x, y, err := f.heads(a, b)
	if err != nil {
		return nil, err
	}
	var d deltas
	d.text("type", string(x.kind), string(y.kind), "")
	d.text("type flag", string(rune(x.flag)), string(rune(y.flag)), "")
	d.mode(x.mode, y.mode)
	d.text("link target", x.link, y.link, "")
	d.text("dialect", x.magic, y.magic, "")
	d.text("device", deviceText(x.dev), deviceText(y.dev), "")
	d.text("owner", x.owner(), y.owner(), CauseOwner)
	d.text("mtime", stamp(x.time), stamp(y.time), CauseTime)
	d.text("times", strings.Join(x.timeRecords(), " "), strings.Join(y.timeRecords(), " "), CauseTime)
	d.text("extended header", strings.Join(x.grave(), " "), strings.Join(y.grave(), " "), "")
	named := Cause("")
	if xn, yn := strings.Join(x.paxNames(), " "), strings.Join(y.paxNames(), " "); paxDir().ReplaceAllString(xn, "") == paxDir().ReplaceAllString(yn, "") {
		named = CausePax // GNU tar puts the number of its process there
	}
	d.text("name of the extended header", strings.Join(x.paxNames(), " "), strings.Join(y.paxNames(), " "), named)
	d.text("size", fmt.Sprint(x.claimed), fmt.Sprint(y.claimed), causeContent)
	if a.tail != b.tail {
		d.text("bytes in the padding", quote(string(a.tail.bytes())), quote(string(b.tail.bytes())), "")
	}
	if len(d) == 0 {
		// The values agree, their writing does not: 7-digit against base-256, an
		// old dialect's times in the prefix, a second header.
		d.text("writing of the header", firstOther(a, b), firstOther(b, a), "")
	}
	return d, nil
}

// patch copies times, owners and the group's bit from a, and what follows from
// them: the checksum, the length of an extended header, its own name.
func (f tarForm) patch(a, b *Entry, set map[Cause]bool) (frame, tail []byte, err error) {
	x, y, err := f.heads(a, b)
	if err != nil {
		return nil, nil, err
	}
	out := y.meta(x, set)
	block := bytes.Clone(y.block)
	copyFields(block, x.block, set)
	if set[causeContent] {
		copy(tarSize.of(block), tarSize.of(x.block))
	}
	if set[CauseUmask] && x.mode|0o20 == y.mode|0o20 {
		copy(tarMode.of(block), tarMode.of(x.block))
	}
	sumFrom(block, x.block)
	return append(append(out, block...), y.rest...), b.tail.bytes(), nil
}

// copyFields sets times and owners in a header.
func copyFields(to, from []byte, set map[Cause]bool) {
	if set[CauseTime] {
		copy(tarTime.of(to), tarTime.of(from))
	}
	if set[CauseOwner] {
		for _, f := range []tarField{tarUID, tarGID, tarUser, tarGroup} {
			copy(f.of(to), f.of(from))
		}
	}
}

// sumFrom writes the checksum of a block, in the writing of another one.
func sumFrom(block, style []byte) {
	copy(tarSum.of(block), tarSum.of(style))
	if checkTar(block) == nil {
		return
	}
	var sum int64
	for i, c := range block {
		if i >= tarSum.at && i < tarSum.end {
			c = ' '
		}
		sum += int64(c)
	}
	copy(tarSum.of(block), fmt.Sprintf("%06o\x00 ", sum))
}

// meta are y's extended headers with the harmless records of x in them.
func (y *tarHead) meta(x *tarHead, set map[Cause]bool) []byte {
	var out []byte
	yx, rest := y.split()
	xx, _ := x.split()
	switch {
	case xx == nil && yx == nil:
	case xx == nil && onlyHarmless(yx, set): // the shipped one does without
	case yx == nil && onlyHarmless(xx, set):
		out = append(append(out, xx.block...), xx.data...)
	case xx != nil && yx != nil && mixable(xx, yx, set):
		block := bytes.Clone(yx.block)
		copyFields(block, xx.block, set)
		copy(tarSize.of(block), tarSize.of(xx.block))
		if set[CausePax] {
			copy(tarName.of(block), tarName.of(xx.block))
			copy(tarPrefix.of(block), tarPrefix.of(xx.block))
		}
		sumFrom(block, xx.block)
		out = append(append(out, block...), xx.data...)
	case yx != nil:
		out = append(append(out, yx.block...), yx.data...)
	}
	return append(out, rest...)
}

// split takes the one pax header from the other extended headers. Where it does
// not come first, or there are two, it is left with the rest, and nothing in it
// is set.
func (h *tarHead) split() (pax *metaBlock, rest []byte) {
	for i := range h.blocks {
		m := &h.blocks[i]
		if i == 0 && m.kind == 'x' {
			pax = m
			continue
		}
		rest = append(append(rest, m.block...), m.data...)
	}
	return pax, rest
}

func onlyHarmless(m *metaBlock, set map[Cause]bool) bool {
	records, err := paxRecords(m.data[:m.size])
	for _, r := range records {
		if c := harmlessRecord(r.key); c == "" || !set[c] {
			return false
		}
	}
	return err == nil && len(records) > 0
}

// mixable reports whether x's records can stand in place of y's: those that no
// cause in set stands for are the same, in the same order.
func mixable(x, y *metaBlock, set map[Cause]bool) bool {
	kept := func(m *metaBlock) (out []string, ok bool) {
		records, err := paxRecords(m.data[:m.size])
		for _, r := range records {
			// the size of a member follows from its content, which is proven apart
			if c := harmlessRecord(r.key); (c == "" || !set[c]) && !(r.key == "size" && set[causeContent]) {
				out = append(out, r.key+"="+r.value)
			}
		}
		return out, err == nil
	}
	a, ok := kept(x)
	b, ok2 := kept(y)
	return ok && ok2 && sameStrings(a, b) && zero(x.data[x.size:])
}

func deviceText(raw string) string { return strings.Trim(strings.ReplaceAll(raw, "\x00", " "), " 0") }
