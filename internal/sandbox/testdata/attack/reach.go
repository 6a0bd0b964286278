//go:build linux

package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

func init() {
	attacks["proc-root"] = procRoot
	attacks["proc-write"] = procWrite
	attacks["proc-secrets"] = procSecrets
	attacks["self-exe"] = selfExe
	attacks["sibling"] = sibling
	attacks["families"] = families
	attacks["connect"] = connect
	attacks["devices"] = devices
	attacks["set-uid"] = setUID
	attacks["privileges"] = privileges
	attacks["signals"] = signals
	attacks["descriptors"] = descriptors
	attacks["tiocsti"] = terminal
	attacks["hard-links"] = hardLinks
	attacks["blinding"] = blinding
	attacks["oom-score"] = func([]string) {
		try("oom_score_adj", os.WriteFile("/proc/self/oom_score_adj", []byte("-1000"), 0))
	}
}

func atoi(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		panic(err)
	}
	return n
}

// above is process 1, if that is not this process itself: with gVisor it is.
func above() []string {
	if os.Getpid() == 1 {
		return nil
	}
	return []string{"1"}
}

// procRoot goes through the processes that can be seen to the root of others.
func procRoot(args []string) {
	for _, pid := range append(above(), args[0]) {
		for _, what := range []string{"root/etc/passwd", "cwd/etc/passwd", "exe", "mem", "environ", "maps"} {
			_, err := os.Open("/proc/" + pid + "/" + what)
			try("/proc/"+pid+"/"+what, err)
		}
		_, err := os.ReadDir("/proc/" + pid + "/fd")
		try("/proc/"+pid+"/fd", err)
	}
	// Up and up: the classic way out of chroot.
	fd, err := unix.Open("/", unix.O_DIRECTORY, 0)
	if err == nil {
		up := strings.Repeat("../", 64) + args[1]
		_, err = unix.Openat(fd, strings.TrimPrefix(up, "/"), unix.O_RDONLY, 0)
	}
	try("up from the root", err)
}

func procWrite([]string) {
	for path, text := range map[string]string{
		"/proc/sysrq-trigger":                 "h",
		"/proc/sys/kernel/core_pattern":       "|/tmp/x",
		"/proc/sys/kernel/modprobe":           "/tmp/x",
		"/proc/sys/kernel/hostname":           "attack",
		"/proc/sys/kernel/ns_last_pid":        "100",
		"/proc/sys/vm/drop_caches":            "1",
		"/proc/sys/net/ipv4/ip_forward":       "1",
		"/proc/sys/net/ipv4/ping_group_range": "0 0",
		"/proc/sys/fs/binfmt_misc/register":   ":x:M::x::/tmp/x:",
		"/proc/self/uid_map":                  "0 0 1",
		"/proc/self/setgroups":                "allow",
		"/proc/irq/default_smp_affinity":      "1",
		"/proc/mtrr":                          "x",
	} {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err == nil {
			var fi os.FileInfo
			if fi, err = f.Stat(); err == nil && fi.Mode()&os.ModeCharDevice != 0 {
				err = fmt.Errorf("leads to a device that keeps nothing")
			} else if err == nil {
				_, err = f.WriteString(text)
			}
		}
		try(path, err)
	}
}

// procSecrets reads what tells about the machine and the kernel.
func procSecrets([]string) {
	for _, name := range []string{"kcore", "kmsg", "keys", "key-users", "kallsyms", "cmdline", "config.gz", "interrupts", "iomem",
		"ioports", "modules", "partitions", "diskstats", "slabinfo", "swaps", "timer_list", "vmallocinfo", "zoneinfo", "sched_debug"} {
		b := make([]byte, 16)
		f, err := os.Open("/proc/" + name)
		if err == nil {
			var n int
			if n, err = f.Read(b); n > 0 {
				err = nil
			}
		}
		try("/proc/"+name, err)
	}
	for _, dir := range []string{"acpi", "fs", "irq", "bus", "scsi", "tty", "driver"} {
		entries, err := os.ReadDir("/proc/" + dir)
		if err == nil && len(entries) == 0 {
			err = fmt.Errorf("nothing is there")
		}
		try("/proc/"+dir, err)
	}
	_, err := os.ReadDir("/sys/kernel")
	try("/sys", err)
}

