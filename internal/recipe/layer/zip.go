package layer

import (
	"archive/tar"
	"archive/zip"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
)

// zip adds a zip file. Its times are dropped: half of the tools write local
// time, and those of Go modules write none. change, where not nil, may give an
// entry another name and mode.
func (w *Writer) zip(a io.ReaderAt, size int64, p placer, change func(name string, mode int64) (string, int64)) error {
	zr, err := zip.NewReader(a, size)
	if err != nil {
		return fmt.Errorf("not a zip file that we read: %w", err)
	}
	seen := make(map[string]bool, len(zr.File))
	for _, f := range zr.File {
		if seen[f.Name] {
			return fmt.Errorf("entry %.80q: twice in one zip file", f.Name)
		}
		seen[f.Name] = true
		h, err := zipHeader(f)
		if err != nil {
			return err
		}
		if h.Name, err = p.place(strings.TrimSuffix(f.Name, "/"), h.Typeflag == tar.TypeDir); err != nil {
			return err
		}
		if change != nil {
			below := strings.TrimPrefix(strings.TrimPrefix("/"+h.Name, strings.TrimSuffix(p.at, "/")), "/")
			name, mode := change(below, h.Mode)
			h.Name, h.Mode = strings.TrimPrefix(path.Join(p.at, name), "/"), mode
		}
		h.ModTime = w.clock
		if err := w.zipEntry(f, h); err != nil {
			return fmt.Errorf("entry %.80q: %w", f.Name, err)
		}
	}
	return nil
}

func zipHeader(f *zip.File) (*tar.Header, error) {
	h := &tar.Header{Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(f.UncompressedSize64)}
	switch mode := f.Mode(); {
	case mode.IsDir():
		h.Typeflag, h.Mode = tar.TypeDir, 0o755
	case mode&fs.ModeSymlink != 0:
		h.Typeflag, h.Mode = tar.TypeSymlink, 0o777
	case !mode.IsRegular():
		return nil, fmt.Errorf("entry %.80q: only files, directories and links can be in a root file system", f.Name)
	case mode&0o111 != 0:
		h.Mode = 0o755
	}
	return h, nil
}

func (w *Writer) zipEntry(f *zip.File, h *tar.Header) error {
	if h.Typeflag == tar.TypeDir {
		return w.entry(h, nil)
	}
	r, err := f.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	if h.Typeflag == tar.TypeSymlink {
		target, err := io.ReadAll(io.LimitReader(r, maxName+1))
		if err != nil || len(target) > maxName || len(target) == 0 {
			return fmt.Errorf("the target of the link is too long, or cannot be read: %w", err)
		}
		h.Linkname = string(target)
		return w.entry(h, nil)
	}
	if err := w.entry(h, r); err != nil {
		return err
	}
	// The end of the stream is where the checksum is compared.
	if n, err := io.Copy(io.Discard, io.LimitReader(r, 1)); err != nil || n != 0 {
		return fmt.Errorf("it holds more than %d bytes, or another checksum: %w", h.Size, err)
	}
	return nil
}

// goToolchain does what the go command does with the zip of a toolchain, which
// has no modes, and no go.mod files but under another name
// (cmd/go/internal/toolchain).
func goToolchain(name string, mode int64) (string, int64) {
	runs, err := path.Match("lib/*/go_?*_?*_exec", name)
	if err == nil && runs || strings.HasPrefix(name, "bin/") || strings.HasPrefix(name, "pkg/tool/") {
		mode = 0o755
	}
	if path.Base(name) == "_go.mod" {
		name = path.Join(path.Dir(name), "go.mod")
	}
	return name, mode
}
