package content

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// lockFile is what processes lock while names change. It holds nothing.
const lockFile = "lock"

// exclusively runs f while nobody else, in this process or another, adds,
// moves or looks for names. f must be short.
func (s *Store) exclusively(f func() error) error { return s.locked(unix.LOCK_EX, f) }

// quietly runs f while nobody adds or moves names.
func (s *Store) quietly(f func() error) error { return s.locked(unix.LOCK_SH, f) }

// locked opens the file each time: a lock belongs to an opening, so this keeps
// goroutines apart as well as processes.
func (s *Store) locked(how int, f func() error) error {
	path := filepath.Join(s.dir, lockFile)
	l, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, tempMode)
	if err != nil {
		return err
	}
	if err := flock(l, how); err != nil {
		return errors.Join(fmt.Errorf("locking %s: %w", path, err), l.Close())
	}
	err = f()
	return errorsFirst(err, l.Close()) // which frees the lock
}

// flock takes a lock, or with LOCK_NB fails with EWOULDBLOCK.
func flock(f *os.File, how int) error {
	for {
		err := unix.Flock(int(f.Fd()), how)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
