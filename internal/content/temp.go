package content

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// tempDir holds what is being written. A living writer holds a lock on its
// file; one without a lock was left by a crash.
const (
	tempDir    = "tmp"
	tempPrefix = "put-"
)

// createTemp makes and locks a temporary file. Making and locking is one step
// for clean, which takes the same lock.
func (s *Store) createTemp() (f *os.File, err error) {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	path := filepath.Join(s.dir, tempDir, tempPrefix+hex.EncodeToString(b[:]))
	err = s.quietly(func() error {
		f, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, tempMode)
		if err != nil {
			return err
		}
		if err := flock(f, unix.LOCK_EX|unix.LOCK_NB); err != nil {
			return errors.Join(fmt.Errorf("locking %s: %w", path, err), discard(f))
		}
		return nil
	})
	return f, err
}

// discard removes a temporary file.
func discard(f *os.File) error {
	return errors.Join(os.Remove(f.Name()), f.Close())
}

// clean removes temporary files that nobody writes any more.
func (s *Store) clean() error {
	return s.exclusively(func() error {
		entries, err := os.ReadDir(filepath.Join(s.dir, tempDir))
		if err != nil {
			return err
		}
		for _, e := range entries {
			if !strings.HasPrefix(e.Name(), tempPrefix) || !e.Type().IsRegular() {
				continue // not ours; Walk reports it
			}
			if err := removeDead(filepath.Join(s.dir, tempDir, e.Name())); err != nil {
				return err
			}
		}
		return nil
	})
}

// removeDead removes the file at path unless a living process writes it.
func removeDead(path string) error {
	f, _, err := openRegular(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // its writer finished
	} else if err != nil {
		return err
	}
	switch err := flock(f, unix.LOCK_EX|unix.LOCK_NB); {
	case errors.Is(err, unix.EWOULDBLOCK):
		return f.Close()
	case err != nil:
		return errors.Join(fmt.Errorf("locking %s: %w", path, err), f.Close())
	}
	err = os.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, f.Close())
}
