package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"vitrine.example/key"
)

// readFile reads a regular file of at most max bytes.
func readFile(what, path string, max int64) ([]byte, error) {
	f, err := openRegular(what, path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, max+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", what, err)
	}
	if int64(len(b)) > max {
		return nil, fmt.Errorf("reading %s %s: larger than %d bytes", what, path, max)
	}
	return b, nil
}

// openRegular opens a file and refuses directories, pipes and devices.
func openRegular(what, path string) (*os.File, error) {
	// Before opening, which has effects of its own on a device; and after it, as
	// the name may lead elsewhere by then. A pipe is not waited for.
	st, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", what, err)
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("reading %s %s: not a regular file", what, path)
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", what, err)
	}
	if st, err = f.Stat(); err == nil && !st.Mode().IsRegular() {
		err = errors.New("not a regular file any more")
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("reading %s %s: %w", what, path, err)
	}
	return f, nil
}

// readPublic reads a public key file.
func readPublic(path string) (key.Public, error) {
	b, err := readFile("public key", path, 16<<10)
	if err != nil {
		return key.Public{}, err
	}
	k, err := key.ParsePublic(b)
	if err != nil {
		return key.Public{}, fmt.Errorf("reading public key %s: %w", path, err)
	}
	return k, nil
}

// writeFile writes a whole file or nothing: under a temporary name, synced,
// renamed, and the directory synced. Without replace it refuses to write over
// a file that is there.
func writeFile(path string, data []byte, replace bool) (err error) {
	if !replace {
		if _, err := os.Lstat(path); err == nil {
			return withHint(fmt.Errorf("writing %s: %w", path, fs.ErrExist), "remove it first, or choose another name")
		} else if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("writing: %w", err)
		}
	}
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".vitrine-*.tmp")
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
			err = fmt.Errorf("writing %s: %w", path, err)
		}
	}()
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// output writes to path, or to stdout where it is "-".
func (c *console) output(path string, data []byte, replace bool) error {
	if path != "-" {
		return writeFile(path, data, replace)
	}
	_, err := c.out.Write(data)
	return err
}
