package archive

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"

	"github.com/klauspost/compress/flate"
)

func bufferedSection(file *io.SectionReader, at, n int64) *bufio.Reader {
	return bufio.NewReaderSize(io.NewSectionReader(file, at, n), 64<<10)
}

// members holds every local header against the directory, in the order of the
// file, and accounts for each byte between.
func (z *zipReader) members() error {
	if !slices.IsSortedFunc(z.heads, func(a, b zipHead) int { return cmp.Compare(a.off, b.off) }) {
		slices.SortFunc(z.heads, func(a, b zipHead) int { return cmp.Compare(a.off, b.off) })
		z.odd("the directory has another order than the members")
		z.out.end = append(z.out.end, z.lines())
	}
	z.out.Entries = make([]Entry, 0, len(z.heads))
	at := int64(0)
	for i, h := range z.heads {
		if err := z.ctx.Err(); err != nil {
			return err
		}
		start := z.base + h.off
		if start < at {
			return malformed("member %s overlaps the one before", quote(h.name))
		}
		gap, err := z.stretch(at, start-at)
		if err != nil {
			return err
		}
		if i == 0 {
			z.out.head = gap
		} else if start > at {
			z.odd("%d bytes between members before %s", start-at, quote(h.name))
			z.out.Entries[i-1].tail += gap
		}
		stop := z.base + z.dir
		if i+1 < len(z.heads) {
			stop = min(stop, z.base+z.heads[i+1].off)
		}
		if at, err = z.member(h, start, stop); err != nil {
			return fmt.Errorf("member %s: %w", quote(h.name), err)
		}
	}
	return z.behind(at)
}

// lines names the order of the directory, where it is not that of the members.
func (z *zipReader) lines() part {
	var b bytes.Buffer
	for _, h := range z.heads {
		fmt.Fprintln(&b, h.line)
	}
	return part{name: "order of the directory", sum: sha256.Sum256(b.Bytes()), size: int64(b.Len())}
}

// stretch keeps bytes, or their SHA-256 where there are many.
func (z *zipReader) stretch(at, n int64) (packed, error) {
	if n <= 64<<10 {
		b, err := readAt(z.file, at, int(n))
		return pack(b), err
	}
	sum, err := sumOf(z.ctx, z.file, at, n)
	return pack(fmt.Appendf(nil, "%d bytes, SHA-256 %x", n, sum)), err
}

// sumOf is the SHA-256 of a stretch of a file.
func sumOf(ctx context.Context, file *io.SectionReader, at, n int64) (sum [32]byte, err error) {
	h := sha256.New()
	var done int64
	r := &counted{r: io.NewSectionReader(file, at, n), n: &done, ctx: ctx}
	buf := make([]byte, min(256<<10, max(n, 1)))
	if _, err := io.CopyBuffer(onlyWriter{h}, onlyReader{r}, buf); err != nil {
		return sum, err
	}
	if done != n {
		return sum, malformed("it ends in the middle")
	}
	return [32]byte(h.Sum(nil)), nil
}

// member reads a local header and what follows the content, and gives the end.
func (z *zipReader) member(h zipHead, at, stop int64) (int64, error) {
	fixed, err := readAt(z.file, at, localLen)
	if err != nil || string(fixed[:4]) != zipLocal {
		return 0, malformed("no local header where the directory says")
	}
	local, err := readAt(z.file, at, localLen+int(le.Uint16(fixed[26:]))+int(le.Uint16(fixed[28:])))
	if err != nil {
		return 0, err
	}
	body := at + int64(len(local))
	if h.csize > stop-body || body > stop {
		return 0, malformed("its content of %d bytes goes beyond what follows it", h.csize)
	}
	after := body + h.csize
	descr, err := z.descriptor(h, after, stop)
	if err != nil {
		return 0, err
	}
	if err := z.agree(h, local, len(descr) > 0); err != nil {
		return 0, err
	}
	kind, perm := zipKind(h.central, h.name)
	e := Entry{Name: h.name, Kind: kind, Exec: kind == File && perm&0o111 != 0, Off: body, Size: h.csize, frame: pack(local)}
	if e.Sum, err = sumOf(z.ctx, z.file, body, h.csize); err != nil {
		return 0, err
	}
	// The offset was found right: it follows from what stands before.
	copy(h.central[42:46], []byte{0, 0, 0, 0})
	if le.Uint32(h.central[42:]) == 0 && h.off >= 0xffffffff {
		copy(h.central[42:46], []byte{0xff, 0xff, 0xff, 0xff})
	}
	e.tail = pack(slices.Concat([]byte{byte(len(descr))}, descr, h.central))
	z.out.Entries = append(z.out.Entries, e)
	return after + int64(len(descr)), nil
}

// descriptor reads what a streaming writer puts behind the content (4.3.9): with
// or without a signature, of 32 or 64 bits. It must say what the directory says.
func (z *zipReader) descriptor(h zipHead, at, stop int64) ([]byte, error) {
	if h.flags&8 == 0 {
		return nil, nil
	}
	b, err := readAt(z.file, at, int(min(24, stop-at)))
	if err != nil {
		return nil, err
	}
	for _, wide := range []bool{false, true} {
		for _, signed := range []bool{true, false} {
			if want := descriptorOf(h, signed, wide); bytes.HasPrefix(b, want) {
				return want, nil
			}
		}
	}
	return nil, malformed("its data descriptor is not there or disagrees with the directory")
}

func descriptorOf(h zipHead, signed, wide bool) []byte {
	var b []byte
	if signed {
		b = append(b, zipDescr...)
	}
	b = le.AppendUint32(b, h.crc)
	for _, n := range []int64{h.csize, h.usize} {
		if wide {
			b = le.AppendUint64(b, uint64(n))
		} else {
			b = le.AppendUint32(b, uint32(n))
		}
	}
	return b
}

