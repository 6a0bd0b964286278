package layer

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// maxWindow bounds what a decompressor may ask for.
const maxWindow = 256 << 20

// stream adds a tar file, perhaps compressed.
func (w *Writer) stream(r io.Reader, p placer) error {
	plain, done, err := decompress(r)
	if err != nil {
		return err
	}
	defer done()
	tr := tar.NewReader(plain)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("not a tar file that we read: %w", err)
		}
		if err := w.tarEntry(h, tr, p); err != nil {
			return err
		}
	}
}

func (w *Writer) tarEntry(h *tar.Header, r io.Reader, p placer) (err error) {
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeDir, tar.TypeSymlink:
	case tar.TypeLink:
		if h.Linkname, err = p.place(h.Linkname, false); err != nil {
			return err
		}
	case tar.TypeXGlobalHeader: // of `git archive`: a comment
		return nil
	default:
		return fmt.Errorf("entry %.80q: type %q: only files, directories and links can be in a root file system", h.Name, h.Typeflag)
	}
	if len(h.Linkname) > maxName {
		return fmt.Errorf("entry %.80q: the target of the link is too long", h.Name)
	}
	if h.Name, err = p.place(h.Name, h.Typeflag == tar.TypeDir); err != nil {
		return err
	}
	return w.entry(h, r)
}

// decompress finds out by its first bytes how a stream is compressed.
func decompress(r io.Reader) (io.Reader, func(), error) {
	br := bufio.NewReaderSize(r, 1<<16)
	head, err := br.Peek(6)
	if err != nil && len(head) == 0 {
		return nil, nil, fmt.Errorf("reading an archive: %w", err)
	}
	none := func() {}
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(br)
		return z, none, err
	case bytes.HasPrefix(head, []byte{0xfd, '7', 'z', 'X', 'Z', 0}):
		c := xz.ReaderConfig{DictCap: maxWindow}
		z, err := c.NewReader(br)
		return z, none, err
	case bytes.HasPrefix(head, []byte("BZh")):
		return bzip2.NewReader(br), none, nil
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(br, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, nil, err
		}
		return z, z.Close, nil
	}
	return br, none, nil
}

// The parts of an ar file, as deb(5) has it.
const (
	arMagic  = "!<arch>\n"
	arHeader = 60
)

// debData finds the archive with the files of a Debian package.
func debData(r io.ReadSeeker) (io.Reader, error) {
	magic := make([]byte, len(arMagic))
	if _, err := io.ReadFull(r, magic); err != nil || string(magic) != arMagic {
		return nil, errors.New("not a Debian package: it does not begin as an ar file")
	}
	for i := range 16 {
		name, size, err := arNext(r)
		if err != nil {
			return nil, fmt.Errorf("not a Debian package: member %d: %w", i, err)
		}
		if i == 0 && name != "debian-binary" {
			return nil, fmt.Errorf("not a Debian package: its first member is %.40q", name)
		}
		if path.Ext(name) != "" && strings.HasPrefix(name, "data.tar") || name == "data.tar" {
			return io.LimitReader(r, size), nil
		}
		if _, err := r.Seek(size+size&1, io.SeekCurrent); err != nil {
			return nil, err
		}
	}
	return nil, errors.New("not a Debian package: no data.tar in it")
}

func arNext(r io.Reader) (name string, size int64, err error) {
	h := make([]byte, arHeader)
	if _, err := io.ReadFull(r, h); err != nil {
		return "", 0, errors.New("it ends before data.tar")
	}
	if string(h[58:]) != "`\n" {
		return "", 0, errors.New("its head is damaged")
	}
	size, err = strconv.ParseInt(strings.TrimRight(string(h[48:58]), " "), 10, 64)
	if err != nil || size < 0 {
		return "", 0, errors.New("its size is no number")
	}
	return strings.TrimSuffix(strings.TrimRight(string(h[:16]), " "), "/"), size, nil
}
