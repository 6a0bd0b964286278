package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// mounter makes the file system that the command sees, in a mount namespace of
// its own. The order matters: /proc can only be mounted while the old one is
// still to be seen, and layers are unpacked when it no longer is.
type mounter struct {
	o      *orders
	base   string // a tmpfs: root/ (or upper/ and work/), shm/, static files
	outer  string // what becomes "/" here
	root   string // what becomes "/" for the command: the same, or with gVisor a directory below
	baseFD int
}

// nodes of /dev; there are no others.
var nodes = []string{"null", "zero", "full", "random", "urandom"}

func (m *mounter) all() error {
	for _, step := range []struct {
		what string
		do   func() error
	}{
		{"keeping mounts to ourselves", m.private},
		{"taking directory layers", m.take},
		{"taking runsc", m.takeRunsc},
		{"making the disk", m.tmpfs},
		{"making the root", m.overlay},
		{"placing directory layers", m.place},
		{"making /dev", m.dev},
		{"making /proc", m.proc},
		{"placing runsc", m.runsc},
		{"setting the host name", m.host},
		{"entering the root", m.pivot},
	} {
		if err := step.do(); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	return nil
}

func (m *mounter) private() error {
	err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		return fmt.Errorf("%w: user namespaces have no power here, as AppArmor has it with kernel.apparmor_restrict_unprivileged_userns=1: set that to 0 or give this program a profile", err)
	}
	return err
}

// take gets hold of directories before anything hides them, as read-only
// detached mounts.
func (m *mounter) take() error {
	for i := range m.o.Layers {
		l := &m.o.Layers[i]
		if l.Dir == "" {
			continue
		}
		if l.FD == 0 {
			fd, err := openTree(l.Dir)
			if err != nil {
				return err
			}
			l.FD = fd
		}
		attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV}
		if err := unix.MountSetattr(l.FD, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &attr); err != nil {
			return fmt.Errorf("%s: making it read-only: %w", l.Dir, err)
		}
	}
	return nil
}

// takeRunsc is take for the program of gVisor.
func (m *mounter) takeRunsc() error {
	if m.o.Runsc == "" || m.o.RunscFD != 0 {
		return nil
	}
	fd, err := openTree(m.o.Runsc)
	m.o.RunscFD = fd
	return err
}

