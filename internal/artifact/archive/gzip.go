package archive

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/flate"
)

// Flags of a gzip header (RFC 1952, section 2.3.1).
const (
	gzText    = 1 << 0
	gzCRC     = 1 << 1
	gzExtra   = 1 << 2
	gzName    = 1 << 3
	gzComment = 1 << 4
	gzUnknown = 0xe0
)

// gunzip decodes the members of a gzip file one by one, each to its last byte.
type gunzip struct {
	in   *bufio.Reader
	src  *meterReader
	inf  io.ReadCloser
	crc  uint32
	size uint32
	cur  Member
	at   int64 // where the deflate stream begins
}

func newGunzip(src *meterReader) *gunzip {
	return &gunzip{in: bufio.NewReaderSize(src, 64<<10), src: src}
}

// where is how much of the file was consumed.
func (g *gunzip) where() int64 { return g.src.n - int64(g.in.Buffered()) }

func (g *gunzip) next() error {
	head, err := g.in.Peek(2)
	if len(head) == 0 && errors.Is(err, io.EOF) {
		return io.EOF
	}
	if len(head) < 2 || head[0] != 0x1f || head[1] != 0x8b {
		return errTrailing
	}
	g.cur = Member{Off: g.where()}
	if g.cur.Header, err = gzipHeader(g.in); err != nil {
		return err
	}
	g.at, g.crc, g.size = g.where(), 0, 0
	if g.inf == nil {
		g.inf = flate.NewReader(g.in)
		return nil
	}
	return g.inf.(flate.Resetter).Reset(g.in, nil)
}

func (g *gunzip) Read(b []byte) (int, error) {
	n, err := g.inf.Read(b)
	g.crc = crc32.Update(g.crc, crc32.IEEETable, b[:n])
	g.size += uint32(n)
	switch {
	case errors.Is(err, io.EOF):
		if bad := g.trailer(); bad != nil {
			return n, bad
		}
	case errors.Is(err, io.ErrUnexpectedEOF):
		err = malformed("it ends in the middle")
	case err != nil:
		err = malformed("%v", err)
	}
	return n, err
}

// trailer verifies checksum and length behind a member.
func (g *gunzip) trailer() error {
	g.cur.Stored, g.cur.StoredAt = g.where()-g.at, g.at
	tail := make([]byte, 8)
	if _, err := io.ReadFull(g.in, tail); err != nil {
		return malformed("it ends before its checksum")
	}
	if crc := binary.LittleEndian.Uint32(tail); crc != g.crc {
		return malformed("checksum is %08x, want %08x", crc, g.crc)
	}
	if n := binary.LittleEndian.Uint32(tail[4:]); n != g.size {
		return malformed("length is %d, want %d", n, g.size)
	}
	return nil
}

func (g *gunzip) member() Member { return g.cur }

func (g *gunzip) rest() int64 { return g.src.size - g.where() }

// gzipHeader reads a header as it stands.
func gzipHeader(in *bufio.Reader) ([]byte, error) {
	raw := make([]byte, 10)
	if _, err := io.ReadFull(in, raw); err != nil {
		return nil, malformed("it ends in its header")
	}
	if raw[2] != 8 || raw[3]&gzUnknown != 0 {
		return nil, malformed("method %d, flags %#02x", raw[2], raw[3])
	}
	flags := raw[3]
	take := func(n int) error {
		at := len(raw)
		raw = append(raw, make([]byte, n)...)
		if _, err := io.ReadFull(in, raw[at:]); err != nil {
			return malformed("it ends in its header")
		}
		return nil
	}
	text := func() error {
		for n := 0; ; n++ {
			c, err := in.ReadByte()
			if err != nil {
				return malformed("it ends in its header")
			}
			raw = append(raw, c)
			if c == 0 {
				return nil
			}
			if n > 64<<10 {
				return bound("name or comment in a gzip header of more than 64 KiB")
			}
		}
	}
	if flags&gzExtra != 0 {
		if err := take(2); err != nil {
			return nil, err
		}
		if err := take(int(binary.LittleEndian.Uint16(raw[len(raw)-2:]))); err != nil {
			return nil, err
		}
	}
	for _, f := range []byte{gzName, gzComment} {
		if flags&f != 0 {
			if err := text(); err != nil {
				return nil, err
			}
		}
	}
	if flags&gzCRC != 0 {
		sum := uint16(crc32.ChecksumIEEE(raw))
		if err := take(2); err != nil {
			return nil, err
		}
		if binary.LittleEndian.Uint16(raw[len(raw)-2:]) != sum {
			return nil, malformed("checksum of the header")
		}
	}
	return raw, nil
}

