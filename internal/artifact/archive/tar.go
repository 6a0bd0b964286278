package archive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"strconv"
	"strings"
)

// Offsets in a header (POSIX.1-2017 pax, "ustar Interchange Format").
const (
	tarBlock  = 512
	tarSumAt  = 148
	tarTypeAt = 156
	sparseExt = 482 // GNU: another block of the map follows
	moreExt   = 504 // the same in such a block
)

// tarField is where a field stands.
type tarField struct{ at, end int }

var (
	tarName   = tarField{0, 100}
	tarMode   = tarField{100, 108}
	tarUID    = tarField{108, 116}
	tarGID    = tarField{116, 124}
	tarSize   = tarField{124, 136}
	tarTime   = tarField{136, 148}
	tarSum    = tarField{148, 156}
	tarLink   = tarField{157, 257}
	tarMagic  = tarField{257, 265}
	tarUser   = tarField{265, 297}
	tarGroup  = tarField{297, 329}
	tarDev    = tarField{329, 345}
	tarPrefix = tarField{345, 500}
)

func (f tarField) of(block []byte) []byte { return block[f.at:f.end] }

// text is a field up to its first NUL.
func (f tarField) text(block []byte) string {
	s, _, _ := bytes.Cut(f.of(block), []byte{0})
	return string(s)
}

// number reads octal digits, or base 256 where the first bit is set (GNU).
func (f tarField) number(block []byte) (int64, error) {
	raw := f.of(block)
	if raw[0]&0x80 != 0 {
		return base256(raw)
	}
	s := strings.Trim(string(raw), " \x00")
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(s, 8, 63)
	if err != nil {
		return 0, malformed("tar header: %q is not an octal number", s)
	}
	return int64(n), nil
}

func base256(raw []byte) (int64, error) {
	n := int64(raw[0] & 0x3f)
	if raw[0]&0x40 != 0 { // negative: two's complement
		n |= ^int64(0x3f)
	}
	for _, c := range raw[1:] {
		if n > 1<<54 || n < -(1<<54) {
			return 0, malformed("tar header: number is too large")
		}
		n = n<<8 | int64(c)
	}
	return n, nil
}

// checkTar verifies the checksum of a header.
func checkTar(block []byte) error {
	want, err := tarSum.number(block)
	if err != nil {
		return err
	}
	var sum int64
	for i, c := range block {
		if i >= tarSum.at && i < tarSum.end {
			c = ' '
		}
		sum += int64(c)
	}
	if sum != want {
		return malformed("tar header: checksum is %d, want %d", want, sum)
	}
	return nil
}

// IsTar reports whether a header of tar stands at the head of a stream.
func IsTar(head []byte) bool {
	if len(head) < tarBlock || zero(head[:tarBlock]) {
		return false
	}
	return checkTar(head[:tarBlock]) == nil
}

func zero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// tarReader is a reading under way.
type tarReader struct {
	ctx   context.Context
	r     io.Reader
	lim   Limits
	at    int64
	out   *Index
	hash  hash.Hash
	buf   []byte
	visit Visit
	// pending are the blocks of extended headers that belong to the next member.
	pending []byte
	pax     map[string]string
	long    map[byte]string
}

// Visit is given the content of each member while it is read; it may read all
// of it or none.
type Visit func(e *Entry, r io.Reader) error

// ReadTar reads a tar to the end of r.
func ReadTar(ctx context.Context, r io.Reader, lim Limits, visit Visit) (*Index, error) {
	t := newTarReader(ctx, r, lim, visit)
	t.hash = sha256.New()
	return t.all()
}

// ReadTarAgain reads a tar that was read before, for its contents: no member of
// what it returns has a digest.
func ReadTarAgain(ctx context.Context, r io.Reader, lim Limits, visit Visit) (*Index, error) {
	return newTarReader(ctx, r, lim, visit).all()
}

func newTarReader(ctx context.Context, r io.Reader, lim Limits, visit Visit) *tarReader {
	return &tarReader{
		ctx: ctx, r: r, lim: lim.Complete(), buf: make([]byte, 64<<10), visit: visit,
		out: &Index{Format: Tar, form: tarForm{}}, pax: map[string]string{}, long: map[byte]string{},
	}
}

