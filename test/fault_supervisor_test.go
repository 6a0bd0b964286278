//go:build linux

package test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A supervised command stops before each system call on files until the
// supervisor says how to go on: do it, fail with an errno, or die. It is the
// kernel that asks (seccomp's user notification), and it asks in one order for
// all threads. strace's -e inject=…:when=N counts for each thread apart, and a
// Go program's work hops between threads, so with strace the N-th call is
// another one in each run.
//
// The command installs the filter on itself: this test binary runs itself with
// superviseEnv set, hands the listener over the socket that is its descriptor
// 3, and becomes the command.
const superviseEnv = "VITRINE_TEST_SUPERVISED"

func init() {
	if os.Getenv(superviseEnv) != "" {
		err := becomeSupervised(os.Args[1:])
		fmt.Fprintln(os.Stderr, "supervised:", err)
		os.Exit(127)
	}
}

func becomeSupervised(argv []string) error {
	runtime.LockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no_new_privs: %w", err)
	}
	path, env := argv[0], []string{}
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, superviseEnv+"=") {
			env = append(env, e)
		}
	}
	filter := fileCallFilter()
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	fd, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
		unix.SECCOMP_FILTER_FLAG_NEW_LISTENER|unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, uintptr(unsafe.Pointer(&prog)))
	if errno != 0 {
		return fmt.Errorf("seccomp: %w", errno)
	}
	// sendmsg is not among the calls that wait for the supervisor.
	if err := unix.Sendmsg(3, []byte{0}, unix.UnixRights(int(fd)), nil, 0); err != nil {
		return fmt.Errorf("handing over the listener: %w", err)
	}
	return unix.Exec(path, argv, env)
}

// fileCallFilter is a BPF program that asks the supervisor for each of
// fileCalls and lets everything else pass. Anonymous memory is no file.
func fileCallFilter() []unix.SockFilter {
	const (
		load  = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		jeq   = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		jset  = unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K
		ret   = unix.BPF_RET | unix.BPF_K
		nr    = 0  // offsets in struct seccomp_data
		arch  = 4  //
		flags = 40 // argument 3, low word
	)
	allow := unix.SockFilter{Code: ret, K: unix.SECCOMP_RET_ALLOW}
	ask := unix.SockFilter{Code: ret, K: unix.SECCOMP_RET_USER_NOTIF}
	f := []unix.SockFilter{
		{Code: load, K: arch},
		{Code: jeq, K: auditArch, Jt: 1},
		allow,
		{Code: load, K: nr},
		{Code: jeq, K: unix.SYS_MMAP, Jf: 3},
		{Code: load, K: flags},
		{Code: jset, K: unix.MAP_ANONYMOUS, Jf: 1},
		allow,
		{Code: load, K: nr},
	}
	for _, c := range fileCalls {
		f = append(f, unix.SockFilter{Code: jeq, K: uint32(c.nr), Jf: 1}, ask)
	}
	return append(f, allow)
}

// event is a call on a file below the watched directory.
type event struct {
	n    int // from 1 on, over all threads
	call *fileCall
	path string // below the watched directory
}

func (e event) String() string { return fmt.Sprintf("call %d, %s of %s", e.n, e.call.name, e.path) }

// answer says how a call goes on.
type answer struct {
	errno unix.Errno // fails with this
	kill  bool       // kills the whole process instead
}

// outcome is how a supervised command ended.
type outcome struct {
	code           int // -1: killed
	stdout, stderr string
	events         []event
}

// supervise runs a command and asks decide about each call on a file below dir.
func supervise(ctx context.Context, dir string, decide func(event) answer, argv ...string) (*outcome, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "ours"), os.NewFile(uintptr(pair[1]), "theirs")
	defer ours.Close()
	defer theirs.Close()

	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, "/proc/self/exe", argv...)
	cmd.Env = append(os.Environ(), superviseEnv+"=1")
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.Stdout, cmd.Stderr = &out, &errs
	// A Go program that hangs says on SIGQUIT where.
	cmd.Cancel = func() error { return cmd.Process.Signal(unix.SIGQUIT) }
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	theirs.Close()
	s := &supervisor{dir: dir, pid: cmd.Process.Pid, decide: decide}
	supErr := s.run(pair[0])
	waitErr := cmd.Wait()
	if e := (*exec.ExitError)(nil); waitErr != nil && !errors.As(waitErr, &e) {
		return nil, waitErr
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("it hung; its stderr:\n%s", errs.String())
	}
	if supErr != nil {
		return nil, fmt.Errorf("supervising: %w\n%s", supErr, errs.String())
	}
	return &outcome{cmd.ProcessState.ExitCode(), out.String(), errs.String(), s.events}, nil
}

