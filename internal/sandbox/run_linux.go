package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// setUpTime bounds the time from the start of the sandbox to that of the
// command: unpacking layers.
const setUpTime = 10 * time.Minute

// runner is the process outside, for one job.
type runner struct {
	engine string
	job    *Job
	log    io.Writer
	outDir string
	cgroup string
	runsc  string // path of runsc, for gVisor

	hostUID int // what the sandbox's user is outside
	hostGID int
	cmd     *exec.Cmd
	orders  *os.File
	news    *os.File
	logs    *os.File
	group   *group
	root    int // the sandbox's root directory
	logged  chan error
	full    chan struct{} // closed when the log is over its limit
}

func (r *runner) run(ctx context.Context) (Result, error) {
	o, files, err := r.job.open()
	if err != nil {
		return Result{}, err
	}
	if err := r.machine(); err != nil {
		return Result{}, err
	}
	o.Runsc = r.runsc
	if r.group, err = newGroup(r.cgroup, r.job.Limits, r.tasks()); err != nil {
		return Result{}, err
	}
	defer r.group.remove()
	r.root = -1
	defer r.closeRoot()

	// The death signal comes when the thread that started the sandbox ends, so
	// that one stays until the sandbox is gone.
	type answer struct {
		res Result
		err error
	}
	done := make(chan answer)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		res, err := r.session(ctx, o, files)
		done <- answer{res, err}
	}()
	a := <-done
	if a.err != nil && ctx.Err() != nil {
		return Result{Engine: r.engine, Exit: 128 + int(syscall.SIGKILL), Reason: Cancelled, Detail: context.Cause(ctx).Error()}, nil
	}
	if a.err != nil {
		return a.res, a.err
	}
	return r.collect(a.res)
}

// machine refuses a job that this machine cannot run as it is.
func (r *runner) machine() error {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return err
	}
	if set.Count() < r.job.CPUs {
		return fmt.Errorf("the job wants %d processors and there are %d here: run it on a larger machine", r.job.CPUs, set.Count())
	}
	return nil
}

// session starts the sandbox, runs the command and ends the sandbox. When it
// returns, no process of it is left.
func (r *runner) session(ctx context.Context, o *orders, files []source) (res Result, err error) {
	if err := r.start(o); err != nil {
		return Result{}, err
	}
	defer func() {
		r.end()
		if lerr := <-r.logged; lerr != nil && err == nil {
			err = fmt.Errorf("writing the log: %w", lerr)
		}
		r.news.Close()
	}()
	if err := r.setUp(ctx, o, files); err != nil {
		return Result{}, err
	}
	return r.command(ctx)
}

// start starts process 1 in new namespaces. It waits for its orders.
func (r *runner) start(o *orders) error {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return err
	}
	r.news = os.NewFile(uintptr(pair[0]), "news")
	theirs := os.NewFile(uintptr(pair[1]), "news")
	defer theirs.Close()
	ordersIn, ordersOut, err := os.Pipe()
	if err != nil {
		return err
	}
	defer ordersIn.Close()
	r.orders = ordersOut
	logOut, logIn, err := os.Pipe()
	if err != nil {
		return err
	}
	defer logIn.Close()
	r.logs = logOut
	extra := []*os.File{ordersIn, theirs}
	r.hostUID, r.hostGID = hostUser()
	mounts, err := r.mounts(o)
	defer func() {
		for _, f := range mounts {
			f.Close()
		}
	}()
	if err != nil {
		return err
	}
	extra = append(extra, mounts...)
	r.cmd = &exec.Cmd{Path: "/proc/self/exe", Args: []string{argInit}, Env: []string{}, Dir: "/",
		Stdout: logIn, Stderr: logIn, ExtraFiles: extra, SysProcAttr: r.namespaces()}
	if err := r.cmd.Start(); err != nil {
		return cannotStart(err)
	}
	if err := r.group.add(r.cmd.Process.Pid); err != nil {
		r.cmd.Process.Kill()
		r.cmd.Wait()
		return err
	}
	r.logged, r.full = make(chan error, 1), make(chan struct{})
	go r.copyLog()
	return nil
}

// cannotStart says what usually is in the way.
func cannotStart(err error) error {
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return fmt.Errorf("making namespaces is not allowed here (%w): allow user namespaces (sysctl kernel.unprivileged_userns_clone=1, kernel.apparmor_restrict_unprivileged_userns=0, or a container whose seccomp profile lets unshare pass)", unwrapPath(err))
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EUSERS):
		return fmt.Errorf("no more namespaces can be made here (%w): raise user.max_user_namespaces", unwrapPath(err))
	}
	return fmt.Errorf("starting the sandbox: %w", err)
}

// setUp sends what the job brings and waits until all is in place.
func (r *runner) setUp(ctx context.Context, o *orders, files []source) error {
	sent := make(chan error, 1)
	go func() {
		sent <- send(r.orders, o, files)
		r.orders.Close()
	}()
	stop := context.AfterFunc(ctx, r.kill)
	defer stop()
	timer := time.AfterFunc(setUpTime, r.kill)
	defer timer.Stop()
	n, err := r.next()
	if err != nil || n.Failed != "" {
		r.kill()
	}
	serr := <-sent
	switch {
	case n.Failed != "":
		return errors.New(n.Failed)
	case ctx.Err() != nil:
		return ctx.Err()
	case serr != nil && !errors.Is(serr, syscall.EPIPE):
		return fmt.Errorf("sending what the job brings: %w", serr)
	case err != nil:
		return fmt.Errorf("the sandbox ended while it was made: %w", err)
	case !n.Ready || r.root < 0:
		return errors.New("the sandbox did not say that it is ready")
	}
	_, err = r.news.Write([]byte{1})
	return err
}

