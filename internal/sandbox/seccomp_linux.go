package sandbox

import (
	"fmt"
	"strings"
	"unsafe"

	"github.com/elastic/go-seccomp-bpf/arch"
	"golang.org/x/sys/unix"
)

// allowed are the system calls of compilers, shells and build tools. Everything
// else is refused with EPERM, also what future kernels add. Names that an
// architecture does not have are left out there.
var allowed = strings.Fields(`
	read write readv writev pread64 pwrite64 preadv pwritev preadv2 pwritev2 open openat openat2 creat close close_range
	lseek _llseek dup dup2 dup3 fcntl flock fsync fdatasync sync syncfs sync_file_range truncate ftruncate fallocate
	fadvise64 readahead sendfile splice tee vmsplice copy_file_range pipe pipe2
	stat lstat fstat newfstatat statx statfs fstatfs access faccessat faccessat2 getdents getdents64 readlink readlinkat
	mkdir mkdirat rmdir rename renameat renameat2 link linkat symlink symlinkat unlink unlinkat
	chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat utime utimes utimensat futimesat umask
	getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr setxattr lsetxattr fsetxattr removexattr lremovexattr fremovexattr
	getcwd chdir fchdir inotify_init inotify_init1 inotify_add_watch inotify_rm_watch
	mmap munmap mremap mprotect madvise msync mincore mlock mlock2 munlock brk membarrier
	pkey_alloc pkey_free pkey_mprotect map_shadow_stack
	fork vfork execve execveat exit exit_group wait4 waitid getpid getppid gettid getpgid getpgrp setpgid getsid setsid
	getuid geteuid getgid getegid getresuid getresgid getgroups setuid setgid setreuid setregid setresuid setresgid
	setfsuid setfsgid setgroups capget capset
	kill tkill tgkill rt_sigaction rt_sigprocmask rt_sigreturn rt_sigsuspend rt_sigpending rt_sigtimedwait rt_sigqueueinfo
	rt_tgsigqueueinfo sigaltstack pause alarm signalfd signalfd4 pidfd_open pidfd_send_signal restart_syscall
	select _newselect pselect6 poll ppoll epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_wait epoll_wait_old epoll_pwait epoll_pwait2
	eventfd eventfd2 timerfd_create timerfd_settime timerfd_gettime
	timer_create timer_settime timer_gettime timer_getoverrun timer_delete getitimer setitimer
	nanosleep clock_nanosleep clock_gettime clock_getres gettimeofday time times
	futex futex_waitv futex_wait futex_wake futex_requeue get_robust_list set_robust_list set_tid_address rseq arch_prctl
	getrlimit setrlimit getrusage getpriority ioprio_get
	sched_yield sched_getaffinity sched_getparam sched_getscheduler sched_get_priority_max sched_get_priority_min
	sched_rr_get_interval sched_getattr getcpu
	uname sysinfo getrandom prctl
	bind listen accept accept4 connect shutdown getsockname getpeername getsockopt setsockopt sendto recvfrom sendmsg recvmsg
	sendmmsg recvmmsg
	msgget msgsnd msgrcv msgctl semget semop semtimedop semctl
	landlock_create_ruleset landlock_add_rule landlock_restrict_self
	get_mempolicy cachestat mseal
`)

// absent are answered as by a kernel that does not have them: programs then
// take the older way. clone3 hides its flags behind a pointer; memory of
// memfd_create and shmget is counted nowhere.
var absent = []string{"clone3", "memfd_create", "memfd_secret", "io_uring_setup", "io_uring_enter", "io_uring_register",
	"shmget", "shmat", "shmctl", "shmdt", "userfaultfd", "set_mempolicy", "mbind"}

// newSpaces are the flags of clone that make namespaces.
const newSpaces = unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC |
	unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWTIME

// Values that golang.org/x/sys/unix does not name.
const (
	personalityQuery    = 0xffffffff
	personalityNoRandom = 0x0040000
	tiocsti             = 0x5412
	tioclinux           = 0x541c
)

// rule allows a call for some values of one argument, of which the kernel
// looks at the lower 32 bits, as we do.
type rule struct {
	name     string
	argument uint32
	op       op
	values   []uint32
	errno    unix.Errno // when it is refused
}

type op int

const (
	oneOf     op = iota // the argument must be one of the values
	noneOf              // it must be none of them
	noBitsSet           // it must have none of their bits
)