func (t *tarReader) all() (*Index, error) {
	for {
		done, err := t.next()
		if err != nil {
			return nil, fmt.Errorf("tar: at offset %d: %w", t.at, err)
		}
		if done {
			return t.out, nil
		}
	}
}

func (t *tarReader) odd(format string, args ...any) {
	if s := fmt.Sprintf(format, args...); len(t.out.Odd) < 32 && !slices.Contains(t.out.Odd, s) {
		t.out.Odd = append(t.out.Odd, s)
	}
}

// full reads exactly len(b) bytes.
func (t *tarReader) full(b []byte) error {
	n, err := io.ReadFull(t.r, b)
	t.at += int64(n)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return malformed("it ends in the middle")
	}
	return err
}

func (t *tarReader) next() (done bool, err error) {
	if err := t.ctx.Err(); err != nil {
		return false, err
	}
	block := make([]byte, tarBlock)
	n, err := io.ReadFull(t.r, block)
	t.at += int64(n)
	switch {
	case errors.Is(err, io.EOF) && len(t.pending) == 0:
		return true, nil // a segment without an end, as in Alpine's packages
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return false, malformed("it ends in the middle")
	case err != nil:
		return false, err
	case zero(block):
		return true, t.end()
	}
	if err := checkTar(block); err != nil {
		return false, err
	}
	switch block[tarTypeAt] {
	case 'x', 'L', 'K':
		return false, t.extended(block)
	}
	return false, t.member(block)
}

// extended reads a header that describes the next member.
func (t *tarReader) extended(block []byte) error {
	size, err := tarSize.number(block)
	if err != nil {
		return err
	}
	room := int64(t.lim.Frame - len(t.pending) - 2*tarBlock)
	if size < 0 || size > room {
		return bound("extended header of %d bytes", size)
	}
	data := make([]byte, padded(size))
	if err := t.full(data); err != nil {
		return err
	}
	if !zero(data[size:]) {
		t.odd("bytes in the padding of an extended header")
	}
	t.pending = append(append(t.pending, block...), data...)
	kind := block[tarTypeAt]
	if kind != 'x' {
		if _, twice := t.long[kind]; twice {
			t.odd("two long names for one member")
		}
		s, _, _ := bytes.Cut(data[:size], []byte{0})
		t.long[kind] = string(s)
		return nil
	}
	records, err := paxRecords(data[:size])
	if err != nil {
		return err
	}
	for _, r := range records {
		if _, twice := t.pax[r.key]; twice {
			t.odd("two values of %q for one member", r.key)
		}
		t.pax[r.key] = r.value
	}
	return nil
}

func padded(n int64) int64 { return (n + tarBlock - 1) / tarBlock * tarBlock }

// member reads a header and the content behind it.
func (t *tarReader) member(block []byte) error {
	if len(t.out.Entries) >= t.lim.Members {
		return bound("more than %d members", t.lim.Members)
	}
	frame := append(t.pending, block...)
	frame, err := t.sparseMap(frame)
	if err != nil {
		return err
	}
	h, err := parseTar(frame)
	if err != nil {
		return err
	}
	t.odds(h)
	e := Entry{Name: h.name, Kind: h.kind, Exec: h.mode&0o111 != 0 && h.kind == File, Off: t.at, Size: h.size, frame: pack(frame)}
	t.pending, t.pax, t.long = nil, map[string]string{}, map[byte]string{}
	if e.Sum, err = t.content(&e); err != nil {
		return err
	}
	pad := make([]byte, padded(e.Size)-e.Size)
	if err := t.full(pad); err != nil {
		return err
	}
	if !zero(pad) {
		e.tail = pack(pad) // hidden bytes: kept, and so compared
		t.odd("bytes in the padding of %s", quote(e.Name))
	}
	t.out.Entries = append(t.out.Entries, e)
	return nil
}

// sparseMap reads the blocks that follow a header of type S, or of type g.
func (t *tarReader) sparseMap(frame []byte) ([]byte, error) {
	last := frame[len(frame)-tarBlock:]
	if last[tarTypeAt] == 'g' {
		size, err := tarSize.number(last)
		if err == nil && (size < 0 || size > int64(t.lim.Frame)) {
			err = bound("global extended header of %d bytes", size)
		}
		if err != nil {
			return nil, err
		}
		data := make([]byte, padded(size))
		err = t.full(data)
		return append(frame, data...), err
	}
	if last[tarTypeAt] != 'S' || last[sparseExt] == 0 {
		return frame, nil
	}
	for more := true; more; {
		if len(frame) > t.lim.Frame {
			return nil, bound("map of a sparse file of more than %d bytes", t.lim.Frame)
		}
		block := make([]byte, tarBlock)
		if err := t.full(block); err != nil {
			return nil, err
		}
		frame = append(frame, block...)
		more = block[moreExt] != 0
	}
	return frame, nil
}

