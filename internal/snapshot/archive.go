package snapshot

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
)

// archive is a tar file, perhaps under gzip.
type archive struct {
	path string
	size int64
	lim  Limits
}

func openArchive(path string, lim Limits) (*archive, error) {
	f, err := OpenFile(path)
	if err != nil {
		return nil, fmt.Errorf("source: %w", err)
	}
	a := &archive{path: path, size: f.Identity().Size, lim: lim}
	if err := f.Close(); err != nil {
		return nil, err
	}
	if a.size > lim.Bytes {
		return nil, fmt.Errorf("source %q has %d bytes, of at most %d: %w", path, a.size, lim.Bytes, ErrTooLarge)
	}
	return a, nil
}

func (a *archive) Kind() Kind     { return Archive }
func (a *archive) Commit() string { return "" }
func (a *archive) Total() int64   { return a.size }

// WriteTo copies the file unaltered while it reads it as a tar to its very end.
func (a *archive) WriteTo(ctx context.Context, w io.Writer, progress func(int64)) (Summary, error) {
	f, err := OpenFile(a.path)
	if err != nil {
		return Summary{}, err
	}
	defer f.Close()
	if progress == nil {
		progress = func(int64) {}
	}
	raw := bufio.NewReaderSize(&copying{ctx: ctx, r: f, w: w, max: f.Identity().Size, progress: progress}, 256<<10)
	c := &checker{ctx: ctx, lim: a.lim, links: map[string]bool{}, dirs: map[string]bool{}}
	if err := c.read(raw); err != nil {
		return c.sum, err
	}
	return c.sum, f.Unchanged()
}

// copying copies what is read from r to w.
type copying struct {
	ctx       context.Context
	r         io.Reader
	w         io.Writer
	done, max int64
	progress  func(int64)
}

func (c *copying) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := c.r.Read(p)
	if c.done += int64(n); c.done > c.max {
		return 0, ErrChanged
	}
	if _, werr := c.w.Write(p[:n]); werr != nil {
		return 0, werr
	}
	c.progress(c.done)
	return n, err
}

// checker reads an archive of others: it must be whole, bounded, and safe to unpack.
type checker struct {
	ctx   context.Context
	lim   Limits
	sum   Summary
	links map[string]bool // names of symbolic links
	dirs  map[string]bool // names that something lies below
}

// read reads to the end of raw, through gzip where it begins like it.
func (c *checker) read(raw *bufio.Reader) error {
	var in io.Reader = raw
	if magic, _ := raw.Peek(2); bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(raw)
		if err != nil {
			return fmt.Errorf("reading gzip: %w", err)
		}
		in = z
	}
	all := &bounded{r: in, left: c.lim.Bytes}
	if err := c.entries(tar.NewReader(all)); err != nil {
		return err
	}
	if all.ended {
		// Between two entries nothing else tells a whole archive from a cut one.
		return fmt.Errorf("the archive is cut off: it does not end with two blocks of zeros: %w", ErrRefused)
	}
	if err := onlyZeros(all); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, raw)
	return err
}

func (c *checker) entries(t *tar.Reader) error {
	for {
		h, err := t.Next()
		switch {
		case errors.Is(err, io.EOF) && c.sum.Entries == 0:
			return fmt.Errorf("there are no files in it: %w", ErrRefused)
		case errors.Is(err, io.EOF):
			return nil
		case c.sum.Entries == 0 && (errors.Is(err, tar.ErrHeader) || errors.Is(err, io.ErrUnexpectedEOF)):
			return fmt.Errorf("this is neither a tar nor a tar.gz file (unpack it and release the directory): %w", err)
		case err != nil:
			return fmt.Errorf("reading tar after %d entries: %w", c.sum.Entries, err)
		}
		if err := c.entry(h); err != nil {
			return err
		}
	}
}

func (c *checker) entry(h *tar.Header) error {
	if h.Typeflag == tar.TypeXGlobalHeader {
		return nil
	}
	if c.sum.Entries++; c.sum.Entries > c.lim.Entries {
		return fmt.Errorf("the archive has more than %d entries: %w", c.lim.Entries, ErrTooLarge)
	}
	if c.sum.Bytes += h.Size; h.Size > c.lim.Bytes || c.sum.Bytes > c.lim.Bytes {
		return fmt.Errorf("%q brings the source above %d bytes: %w", h.Name, c.lim.Bytes, ErrTooLarge)
	}
	name := path.Clean(h.Name)
	if name == "." && h.Typeflag == tar.TypeDir {
		return nil
	}
	if strings.HasPrefix(h.Name, "/") {
		return refuse(h.Name, "is not a plain relative path")
	}
	if err := checkPath(name); err != nil {
		return err
	}
	if err := c.below(name); err != nil {
		return err
	}
	return c.typed(h, name)
}

// below refuses what would be unpacked through a link.
func (c *checker) below(name string) error {
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if c.links[dir] {
			return refuse(name, fmt.Sprintf("lies below the link %q", dir))
		}
		if c.dirs[dir] {
			return nil
		}
		c.dirs[dir] = true
	}
	return nil
}

func (c *checker) typed(h *tar.Header, name string) error {
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeGNUSparse:
		return nil
	case tar.TypeDir:
		c.dirs[name] = true
		return nil
	case tar.TypeSymlink:
		if c.dirs[name] {
			return refuse(name, "is a link where a directory was")
		}
		c.links[name] = true
		return checkLink(name, h.Linkname)
	case tar.TypeLink:
		return checkPath(path.Clean(h.Linkname))
	}
	return refuse(name, fmt.Sprintf("is an entry of type %q", h.Typeflag))
}

// bounded fails where r gives more than left bytes.
type bounded struct {
	r     io.Reader
	left  int64
	ended bool // somebody read to the end of r
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, fmt.Errorf("unpacked: %w", ErrTooLarge)
	}
	if n > 0 && errors.Is(err, io.EOF) {
		err = nil // the next call tells
	}
	b.ended = b.ended || errors.Is(err, io.EOF)
	return n, err
}

// onlyZeros reads the padding of the last record; anything else there would be
// content that no reader of the archive shows.
func onlyZeros(r io.Reader) error {
	buf := make([]byte, 64<<10)
	for {
		n, err := r.Read(buf)
		if len(bytes.Trim(buf[:n], "\x00")) > 0 {
			return fmt.Errorf("there are bytes after the end of the archive: %w", ErrRefused)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading the end of the archive: %w", err)
		}
	}
}