// agree notes where local header and directory disagree: readers that stream
// believe the one, the others the other.
func (z *zipReader) agree(h zipHead, local []byte, streamed bool) error {
	n := int(le.Uint16(local[26:]))
	if name := string(local[localLen : localLen+n]); name != h.name {
		z.odd("member %s is %s in the directory", quote(name), quote(h.name))
	}
	c := h.central
	same := func(what string, l, r int) {
		if !bytes.Equal(local[l:l+2], c[r:r+2]) {
			z.odd("member %s: its header and the directory disagree on its %s", quote(h.name), what)
		}
	}
	same("flags", 6, 8)
	same("method", 8, 10)
	same("time", 10, 12)
	same("date", 12, 14)
	fields, err := extras(local[localLen+n:])
	if err != nil {
		return err
	}
	csize, usize := int64(le.Uint32(local[18:])), int64(le.Uint32(local[22:]))
	for _, f := range fields {
		if f.id == 1 && len(f.data) == 16 && csize == 0xffffffff && usize == 0xffffffff {
			usize, csize = int64(le.Uint64(f.data)), int64(le.Uint64(f.data[8:]))
		}
	}
	crc := le.Uint32(local[14:])
	zeros := streamed && crc == 0 && csize == 0 && usize == 0
	if !zeros && (crc != h.crc || csize != h.csize || usize != h.usize) {
		z.odd("member %s: its header and the directory disagree on size or checksum", quote(h.name))
	}
	if h.method == 0 && h.csize != h.usize && h.flags&1 == 0 {
		z.odd("member %s is stored, and has two sizes", quote(h.name))
	}
	return nil
}

// behind takes what stands between the last member and the directory.
func (z *zipReader) behind(at int64) error {
	n := z.base + z.dir - at
	switch {
	case n < 0:
		return malformed("its directory overlaps the last member")
	case n == 0:
		return nil
	}
	if len(z.heads) == 0 {
		var err error
		z.out.head, err = z.stretch(at, n)
		return err
	}
	p, err := z.signing(at, n)
	if err != nil {
		return err
	}
	if p == nil {
		z.odd("%d bytes before the directory", n)
		sum, err := sumOf(z.ctx, z.file, at, n)
		if err != nil {
			return err
		}
		p = &part{name: "bytes before the directory", sum: sum, size: n}
	}
	z.out.end = append(z.out.end, *p)
	return nil
}

// Packed reports whether the content of e is compressed in x.
func (x *Index) Packed(e *Entry) bool {
	return x.Format == Zip && zipCentralOf(e).method == 8
}

// zipCentralOf is the line of the directory that the reader has kept.
func zipCentralOf(e *Entry) zipHead {
	tail := e.tail.bytes()
	c := tail[1+int(tail[0]):]
	n := centralLen + int(le.Uint16(c[28:])) + int(le.Uint16(c[30:])) + int(le.Uint16(c[32:]))
	h, _ := centralHead(c[:n]) // was read before
	return h
}

// ErrPacked says that a content is in a form that is not read here.
var ErrPacked = errors.New("not read here")

// Unpacked is the size of the content of e once it is decoded.
func (x *Index) Unpacked(e *Entry) int64 {
	if x.Format != Zip {
		return e.Size
	}
	return zipCentralOf(e).usize
}

// Content reads the content of e, decoded and verified, out of the file that x
// is the index of.
func (x *Index) Content(ctx context.Context, file *io.SectionReader, e *Entry, lim Limits) (io.Reader, error) {
	raw := io.NewSectionReader(file, e.Off, e.Size)
	if x.Format != Zip {
		return raw, nil
	}
	lim = lim.Complete()
	h := zipCentralOf(e)
	if h.flags&1 != 0 || h.method != 0 && h.method != 8 {
		return nil, fmt.Errorf("member %s: method %d, flags %#x: %w", quote(e.Name), h.method, h.flags, ErrPacked)
	}
	if h.usize > lim.Inflate || h.usize > freeRatio && (h.usize-freeRatio)/lim.Ratio > h.csize {
		return nil, fmt.Errorf("member %s: %w", quote(e.Name), bound("%d bytes out of %d", h.usize, h.csize))
	}
	v := &verified{h: h, src: &meterReader{ctx: ctx, r: raw, size: e.Size}}
	v.in = bufio.NewReaderSize(v.src, int(min(64<<10, max(e.Size, 512))))
	v.r = v.in
	if h.method == 8 {
		v.r = flate.NewReader(v.in)
	}
	return v, nil
}

// verified holds a content against its checksum and both of its sizes.
type verified struct {
	h   zipHead
	src *meterReader
	in  *bufio.Reader
	r   io.Reader
	n   int64
	crc uint32
}

func (v *verified) Read(b []byte) (int, error) {
	n, err := v.r.Read(b)
	v.n += int64(n)
	v.crc = crc32.Update(v.crc, crc32.IEEETable, b[:n])
	switch {
	case v.n > v.h.usize:
		return 0, malformed("member %s is larger than %d bytes", quote(v.h.name), v.h.usize)
	case err == nil:
		return n, nil
	case !errors.Is(err, io.EOF):
		if v.src.ctx.Err() != nil {
			return n, v.src.ctx.Err()
		}
		return n, malformed("member %s: %v", quote(v.h.name), err)
	case v.n != v.h.usize || v.crc != v.h.crc:
		return n, malformed("member %s: size or checksum is wrong", quote(v.h.name))
	case v.src.n-int64(v.in.Buffered()) != v.h.csize:
		return n, malformed("member %s: %d bytes behind its compressed content", quote(v.h.name), v.h.csize-v.src.n+int64(v.in.Buffered()))
	}
	return n, io.EOF
}