// command waits for the end of the command, or brings it about.
func (r *runner) command(ctx context.Context) (Result, error) {
	start := time.Now()
	type packet struct {
		n   news
		err error
	}
	heard := make(chan packet, 1)
	go func() {
		n, err := r.next()
		heard <- packet{n, err}
	}()
	timer := time.NewTimer(r.job.Limits.Time)
	defer timer.Stop()
	res := Result{Engine: r.engine}
	select {
	case p := <-heard:
		res.Usage.Wall = time.Since(start)
		return r.heard(res, p.n, p.err)
	case <-timer.C:
		res.Reason, res.Detail = Timeout, fmt.Sprintf("ended after %v", r.job.Limits.Time)
	case <-r.full:
		res.Reason, res.Detail = Log, fmt.Sprintf("ended after %d bytes of log", r.job.Limits.LogBytes)
	case <-ctx.Done():
		res.Reason, res.Detail = Cancelled, context.Cause(ctx).Error()
	}
	res.Exit = 128 + int(syscall.SIGKILL)
	res.Usage.Wall = time.Since(start)
	return res, nil
}

// heard makes the result of what process 1 said last.
func (r *runner) heard(res Result, n news, err error) (Result, error) {
	switch {
	case n.Failed != "":
		return res, errors.New(n.Failed)
	case err != nil || !n.Ended:
		res.Reason, res.Exit, res.Detail = Killed, 128+int(syscall.SIGKILL), "the sandbox was killed from outside"
		if r.group.outOfMemory() {
			res.Reason, res.Detail = Memory, "the sandbox took all memory that it may have"
		}
		return res, nil
	}
	res.Exit, res.Detail = n.Status, n.Cannot
	res.Usage.CPU, res.Usage.Memory = n.CPU, n.Memory
	if r.runsc != "" {
		res.Usage.CPU = 0 // what n has is of the process that waits for gVisor
	}
	res.Reason = Exited
	switch {
	case n.Over || r.group.outOfMemory():
		res.Reason, res.Detail = Memory, fmt.Sprintf("%d bytes were seen, %d are allowed", n.Memory, r.job.Limits.Memory)
	case n.Late, r.runsc != "" && n.Status >= 128+int(syscall.SIGKILL) && res.Usage.Wall >= r.job.Limits.CPUTime:
		// gVisor does not say whose signal it was.
		res.Reason, res.Detail = Timeout, fmt.Sprintf("ended after %v of processor time", r.job.Limits.CPUTime)
	case n.Signal != 0:
		res.Reason, res.Detail = Signalled, syscall.Signal(n.Signal).String()
	}
	return res, nil
}

// next reads one packet, and keeps the descriptor that comes with it.
func (r *runner) next() (n news, err error) {
	b, oob := make([]byte, maxNews), make([]byte, unix.CmsgSpace(4))
	conn, err := r.news.SyscallConn()
	if err != nil {
		return n, err
	}
	size, oobn := 0, 0
	var rerr error
	err = conn.Read(func(fd uintptr) bool {
		size, oobn, _, _, rerr = unix.Recvmsg(int(fd), b, oob, unix.MSG_CMSG_CLOEXEC)
		return !errors.Is(rerr, unix.EAGAIN)
	})
	if err = errors.Join(err, rerr); err != nil {
		return n, err
	}
	if size == 0 {
		return n, io.EOF
	}
	if oobn > 0 && r.root < 0 {
		if msgs, err := unix.ParseSocketControlMessage(oob[:oobn]); err == nil && len(msgs) == 1 {
			if fds, err := unix.ParseUnixRights(&msgs[0]); err == nil && len(fds) == 1 {
				r.root = fds[0]
			}
		}
	}
	return n, json.Unmarshal(b[:size], &n)
}

func (r *runner) kill() { r.cmd.Process.Kill() }

// end kills process 1, and the kernel with it all others before Wait returns
// (pid_namespaces(7)); the group makes sure where there is one.
func (r *runner) end() {
	r.kill()
	r.group.kill()
	r.cmd.Wait()
}

// copyLog copies until nobody can write any more.
func (r *runner) copyLog() {
	defer r.logs.Close()
	limit := r.job.Limits.LogBytes
	b := make([]byte, 32<<10)
	var failed error
	over := false
	for seen := int64(0); ; {
		n, err := r.logs.Read(b)
		keep := min(int64(n), limit-seen)
		if keep > 0 && failed == nil {
			if _, failed = r.log.Write(b[:keep]); failed != nil {
				r.kill()
			}
		}
		seen += keep
		if int64(n) > keep && !over {
			over = true
			close(r.full)
		}
		if err != nil {
			r.logged <- failed
			return
		}
	}
}

func (r *runner) closeRoot() {
	if r.root >= 0 {
		unix.Close(r.root)
		r.root = -1
	}
}