var rules = []rule{
	{"ioctl", 1, noneOf, []uint32{tiocsti, tioclinux}, unix.EPERM},
	{"clone", 0, noBitsSet, []uint32{newSpaces}, unix.EPERM},
	{"socket", 0, oneOf, []uint32{unix.AF_UNIX}, unix.EAFNOSUPPORT},
	{"socketpair", 0, oneOf, []uint32{unix.AF_UNIX}, unix.EAFNOSUPPORT},
	{"personality", 0, oneOf, []uint32{0, personalityNoRandom, personalityQuery}, unix.EPERM},
	// Limits of itself only: process 1, which watches, may be the same user. (So
	// setpriority and ioprio_set are not on the list.)
	{"prlimit64", 0, oneOf, []uint32{0}, unix.EPERM},
	// The type of the node is in the mode: files, pipes and sockets, no devices.
	{"mknod", 1, noBitsSet, []uint32{unix.S_IFCHR & unix.S_IFBLK}, unix.EPERM},
	{"mknodat", 2, noBitsSet, []uint32{unix.S_IFCHR & unix.S_IFBLK}, unix.EPERM},
}

// Offsets in struct seccomp_data; arguments are 64 bits, little-endian on all
// architectures that we build for.
const (
	offNumber    = 0
	offArch      = 4
	offArguments = 16
)

const x32 = 0x40000000 // bit of the numbers of the x32 interface of amd64

// filter is the program for this architecture, which runs at each system call
// that the kernel cannot answer from its cache. Calls of another architecture
// (32-bit on 64, x32) are refused.
func filter() ([]unix.SockFilter, error) {
	info, err := arch.GetInfo("")
	if err != nil {
		return nil, fmt.Errorf("this architecture: %w", err)
	}
	deny := func(e unix.Errno) unix.SockFilter { return ret(unix.SECCOMP_RET_ERRNO | uint32(e)) }
	p := []unix.SockFilter{load(offArch), jump(unix.BPF_JEQ, uint32(info.ID), 1, 0), deny(unix.EPERM), load(offNumber)}
	if info.ID == arch.X86_64.ID {
		p = append(p, jump(unix.BPF_JGE, x32, 0, 1), deny(unix.ENOSYS))
	}
	for _, r := range rules {
		if n, ok := info.SyscallNames[r.name]; ok {
			block := r.assemble(deny(r.errno))
			p = append(append(p, jump(unix.BPF_JEQ, uint32(n), 0, uint8(len(block)))), block...)
		}
	}
	for _, list := range []struct {
		names []string
		then  unix.SockFilter
	}{{allowed, ret(unix.SECCOMP_RET_ALLOW)}, {absent, deny(unix.ENOSYS)}} {
		for _, name := range list.names {
			if n, ok := info.SyscallNames[name]; ok {
				p = append(p, jump(unix.BPF_JEQ, uint32(n), 0, 1), list.then)
			}
		}
	}
	return append(p, deny(unix.EPERM)), nil
}

// assemble is the block for one call; it always ends with a verdict, because
// the number of the call is no longer in the accumulator.
func (r rule) assemble(deny unix.SockFilter) []unix.SockFilter {
	allow := ret(unix.SECCOMP_RET_ALLOW)
	block := []unix.SockFilter{load(offArguments + 8*r.argument)}
	for _, v := range r.values {
		switch r.op {
		case oneOf:
			block = append(block, jump(unix.BPF_JEQ, v, 0, 1), allow)
		case noneOf:
			block = append(block, jump(unix.BPF_JEQ, v, 0, 1), deny)
		case noBitsSet:
			block = append(block, jump(unix.BPF_JSET, v, 0, 1), deny)
		}
	}
	if r.op == oneOf {
		return append(block, deny)
	}
	return append(block, allow)
}

func load(offset uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
}

func jump(op uint16, k uint32, yes, no uint8) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_K | op, K: k, Jt: yes, Jf: no}
}

func ret(k uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: k}
}

// seccompSelf binds this thread alone: exec comes next and ends the others.
func seccompSelf() error {
	p, err := filter()
	if err != nil {
		return err
	}
	prog := unix.SockFprog{Len: uint16(len(p)), Filter: &p[0]}
	if _, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&prog))); errno != 0 {
		return fmt.Errorf("loading the filter: %w", errno)
	}
	return nil
}
