package snapshot

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Identity tells whether a file is still the file it was. Equal identities mean
// equal content unless somebody sets the clock back or writes within one tick
// of it ([File.Settle]).
type Identity struct {
	Dev, Ino     int64
	Size         int64 // bytes
	Mtime, Ctime int64 // nanoseconds since 1970
}

// File is a regular file opened for reading that notices change.
type File struct {
	*os.File
	path string
	id   Identity
}

// OpenFile opens a regular file. A symbolic link, directory, device, pipe or
// socket is refused by name and never waited for.
func OpenFile(path string) (*File, error) {
	before, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !before.Mode().IsRegular() {
		return nil, refuse(path, "is a "+typeName(before.Mode())+", not a regular file")
	}
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if errors.Is(err, syscall.ELOOP) {
		return nil, refuse(path, "is a symbolic link, not a regular file")
	}
	if err != nil {
		return nil, err
	}
	return newFile(f, path, before)
}

// newFile checks that f is what stood at path before it was opened.
func newFile(f *os.File, path string, before os.FileInfo) (*File, error) {
	after, err := f.Stat()
	if err == nil && !os.SameFile(before, after) {
		err = fmt.Errorf("%q: %w", path, ErrChanged)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	out := &File{File: f, path: path}
	if out.id, err = out.identify(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return out, nil
}

// Identity returns what the file was when it was opened.
func (f *File) Identity() Identity { return f.id }

// Unchanged returns [ErrChanged] where the file is no longer what was opened:
// written to, renamed, removed, or given other rights.
func (f *File) Unchanged() error {
	now, err := f.identify()
	if err != nil {
		return err
	}
	if now != f.id {
		return fmt.Errorf("%q: %w: release it when nothing writes to it any more", f.path, ErrChanged)
	}
	return nil
}

func (f *File) identify() (Identity, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return Identity{}, err
	}
	var st unix.Stat_t
	var statErr error
	if err := raw.Control(func(fd uintptr) { statErr = unix.Fstat(int(fd), &st) }); err != nil {
		return Identity{}, err
	}
	if statErr != nil {
		return Identity{}, &os.PathError{Op: "fstat", Path: f.path, Err: statErr}
	}
	return Identity{
		Dev: int64(st.Dev), Ino: int64(st.Ino), Size: st.Size,
		Mtime: st.Mtim.Nano(), Ctime: st.Ctim.Nano(),
	}, nil
}

func refuse(path, why string) error {
	return fmt.Errorf("%q %s: %w", path, why, ErrRefused)
}

// tick is more than the granularity of the times that Linux file systems keep.
const tick = 50 * time.Millisecond

// Settle waits until any later write would show in the file's times, then does
// what [File.Unchanged] does. It reports false where that can never be known,
// as the file's times lie in the future: such an identity is not to be kept.
func (f *File) Settle(ctx context.Context) (bool, error) {
	age := time.Since(time.Unix(0, max(f.id.Ctime, f.id.Mtime)))
	if wait := tick - age; age >= 0 && wait > 0 {
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-time.After(wait):
		}
	}
	return age >= 0, f.Unchanged()
}
