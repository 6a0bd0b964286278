package archive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Signatures and sizes (APPNOTE.TXT 6.3.10, section 4.3).
const (
	zipLocal     = "PK\x03\x04"
	zipCentral   = "PK\x01\x02"
	zipEnd       = "PK\x05\x06"
	zip64End     = "PK\x06\x06"
	zip64Locator = "PK\x06\x07"
	zipDescr     = "PK\x07\x08"

	localLen   = 30
	centralLen = 46
	endLen     = 22
	locatorLen = 20
	end64Len   = 56
)

var le = binary.LittleEndian

// zipReader is a reading under way.
type zipReader struct {
	ctx   context.Context
	file  *io.SectionReader
	lim   Limits
	out   *Index
	end   int64 // where the end record, or the 64-bit one, begins
	dir   int64 // where the directory begins
	size  int64 // of the directory
	count int64
	base  int64 // what stands before the archive that its offsets do not count
	heads []zipHead
}

// zipHead is a line of the directory with its place.
type zipHead struct {
	central []byte
	name    string
	off     int64
	csize   int64
	usize   int64
	flags   uint16
	method  uint16
	crc     uint32
	line    int // in the directory
}

// ReadZip reads a zip: the directory, and every local header against it.
func ReadZip(ctx context.Context, file *io.SectionReader, lim Limits) (*Index, error) {
	z := &zipReader{ctx: ctx, file: file, lim: lim.Complete(), out: &Index{Format: Zip, form: zipForm{}}}
	for _, step := range []func() error{z.findEnd, z.directory, z.members} {
		if err := step(); err != nil {
			return nil, fmt.Errorf("zip: %w", err)
		}
	}
	return z.out, nil
}

func (z *zipReader) odd(format string, args ...any) {
	if s := fmt.Sprintf(format, args...); len(z.out.Odd) < 32 && !slices.Contains(z.out.Odd, s) {
		z.out.Odd = append(z.out.Odd, s)
	}
}

// endAt finds the end record whose comment reaches to the end of the file.
func endAt(file *io.SectionReader) (at int64, raw []byte, err error) {
	n := min(file.Size(), endLen+0xffff)
	tail, err := readAt(file, file.Size()-n, int(n))
	if err != nil {
		return 0, nil, err
	}
	for i := len(tail) - endLen; i >= 0; i-- {
		if string(tail[i:i+4]) == zipEnd && int(le.Uint16(tail[i+20:])) == len(tail)-i-endLen {
			return file.Size() - int64(len(tail)-i), tail[i:], nil
		}
	}
	return 0, nil, malformed("it has no end record, or other bytes follow it")
}

// IsZip reports whether file ends as a zip does.
func IsZip(file *io.SectionReader) bool {
	if file.Size() < endLen {
		return false
	}
	_, _, err := endAt(file)
	return err == nil
}

func (z *zipReader) findEnd() error {
	at, raw, err := endAt(z.file)
	if err != nil {
		return err
	}
	if bytes.LastIndex(raw, []byte(zipEnd)) > 0 {
		z.odd("another end record in the comment")
	}
	if le.Uint32(raw[4:]) != 0 || le.Uint16(raw[8:]) != le.Uint16(raw[10:]) {
		return malformed("it has several disks")
	}
	z.end, z.count = at, int64(le.Uint16(raw[10:]))
	z.size, z.dir = int64(le.Uint32(raw[12:])), int64(le.Uint32(raw[16:]))
	if err := z.wide(at); err != nil {
		return err
	}
	if comment := raw[endLen:]; len(comment) > 0 {
		z.out.end = append(z.out.end, part{name: "zip comment", note: quote(string(comment)), sum: sha256.Sum256(comment), size: int64(len(comment))})
	}
	z.base = z.end - z.size - z.dir
	if z.size < 0 || z.dir < 0 || z.base < 0 || z.size > z.end {
		return malformed("its directory lies outside of it")
	}
	if z.base > 0 {
		z.odd("offsets do not count %d bytes before the archive", z.base)
	}
	return nil
}

// wide reads the 64-bit end record, where there is one.
func (z *zipReader) wide(at int64) error {
	loc, err := readAt(z.file, at-locatorLen, locatorLen)
	if at < locatorLen || err != nil || string(loc[:4]) != zip64Locator {
		if z.count == 0xffff || z.size == 0xffffffff || z.dir == 0xffffffff {
			z.odd("a 64-bit end record is announced and not there")
		}
		return nil
	}
	// A record with an extensible data sector is longer; nobody writes one.
	raw, err := readAt(z.file, at-locatorLen-end64Len, end64Len)
	if err != nil || string(raw[:4]) != zip64End || le.Uint64(raw[4:]) != end64Len-12 || le.Uint64(loc[8:]) != uint64(at-locatorLen-end64Len) {
		return malformed("its 64-bit end record")
	}
	if le.Uint32(loc[4:]) != 0 || le.Uint32(loc[16:]) != 1 || le.Uint64(raw[16:]) != 0 || le.Uint64(raw[24:]) != le.Uint64(raw[32:]) {
		return malformed("it has several disks")
	}
	for _, v := range []struct {
		narrow int64
		max    int64
		wide   uint64
	}{{z.count, 0xffff, le.Uint64(raw[32:])}, {z.size, 0xffffffff, le.Uint64(raw[40:])}, {z.dir, 0xffffffff, le.Uint64(raw[48:])}} {
		if v.wide > 1<<60 || v.narrow != v.max && v.narrow != int64(v.wide) {
			return malformed("its two end records disagree")
		}
		z.out.end = append(z.out.end, part{name: fmt.Sprintf("64-bit end record, field %d", len(z.out.end)), size: b2i(v.narrow == v.max)})
	}
	z.count, z.size, z.dir = int64(le.Uint64(raw[32:])), int64(le.Uint64(raw[40:])), int64(le.Uint64(raw[48:]))
	z.end = at - locatorLen - end64Len
	z.out.end = append(z.out.end, part{name: "64-bit end record", sum: sha256.Sum256(raw[12:16]), size: end64Len})
	return nil
}

