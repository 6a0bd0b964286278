package ledger

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// lockName is the file in the log directory that its holder has locked. It
// holds the holder's process id, for people.
const lockName = ".lock"

// lock is an exclusive flock. Tessera has locks of its own, but of the fcntl
// kind, which keep out nobody within a process.
type lock struct{ f *os.File }

// takeLock makes dir where it is missing and takes its lock at once or fails
// with [ErrHeld].
func takeLock(dir string) (*lock, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("opening the log: %w", err)
	}
	name := filepath.Join(dir, lockName)
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o644)
	if err != nil {
		return nil, fmt.Errorf("opening the log: %w", err)
	}
	if err := flock(f, unix.LOCK_EX); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = fmt.Errorf("%w: process %s: stop it, or wait until it has ended", ErrHeld, holder(f))
		}
		return nil, errors.Join(fmt.Errorf("locking %s: %w", name, err), f.Close())
	}
	if err := writePID(f); err != nil {
		return nil, errors.Join(fmt.Errorf("writing %s: %w", name, err), f.Close())
	}
	return &lock{f}, nil
}

func flock(f *os.File, how int) error {
	for {
		err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// writePID notes who holds the lock. A full disk must not keep a node from
// starting, so that the file is not required to take it.
func writePID(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	if _, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0); err != nil && !errors.Is(err, unix.ENOSPC) {
		return err
	}
	return nil
}

// holder returns the process id in a lock file.
func holder(f *os.File) string {
	b, _ := io.ReadAll(io.NewSectionReader(f, 0, 20))
	if pid := strings.TrimSpace(string(b)); pid != "" {
		return pid
	}
	return "unknown"
}

// release frees the lock; its file stays. Closing alone would not do: a program that
// is started at the same moment has the file too, until it is executed.
func (l *lock) release() error { return errors.Join(flock(l.f, unix.LOCK_UN), l.f.Close()) }
