package content

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"vitrine.example/digest"
)

// shardSet remembers for which shards the entry in the class directory was
// made durable by this process. That another process made the directory does
// not tell that it lived long enough to sync it.
type shardSet struct {
	mu   sync.Mutex
	done map[string]bool
}

// makeShard makes the directory of d under c, durably.
func (s *Store) makeShard(c Class, d digest.Digest) error {
	path := s.shard(c, d)
	s.shards.mu.Lock()
	defer s.shards.mu.Unlock()
	if !s.shards.done[path] {
		if err := os.Mkdir(path, dirMode); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if err := syncDir(filepath.Dir(path)); err != nil {
			return err
		}
		if s.shards.done == nil {
			s.shards.done = make(map[string]bool)
		}
		s.shards.done[path] = true
	}
	return wantDir(path)
}

// wantDir refuses anything but a directory, links to one included.
func wantDir(path string) error {
	fi, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if !fi.IsDir() {
		return foreign(path, fi)
	}
	return nil
}

// foreign is the error for what has no place in the store.
func foreign(path string, fi fs.FileInfo) error {
	return fmt.Errorf("%s: %w: it is a %s: find out how it came there and remove it", path, ErrForeign, kind(fi.Mode()))
}

func kind(m fs.FileMode) string {
	switch {
	case m.IsRegular():
		return "file"
	case m.IsDir():
		return "directory"
	case m&fs.ModeSymlink != 0:
		return "symbolic link"
	}
	return "special file"
}

// openRegular opens a file for reading, never through a link and never waiting
// for a device.
func openRegular(path string) (*os.File, fs.FileInfo, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, unix.ELOOP) {
		err = fmt.Errorf("%w: it is a symbolic link: %w", ErrForeign, err)
	}
	if err != nil {
		return nil, nil, err
	}
	fi, err := f.Stat()
	if err == nil && !fi.Mode().IsRegular() {
		err = foreign(path, fi)
	}
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return f, fi, nil
}

// syncDir makes the entries of a directory durable.
func syncDir(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// explain says what to do about a full disk.
func explain(dir string, err error) error {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return fmt.Errorf("%w: free some space in %s: %w", ErrFull, dir, err)
	}
	return err
}

// errorsFirst returns the first error.
func errorsFirst(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
