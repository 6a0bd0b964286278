package sandbox

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Where root starts a sandbox, its processes are a user of the host that
// nobody is: one out of 65,536 above this number, drawn for each sandbox.
const firstHostID = 1_900_000_000

// hostUser draws the user of the host that the sandbox's processes are.
func hostUser() (uid, gid int) {
	if !isRoot() {
		return os.Geteuid(), os.Getegid()
	}
	var b [2]byte
	rand.Read(b[:])
	id := firstHostID + int(binary.BigEndian.Uint16(b[:]))
	return id, id
}

// namespaces is how process 1 is started: in new namespaces of every kind, as
// the job's user inside and as nobody of importance outside.
func (r *runner) namespaces() *syscall.SysProcAttr {
	a := r.asUser(r.job.UID, r.job.GID)
	a.Cloneflags |= unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP
	// Exec takes the capabilities of any user but 0 unless they are ambient.
	a.AmbientCaps = allCaps()
	return a
}

// asUser is a user namespace that has this user and no other.
func (r *runner) asUser(uid, gid int) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER,
		Setsid:      true,
		Pdeathsig:   syscall.SIGKILL,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: uid, HostID: r.hostUID, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: gid, HostID: r.hostGID, Size: 1}},
		// Only root can leave its other groups; a user keeps them, mapped to nobody.
		GidMappingsEnableSetgroups: isRoot(),
		Credential:                 &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid), NoSetGroups: !isRoot()},
	}
}

// isRoot reports whether this process may become any user. Root in a user
// namespace of few users, as in a rootless container, is an ordinary user.
func isRoot() bool {
	return os.Geteuid() == 0 && covers("/proc/self/uid_map") && covers("/proc/self/gid_map")
}

// covers reports whether the numbers from firstHostID on are mapped:
// user_namespaces(7), "first inside, first outside, how many" a line.
func covers(file string) bool {
	b, err := os.ReadFile(file)
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(b)) {
		var inside, outside, n int64
		if _, err := fmt.Sscan(line, &inside, &outside, &n); err == nil && inside <= firstHostID && inside+n >= firstHostID+1<<16 {
			return true
		}
	}
	return false
}

// mounts makes the mounts of directory layers where the sandbox's user could
// not reach them itself, and shows root's files in them as the job's.
func (r *runner) mounts(o *orders) (files []*os.File, err error) {
	if !isRoot() {
		return nil, nil
	}
	add := func(path string) (int, error) {
		fd, err := openTree(path)
		if err != nil {
			return 0, err
		}
		files = append(files, os.NewFile(uintptr(fd), path))
		return fdFirst + len(files) - 1, nil
	}
	for i := range o.Layers {
		l := &o.Layers[i]
		if l.Dir == "" {
			continue
		}
		if l.FD, err = add(l.Dir); err != nil {
			return files, err
		}
		if err := r.rootIsJob(files[len(files)-1]); err != nil {
			return files, fmt.Errorf("%s: showing root's files as the job's: %w", l.Dir, err)
		}
	}
	if o.Runsc != "" {
		o.RunscFD, err = add(o.Runsc)
	}
	return files, err
}

// rootIsJob maps user 0 of a detached mount to the sandbox's
// (mount_setattr(2), "ID-mapped mounts"). The map must be that of a user
// namespace, for which a process stands in. File systems that cannot do it
// keep their owners.
func (r *runner) rootIsJob(mount *os.File) error {
	in, out, err := os.Pipe()
	if err != nil {
		return err
	}
	defer out.Close()
	attr := r.asUser(0, 0)
	hold := &exec.Cmd{Path: "/proc/self/exe", Args: []string{argHold}, Env: []string{}, Dir: "/", Stdin: in, SysProcAttr: attr}
	err = hold.Start()
	in.Close()
	if err != nil {
		return cannotStart(err)
	}
	defer hold.Wait()
	defer out.Close() // ends it
	ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/user", hold.Process.Pid))
	if err != nil {
		return err
	}
	defer ns.Close()
	err = unix.MountSetattr(int(mount.Fd()), "", unix.AT_EMPTY_PATH, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(ns.Fd())})
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EPERM) {
		return nil
	}
	return err
}