// selfExe overwrites the program that keeps us in.
func selfExe([]string) {
	for _, pid := range append(above(), "4000000") {
		for _, flag := range []int{os.O_WRONLY, os.O_WRONLY | os.O_TRUNC, os.O_RDONLY} {
			_, err := os.OpenFile("/proc/"+pid+"/exe", flag, 0)
			try(fmt.Sprintf("/proc/%s/exe with %#x", pid, flag), err)
		}
	}
}

// sibling looks for files of the host: outputs of another job, secrets.
func sibling(args []string) {
	for _, path := range args {
		_, err := os.ReadFile(path)
		try("read", err)
		try("write", os.WriteFile(path, []byte("spoiled"), 0o644))
		_, err = os.ReadDir(filepath.Dir(path))
		try("list", err)
	}
}

func families([]string) {
	for family := range 46 {
		if family == unix.AF_UNIX {
			continue
		}
		for _, kind := range []int{unix.SOCK_STREAM, unix.SOCK_DGRAM, unix.SOCK_RAW, unix.SOCK_SEQPACKET} {
			fd, err := unix.Socket(family, kind, 0)
			if err == nil {
				unix.Close(fd)
				try(fmt.Sprintf("socket %d %d", family, kind), nil)
			}
		}
		try(fmt.Sprintf("family %d", family), lastSocket(family))
	}
}

func lastSocket(family int) error {
	fd, err := unix.Socket(family, unix.SOCK_DGRAM, 0)
	if err == nil {
		unix.Close(fd)
	}
	return err
}

// connect tries network@address of its arguments.
func connect(args []string) {
	for _, a := range args {
		network, address, _ := strings.Cut(a, "!")
		c, err := net.DialTimeout(network, address, 2*time.Second)
		if err == nil {
			c.Write([]byte("hello"))
			c.Close()
		}
		try(a, err)
	}
	_, err := net.InterfaceAddrs()
	try("interfaces", err)
}

func devices([]string) {
	for name, dev := range map[string]uint64{"mem": unix.Mkdev(1, 1), "kmsg": unix.Mkdev(1, 11), "disk": unix.Mkdev(254, 0), "null": unix.Mkdev(1, 3)} {
		for kind, mode := range map[string]uint32{"char": unix.S_IFCHR, "block": unix.S_IFBLK} {
			path := "/tmp/" + kind + name
			err := unix.Mknod(path, mode|0o666, int(dev))
			try("mknod "+kind+" "+name, err)
			if err == nil {
				_, err = os.Open(path)
				try("open "+kind+" "+name, err)
			}
		}
	}
	for _, name := range []string{"mem", "kmem", "kmsg", "port", "kvm", "fuse", "tty", "ptmx", "console", "vda", "sda", "loop-control", "net/tun", "vsock", "vhost-net", "uinput", "mapper/control", "hpet", "cpu/0/msr"} {
		_, err := os.Open("/dev/" + name)
		try("/dev/"+name, err)
	}
	try("a file in /dev", os.WriteFile("/dev/x", nil, 0o644))
}

// setUID makes a set-uid program, and one with file capabilities, and runs them.
func setUID(args []string) {
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		self, err = os.ReadFile(os.Args[0])
	}
	try("chown to another user", os.Chown("/tmp", 12345, 12345))
	if err == nil {
		err = os.WriteFile("/tmp/su", self, 0o755)
	}
	if err != nil {
		fmt.Println("cannot copy:", err)
		return
	}
	os.Chmod("/tmp/su", 0o4755)
	caps := []byte{1, 0, 0, 2, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0}
	try("file capabilities", unix.Setxattr("/tmp/su", "security.capability", caps, 0))
	out, err := exec.Command("/tmp/su", "privileges").CombinedOutput()
	fmt.Print(strings.ReplaceAll(string(out), "end\n", ""))
	if err != nil {
		fmt.Println("exec:", err)
	}
}

