package archive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"strconv"
	"strings"
)

// A header of the new ASCII format (cpio(5)): a magic and thirteen numbers of
// eight hexadecimal digits.
const (
	cpioHead = 110
	cpioEnd  = "TRAILER!!!"
)

// The numbers of a header.
const (
	cpioIno = iota
	cpioMode
	cpioUID
	cpioGID
	cpioLinks
	cpioTime
	cpioSize
	cpioDevMajor
	cpioDevMinor
	cpioRdevMajor
	cpioRdevMinor
	cpioName
	cpioCheck
)

// IsCpio reports whether a stream begins as a cpio of the new ASCII format.
func IsCpio(head []byte) bool {
	return bytes.HasPrefix(head, []byte("070701")) || bytes.HasPrefix(head, []byte("070702"))
}

// cpioReader is a reading under way.
type cpioReader struct {
	ctx   context.Context
	r     io.Reader
	at    int64
	lim   Limits
	hash  hash.Hash
	visit Visit
	out   *Index
}

// ReadCpio reads a cpio to the end of r.
func ReadCpio(ctx context.Context, r io.Reader, lim Limits, visit Visit) (*Index, error) {
	c := &cpioReader{ctx: ctx, r: r, lim: lim.Complete(), hash: sha256.New(), visit: visit, out: &Index{Format: Cpio, form: cpioForm{}}}
	for {
		done, err := c.next()
		if err != nil {
			return nil, fmt.Errorf("cpio: at offset %d: %w", c.at, err)
		}
		if done {
			return c.out, nil
		}
	}
}

func (c *cpioReader) take(n int64) ([]byte, error) {
	b := make([]byte, n)
	got, err := io.ReadFull(c.r, b)
	c.at += int64(got)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = malformed("it ends in the middle")
	}
	return b, err
}

func pad4(n int64) int64 { return (4 - n%4) % 4 }

func (c *cpioReader) next() (done bool, err error) {
	if err := c.ctx.Err(); err != nil {
		return false, err
	}
	frame, err := c.take(cpioHead)
	if err != nil {
		return false, err
	}
	n, err := cpioNumbers(frame)
	if err != nil {
		return false, err
	}
	size := n[cpioName] + pad4(cpioHead+n[cpioName])
	if n[cpioName] < 1 || size > int64(c.lim.Frame) {
		return false, malformed("a name of %d bytes", n[cpioName])
	}
	name, err := c.take(size)
	if err != nil {
		return false, err
	}
	frame = append(frame, name...)
	if name[n[cpioName]-1] != 0 || bytes.IndexByte(name, 0) != int(n[cpioName]-1) || !zero(name[n[cpioName]:]) {
		return false, malformed("a name that does not end where its header says")
	}
	e := Entry{Name: string(name[:n[cpioName]-1]), Kind: cpioKind(n[cpioMode]), Off: c.at, Size: n[cpioSize], frame: pack(frame)}
	if e.Name == cpioEnd {
		return true, c.end(e, frame)
	}
	if len(c.out.Entries) >= c.lim.Members {
		return false, bound("more than %d members", c.lim.Members)
	}
	e.Exec = e.Kind == File && n[cpioMode]&0o111 != 0
	if err := c.content(&e); err != nil {
		return false, err
	}
	c.out.Entries = append(c.out.Entries, e)
	return false, nil
}

func cpioNumbers(frame []byte) (n [13]int64, err error) {
	if !IsCpio(frame) {
		return n, malformed("no header of a member")
	}
	for i := range n {
		v, err := strconv.ParseUint(string(frame[6+8*i:14+8*i]), 16, 32)
		if err != nil {
			return n, malformed("number %d of a header", i)
		}
		n[i] = int64(v)
	}
	return n, nil
}

func cpioKind(mode int64) Kind {
	switch mode & 0o170000 {
	case 0o100000:
		return File
	case 0o040000:
		return Directory
	case 0o120000:
		return Symlink
	case 0o020000:
		return CharDev
	case 0o060000:
		return BlockDev
	case 0o010000:
		return Fifo
	case 0o140000:
		return Socket
	}
	return Other
}

