// Package layer turns archives into one plain tar file that a sandbox unpacks
// as its root file system.
//
// A [Writer] collects: [Writer.Add] takes an archive in one of a few forms,
// [Writer.File] a single file. What it writes depends on its arguments alone,
// so that the same job has the same root on every machine.
//
// Promises. Archives are not trusted: names that lead out, devices, lying
// sizes, more entries or bytes than the caller allows are refused by name.
// Owners are dropped. Not promised: that the archive is what somebody else's
// tool would make of it; duplicates in a tar are kept in their order, and the
// last one counts.
package layer

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"
)

// The forms of an archive.
const (
	Tar         = "tar"
	Zip         = "zip"
	Deb         = "deb"
	GoToolchain = "go-toolchain"
)

// MaxEntries is how many entries a root file system may have.
const MaxEntries = 1_000_000

// maxName bounds a name and the target of a link.
const maxName = 4096

// ErrTooLarge is the error of an archive that holds more than is allowed.
var ErrTooLarge = errors.New("larger than allowed")

// Archive is an archive on this machine.
type Archive interface {
	io.ReaderAt
	io.ReadSeeker
}

// Writer writes a root file system.
type Writer struct {
	ctx     context.Context
	tw      *tar.Writer
	clock   time.Time
	left    int64 // bytes
	entries int
}

// New starts a root file system of at most max bytes. clock is the time of
// what has none.
func New(ctx context.Context, w io.Writer, clock time.Time, max int64) *Writer {
	return &Writer{ctx: ctx, tw: tar.NewWriter(w), clock: clock, left: max, entries: MaxEntries}
}

// Close ends the tar file.
func (w *Writer) Close() error { return w.tw.Close() }

// Add unpacks an archive of size bytes below at, without the first strip
// elements of its names.
func (w *Writer) Add(form string, a Archive, size int64, at string, strip int) error {
	p := placer{at: at, strip: strip}
	switch form {
	case Tar:
		return w.stream(a, p)
	case Deb:
		data, err := debData(a)
		if err != nil {
			return err
		}
		return w.stream(data, p)
	case Zip:
		return w.zip(a, size, p, nil)
	case GoToolchain:
		p.strip = 2 // golang.org/toolchain@version/
		return w.zip(a, size, p, goToolchain)
	}
	return fmt.Errorf("no such form: %.40q", form)
}

// File adds a file of the text, a directory (at ends in a slash), or a link.
func (w *Writer) File(at, text, link string, executable bool) error {
	h := &tar.Header{Name: strings.Trim(at, "/"), ModTime: w.clock, Mode: 0o644, Typeflag: tar.TypeReg, Size: int64(len(text))}
	switch {
	case link != "":
		h.Typeflag, h.Linkname, h.Mode, h.Size = tar.TypeSymlink, link, 0o777, 0
	case strings.HasSuffix(at, "/"):
		h.Typeflag, h.Mode = tar.TypeDir, 0o755
	case executable:
		h.Mode = 0o755
	}
	return w.entry(h, strings.NewReader(text))
}

// placer says where an entry goes.
type placer struct {
	at    string
	strip int
}

// place returns the name below the root, without a slash at its beginning, and
// "" for a directory of which nothing is left.
func (p placer) place(name string, dir bool) (string, error) {
	if len(name) > maxName || strings.IndexByte(name, 0) >= 0 || path.IsAbs(name) {
		return "", errName(name)
	}
	clean := path.Clean(name)
	if clean == ".." || strings.HasPrefix(clean, "../") {
		return "", errName(name)
	}
	for range p.strip {
		_, rest, ok := strings.Cut(clean, "/")
		if !ok {
			if dir {
				return "", nil
			}
			return "", fmt.Errorf("entry %.80q: it has fewer elements than are to be stripped", name)
		}
		clean = rest
	}
	if clean == "." && !dir {
		return "", errName(name)
	}
	return strings.TrimPrefix(path.Join(p.at, clean), "/"), nil
}

func errName(name string) error {
	return fmt.Errorf("entry %.80q: the name is not a local path", name)
}

// entry writes an entry whose name is placed already.
func (w *Writer) entry(h *tar.Header, r io.Reader) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	if h.Name == "" || h.Name == "." {
		return nil // the root itself
	}
	if w.entries--; w.entries < 0 {
		return fmt.Errorf("%w: more than %d entries", ErrTooLarge, MaxEntries)
	}
	if h.Typeflag == tar.TypeReg {
		if h.Size > w.left {
			return fmt.Errorf("entry %.80q: %w: more than is left of the limit on the root file system (limits.root)", h.Name, ErrTooLarge)
		}
		w.left -= h.Size
	} else {
		h.Size = 0
	}
	out := &tar.Header{
		Typeflag: h.Typeflag, Name: h.Name, Linkname: h.Linkname, Size: h.Size, Mode: h.Mode & 0o7777,
		ModTime: h.ModTime.Truncate(time.Second), Format: tar.FormatPAX,
	}
	if h.ModTime.Before(time.Unix(0, 0)) || h.ModTime.Year() > 2400 {
		out.ModTime = w.clock
	}
	if out.Typeflag == tar.TypeDir {
		out.Name += "/"
	}
	if err := w.tw.WriteHeader(out); err != nil {
		return fmt.Errorf("entry %.80q: %w", h.Name, err)
	}
	if h.Typeflag != tar.TypeReg {
		return nil
	}
	if n, err := io.Copy(w.tw, io.LimitReader(r, h.Size)); err != nil {
		return fmt.Errorf("entry %.80q: %w", h.Name, err)
	} else if n != h.Size {
		return fmt.Errorf("entry %.80q: ends after %d bytes of %d", h.Name, n, h.Size)
	}
	return nil
}
