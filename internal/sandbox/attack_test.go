//go:build linux

package sandbox_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vitrine.example/internal/sandbox"
)

// nothingGot asserts that the attack ran to its end and no step succeeded.
func nothingGot(t *testing.T, o outcome) {
	t.Helper()
	virtual := func(string) bool { return false }
	if o.Engine == "gvisor" {
		virtual = inGVisor
	}
	if !strings.HasSuffix(o.log, "end\n") || o.Reason != sandbox.Exited || o.Exit != 0 {
		t.Errorf("the attack did not run to its end: %+v\n%s", o.Result, o.log)
	}
	if !strings.Contains(o.log, "blocked ") && !strings.Contains(o.log, "got ") {
		t.Errorf("no step was tried:\n%s", o.log)
	}
	for line := range strings.Lines(o.log) {
		if step, ok := strings.CutPrefix(line, "got "); ok && !virtual(strings.TrimSpace(step)) {
			t.Errorf("the attack got %s", step)
		}
	}
}

// virtual are steps that gVisor grants, each on its own kernel: the namespace,
// socket, log or device is a structure in gVisor's memory and none of Linux's.
// What an attack would do with it outside is asserted from outside.
var virtual = []string{
	"syslog", "/proc/cmdline", "/sys", "memfd_create", "shmget", "huge pages", "/dev/ptmx", "/dev/tty", "oom_score_adj",
	"socket 2 ", "socket 10 ", "socket 16 ", "family 2", "family 10", "family 16", "interfaces", "/dev/fuse", "/dev/net/tun",
	"keyctl", "unshare time", "clone user", "clone mount", "clone3 user", "sched_setaffinity", "ioprio_set of the user", "priority of the user",
}

func inGVisor(step string) bool {
	for _, v := range virtual {
		if step == v || strings.HasSuffix(v, " ") && strings.HasPrefix(step, v) {
			return true
		}
	}
	return false
}

// fact is what the attack said under key.
func fact(t *testing.T, o outcome, key string) string {
	t.Helper()
	for line := range strings.Lines(o.log) {
		if v, ok := strings.CutPrefix(line, key+"="); ok {
			return strings.TrimSpace(v)
		}
	}
	t.Fatalf("the attack did not say %s: %+v\n%s", key, o.Result, o.log)
	return ""
}

// victim is a process of the host that a job tries to reach, of the same user
// as the sandbox's where that is an ordinary one.
func victim(t *testing.T, e engine) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(attackProgram(t), "sleep")
	if e.user {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: testUser, Gid: testUser}}
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	for range 500 { // until it sleeps
		if strings.HasPrefix(state(t, cmd.Process.Pid), "State: S") {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	return cmd
}

// state is the letter of the process in /proc, and whether it is traced.
func state(t *testing.T, pid int) string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatalf("the victim is gone: %v", err)
	}
	var s string
	for line := range strings.Lines(string(b)) {
		if strings.HasPrefix(line, "State:") || strings.HasPrefix(line, "TracerPid:") {
			s += strings.Join(strings.Fields(line), " ") + " "
		}
	}
	return s
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestKernelInterfaces runs attacks on the kernel, of which each step must be
// refused.
func TestKernelInterfaces(t *testing.T) {
	each(t, func(t *testing.T, e engine) {
		for _, name := range []string{"mounts", "namespaces", "keyring", "io-uring", "bpf", "perf-event", "userfaultfd",
			"kexec-and-modules", "handles", "machine", "old-interfaces", "devices", "families", "oom-score", "tiocsti",
			"memory-files", "blinding", "proc-secrets", "self-exe"} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				nothingGot(t, e.must(t, attack(t, name)))
			})
		}
	})
}

func TestPtraceAndProcReachNobody(t *testing.T) {
	each(t, func(t *testing.T, e engine) {
		v := victim(t, e)
		pid := strconv.Itoa(v.Process.Pid)
		before := state(t, v.Process.Pid)
		t.Run("ptrace", func(t *testing.T) { nothingGot(t, e.must(t, attack(t, "ptrace", pid))) })
		t.Run("proc-root", func(t *testing.T) {
			secret := filepath.Join(openDir(t), "secret")
			if err := os.WriteFile(secret, []byte("secret"), 0o644); err != nil {
				t.Fatal(err)
			}
			o := e.must(t, attack(t, "proc-root", pid, secret))
			nothingGot(t, o)
		})
		t.Run("signals", func(t *testing.T) {
			o := e.must(t, attack(t, "signals", pid))
			nothingGot(t, o)
			if fact(t, o, "alive") != "true" {
				t.Error("process 1 did not live on")
			}
		})
		if after := state(t, v.Process.Pid); after != before {
			t.Errorf("the victim was %q and is %q", before, after)
		}
	})
}

func TestProcCannotBeWritten(t *testing.T) {
	files := []string{"/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sys/kernel/hostname", "/proc/sys/net/ipv4/ip_forward"}
	before := map[string]string{}
	for _, f := range files {
		if b, err := os.ReadFile(f); err == nil {
			before[f] = string(b)
		}
	}
	each(t, func(t *testing.T, e engine) {
		nothingGot(t, e.must(t, attack(t, "proc-write")))
		for f, was := range before {
			if is := read(t, f); is != was {
				t.Errorf("%s was %q and is %q", f, was, is)
			}
		}
	})
}