func (c *cpioReader) content(e *Entry) error {
	c.hash.Reset()
	at := c.at
	r := &counted{r: io.LimitReader(c.r, e.Size), n: &c.at, ctx: c.ctx}
	if c.visit != nil {
		if err := c.visit(e, io.TeeReader(r, c.hash)); err != nil {
			return err
		}
	}
	if _, err := io.CopyBuffer(onlyWriter{c.hash}, onlyReader{r}, make([]byte, min(64<<10, max(1, e.Size)))); err != nil {
		return err
	}
	if c.at-at != e.Size {
		return malformed("it ends in the middle of %s", quote(e.Name))
	}
	e.Sum = [32]byte(c.hash.Sum(nil))
	pad, err := c.take(pad4(e.Size))
	if err != nil {
		return err
	}
	if !zero(pad) {
		c.out.Odd = append(c.out.Odd, "bytes in the padding of "+quote(e.Name))
	}
	e.tail = pack(pad)
	return nil
}

// end reads what follows the trailer: zeros, or it is hidden.
func (c *cpioReader) end(e Entry, frame []byte) error {
	h := sha256.New()
	h.Write(frame)
	n, plain := int64(len(frame)), e.Size == 0
	buf := make([]byte, 4096)
	for {
		k, err := c.r.Read(buf)
		c.at += int64(k)
		n += int64(k)
		h.Write(buf[:k])
		plain = plain && zero(buf[:k])
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
		if err := c.ctx.Err(); err != nil {
			return err
		}
	}
	if !plain {
		c.out.Odd = append(c.out.Odd, "bytes behind the end of the cpio")
	}
	c.out.end = append(c.out.end, part{name: "end of the cpio", sum: [32]byte(h.Sum(nil)), size: n})
	return nil
}

// cpioForm knows which fields of a cpio may be set.
type cpioForm struct{}

func (cpioForm) compare(a, b *Entry) ([]Delta, error) {
	x, err := cpioNumbers(a.frame.bytes())
	if err != nil {
		return nil, err
	}
	y, err := cpioNumbers(b.frame.bytes())
	if err != nil {
		return nil, err
	}
	of := func(n [13]int64, fields ...int) string {
		var out []string
		for _, f := range fields {
			out = append(out, fmt.Sprint(n[f]))
		}
		return strings.Join(out, "/")
	}
	var d deltas
	d.text("type", string(cpioKind(x[cpioMode])), string(cpioKind(y[cpioMode])), "")
	d.mode(x[cpioMode]&0o7777, y[cpioMode]&0o7777)
	d.text("owner", of(x, cpioUID, cpioGID), of(y, cpioUID, cpioGID), CauseOwner)
	d.text("links", of(x, cpioLinks), of(y, cpioLinks), "")
	d.text("mtime", stamp(of(x, cpioTime)), stamp(of(y, cpioTime)), CauseTime)
	d.text("size", of(x, cpioSize), of(y, cpioSize), causeContent)
	inode := CauseInode
	if x[cpioLinks] > 1 || y[cpioLinks] > 1 {
		inode = "" // the number says which members are one file
	}
	d.text("inode", of(x, cpioIno, cpioDevMajor, cpioDevMinor), of(y, cpioIno, cpioDevMajor, cpioDevMinor), inode)
	d.text("device", of(x, cpioRdevMajor, cpioRdevMinor), of(y, cpioRdevMajor, cpioRdevMinor), "")
	d.text("checksum", of(x, cpioCheck), of(y, cpioCheck), "")
	return d, nil
}

// patch copies times, owners, numbers of inodes, and what the content decides.
func (cpioForm) patch(a, b *Entry, set map[Cause]bool) (frame, tail []byte, err error) {
	x, out := a.frame.bytes(), bytes.Clone(b.frame.bytes())
	take := func(fields ...int) {
		for _, f := range fields {
			copy(out[6+8*f:14+8*f], x[6+8*f:])
		}
	}
	if set[CauseTime] {
		take(cpioTime)
	}
	if set[CauseOwner] {
		take(cpioUID, cpioGID)
	}
	if set[CauseInode] {
		take(cpioIno, cpioDevMajor, cpioDevMinor)
	}
	if set[CauseUmask] {
		take(cpioMode) // compare allowed no other bit
	}
	tail = b.tail.bytes()
	if set[causeContent] {
		take(cpioSize)
		tail = make([]byte, pad4(a.Size))
	}
	return out, tail, nil
}
