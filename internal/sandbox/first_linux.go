package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// first is process 1 of the sandbox. It has all capabilities in its own user
// namespace and none outside. It makes the walls, starts the command behind
// them, reports, and ends; the kernel then kills whatever is left.
func first() int {
	f := &firstProcess{news: os.NewFile(fdNews, "news")}
	if err := f.run(); err != nil {
		f.tell(news{Failed: err.Error()}, -1)
		return 1
	}
	return 0
}

type firstProcess struct {
	o      *orders
	news   *os.File
	wall   int      // the process that becomes the command
	orders *os.File // to it
	report *os.File // from it
	cannot string   // why the command cannot be there
}

// tell sends one packet, with a descriptor if fd is not negative.
func (f *firstProcess) tell(n news, fd int) error {
	b, err := json.Marshal(n)
	if err != nil {
		return err
	}
	var oob []byte
	if fd >= 0 {
		oob = unix.UnixRights(fd)
	}
	return unix.Sendmsg(fdNews, b, oob, nil, unix.MSG_NOSIGNAL)
}

func (f *firstProcess) run() error {
	// What is in here must not reach into us: not by /proc/1, ptrace or core.
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("becoming undumpable: %w", err)
	}
	signal.Ignore(unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGPIPE, unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU)
	unix.Umask(0)
	pipe := os.NewFile(fdOrders, "orders")
	o, err := readOrders(pipe)
	if err != nil {
		return err
	}
	f.o = o
	if err := keepOut(uint(fdOrders)); err != nil {
		return err
	}
	if err := f.startWall(); err != nil {
		return err
	}
	m := &mounter{o: o}
	if err := m.all(); err != nil {
		return err
	}
	if err := f.inRoot(func() error { return f.unpack(pipe) }); err != nil {
		return err
	}
	pipe.Close()
	if err := m.finish(); err != nil {
		return err
	}
	at := "/"
	if o.Runsc != "" {
		at = jobRoot
		if err := o.bundle(); err != nil {
			return err
		}
	}
	root, err := unix.Open(at, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if err := f.tell(news{Ready: true}, root); err != nil {
		return err
	}
	unix.Close(root)
	if err := f.await(); err != nil {
		return err
	}
	return f.command()
}

// await waits for the word to start, so that the time of the job does not
// begin before its disk is there.
func (f *firstProcess) await() error {
	var b [1]byte
	if n, err := f.news.Read(b[:]); err != nil || n != 1 {
		return errors.New("the process outside is gone")
	}
	go func() { // whatever comes next is the end of the process outside
		f.news.Read(b[:])
		os.Exit(1)
	}()
	return nil
}

// inRoot does something where "/" is the command's, whose layers and links
// then lead nowhere else.
func (f *firstProcess) inRoot(do func() error) error {
	if f.o.Runsc == "" {
		return do()
	}
	out, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(out)
	if err := unix.Chroot(jobRoot); err != nil {
		return err
	}
	if err := unix.Chdir("/"); err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	return errors.Join(unix.Fchdir(out), unix.Chroot("."), unix.Chdir("/"))
}

func (f *firstProcess) unpack(pipe io.Reader) error {
	u := newUnpacker(time.Unix(f.o.Clock, 0))
	for _, l := range f.o.Layers {
		if l.Dir != "" {
			continue
		}
		if err := u.layer(io.LimitReader(pipe, l.Size), l.At); err != nil {
			return f.full(fmt.Errorf("unpacking layer %s: %w", filepath.Base(l.Name), err))
		}
	}
	for _, in := range f.o.Inputs {
		if err := u.input(io.LimitReader(pipe, in.Size), in); err != nil {
			return f.full(fmt.Errorf("placing input %s: %w", in.At, unwrapPath(err)))
		}
	}
	if err := u.dirs(f.o.Dir); err != nil {
		return fmt.Errorf("making the working directory: %w", err)
	}
	if err := u.dirs("/tmp"); err != nil {
		return fmt.Errorf("making /tmp: %w", err)
	}
	const all = 0o777 | os.ModeSticky
	if fi, err := os.Stat("/tmp"); err != nil || fi.Mode() != all|os.ModeDir {
		if err := os.Chmod("/tmp", all); err != nil {
			return fmt.Errorf("making /tmp: %w", err)
		}
	}
	if _, err := os.Stat(f.o.Argv[0]); err != nil {
		f.cannot = fmt.Sprintf("starting %s: %v", f.o.Argv[0], unwrapPath(err))
	}
	return u.finish()
}