func TestClockStays(t *testing.T) {
	each(t, func(t *testing.T, e engine) {
		start := time.Now()
		nothingGot(t, e.must(t, attack(t, "clock")))
		wall, mono := time.Now().Round(0).Sub(start.Round(0)), time.Since(start)
		if d := wall - mono; d > time.Minute || d < -time.Minute {
			t.Errorf("the machine's clock was moved by %v", d)
		}
	})
}

// TestNoNetwork listens on the machine in every way and sees that nobody comes.
func TestNoNetwork(t *testing.T) {
	abstract := fmt.Sprintf("@vitrine-sandbox-test-%d", os.Getpid())
	path := filepath.Join(openDir(t), "socket")
	var targets []string
	came := make(chan string, 100)
	for _, a := range []struct{ network, address string }{{"tcp", "127.0.0.1:0"}, {"tcp", "[::1]:0"}, {"unix", abstract}, {"unix", path}} {
		l, err := net.Listen(a.network, a.address)
		if err != nil {
			t.Logf("%s %s: %v", a.network, a.address, err)
			continue
		}
		defer l.Close()
		targets = append(targets, a.network+"!"+l.Addr().String())
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				came <- l.Addr().String()
				c.Close()
			}
		}()
	}
	if len(targets) < 3 {
		t.Fatalf("only %v could be listened on", targets)
	}
	os.Chmod(path, 0o777)
	targets = append(targets, "tcp!169.254.169.254:80", "tcp![fd00:ec2::254]:80", "udp!169.254.169.254:53", "tcp!192.0.2.1:443", "unix!/run/docker.sock", "unix!/var/run/dbus/system_bus_socket")
	each(t, func(t *testing.T, e engine) {
		nothingGot(t, e.must(t, attack(t, append([]string{"connect"}, targets...)...)))
		select {
		case who := <-came:
			t.Errorf("%s was reached", who)
		default:
		}
	})
}

// TestSiblings lets a job look for the outputs of another, and for files of the
// host, under their paths on the host.
func TestSiblings(t *testing.T) {
	each(t, func(t *testing.T, e engine) {
		dir := openDir(t)
		file := filepath.Join(dir, "output")
		if err := os.WriteFile(file, []byte("good"), 0o666); err != nil {
			t.Fatal(err)
		}
		os.Chmod(dir, 0o777)
		os.Chmod(file, 0o666)
		nothingGot(t, e.must(t, attack(t, "sibling", file, "/etc/hostname", "/root/.ssh/id_ed25519", "/var/lib/dpkg/status")))
		if s := read(t, file); s != "good" {
			t.Errorf("the sibling's output is now %q", s)
		}
	})
}

func TestNoPrivileges(t *testing.T) {
	each(t, func(t *testing.T, e engine) {
		for _, name := range []string{"privileges", "set-uid"} {
			t.Run(name, func(t *testing.T) {
				job := attack(t, name)
				job.UID, job.GID = 1000, 1000
				if name == "set-uid" {
					job.UID, job.GID = 0, 0
				}
				o := e.must(t, job)
				nothingGot(t, o)
				for _, set := range []string{"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"} {
					if v := fact(t, o, set); strings.Trim(v, "0") != "" {
						t.Errorf("%s is %s", set, v)
					}
				}
				if v := fact(t, o, "NoNewPrivs"); v != "1" {
					t.Errorf("NoNewPrivs is %s", v)
				}
				want := fmt.Sprint(job.UID, job.UID, job.GID, job.GID)
				if v := fact(t, o, "uid"); v != want {
					t.Errorf("ids are %s, want %s", v, want)
				}
			})
		}
	})
}

// TestNoDescriptorLeaks gives the process outside open files that are not
// closed by exec, as a careless parent does.
func TestNoDescriptorLeaks(t *testing.T) {
	secret, err := os.Create(filepath.Join(openDir(t), "secret"))
	if err != nil {
		t.Fatal(err)
	}
	defer secret.Close()
	for range 40 {
		fd, err := unix.FcntlInt(secret.Fd(), unix.F_DUPFD, 3) // without close-on-exec
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
	}
	each(t, func(t *testing.T, e engine) {
		o := e.must(t, attack(t, "descriptors"))
		if strings.Contains(o.log, "leaked=") || !strings.HasSuffix(o.log, "end\n") {
			t.Errorf("descriptors inside:\n%s", o.log)
		}
		if v := fact(t, o, "fd0"); v != "/dev/null" && !e.gvisor {
			t.Errorf("stdin is %q", v)
		}
	})
}

func TestProcessorsAreThoseOfTheJob(t *testing.T) {
	each(t, func(t *testing.T, e engine) {
		o := e.must(t, attack(t, "processors"))
		nothingGot(t, o)
		if v := fact(t, o, "cpus"); v != "1" {
			t.Errorf("the job has %s processors, want 1", v)
		}
	})
}
