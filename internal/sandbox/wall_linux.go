package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ownTasks is how many tasks the sandbox itself needs next to the command's:
// the threads of process 1.
const ownTasks = 32

// wallReady is what the wall says when it runs.
const wallReady = "ready"

// umask is that of the command.
const umask = 0o022

// wallReport is what the wall says when the command did not start.
type wallReport struct {
	Failed string // a wall could not be put up
	Cannot string // the command could not be started behind it
}

// wallAttr is how process 1 starts the wall: with all its capabilities, which
// the wall itself gives up, and dead as soon as process 1 is.
func wallAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL, AmbientCaps: allCaps()}
}

// allCaps are all that this kernel knows: in a new user namespace the first
// process has every one of them, whatever its parent has outside.
func allCaps() []uintptr {
	var caps []uintptr
	for c := uintptr(0); c <= unix.CAP_LAST_CAP; c++ {
		if _, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, c, 0, 0, 0); err == nil {
			caps = append(caps, c)
		}
	}
	return caps
}

// wall gives up all power, on this one thread, and becomes the command on it.
func wall() int {
	report := os.NewFile(4, "report")
	say := func(r wallReport) int {
		b, _ := json.Marshal(r)
		report.Write(b)
		return 1
	}
	report.WriteString(wallReady)
	in := os.NewFile(3, "orders")
	o, err := readOrders(in)
	if err != nil {
		return say(wallReport{Failed: err.Error()})
	}
	in.Close()
	if err := errors.Join(emptyStdin(), keepOut(3), o.wall()); err != nil {
		return say(wallReport{Failed: err.Error()})
	}
	if o.Runsc != "" {
		err := syscall.Exec(runscAt, o.runscArgs(), []string{"PATH=/", "HOME=/run", "TMPDIR=/tmp"})
		return say(wallReport{Failed: fmt.Sprintf("starting runsc: %v", err)})
	}
	unix.Umask(umask)
	err = os.Chdir(o.Dir)
	if err == nil {
		err = syscall.Exec(o.Argv[0], o.Argv, o.Env)
	}
	return say(wallReport{Cannot: fmt.Sprintf("starting %s: %v", o.Argv[0], unwrapPath(err))})
}

// emptyStdin takes the /dev/null of the new root for that of the old one.
func emptyStdin() error {
	fd, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("opening /dev/null: %w", err)
	}
	return unix.Dup3(fd, 0, 0)
}

// wall puts up what holds the command itself; the order is that each step may
// need what the next takes away.
func (o *orders) wall() error {
	if o.Runsc != "" { // gVisor puts up its own, for which it needs what we would take away
		return o.affinity()
	}
	for _, step := range []struct {
		what string
		do   func() error
	}{
		{"choosing processors", o.affinity},
		{"setting resource limits", o.rlimits},
		{"giving up new privileges", noNewPrivs},
		{"giving up capabilities", dropCaps},
		{"landlock", landlockSelf},
		{"seccomp", seccompSelf},
	} {
		if err := step.do(); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	return nil
}

// affinity leaves the first processors of those that we may use.
func (o *orders) affinity() error {
	var have, want unix.CPUSet
	if err := unix.SchedGetaffinity(0, &have); err != nil {
		return err
	}
	for c, n := 0, o.CPUs; n > 0; c++ {
		if c >= 1024 {
			return fmt.Errorf("the job wants %d processors, and there are %d here", o.CPUs, have.Count())
		}
		if have.IsSet(c) {
			want.Set(c)
			n--
		}
	}
	return unix.SchedSetaffinity(0, &want)
}

type rlimit struct {
	name       string
	resource   int
	soft, hard uint64
}

func (o *orders) limits() []rlimit {
	l := o.Limits
	seconds := uint64((l.CPUTime + time.Second - 1) / time.Second)
	return []rlimit{
		{"CORE", unix.RLIMIT_CORE, 0, 0},
		{"CPU", unix.RLIMIT_CPU, seconds, seconds + 1},
		{"FSIZE", unix.RLIMIT_FSIZE, uint64(l.Disk), uint64(l.Disk)},
		{"MEMLOCK", unix.RLIMIT_MEMLOCK, 64 << 10, 64 << 10},
		{"MSGQUEUE", unix.RLIMIT_MSGQUEUE, 0, 0},
		{"NOFILE", unix.RLIMIT_NOFILE, uint64(l.OpenFiles), uint64(l.OpenFiles)},
		{"NPROC", unix.RLIMIT_NPROC, uint64(l.Processes) + ownTasks, uint64(l.Processes) + ownTasks},
		{"RTPRIO", unix.RLIMIT_RTPRIO, 0, 0},
		{"SIGPENDING", unix.RLIMIT_SIGPENDING, 4096, 4096},
		{"STACK", unix.RLIMIT_STACK, 8 << 20, 8 << 20},
	}
}

func (o *orders) rlimits() error {
	for _, r := range o.limits() {
		var have syscall.Rlimit
		if err := syscall.Getrlimit(r.resource, &have); err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
		limit := syscall.Rlimit{Cur: min(r.soft, have.Max), Max: min(r.hard, have.Max)}
		// The syscall package, so that exec does not restore what it saved at the start.
		if err := syscall.Setrlimit(r.resource, &limit); err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
	}
	return nil
}

func noNewPrivs() error { return unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }

// dropCaps empties every set, and fixes that user 0 has nothing special.
func dropCaps() error {
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return fmt.Errorf("ambient: %w", err)
	}
	for c := uintptr(0); c <= 63; c++ {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil && !errors.Is(err, unix.EINVAL) {
			return fmt.Errorf("bounding set, %d: %w", c, err)
		}
	}
	const noRoot = 1<<0 | 1<<1 | 1<<2 | 1<<3 | 1<<6 | 1<<7 // NOROOT, NO_SETUID_FIXUP, NO_CAP_AMBIENT_RAISE, each locked
	if err := unix.Prctl(unix.PR_SET_SECUREBITS, noRoot, 0, 0, 0); err != nil {
		return fmt.Errorf("securebits: %w", err)
	}
	return setCaps(0)
}

// setCaps leaves this thread the capabilities of the mask.
func setCaps(mask uint64) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	for i := range data {
		half := uint32(mask >> (32 * i))
		data[i] = unix.CapUserData{Effective: half, Permitted: half}
	}
	return unix.Capset(&header, &data[0])
}
