package backup

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// Writer writes an archive.
type Writer struct {
	zip      *gzip.Writer
	tar      *tar.Writer
	manifest strings.Builder
}

// NewWriter begins an archive. Content is often compressed already, so that
// little time is spent on it.
func NewWriter(w io.Writer, h Header) (*Writer, error) {
	z, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	out := &Writer{zip: z, tar: tar.NewWriter(z)}
	b, err := json.Marshal(h)
	if err != nil {
		return nil, err
	}
	text := Format + "\n" + string(b) + "\n"
	return out, out.Put(context.Background(), headerName, int64(len(text)), strings.NewReader(text))
}

// Put adds a file of exactly size bytes.
func (w *Writer) Put(ctx context.Context, name string, size int64, r io.Reader) error {
	if err := checkName(name); err != nil {
		return err
	}
	if err := w.tar.WriteHeader(head(name, size)); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(w.tar, h), &bound{ctx, io.LimitReader(r, size)})
	if err == nil && n != size {
		err = fmt.Errorf("it became shorter while it was read: %d of %d bytes", n, size)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	w.manifest.WriteString(line(h.Sum(nil), size, name))
	return nil
}

func head(name string, size int64) *tar.Header {
	return &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o600}
}

// Close writes the manifest and ends the archive. An archive that was not closed
// is refused by [Read].
func (w *Writer) Close() error {
	text := w.manifest.String()
	if err := w.tar.WriteHeader(head(manifestName, int64(len(text)))); err != nil {
		return err
	}
	if _, err := io.WriteString(w.tar, text); err != nil {
		return err
	}
	if err := w.tar.Close(); err != nil {
		return err
	}
	return w.zip.Close()
}

// bound ends reading when ctx does.
type bound struct {
	ctx context.Context
	r   io.Reader
}

func (b *bound) Read(p []byte) (int, error) {
	if err := b.ctx.Err(); err != nil {
		return 0, err
	}
	return b.r.Read(p)
}
