package snapshot

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// directory is a tree of files on a disk.
type directory struct {
	path string
	lim  Limits
}

func openDirectory(path string, lim Limits) (*directory, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("source: %w", err)
	}
	return &directory{path: path, lim: lim}, f.Close()
}

func (d *directory) Kind() Kind     { return Directory }
func (d *directory) Commit() string { return "" }
func (d *directory) Total() int64   { return -1 }

// WriteTo walks the tree. All opening goes through an [os.Root], so that a
// directory that is swapped for a link meanwhile cannot lead out.
func (d *directory) WriteTo(ctx context.Context, w io.Writer, progress func(int64)) (Summary, error) {
	root, err := os.OpenRoot(d.path)
	if err != nil {
		return Summary{}, err
	}
	defer root.Close()
	s := newSink(ctx, w, d.lim, progress)
	if err := d.walk(root, s, ""); err != nil {
		return s.sum, err
	}
	return s.close()
}

// walk writes what lies below the directory at name.
func (d *directory) walk(root *os.Root, s *sink, name string) error {
	list, err := d.list(root, s, name)
	if err != nil {
		return err
	}
	if len(list) == 0 && name != "" {
		return s.dir(name)
	}
	for _, e := range list {
		if err := d.add(root, s, path.Join(name, e.Name()), e); err != nil {
			return err
		}
	}
	return nil
}

// list reads a directory in the byte order of the paths in it; .git is left out.
func (d *directory) list(root *os.Root, s *sink, name string) ([]fs.DirEntry, error) {
	if err := s.ctx.Err(); err != nil {
		return nil, err
	}
	f, err := root.Open(cmp.Or(name, "."))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var all []fs.DirEntry
	for {
		part, err := f.ReadDir(4096)
		if all = append(all, part...); int64(len(all)) > s.lim.Entries-s.sum.Entries+1 {
			return nil, fmt.Errorf("directory %q brings the source above %d entries: %w", name, s.lim.Entries, ErrTooLarge)
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
	}
	all = slices.DeleteFunc(all, func(e fs.DirEntry) bool { return e.Name() == ".git" })
	slices.SortFunc(all, func(a, b fs.DirEntry) int { return strings.Compare(sortKey(a), sortKey(b)) })
	return all, nil
}

func sortKey(e fs.DirEntry) string {
	if e.IsDir() {
		return e.Name() + "/"
	}
	return e.Name()
}

func (d *directory) add(root *os.Root, s *sink, name string, e fs.DirEntry) error {
	if err := checkPath(name); err != nil {
		return err
	}
	switch e.Type() {
	case 0:
		return d.addFile(root, s, name)
	case os.ModeDir:
		return d.walk(root, s, name)
	case os.ModeSymlink:
		target, err := root.Readlink(name)
		if err != nil {
			return err
		}
		return s.link(name, target)
	}
	return refuse(name, "is a "+typeName(e.Type()))
}

func (d *directory) addFile(root *os.Root, s *sink, name string) error {
	before, err := root.Lstat(name)
	if err != nil {
		return err
	}
	if !before.Mode().IsRegular() {
		return fmt.Errorf("%q: %w", name, ErrChanged)
	}
	o, err := root.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	f, err := newFile(o, filepath.Join(d.path, name), before)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := s.file(name, before.Mode()&0o100 != 0, f.id.Size, f); err != nil {
		return err
	}
	return f.Unchanged()
}