// gzHead is a header in its parts.
type gzHead struct {
	flags, hint, system byte
	time                uint32
	extra               []byte
	name, comment       string
}

func parseGzHead(raw []byte) gzHead {
	h := gzHead{flags: raw[3], time: binary.LittleEndian.Uint32(raw[4:]), hint: raw[8], system: raw[9]}
	rest := raw[10:]
	if h.flags&gzExtra != 0 {
		n := int(binary.LittleEndian.Uint16(rest))
		h.extra, rest = rest[2:2+n], rest[2+n:]
	}
	text := func(f byte) string {
		if h.flags&f == 0 {
			return ""
		}
		s, after, _ := bytes.Cut(rest, []byte{0})
		rest = after
		return string(s)
	}
	h.name, h.comment = text(gzName), text(gzComment)
	return h
}

// bytes writes the header again.
func (h gzHead) bytes() []byte {
	raw := []byte{0x1f, 0x8b, 8, h.flags, 0, 0, 0, 0, h.hint, h.system}
	binary.LittleEndian.PutUint32(raw[4:], h.time)
	if h.flags&gzExtra != 0 {
		raw = binary.LittleEndian.AppendUint16(raw, uint16(len(h.extra)))
		raw = append(raw, h.extra...)
	}
	if h.flags&gzName != 0 {
		raw = append(append(raw, h.name...), 0)
	}
	if h.flags&gzComment != 0 {
		raw = append(append(raw, h.comment...), 0)
	}
	if h.flags&gzCRC != 0 {
		raw = binary.LittleEndian.AppendUint16(raw, uint16(crc32.ChecksumIEEE(raw)))
	}
	return raw
}

// GzipHeaders compares two headers. Name, time, system and the hint on the level
// are harmless, where a name is one: gzip -N writes under it. The proof is the
// rebuilt header with them set.
func GzipHeaders(shipped, rebuilt []byte) (all []Delta, proved bool) {
	a, b := parseGzHead(shipped), parseGzHead(rebuilt)
	var d deltas
	name := CauseHeader
	if !plainName(a.name) || !plainName(b.name) {
		name = ""
	}
	d.text("name", quoteSome(a.name), quoteSome(b.name), name)
	d.text("mtime", stamp(fmt.Sprint(a.time)), stamp(fmt.Sprint(b.time)), CauseHeader)
	d.text("system", fmt.Sprint(a.system), fmt.Sprint(b.system), CauseHeader)
	d.text("level hint", fmt.Sprint(a.hint), fmt.Sprint(b.hint), CauseHeader)
	d.text("comment", quoteSome(a.comment), quoteSome(b.comment), "")
	d.text("extra field", fmt.Sprintf("%x", a.extra), fmt.Sprintf("%x", b.extra), "")
	const named = gzName
	d.text("flags", fmt.Sprintf("%#02x", a.flags&^named), fmt.Sprintf("%#02x", b.flags&^named), "")
	b.time, b.system, b.hint = a.time, a.system, a.hint
	if name != "" {
		b.name = a.name
		b.flags = b.flags&^named | a.flags&named
	}
	return d, bytes.Equal(b.bytes(), shipped)
}

func quoteSome(s string) string {
	if s == "" {
		return "none"
	}
	return quote(s)
}

// plainName reports whether a name stays in the directory that it is written to.
func plainName(s string) bool {
	for _, c := range s {
		if c == '/' || c == '\\' || c < ' ' || c == ':' {
			return false
		}
	}
	return s != "." && s != ".."
}