func b2i(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// directory reads every line of the directory, in its order.
func (z *zipReader) directory() error {
	if z.count > int64(z.lim.Members) {
		return bound("%d members, at most %d", z.count, z.lim.Members)
	}
	if z.size < z.count*centralLen {
		return malformed("its directory of %d bytes has no room for %d members", z.size, z.count)
	}
	at, stop := z.base+z.dir, z.base+z.dir+z.size
	r := newWindow(z.file, at, stop)
	for i := range z.count {
		head, err := r.take(centralLen)
		if err != nil || string(head[:4]) != zipCentral {
			return malformed("line %d of its directory", i+1)
		}
		rest, err := r.take(int(le.Uint16(head[28:])) + int(le.Uint16(head[30:])) + int(le.Uint16(head[32:])))
		if err != nil {
			return malformed("line %d of its directory", i+1)
		}
		h, err := centralHead(append(head, rest...))
		if err != nil {
			return err
		}
		h.line = int(i)
		z.heads = append(z.heads, h)
	}
	if r.left() != 0 {
		return malformed("%d bytes behind its directory", r.left())
	}
	return nil
}

// centralHead reads a line of the directory.
func centralHead(raw []byte) (zipHead, error) {
	n := int(le.Uint16(raw[28:]))
	h := zipHead{
		central: raw, name: string(raw[centralLen : centralLen+n]),
		flags: le.Uint16(raw[8:]), method: le.Uint16(raw[10:]), crc: le.Uint32(raw[16:]),
		csize: int64(le.Uint32(raw[20:])), usize: int64(le.Uint32(raw[24:])), off: int64(le.Uint32(raw[42:])),
	}
	extra := raw[centralLen+n : centralLen+n+int(le.Uint16(raw[30:]))]
	if le.Uint16(raw[34:]) != 0 {
		return h, malformed("%s lies on another disk", quote(h.name))
	}
	fields, err := extras(extra)
	if err != nil {
		return h, fmt.Errorf("%s: %w", quote(h.name), err)
	}
	for _, f := range fields {
		if f.id != 1 {
			continue
		}
		// Section 4.5.3: only those fields that are all ones, in this order.
		rest := f.data
		for _, v := range []*int64{&h.usize, &h.csize, &h.off} {
			if *v == 0xffffffff && len(rest) >= 8 {
				*v, rest = int64(le.Uint64(rest)), rest[8:]
			}
		}
		if len(rest) > 0 || h.usize < 0 || h.csize < 0 || h.off < 0 {
			return h, malformed("%s: 64-bit sizes", quote(h.name))
		}
	}
	return h, nil
}

// extraField is one of the fields of a member beyond the fixed ones.
type extraField struct {
	id   uint16
	data []byte
}

// extras cuts the extra fields. Fewer than four bytes at the end are padding,
// which Android's zipalign writes.
func extras(b []byte) (all []extraField, err error) {
	for len(b) >= 4 {
		n := int(le.Uint16(b[2:]))
		if n > len(b)-4 {
			if zero(b) {
				break
			}
			return nil, malformed("an extra field longer than all of them")
		}
		all = append(all, extraField{le.Uint16(b), b[4 : 4+n]})
		b = b[4+n:]
	}
	if len(b) > 0 {
		all = append(all, extraField{0, b})
	}
	return all, nil
}

// window reads a stretch of a file in steps.
type window struct {
	r    io.Reader
	n    int64
	size int64
}

func newWindow(file *io.SectionReader, from, to int64) *window {
	return &window{r: bufferedSection(file, from, to-from), size: to - from}
}

func (w *window) take(n int) ([]byte, error) {
	if int64(n) > w.size-w.n {
		return nil, malformed("it ends in the middle")
	}
	b := make([]byte, n, n+64)
	got, err := io.ReadFull(w.r, b)
	w.n += int64(got)
	return b, err
}

func (w *window) left() int64 { return w.size - w.n }

// isSymlink reports what the mode in a directory line says.
func zipKind(central []byte, name string) (Kind, int64) {
	if central[5] != 3 && central[5] != 19 { // made on Unix or macOS
		if strings.HasSuffix(name, "/") {
			return Directory, 0
		}
		return File, 0
	}
	mode := int64(le.Uint32(central[38:]) >> 16)
	perm := mode & 0o7777
	switch mode & 0o170000 {
	case 0o120000:
		return Symlink, perm
	case 0o040000:
		return Directory, perm
	case 0o020000:
		return CharDev, perm
	case 0o060000:
		return BlockDev, perm
	case 0o010000:
		return Fifo, perm
	case 0o140000:
		return Socket, perm
	}
	if strings.HasSuffix(name, "/") {
		return Directory, perm
	}
	return File, perm
}
