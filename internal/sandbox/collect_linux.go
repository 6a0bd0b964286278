package sandbox

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"sort"
	"strings"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// refused is an output that we do not take; it makes the job fail, not the run.
type refused struct{ error }

// maxDepth bounds directories within directories in outputs.
const maxDepth = 200

// nearlyFull is as little as a program leaves that fails for want of space.
const nearlyFull = 256 << 10

// collect takes the outputs out of the sandbox's root. It is called when no
// process of the sandbox is left, so that nothing can change under its hands;
// yet no link is followed and no file is read beyond its bound.
func (r *runner) collect(res Result) (Result, error) {
	var st unix.Statfs_t
	if err := unix.Fstatfs(r.root, &st); err == nil {
		res.Usage.Disk = (int64(st.Blocks) - int64(st.Bfree)) * st.Bsize
	}
	full := int64(st.Bfree)*st.Bsize < nearlyFull || st.Ffree < 16
	if res.Reason == Exited && res.Exit != 0 && full {
		res.Reason, res.Detail = Disk, fmt.Sprintf("the disk was full: %d bytes and %d files may be written", r.job.Limits.Disk, r.job.Limits.Inodes)
	}
	if !res.OK() || len(r.job.Outputs) == 0 {
		return res, nil
	}
	to, err := os.OpenRoot(r.outDir)
	if err != nil {
		return res, fmt.Errorf("opening the directory for outputs: %w", err)
	}
	defer to.Close()
	c := &collector{to: to, limits: r.job.Limits}
	for _, out := range r.job.Outputs {
		err := c.output(r.root, out)
		if bad := (refused{}); errors.As(err, &bad) {
			res.Reason, res.Detail = Outputs, fmt.Sprintf("output %s: %v", out, bad.error)
			return res, nil
		} else if err != nil {
			return res, fmt.Errorf("output %s: %w", out, err)
		}
	}
	res.Outputs = c.all
	return res, nil
}

type collector struct {
	to     *os.Root
	limits Limits
	bytes  int64
	files  int
	all    []Output
}

// output takes one output with all below it.
func (c *collector) output(root int, out string) error {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_XDEV}
	dir := strings.TrimPrefix(path.Dir(out), "/")
	if dir == "" {
		dir = "."
	}
	parent, err := unix.Openat2(root, dir, &how)
	if err != nil {
		return refused{fmt.Errorf("its directory: %w", reason(err))}
	}
	defer unix.Close(parent)
	if dir != "." {
		if err := c.to.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	return c.take(parent, path.Base(out), out, 0)
}

// reason says why a path was not followed.
func reason(err error) error {
	switch {
	case errors.Is(err, unix.ELOOP):
		return errors.New("a symbolic link is on the way, and links are not followed")
	case errors.Is(err, unix.EXDEV):
		return errors.New("it lies on another file system")
	case errors.Is(err, unix.ENOENT):
		return errors.New("it was not made")
	}
	return err
}

// take takes what lies under name in the open directory.
func (c *collector) take(dir int, name, at string, depth int) error {
	var st unix.Stat_t
	if err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return refused{fmt.Errorf("%s: %w", at, reason(err))}
	}
	if c.files++; c.files > c.limits.OutputFiles {
		return refused{fmt.Errorf("more than %d files", c.limits.OutputFiles)}
	}
	if !utf8.ValidString(name) {
		return refused{fmt.Errorf("%q: the name is not UTF-8", at)}
	}
	o := Output{Path: at, Mode: mode(st.Mode)}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return c.file(dir, name, o, &st)
	case unix.S_IFDIR:
		return c.dir(dir, name, o, depth)
	case unix.S_IFLNK:
		if depth == 0 {
			return refused{errors.New("it is a symbolic link: name the file itself")}
		}
		return c.link(dir, name, o)
	}
	return refused{fmt.Errorf("%s is a %s: only files, directories and links can be outputs", at, kind(o.Mode))}
}

func (c *collector) file(dir int, name string, o Output, st *unix.Stat_t) error {
	if st.Mode&0o400 == 0 {
		return refused{fmt.Errorf("%s has mode %04o: its owner cannot read it", o.Path, st.Mode&0o7777)}
	}
	if c.bytes += st.Size; st.Size > c.limits.OutputBytes || c.bytes > c.limits.OutputBytes {
		return refused{fmt.Errorf("more than %d bytes, with %s of %d", c.limits.OutputBytes, o.Path, st.Size)}
	}
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("opening %s: %w", o.Path, err)
	}
	from := os.NewFile(uintptr(fd), o.Path)
	defer from.Close()
	to, err := c.to.OpenFile(strings.TrimPrefix(o.Path, "/"), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(to, h), io.LimitReader(from, st.Size+1))
	if err = errors.Join(err, to.Close()); err != nil {
		return fmt.Errorf("copying %s: %w", o.Path, err)
	}
	if n != st.Size {
		return fmt.Errorf("%s has %d bytes where it had %d: something still writes", o.Path, n, st.Size)
	}
	o.Size = n
	h.Sum(o.SHA256[:0])
	c.all = append(c.all, o)
	return nil
}

func (c *collector) dir(parent int, name string, o Output, depth int) error {
	if o.Mode&0o500 != 0o500 {
		return refused{fmt.Errorf("%s has mode %04o: its owner cannot read it", o.Path, o.Mode.Perm())}
	}
	if depth >= maxDepth {
		return refused{fmt.Errorf("more than %d directories within each other", maxDepth)}
	}
	fd, err := unix.Openat(parent, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("opening %s: %w", o.Path, err)
	}
	dir := os.NewFile(uintptr(fd), o.Path)
	defer dir.Close()
	if err := c.to.Mkdir(strings.TrimPrefix(o.Path, "/"), 0o755); err != nil {
		return err
	}
	names, err := dir.Readdirnames(c.limits.OutputFiles - c.files + 1)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	sort.Strings(names)
	c.all = append(c.all, o)
	for _, n := range names {
		if err := c.take(fd, n, path.Join(o.Path, n), depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (c *collector) link(dir int, name string, o Output) error {
	b := make([]byte, 4097)
	n, err := unix.Readlinkat(dir, name, b)
	if err != nil {
		return err
	}
	if o.Link = string(b[:n]); !utf8.ValidString(o.Link) {
		return refused{fmt.Errorf("%s: the target is not UTF-8", o.Path)}
	}
	c.all = append(c.all, o)
	return nil
}

// mode is the mode as package fs has it.
func mode(m uint32) fs.FileMode {
	f := fs.FileMode(m & 0o777)
	for bit, to := range map[uint32]fs.FileMode{unix.S_ISUID: fs.ModeSetuid, unix.S_ISGID: fs.ModeSetgid, unix.S_ISVTX: fs.ModeSticky} {
		if m&bit != 0 {
			f |= to
		}
	}
	switch m & unix.S_IFMT {
	case unix.S_IFDIR:
		f |= fs.ModeDir
	case unix.S_IFLNK:
		f |= fs.ModeSymlink
	case unix.S_IFIFO:
		f |= fs.ModeNamedPipe
	case unix.S_IFSOCK:
		f |= fs.ModeSocket
	case unix.S_IFCHR:
		f |= fs.ModeDevice | fs.ModeCharDevice
	case unix.S_IFBLK:
		f |= fs.ModeDevice
	}
	return f
}

func kind(m fs.FileMode) string {
	switch {
	case m&fs.ModeNamedPipe != 0:
		return "pipe"
	case m&fs.ModeSocket != 0:
		return "socket"
	}
	return "device"
}
