package artifact

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"vitrine.example/internal/artifact/archive"
)

// leaf is a file of a tree.
type leaf struct {
	path string
	info fs.FileInfo
}

// trees compares two directories: names, types, permissions, targets of links,
// extended attributes and contents.
func (s *session) trees(shipped, rebuilt string) (*Report, error) {
	r := &Report{Shipped: Side{Name: shipped, Format: "directory"}, Rebuilt: Side{Name: rebuilt, Format: "directory"}}
	r.Ignored = []string{"owners, times and hard links of the files on disk: they are of the copies, not of what shipped"}
	var x, y []leaf
	err := s.both(func() (err error) { x, err = s.walk(shipped); return }, func() (err error) { y, err = s.walk(rebuilt); return })
	if err != nil {
		return nil, err
	}
	s.count(func(c *Counts) { c.Files = int64(len(x) + len(y)) })
	out := outcome{rung: RungEntries}
	var pairs [][2]leaf
	for len(x) > 0 || len(y) > 0 {
		switch {
		case len(y) == 0 || len(x) > 0 && x[0].path < y[0].path:
			out.diffs = append(out.diffs, Difference{Where: x[0].path, What: "file", Shipped: x[0].text()})
			out.rung, x = RungNone, x[1:]
		case len(x) == 0 || y[0].path < x[0].path:
			out.diffs = append(out.diffs, Difference{Where: y[0].path, What: "file", Rebuilt: y[0].text()})
			out.rung, y = RungNone, y[1:]
		default:
			pairs = append(pairs, [2]leaf{x[0], y[0]})
			x, y = x[1:], y[1:]
		}
	}
	found := make([]outcome, len(pairs))
	err = s.each(len(pairs), func(i int) (err error) {
		found[i], err = s.leaves(shipped, rebuilt, pairs[i][0], pairs[i][1])
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, f := range found {
		out.add(f)
		if f.rung == RungNone && f.verdict == Different {
			out.rung = RungNone
		}
	}
	if out = out.settled(); out.verdict == Identical {
		out.rung = RungBytes
	}
	return s.report(r, out), nil
}

// walk lists a tree, sorted by path.
func (s *session) walk(root string) (all []leaf, err error) {
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil {
			err = s.ctx.Err()
		}
		if err != nil {
			return err
		}
		if len(all) >= s.o.Archive.Members {
			return fmt.Errorf("more than %d files: %w", s.o.Archive.Members, archive.ErrBound)
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		all = append(all, leaf{filepath.ToSlash(rel), info})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", root, err)
	}
	sortLeaves(all)
	return all, nil
}

func (l leaf) text() string {
	if l.info.Mode().IsRegular() {
		return fmt.Sprintf("file, %d bytes", l.info.Size())
	}
	return typeText(l.info.Mode())
}

func typeText(m fs.FileMode) string {
	switch m.Type() {
	case 0:
		return "file"
	case fs.ModeDir:
		return "directory"
	case fs.ModeSymlink:
		return "symlink"
	case fs.ModeNamedPipe:
		return "fifo"
	case fs.ModeSocket:
		return "socket"
	case fs.ModeDevice:
		return "block device"
	case fs.ModeDevice | fs.ModeCharDevice:
		return "character device"
	}
	return m.Type().String()
}

// permissions are the bits that chmod sets.
func permissions(m fs.FileMode) uint32 {
	p := uint32(m.Perm())
	for _, b := range []struct {
		mode fs.FileMode
		bit  uint32
	}{{fs.ModeSetuid, 0o4000}, {fs.ModeSetgid, 0o2000}, {fs.ModeSticky, 0o1000}} {
		if m&b.mode != 0 {
			p |= b.bit
		}
	}
	return p
}

// leaves compares two files of one path.
func (s *session) leaves(rootA, rootB string, a, b leaf) (outcome, error) {
	out := outcome{rung: RungEntries}
	differ := func(what, x, y string) {
		out.rung = RungNone
		out.diffs = append(out.diffs, Difference{Where: a.path, What: what, Shipped: x, Rebuilt: y})
	}
	ma, mb := a.info.Mode(), b.info.Mode()
	if ma.Type() != mb.Type() {
		differ("type", a.text(), b.text())
		return out.settled(), nil
	}
	if pa, pb := permissions(ma), permissions(mb); pa^pb == 0o20 && pa&0o7000 == 0 {
		out.causes = append(out.causes, Cause{Name: string(archive.CauseUmask), Where: a.path, Shipped: fmt.Sprintf("%04o", pa), Rebuilt: fmt.Sprintf("%04o", pb), Proved: true, Proof: proofPatched})
	} else if pa != pb {
		differ("mode", fmt.Sprintf("%04o", pa), fmt.Sprintf("%04o", pb))
	}
	pathA, pathB := filepath.Join(rootA, filepath.FromSlash(a.path)), filepath.Join(rootB, filepath.FromSlash(b.path))
	xa, err := attributes(pathA)
	if err != nil {
		return out, err
	}
	xb, err := attributes(pathB)
	if err != nil {
		return out, err
	}
	if xa != xb {
		differ("extended attributes", xa, xb)
	}
	switch {
	case ma&fs.ModeSymlink != 0:
		ta, errA := os.Readlink(pathA)
		tb, errB := os.Readlink(pathB)
		if err := errors.Join(errA, errB); err != nil {
			return out, err
		}
		if ta != tb {
			differ("link target", ta, tb)
		}
	case ma&fs.ModeDevice != 0:
		if da, db := device(a.info), device(b.info); da != db {
			differ("device", da, db)
		}
	case ma.IsRegular():
		c, err := s.regular(pathA, pathB, a, b)
		if err != nil {
			return out, err
		}
		out.add(c)
	}
	return out.settled(), nil
}

func (s *session) regular(pathA, pathB string, a, b leaf) (outcome, error) {
	x, closeA, err := openLeaf(pathA)
	if err != nil {
		return outcome{}, err
	}
	defer closeA()
	y, closeB, err := openLeaf(pathB)
	if err != nil {
		return outcome{}, err
	}
	defer closeB()
	eq, err := same(s.ctx, x, y)
	s.count(func(c *Counts) { c.Read += x.Size() + y.Size() })
	if err != nil || eq {
		return outcome{}, err
	}
	exec := (a.info.Mode()|b.info.Mode())&0o111 != 0
	return s.files(place{where: a.path, depth: 1, name: a.path, exec: exec}, x, y)
}

// openLeaf opens a file that was seen to be a regular one, and nothing that was
// put in its place.
func openLeaf(path string) (blob, func(), error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return blob{}, nil, fmt.Errorf("reading: %w", err)
	}
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = fmt.Errorf("reading %s: %w", path, ErrKind)
	}
	if err != nil {
		f.Close()
		return blob{}, nil, err
	}
	return blob{io.NewSectionReader(f, 0, st.Size()), filepath.Base(path)}, func() { f.Close() }, nil
}

func device(info fs.FileInfo) string {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return fmt.Sprintf("%#x", st.Rdev)
	}
	return ""
}

// sortLeaves sorts as a walk does that compares whole paths, byte by byte.
func sortLeaves(all []leaf) {
	slices.SortFunc(all, func(a, b leaf) int { return strings.Compare(a.path, b.path) })
}
