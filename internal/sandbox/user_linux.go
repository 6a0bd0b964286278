package sandbox

import (
	"crypto/rand"
	"encoding/binary"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Where root starts a sandbox, its processes are a user of the host that
// nobody is: one out of 65,536 above this number, drawn for each sandbox.
const firstHostID = 1_900_000_000

// namespaces is how process 1 is started: in new namespaces of every kind, as
// the job's user inside and as nobody of importance outside.
func namespaces(uid, gid int) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET |
			unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP,
		Setsid:    true,
		Pdeathsig: syscall.SIGKILL,
		// Exec takes the capabilities of any user but 0 unless they are ambient.
		AmbientCaps: allCaps(),
	}
	hostUID, hostGID := os.Geteuid(), os.Getegid()
	asRoot := hostUID == 0
	if asRoot {
		var b [2]byte
		rand.Read(b[:])
		hostUID = firstHostID + int(binary.BigEndian.Uint16(b[:]))
		hostGID = hostUID
	}
	a.UidMappings = []syscall.SysProcIDMap{{ContainerID: uid, HostID: hostUID, Size: 1}}
	a.GidMappings = []syscall.SysProcIDMap{{ContainerID: gid, HostID: hostGID, Size: 1}}
	// Only root can leave its other groups; a user keeps them, mapped to nobody.
	a.GidMappingsEnableSetgroups = asRoot
	a.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid), NoSetGroups: !asRoot}
	return a
}

// mounts makes the mounts of directory layers where the sandbox's user could
// not reach them itself. As root they also show root's files as the job's.
func (r *runner) mounts(o *orders) ([]*os.File, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	var files []*os.File
	for i := range o.Layers {
		l := &o.Layers[i]
		if l.Dir == "" {
			continue
		}
		fd, err := openTree(l.Dir)
		if err != nil {
			return nil, err
		}
		l.FD = fdFirst + len(files)
		files = append(files, os.NewFile(uintptr(fd), l.Dir))
	}
	if o.Runsc != "" {
		fd, err := openTree(o.Runsc)
		if err != nil {
			return nil, err
		}
		o.RunscFD = fdFirst + len(files)
		files = append(files, os.NewFile(uintptr(fd), o.Runsc))
	}
	return files, nil
}