type supervisor struct {
	dir    string
	pid    int
	decide func(event) answer
	events []event
}

// seccompNotif and seccompResp are structs seccomp_notif and seccomp_notif_resp
// of linux/seccomp.h.
type seccompNotif struct {
	id         uint64
	pid, flags uint32
	nr         int32
	arch       uint32
	ip         uint64
	args       [6]uint64
}

type seccompResp struct {
	id    uint64
	val   int64
	error int32
	flags uint32
}

// run answers until the command is gone.
func (s *supervisor) run(socket int) error {
	listener, err := receiveFD(socket)
	if err != nil {
		return err
	}
	defer unix.Close(listener)
	for {
		fds := []unix.PollFd{{Fd: int32(listener), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, -1); errors.Is(err, unix.EINTR) {
			continue
		} else if err != nil {
			return err
		}
		if fds[0].Revents&unix.POLLIN == 0 {
			return nil // nobody is left who could ask
		}
		var q seccompNotif
		if errno := ioctl(listener, unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Pointer(&q)); errno == unix.ENOENT || errno == unix.EINTR {
			continue // the thread that asked is gone
		} else if errno != 0 {
			return fmt.Errorf("receiving: %w", errno)
		}
		a := s.answer(&q)
		if a.kill {
			// It waits in the call and dies there: the call is not done.
			if err := unix.Kill(s.pid, unix.SIGKILL); err != nil {
				return err
			}
			continue
		}
		r := seccompResp{id: q.id, error: -int32(a.errno)}
		if a.errno == 0 {
			r.flags = unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE
		}
		if errno := ioctl(listener, unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(&r)); errno != 0 && errno != unix.ENOENT {
			return fmt.Errorf("answering: %w", errno)
		}
	}
}

func (s *supervisor) answer(q *seccompNotif) answer {
	for i := range fileCalls {
		c := &fileCalls[i]
		if c.nr != uintptr(q.nr) {
			continue
		}
		for _, p := range paths(c, q) {
			if rel, ok := strings.CutPrefix(p, s.dir+"/"); ok {
				e := event{len(s.events) + 1, c, rel}
				s.events = append(s.events, e)
				return s.decide(e)
			}
		}
	}
	return answer{}
}

// paths returns the absolute paths that a call is about.
func paths(c *fileCall, q *seccompNotif) []string {
	proc := "/proc/" + strconv.Itoa(int(q.pid))
	var all []string
	for _, i := range c.fd {
		if p, err := os.Readlink(proc + "/fd/" + strconv.Itoa(int(int32(q.args[i])))); err == nil {
			all = append(all, p)
		}
	}
	for _, a := range c.path {
		p, err := readString(proc+"/mem", int64(q.args[a[1]]))
		if err != nil {
			continue
		}
		if !filepath.IsAbs(p) {
			base := proc + "/cwd"
			if a[0] != noDir && int32(q.args[a[0]]) != unix.AT_FDCWD {
				base = proc + "/fd/" + strconv.Itoa(int(int32(q.args[a[0]])))
			}
			dir, err := os.Readlink(base)
			if err != nil {
				continue
			}
			p = filepath.Join(dir, p)
		}
		all = append(all, filepath.Clean(p))
	}
	return all
}

// readString reads a C string from the memory of another process.
func readString(mem string, at int64) (string, error) {
	f, err := os.Open(mem)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b := make([]byte, unix.PathMax)
	n, err := f.ReadAt(b, at)
	if end := bytes.IndexByte(b[:n], 0); end >= 0 {
		return string(b[:end]), nil
	}
	return "", errors.Join(err, errors.New("no end of string"))
}

// receiveFD receives a descriptor over a socket.
func receiveFD(socket int) (int, error) {
	oob := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(socket, make([]byte, 1), oob, 0)
	if err != nil {
		return -1, err
	}
	msgs, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil || len(msgs) != 1 {
		return -1, errors.New("the command could not be supervised: no listener came")
	}
	fds, err := unix.ParseUnixRights(&msgs[0])
	if err != nil || len(fds) != 1 {
		return -1, errors.New("the command could not be supervised: no listener came")
	}
	return fds[0], nil
}

func ioctl(fd int, req uintptr, arg unsafe.Pointer) unix.Errno {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), req, uintptr(arg))
	return errno
}
