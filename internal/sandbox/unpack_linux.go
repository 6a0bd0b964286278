package sandbox

import (
	"archive/tar"
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"
)

// unpacker puts layers and inputs in place. It works below "/": it runs inside,
// when the root is already the sandbox's, so that no path and no link in an
// archive can lead anywhere else. It can fill the disk and no more.
type unpacker struct {
	clock time.Time
	times map[string]time.Time // of directories, set when all is there
}

func newUnpacker(clock time.Time) *unpacker {
	return &unpacker{clock: clock, times: map[string]time.Time{"/": clock}}
}

// layer unpacks a tar file below at. Owners and extended attributes are ignored.
func (u *unpacker) layer(r io.Reader, at string) error {
	if err := u.dirs(path.Join("/", at)); err != nil {
		return err
	}
	end := &zeros{from: r}
	r = end
	tr := tar.NewReader(bufio.NewReaderSize(r, 1<<20))
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return end.rest()
		} else if err != nil {
			return fmt.Errorf("not a tar file that we read: %w", err)
		}
		if err := u.entry(h, tr, at); err != nil {
			return fmt.Errorf("entry %q: %w", h.Name, unwrapPath(err))
		}
	}
}

// zeros counts the zero bytes that end what was read.
type zeros struct {
	from io.Reader
	n    int64
}

func (z *zeros) Read(p []byte) (int, error) {
	n, err := z.from.Read(p)
	if kept := bytes.TrimRight(p[:n], "\x00"); len(kept) > 0 {
		z.n = int64(n - len(kept))
	} else {
		z.n += int64(n)
	}
	return n, err
}

// rest reads what follows the last entry: two blocks of zeros at least (POSIX
// pax, "tar Interchange Format"), which archive/tar does not insist on.
func (z *zeros) rest() error {
	if _, err := io.Copy(io.Discard, z); err != nil {
		return err
	}
	if z.n < 1024 {
		return errors.New("the end of the tar file is missing: it was cut off")
	}
	return nil
}

func (u *unpacker) entry(h *tar.Header, r io.Reader, at string) error {
	name, err := place(at, h.Name)
	if err != nil {
		return err
	}
	if ours(name) {
		if h.Typeflag == tar.TypeDir {
			return nil // the sandbox has its own
		}
		return errors.New("lies where the sandbox's own files are")
	}
	if err := u.dirs(path.Dir(name)); err != nil {
		return err
	}
	mode := h.FileInfo().Mode()
	switch h.Typeflag {
	case tar.TypeDir:
		return u.dir(name, mode, h.ModTime)
	case tar.TypeReg:
		return u.file(name, r, mode, h.ModTime)
	case tar.TypeSymlink:
		return u.symlink(name, h)
	case tar.TypeLink:
		target, err := place(at, h.Linkname)
		if err != nil {
			return err
		}
		if err := remove(name); err != nil {
			return err
		}
		return os.Link(target, name)
	default:
		return fmt.Errorf("type %q: only files, directories and links can be in a layer", h.Typeflag)
	}
}

// place is where the entry of that name lies in the sandbox.
func place(at, name string) (string, error) {
	if strings.ContainsRune(name, 0) || slices.Contains(strings.Split(name, "/"), "..") || path.IsAbs(name) {
		return "", fmt.Errorf("path %q is not local", name)
	}
	return path.Join("/", at, name), nil
}

func (u *unpacker) dir(name string, mode fs.FileMode, at time.Time) error {
	if fi, err := os.Stat(name); err == nil && fi.IsDir() { // a link to a directory stays: lib -> usr/lib
		if l, err := os.Lstat(name); err == nil && l.Mode()&fs.ModeSymlink != 0 {
			return nil
		}
	} else if err := remove(name); err != nil {
		return err
	} else if err := os.Mkdir(name, 0o700); err != nil {
		return err
	}
	u.times[name] = at
	return os.Chmod(name, mode&^fs.ModeType)
}

func (u *unpacker) file(name string, r io.Reader, mode fs.FileMode, at time.Time) error {
	if err := remove(name); err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	err = errors.Join(err, f.Chmod(mode&^fs.ModeType), f.Close())
	if err != nil {
		return err
	}
	return os.Chtimes(name, at, at)
}

func (u *unpacker) symlink(name string, h *tar.Header) error {
	if err := remove(name); err != nil {
		return err
	}
	if err := os.Symlink(h.Linkname, name); err != nil {
		return err
	}
	return lutimes(name, h.ModTime)
}

// input puts one file in place.
func (u *unpacker) input(r io.Reader, in inputOrder) error {
	if err := u.dirs(path.Dir(in.At)); err != nil {
		return err
	}
	mode := fs.FileMode(0o444)
	if in.Executable {
		mode = 0o555
	}
	return u.file(in.At, r, mode, u.clock)
}

// dirs makes directories that no layer has, with the time of the job.
func (u *unpacker) dirs(name string) error {
	if fi, err := os.Stat(name); err == nil {
		if !fi.IsDir() {
			return fmt.Errorf("%s: %w", name, syscall.ENOTDIR)
		}
		return nil
	}
	if err := u.dirs(path.Dir(name)); err != nil {
		return err
	}
	if err := os.Mkdir(name, 0o755); err != nil {
		return err
	}
	if err := os.Chmod(name, 0o755); err != nil {
		return err
	}
	u.times[name] = u.clock
	return nil
}

// finish sets the times of directories, which unpacking into them changed.
func (u *unpacker) finish() error {
	for name, at := range u.times {
		if fi, err := os.Lstat(name); err != nil || !fi.IsDir() {
			continue // replaced by an upper layer
		}
		if err := os.Chtimes(name, at, at); err != nil {
			return err
		}
	}
	return nil
}

// remove removes what an upper layer replaces.
func remove(name string) error {
	if name == "/" {
		return errors.New("the root must be a directory")
	}
	return os.RemoveAll(name)
}

// unwrapPath leaves out the path that the caller names already.
func unwrapPath(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}