// openTree is a copy of the mounts at a directory that nobody else sees.
func openTree(dir string) (int, error) {
	fd, err := unix.OpenTree(unix.AT_FDCWD, dir, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
	if err != nil {
		return -1, fmt.Errorf("%s: %w", dir, err)
	}
	return fd, nil
}

func (m *mounter) tmpfs() error {
	for _, dir := range []string{"/tmp", "/mnt", "/run", "/var", "/proc"} {
		if fi, err := os.Stat(dir); err == nil && fi.IsDir() {
			m.base = dir
			break
		}
	}
	// The quota of the command comes on top when the layers are there.
	options := fmt.Sprintf("mode=755,size=%d,nr_inodes=%d", m.o.Limits.Root, maxRootInodes)
	if err := unix.Mount("tmpfs", m.base, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
		return err
	}
	m.outer, m.root = m.base+"/root", m.base+"/root"
	if m.o.Runsc != "" {
		m.outer, m.root = m.base+"/outer", m.base+"/outer"+jobRoot
	}
	for _, dir := range []string{"root", "outer", "outer" + jobRoot, "upper", "work", "shm", "static", "none"} {
		if err := os.Mkdir(filepath.Join(m.base, dir), 0o755); err != nil {
			return err
		}
	}
	if err := os.Chmod(m.base+"/shm", 0o777|os.ModeSticky); err != nil {
		return err
	}
	fd, err := unix.Open(m.base, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	m.baseFD = fd
	return err
}

// maxRootInodes bounds layers; each costs the kernel about 1 KiB.
const maxRootInodes = 1 << 20

// overlay mounts directory layers at "/" below a layer in memory; without any,
// the root lies in memory itself.
func (m *mounter) overlay() error {
	var lower []string
	for i, l := range m.o.Layers {
		if l.Dir == "" || (l.At != "" && l.At != "/") {
			continue
		}
		at := fmt.Sprintf("%s/lower%d", m.base, i)
		if err := moveMount(l.FD, at); err != nil {
			return err
		}
		lower = append(lower, at)
	}
	if m.outer != m.root {
		if err := bind(m.outer, m.outer); err != nil {
			return err
		}
	}
	if len(lower) == 0 {
		return bind(m.root, m.root)
	}
	slices.Reverse(lower) // the first is the uppermost
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s/upper,workdir=%s/work,userxattr", strings.Join(lower, ":"), m.base, m.base)
	return unix.Mount("overlay", m.root, "overlay", unix.MS_NOSUID|unix.MS_NODEV, options)
}

func (m *mounter) place() error {
	for _, l := range m.o.Layers {
		if l.Dir == "" || l.At == "" || l.At == "/" {
			continue
		}
		at, err := below(m.root, l.At)
		if err != nil {
			return err
		}
		if err := moveMount(l.FD, at); err != nil {
			return err
		}
	}
	return nil
}

// below is the path below a root to be, made if missing. Links in directory
// layers are not followed: they would lead into the old root.
func below(root, p string) (string, error) {
	at := root
	for part := range strings.SplitSeq(strings.TrimPrefix(p, "/"), "/") {
		at = filepath.Join(at, part)
		fi, err := os.Lstat(at)
		if errors.Is(err, os.ErrNotExist) {
			err = os.Mkdir(at, 0o755)
		} else if err == nil && !fi.IsDir() {
			err = fmt.Errorf("%s is not a directory in the layers", p)
		}
		if err != nil {
			return "", err
		}
	}
	return at, nil
}

func (m *mounter) dev() error {
	dev, err := below(m.outer, "/dev")
	if err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", dev, "tmpfs", unix.MS_NOSUID|unix.MS_NOEXEC, "mode=755,size=64k,nr_inodes=64"); err != nil {
		return err
	}
	for _, n := range nodes {
		at := filepath.Join(dev, n)
		if err := os.WriteFile(at, nil, 0o666); err != nil {
			return err
		}
		if err := bind("/dev/"+n, at); err != nil {
			return fmt.Errorf("/dev/%s: %w", n, err)
		}
	}
	for name, target := range map[string]string{"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2"} {
		if err := os.Symlink(target, filepath.Join(dev, name)); err != nil {
			return err
		}
	}
	shm := filepath.Join(dev, "shm")
	if err := os.Mkdir(shm, 0o755); err != nil {
		return err
	}
	if err := bind(m.base+"/shm", shm); err != nil {
		return err
	}
	return readOnly(dev, unix.MS_NOSUID|unix.MS_NOEXEC)
}

func (m *mounter) host() error {
	if err := unix.Sethostname([]byte(m.o.Hostname)); err != nil {
		return err
	}
	return unix.Setdomainname([]byte("(none)"))
}

// pivot makes the new root "/" and lets go of the old one for good.
func (m *mounter) pivot() error {
	if err := unix.Chdir(m.outer); err != nil {
		return err
	}
	// The old root is stacked on the new one and taken off again.
	if err := unix.PivotRoot(".", "."); err != nil {
		return err
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return err
	}
	return unix.Chdir("/")
}

// finish gives the command its quota: what lies there now, and as much as the
// job allows on top.
func (m *mounter) finish() error {
	defer unix.Close(m.baseFD)
	var st unix.Statfs_t
	if err := unix.Fstatfs(m.baseFD, &st); err != nil {
		return err
	}
	size := (int64(st.Blocks)-int64(st.Bfree))*st.Bsize + m.o.Limits.Disk
	inodes := int64(st.Files) - int64(st.Ffree) + m.o.Limits.Inodes
	fs, err := unix.Fspick(m.baseFD, "", unix.FSPICK_EMPTY_PATH|unix.FSPICK_CLOEXEC)
	if err != nil {
		return fmt.Errorf("setting the disk's quota: %w", err)
	}
	defer unix.Close(fs)
	err = errors.Join(
		unix.FsconfigSetString(fs, "size", strconv.FormatInt(size, 10)),
		unix.FsconfigSetString(fs, "nr_inodes", strconv.FormatInt(inodes, 10)),
		unix.FsconfigReconfigure(fs))
	if err != nil {
		return fmt.Errorf("setting the disk's quota: %w", err)
	}
	return nil
}

func moveMount(fd int, at string) error {
	if err := os.MkdirAll(at, 0o755); err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.MoveMount(fd, "", unix.AT_FDCWD, at, unix.MOVE_MOUNT_F_EMPTY_PATH)
}

func bind(from, to string) error {
	return unix.Mount(from, to, "", unix.MS_BIND|unix.MS_REC, "")
}

func readOnly(at string, flags uintptr) error {
	return unix.Mount("", at, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|flags, "")
}