// odds notes what readers disagree on.
func (t *tarReader) odds(h *tarHead) {
	if h.claimed != 0 && h.size == 0 && h.kind != Global {
		t.odd("%s %s claims %d bytes of content", h.kind, quote(h.name), h.claimed)
	}
	if h.kind == Other {
		t.odd("member %s of unknown type %q", quote(h.name), h.flag)
	}
	if h.kind == Global {
		// Git writes the commit as a comment; any other key changes later members.
		for _, r := range h.records {
			if r.key != "comment" {
				t.odd("a global extended header that sets %q", r.key)
			}
		}
	}
	if h.kind == Sparse {
		t.odd("sparse file %s", quote(h.name))
	}
	if _, long := t.long['L']; long && t.pax["path"] != "" {
		t.odd("two names for one member")
	}
	if strings.ContainsRune(h.name, 0) || strings.ContainsRune(h.link, 0) {
		t.odd("a name with a NUL")
	}
}

func (t *tarReader) content(e *Entry) (sum [32]byte, err error) {
	r := &counted{r: io.LimitReader(t.r, e.Size), n: &t.at, ctx: t.ctx}
	body, to := io.Reader(r), io.Discard
	if t.hash != nil {
		t.hash.Reset()
		body, to = io.TeeReader(r, t.hash), t.hash
	}
	left := e.Size
	if t.visit != nil {
		at := t.at
		if err := t.visit(e, body); err != nil {
			return sum, err
		}
		left -= t.at - at
	}
	n, err := io.CopyBuffer(onlyWriter{to}, onlyReader{r}, t.buf)
	if err == nil && n != left {
		err = malformed("it ends in the middle of %s", quote(e.Name))
	}
	if t.hash != nil {
		sum = [32]byte(t.hash.Sum(nil))
	}
	return sum, err
}

// end reads what follows the first block of zeros.
func (t *tarReader) end() error {
	if len(t.pending) > 0 {
		return malformed("it ends after an extended header")
	}
	zeros := int64(tarBlock)
	for {
		n, err := io.ReadFull(t.r, t.buf)
		t.at += int64(n)
		got := t.buf[:n]
		if !zero(got) {
			return t.trailing(zeros, got)
		}
		zeros += int64(n)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		} else if err != nil {
			return err
		}
		if err := t.ctx.Err(); err != nil {
			return err
		}
	}
	p := part{name: "zeros at the end", size: zeros}
	if zeros >= 2*tarBlock { // one block alone is not an end everywhere
		p.harmless = CausePadding
	}
	t.out.end = append(t.out.end, p)
	return nil
}

// trailing takes bytes behind the end, which some readers go on with.
func (t *tarReader) trailing(zeros int64, got []byte) error {
	h := sha256.New()
	h.Write(got)
	n, err := io.CopyBuffer(onlyWriter{h}, onlyReader{&counted{r: t.r, n: &t.at, ctx: t.ctx}}, t.buf)
	if err != nil {
		return err
	}
	t.odd("%d bytes behind the end of the tar", int64(len(got))+n)
	t.out.end = append(t.out.end,
		part{name: "zeros at the end", size: zeros},
		part{name: "bytes behind the end", size: int64(len(got)) + n, sum: [32]byte(h.Sum(nil))})
	return nil
}

// counted counts what is read, and ends with its context.
type counted struct {
	r   io.Reader
	n   *int64
	ctx context.Context
}

func (c *counted) Read(b []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := c.r.Read(b)
	*c.n += int64(n)
	return n, err
}

// onlyReader and onlyWriter hide other methods, so that io.CopyBuffer uses its buffer.
type (
	onlyReader struct{ io.Reader }
	onlyWriter struct{ io.Writer }
)

func quote(s string) string {
	if len(s) > 200 {
		s = s[:200] + "…"
	}
	return strconv.Quote(s)
}
