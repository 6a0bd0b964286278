//go:build linux

package main

import (
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

func init() {
	runtime.LockOSThread()
	attacks["mounts"] = mounts
	attacks["namespaces"] = namespaces
	attacks["ptrace"] = ptrace
	attacks["clock"] = clock
	attacks["keyring"] = keyring
	attacks["io-uring"] = func([]string) {
		var params [120]byte
		call("io_uring_setup", unix.SYS_IO_URING_SETUP, 8, ptr(&params[0]), 0)
	}
	attacks["bpf"] = func([]string) {
		attr := struct{ kind, key, value, max uint32 }{2, 4, 8, 1} // BPF_MAP_TYPE_ARRAY
		call("bpf map", unix.SYS_BPF, 0, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
	}
	attacks["perf-event"] = func([]string) {
		attr := unix.PerfEventAttr{Type: unix.PERF_TYPE_SOFTWARE, Size: uint32(unsafe.Sizeof(unix.PerfEventAttr{}))}
		call("perf_event_open", unix.SYS_PERF_EVENT_OPEN, uintptr(unsafe.Pointer(&attr)), 0, ^uintptr(0), ^uintptr(0), 0)
	}
	attacks["userfaultfd"] = func([]string) {
		call("userfaultfd", unix.SYS_USERFAULTFD, 1) // user mode only, which needs no privilege
		_, err := os.Open("/dev/userfaultfd")
		try("/dev/userfaultfd", err)
	}
	attacks["kexec-and-modules"] = func([]string) {
		call("kexec_load", unix.SYS_KEXEC_LOAD, 0, 0, 0, 0)
		call("kexec_file_load", unix.SYS_KEXEC_FILE_LOAD, 0, 0, 0, 0, 4)
		call("reboot, with ctrl-alt-del off", unix.SYS_REBOOT, unix.LINUX_REBOOT_MAGIC1, unix.LINUX_REBOOT_MAGIC2, unix.LINUX_REBOOT_CMD_CAD_OFF, 0)
		call("init_module", unix.SYS_INIT_MODULE, 0, 0, 0)
		call("finit_module", unix.SYS_FINIT_MODULE, 0, 0, 0)
		call("delete_module", unix.SYS_DELETE_MODULE, 0, 0)
	}
	attacks["handles"] = func([]string) {
		h, _, err := unix.NameToHandleAt(unix.AT_FDCWD, "/", 0)
		try("name_to_handle_at", err)
		if err != nil {
			h = unix.NewFileHandle(1, []byte{2, 0, 0, 0, 0, 0, 0, 0}) // inode 2, the root of ext4
		}
		_, err = unix.OpenByHandleAt(0, h, unix.O_RDONLY)
		try("open_by_handle_at", err)
	}
	attacks["machine"] = func([]string) {
		name := []byte("/tmp/x\x00")
		call("swapon", unix.SYS_SWAPON, ptr(&name[0]), 0)
		call("acct", unix.SYS_ACCT, ptr(&name[0]))
		call("syslog", unix.SYS_SYSLOG, 10, 0, 0)
		call("quotactl", unix.SYS_QUOTACTL, 0x800002, 0, 0, 0)
		call("sethostname", unix.SYS_SETHOSTNAME, ptr(&name[1]), 3)
		call("setdomainname", unix.SYS_SETDOMAINNAME, ptr(&name[1]), 3)
		call("vhangup", unix.SYS_VHANGUP)
		call("iopl", unix.SYS_IOPL, 3)
		call("ioperm", unix.SYS_IOPERM, 0x80, 1, 1)
		call("modify_ldt", unix.SYS_MODIFY_LDT, 1, 0, 0)
		call("personality of another system", unix.SYS_PERSONALITY, 0x0200000|8)
		call("migrate_pages", unix.SYS_MIGRATE_PAGES, 1, 0, 0, 0)
	}
	attacks["old-interfaces"] = func([]string) {
		// getpid of i386 and of x32: no filter looks at them if these pass.
		if r := int80(20); r > 0 {
			try("int 0x80", nil)
		} else {
			try("int 0x80", unix.Errno(-r))
		}
		call("x32", 0x40000000|unix.SYS_GETPID)
	}
	attacks["processors"] = func(args []string) {
		var all unix.CPUSet
		for c := range 64 {
			all.Set(c)
		}
		try("sched_setaffinity", unix.SchedSetaffinity(0, &all))
		var have unix.CPUSet
		unix.SchedGetaffinity(0, &have)
		say("cpus", have.Count())
		try("realtime", setScheduler())
	}
}

func setScheduler() error {
	priority := int32(1)
	_, _, e := unix.Syscall(unix.SYS_SCHED_SETSCHEDULER, 0, 1, uintptr(unsafe.Pointer(&priority)))
	return errno(e)
}

func ptr(b *byte) uintptr { return uintptr(unsafe.Pointer(b)) }

func errno(e unix.Errno) error {
	if e != 0 {
		return e
	}
	return nil
}

// call makes a raw system call.
func call(step string, nr uintptr, args ...uintptr) {
	var a [6]uintptr
	copy(a[:], args)
	_, _, e := unix.Syscall6(nr, a[0], a[1], a[2], a[3], a[4], a[5])
	try(step, errno(e))
}

func mounts([]string) {
	os.MkdirAll("/tmp/m", 0o755)
	try("tmpfs", unix.Mount("tmpfs", "/tmp/m", "tmpfs", 0, ""))
	try("bind", unix.Mount("/", "/tmp/m", "", unix.MS_BIND, ""))
	try("proc", unix.Mount("proc", "/tmp/m", "proc", 0, ""))
	try("sysfs", unix.Mount("sysfs", "/tmp/m", "sysfs", 0, ""))
	try("devtmpfs", unix.Mount("dev", "/tmp/m", "devtmpfs", 0, ""))
	try("cgroup2", unix.Mount("cg", "/tmp/m", "cgroup2", 0, ""))
	try("remount of /proc", unix.Mount("", "/proc", "", unix.MS_REMOUNT|unix.MS_BIND, ""))
	try("umount", unix.Unmount("/proc/keys", unix.MNT_DETACH))
	try("umount of /proc", unix.Unmount("/proc", unix.MNT_DETACH))
	try("pivot_root", unix.PivotRoot("/", "/tmp/m"))
	try("chroot", unix.Chroot("/tmp/m"))
	_, err := unix.Fsopen("tmpfs", 0)
	try("fsopen", err)
	_, err = unix.OpenTree(unix.AT_FDCWD, "/", unix.OPEN_TREE_CLONE)
	try("open_tree", err)
	try("move_mount", unix.MoveMount(unix.AT_FDCWD, "/proc", unix.AT_FDCWD, "/tmp/m", 0))
	try("mount_setattr", unix.MountSetattr(unix.AT_FDCWD, "/proc", 0, &unix.MountAttr{Attr_clr: unix.MOUNT_ATTR_RDONLY}))
}

func namespaces([]string) {
	for name, flag := range map[string]int{"user": unix.CLONE_NEWUSER, "mount": unix.CLONE_NEWNS, "pid": unix.CLONE_NEWPID,
		"net": unix.CLONE_NEWNET, "ipc": unix.CLONE_NEWIPC, "uts": unix.CLONE_NEWUTS, "cgroup": unix.CLONE_NEWCGROUP, "time": unix.CLONE_NEWTIME} {
		try("unshare "+name, unix.Unshare(flag))
		if flag == unix.CLONE_NEWTIME {
			continue
		}
		pid, _, e := unix.RawSyscall6(unix.SYS_CLONE, uintptr(flag)|uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
		if e == 0 && pid == 0 {
			unix.RawSyscall(unix.SYS_EXIT, 0, 0, 0)
		}
		try("clone "+name, errno(e))
	}
	args := struct{ flags, pidfd, ctid, ptid, signal, stack, size, tls uint64 }{flags: unix.CLONE_NEWUSER, signal: uint64(unix.SIGCHLD)}
	pid, _, e := unix.RawSyscall(unix.SYS_CLONE3, uintptr(unsafe.Pointer(&args)), unsafe.Sizeof(args), 0)
	if e == 0 && pid == 0 {
		unix.RawSyscall(unix.SYS_EXIT, 0, 0, 0)
	}
	try("clone3 user", errno(e))
	fd, err := unix.Open("/proc/self/ns/net", unix.O_RDONLY, 0)
	if err == nil {
		err = unix.Setns(fd, 0)
	}
	try("setns", err)
}

func ptrace(args []string) {
	for _, p := range append(above(), args[0]) {
		pid := atoi(p)
		try(fmt.Sprintf("attach %d", pid), unix.PtraceAttach(pid))
		try(fmt.Sprintf("seize %d", pid), unix.PtraceSeize(pid))
		b := make([]byte, 8)
		local := []unix.Iovec{{Base: &b[0], Len: 8}}
		_, err := unix.ProcessVMReadv(pid, local, []unix.RemoteIovec{{Base: 0x400000, Len: 8}}, 0)
		try(fmt.Sprintf("read memory of %d", pid), err)
		_, err = unix.ProcessVMWritev(pid, local, []unix.RemoteIovec{{Base: 0x400000, Len: 8}}, 0)
		try(fmt.Sprintf("write memory of %d", pid), err)
		fd, err := unix.PidfdOpen(pid, 0)
		if err == nil {
			_, err = unix.PidfdGetfd(fd, 0, 0)
		}
		try(fmt.Sprintf("take a descriptor of %d", pid), err)
	}
}

func clock([]string) {
	now := unix.Timespec{Sec: 1}
	try("clock_settime", unix.ClockSettime(unix.CLOCK_REALTIME, &now))
	tv := unix.Timeval{Sec: 1}
	try("settimeofday", unix.Settimeofday(&tv))
	tx := unix.Timex{Modes: unix.ADJ_FREQUENCY, Freq: 1}
	_, err := unix.Adjtimex(&tx)
	try("adjtimex", err)
	_, err = unix.ClockAdjtime(unix.CLOCK_REALTIME, &tx)
	try("clock_adjtime", err)
	_, err = os.OpenFile("/dev/rtc0", os.O_RDWR, 0)
	try("/dev/rtc0", err)
	try("timens offsets", os.WriteFile("/proc/self/timens_offsets", []byte("monotonic 1 0\n"), 0))
}

func keyring([]string) {
	_, err := unix.AddKey("user", "vitrine", []byte("x"), unix.KEY_SPEC_USER_KEYRING)
	try("add_key", err)
	_, err = unix.RequestKey("user", "vitrine", "", unix.KEY_SPEC_USER_KEYRING)
	try("request_key", err)
	_, err = unix.KeyctlGetKeyringID(unix.KEY_SPEC_SESSION_KEYRING, true)
	try("keyctl", err)
}