// privileges says what this process may do.
func privileges([]string) {
	b, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(b)) {
		if k, v, ok := strings.Cut(line, ":"); ok && (strings.HasPrefix(k, "Cap") || k == "NoNewPrivs") {
			say(k, strings.TrimSpace(v))
		}
	}
	say("uid", fmt.Sprint(os.Getuid(), os.Geteuid(), os.Getgid(), os.Getegid()))
	try("setuid", unix.Setuid(54321))
	try("setgroups", unix.Setgroups([]int{54321}))
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	data := [2]unix.CapUserData{{Effective: 1 << unix.CAP_SYS_ADMIN, Permitted: 1 << unix.CAP_SYS_ADMIN}}
	try("capset", unix.Capset(&header, &data[0]))
}

func signals(args []string) {
	host := atoi(args[0])
	for _, sig := range []unix.Signal{unix.SIGKILL, unix.SIGSTOP, unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGABRT, unix.SIGSEGV, unix.SIGXCPU} {
		if len(above()) > 0 {
			unix.Kill(1, sig) // may look like a success; that process 1 lives on is what counts
		}
		try(fmt.Sprintf("signal %d to %d", sig, host), unix.Kill(host, sig))
		try(fmt.Sprintf("thread signal %d to %d", sig, host), unix.Tgkill(host, host, sig))
	}
	fd, err := unix.PidfdOpen(host, 0)
	if err == nil {
		err = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
	}
	try("pidfd signal", err)
	unix.Kill(-1, unix.SIGCONT)
	time.Sleep(200 * time.Millisecond)
	_, err = os.Stat("/proc/self") // process 1 lives, or this would not
	say("alive", err == nil)
}

// blinding takes away from process 1 what it needs to watch.
func blinding([]string) {
	for _, p := range append(above(), "4000000") {
		pid := atoi(p)
		for name, r := range map[string]int{"files": unix.RLIMIT_NOFILE, "processor time": unix.RLIMIT_CPU, "memory": unix.RLIMIT_AS} {
			try(fmt.Sprintf("limit on %s of %d", name, pid), unix.Prlimit(pid, r, &unix.Rlimit{}, nil))
		}
		try(fmt.Sprintf("priority of %d", pid), unix.Setpriority(unix.PRIO_PROCESS, pid, 19))
	}
	_, _, e := unix.Syscall(unix.SYS_IOPRIO_SET, 3, 0, 3<<13)
	try("ioprio_set of the user", errno(e))
	try("priority of the user", unix.Setpriority(unix.PRIO_USER, 0, 19))
}

// descriptors looks at every number: what was inherited must be 0, 1 and 2.
func descriptors([]string) {
	own := map[int]bool{0: true, 1: true, 2: true}
	for fd := range 4096 {
		var st unix.Stat_t
		if own[fd] || unix.Fstat(fd, &st) != nil {
			continue
		}
		target, _ := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
		if strings.HasPrefix(target, "anon_inode:") { // Go's own poller
			continue
		}
		say("leaked", target)
	}
	for fd := range 3 {
		target, _ := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
		say(fmt.Sprint("fd", fd), target)
	}
}

func terminal([]string) {
	c := byte('x')
	for fd := range 3 {
		for name, req := range map[string]uintptr{"TIOCSTI": 0x5412, "TIOCSTI with a high bit": 1<<32 | 0x5412, "TIOCLINUX": 0x541c, "TIOCSCTTY": 0x540e} {
			_, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), req, ptr(&c))
			try(fmt.Sprintf("%s on %d", name, fd), errno(e))
		}
	}
	_, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	try("/dev/tty", err)
	_, err = os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	try("/dev/ptmx", err)
}

// hardLinks links what is outside, or not ours, to where outputs are taken.
func hardLinks(args []string) {
	os.MkdirAll("/out", 0o755)
	for i, path := range append(args, "/proc/version", "/dev/null", "/dev/urandom") {
		try("link "+path, unix.Linkat(unix.AT_FDCWD, path, unix.AT_FDCWD, fmt.Sprintf("/out/l%d", i), unix.AT_SYMLINK_FOLLOW))
	}
	os.WriteFile("/out/a", []byte("a"), 0o644)
	os.Link("/out/a", "/out/b")
}
