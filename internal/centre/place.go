package centre

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// errAtWork says that another process makes the same thing.
var errAtWork = errors.New("another process is at it already")

// workplace is a private directory in which something is made before it gets
// its name. It has a fixed name and is locked, so that what a killed process left
// is found, and removed, by the next one.
type workplace struct {
	dir  string
	lock *os.File
}

// openWorkplace makes the directory, empty, for this process alone.
func openWorkplace(dir string) (*workplace, error) {
	if err := os.Mkdir(dir, privateMode); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, err
	}
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", dir, err)
	}
	w := &workplace{dir, os.NewFile(uintptr(fd), dir)}
	if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = errAtWork
		}
		return nil, errors.Join(fmt.Errorf("locking %s: %w", dir, err), w.lock.Close())
	}
	if err := w.clear(); err != nil {
		return nil, errors.Join(err, w.lock.Close())
	}
	return w, nil
}

// clear makes sure that the directory is still the one that is locked, and removes
// what is in it.
func (w *workplace) clear() error {
	have, err := w.lock.Stat()
	if err != nil {
		return err
	}
	if there, err := os.Lstat(w.dir); err != nil || !os.SameFile(have, there) {
		return errors.Join(err, fmt.Errorf("%s: %w", w.dir, errAtWork))
	}
	entries, err := os.ReadDir(w.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := os.RemoveAll(filepath.Join(w.dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// close removes the directory, where it has not got another name meanwhile.
func (w *workplace) close() error {
	have, err := w.lock.Stat()
	if there, e := os.Lstat(w.dir); err == nil && e == nil && os.SameFile(have, there) {
		err = os.RemoveAll(w.dir)
	}
	return errors.Join(err, w.lock.Close())
}
