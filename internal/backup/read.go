package backup

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"

	"vitrine.example/internal/strictjson"
)

// Limits bound an archive. Zero means the default.
type Limits struct {
	Members int64 // files; default 1<<26
	Bytes   int64 // of all files together; default 1 TiB
}

func (l Limits) complete() Limits {
	if l.Members == 0 {
		l.Members = 1 << 26
	}
	if l.Bytes == 0 {
		l.Bytes = 1 << 40
	}
	return l
}

// Read reads an archive to its end. begin is given the header, put each file in
// the order of the archive; put need not read all of it. Where Read fails, nothing
// that put has seen may be used.
//
// The memory it takes does not grow with the archive: of the manifest, which
// comes last, only a running hash is kept. So a name that is there twice is for
// put to notice, by making files that must not exist.
func Read(ctx context.Context, r io.Reader, l Limits, begin func(Header) error, put func(name string, size int64, r io.Reader) error) error {
	raw := bufio.NewReaderSize(r, 256<<10)
	z, err := gzip.NewReader(raw)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrFormat, err)
	}
	z.Multistream(false) // one way to write it
	p := &parser{ctx: ctx, zip: z, tar: tar.NewReader(z), left: l.complete(), lines: sha256.New(), begin: begin, put: put}
	if err := p.run(); err != nil {
		return err
	}
	return p.end(raw)
}

// parser is a Read under way.
type parser struct {
	ctx   context.Context
	zip   *gzip.Reader
	tar   *tar.Reader
	left  Limits
	lines hash.Hash // of the manifest as it must be
	size  int64     // of it
	begin func(Header) error
	put   func(string, int64, io.Reader) error
}

func (p *parser) run() error {
	for first := true; ; first = false {
		h, err := p.next()
		switch {
		case err != nil:
			return err
		case first != (h.Name == headerName):
			return fmt.Errorf("%w: its first file is not %s, or there are two", ErrFormat, headerName)
		case h.Name == manifestName:
			return p.manifest(h)
		}
		if err := p.member(h, first); err != nil {
			return err
		}
	}
}

// next reads the header of a member: a regular file within bounds.
func (p *parser) next() (*tar.Header, error) {
	if err := p.ctx.Err(); err != nil {
		return nil, err
	}
	h, err := p.tar.Next()
	if errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: it ends without a manifest", ErrFormat)
	} else if err != nil {
		return nil, damaged(err)
	}
	if err := checkName(h.Name); err != nil {
		return nil, err
	}
	if h.Typeflag != tar.TypeReg || h.Linkname != "" {
		return nil, fmt.Errorf("%w: %q is not a regular file", ErrFormat, h.Name)
	}
	if p.left.Members--; p.left.Members < 0 {
		return nil, fmt.Errorf("%w: it has too many files", ErrTooLarge)
	}
	if h.Size < 0 || h.Size > p.left.Bytes {
		return nil, fmt.Errorf("%w: with %q", ErrTooLarge, h.Name)
	}
	p.left.Bytes -= h.Size
	return h, nil
}

// damaged says that reading compressed data went wrong, but not for our reasons.
func damaged(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrFormat, err)
}

// blaming says of errors of reading that the archive is damaged, so that they can be
// told from those of writing.
type blaming struct{ r io.Reader }

func (b *blaming) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = damaged(err)
	}
	return n, err
}

// member hands a file on and notes what the manifest must say of it.
func (p *parser) member(h *tar.Header, first bool) error {
	sum := sha256.New()
	data := &bound{p.ctx, io.TeeReader(&blaming{p.tar}, sum)}
	var err error
	if first {
		err = p.header(h, data)
	} else {
		err = p.put(h.Name, h.Size, data)
	}
	if err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, data); err != nil {
		return err
	}
	text := line(sum.Sum(nil), h.Size, h.Name)
	p.size += int64(len(text))
	_, err = io.WriteString(p.lines, text)
	return err
}

func (p *parser) header(h *tar.Header, r io.Reader) error {
	if h.Size > maxHeader {
		return fmt.Errorf("%w: a header of %d bytes", ErrFormat, h.Size)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	text, ok := strings.CutPrefix(string(b), Format+"\n")
	if !ok {
		return fmt.Errorf("%w: it does not begin with %s: a newer program may have made it", ErrFormat, Format)
	}
	var out Header
	if err := strictjson.Unmarshal([]byte(text), &out, strictjson.Limits{}); err != nil {
		return fmt.Errorf("%w: header: %w", ErrFormat, err)
	}
	if again, err := json.Marshal(out); err != nil || string(again)+"\n" != text {
		return fmt.Errorf("%w: the header is not as this program writes it", ErrFormat)
	}
	return p.begin(out)
}

// manifest compares the last member with what was read.
func (p *parser) manifest(h *tar.Header) error {
	if h.Size != p.size {
		return fmt.Errorf("%w: the manifest has %d bytes, and the files want %d", ErrFormat, h.Size, p.size)
	}
	got := sha256.New()
	if _, err := io.Copy(got, &bound{p.ctx, p.tar}); err != nil {
		return damaged(err)
	}
	if !bytes.Equal(got.Sum(nil), p.lines.Sum(nil)) {
		return fmt.Errorf("%w: a file is not what the manifest says: the archive was damaged", ErrFormat)
	}
	return nil
}

// end makes sure that nothing follows the manifest: tar's two blocks of zeros,
// the checksum of gzip, and the end of the file.
func (p *parser) end(raw *bufio.Reader) error {
	if _, err := p.tar.Next(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: something follows the manifest", ErrFormat)
	}
	// Reads to the end, by which gzip checks its checksum.
	if n, err := io.Copy(io.Discard, io.LimitReader(p.zip, 1)); err != nil {
		return damaged(err)
	} else if n > 0 {
		return fmt.Errorf("%w: something follows the archive", ErrFormat)
	}
	if _, err := raw.ReadByte(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: something follows the archive", ErrFormat)
	}
	return nil
}