func (f *firstProcess) full(err error) error {
	if errors.Is(err, unix.ENOSPC) {
		return fmt.Errorf("%w: layers and inputs may take %d bytes unpacked, raise the limit on root", err, f.o.Limits.Root)
	}
	return err
}

// startWall starts the process that becomes the command. It is started while
// the old root is there, where its libraries may be (a program built with cgo
// has some), and goes along into the new one (pivot_root(2): "changes the root
// directory … of each process … in the same mount namespace").
func (f *firstProcess) startWall() error {
	orders, report, err := f.pipes()
	if err != nil {
		return err
	}
	cmd := &exec.Cmd{Path: "/proc/self/exe", Args: []string{argWall}, Env: []string{}, Dir: "/",
		Stdout: os.Stdout, Stderr: os.Stderr, ExtraFiles: []*os.File{orders.in, report.out}, SysProcAttr: wallAttr()}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting the wall: %w", err)
	}
	orders.in.Close()
	report.out.Close()
	if _, err := io.ReadFull(report.in, make([]byte, len(wallReady))); err != nil {
		return fmt.Errorf("starting the wall: it ended: %w", err)
	}
	f.wall, f.orders, f.report = cmd.Process.Pid, orders.out, report.in
	return nil
}

// command lets the wall go on to the command, and waits for its end.
func (f *firstProcess) command() error {
	if f.cannot != "" {
		return f.tell(news{Ended: true, Cannot: f.cannot, Status: 127}, -1)
	}
	if err := f.o.writeTo(f.orders); err != nil {
		return fmt.Errorf("telling the wall: %w", err)
	}
	f.orders.Close()
	said, err := io.ReadAll(io.LimitReader(f.report, maxNews/4))
	if err != nil {
		return err
	}
	w := watch(f.o, func(seen int64) {
		f.tell(news{Ended: true, Over: true, Memory: seen, Status: 137, CPU: cpuOfAll()}, -1)
		os.Exit(0)
	})
	n, err := f.reap(f.wall, string(said))
	if err != nil {
		return err
	}
	n.Memory = w.most()
	return f.tell(n, -1)
}

// reap waits for the command and whatever was left to process 1.
func (f *firstProcess) reap(command int, said string) (news, error) {
	for {
		var ws unix.WaitStatus
		var ru unix.Rusage
		pid, err := unix.Wait4(-1, &ws, 0, &ru)
		if errors.Is(err, unix.EINTR) {
			continue
		} else if err != nil {
			return news{}, fmt.Errorf("waiting for the command: %w", err)
		}
		if pid != command || (!ws.Exited() && !ws.Signaled()) {
			continue
		}
		n := news{Ended: true, Status: ws.ExitStatus(), CPU: cpuOfAll()}
		if ws.Signaled() {
			n.Signal = int(ws.Signal())
			n.Status = 128 + n.Signal
			// The kernel sends SIGXCPU first, which Go programs take no notice of.
			n.Late = time.Duration(ru.Utime.Nano()+ru.Stime.Nano()) >= f.o.Limits.CPUTime
		}
		if said != "" {
			return wallSaid(n, said)
		}
		return n, nil
	}
}

// wallSaid tells a wall that could not be put up, which is our failure, from a
// command that does not exist, which is the job's.
func wallSaid(n news, said string) (news, error) {
	var r wallReport
	if err := json.Unmarshal([]byte(said), &r); err != nil {
		return n, fmt.Errorf("the wall said %.100q", said)
	}
	if r.Cannot == "" {
		return n, errors.New(r.Failed)
	}
	n.Cannot, n.Status, n.Signal = r.Cannot, 127, 0
	return n, nil
}

type pipe struct{ in, out *os.File }

func (f *firstProcess) pipes() (orders, report pipe, err error) {
	if orders.in, orders.out, err = os.Pipe(); err == nil {
		report.in, report.out, err = os.Pipe()
	}
	return orders, report, err
}

func cpuOfAll() time.Duration {
	var sum time.Duration
	for _, who := range []int{unix.RUSAGE_CHILDREN, unix.RUSAGE_SELF} {
		var ru unix.Rusage
		if unix.Getrusage(who, &ru) == nil {
			sum += time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
		}
	}
	return sum
}
