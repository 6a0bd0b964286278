//go:build linux

package sandbox_test

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"vitrine.example/internal/sandbox"
)

func TestCheck(t *testing.T) {
	for _, e := range engines() {
		t.Run(e.name, func(t *testing.T) {
			req := request{OutDir: "/"}
			if e.gvisor {
				req.Runsc = runsc(t)
			}
			var err error
			if e.user {
				_, err = ask(t, req, os.Stderr)
			} else {
				err = req.itself().Check(t.Context())
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// checkIn runs Check in this program, started by a shell that first spoils the
// place.
func checkIn(t *testing.T, spoil string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("unshare", "--user", "--map-root-user", "--mount", "--", "sh", "-euc", spoil+`; exec -a `+argCheck+` "$0"`, self)
	cmd.Args[5] = "bash" // for exec -a
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

// TestFailsClosed takes away what the engine needs: it says what is missing
// and what to do.
func TestFailsClosed(t *testing.T) {
	for _, c := range []struct{ name, spoil, says string }{
		{"nothing taken away", "true", "checked: <nil>"},
		{"no user namespaces", "echo 0 > /proc/sys/user/max_user_namespaces", "raise user.max_user_namespaces"},
		{"no network namespaces", "echo 0 > /proc/sys/user/max_net_namespaces", "raise user.max_user_namespaces"},
		{"a container's /proc", "mount -t tmpfs none /proc/sys", "start the container so that it shows all of it"},
		{"no /dev", "mount -t tmpfs none /dev", "/dev/null: no such file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if out := checkIn(t, c.spoil); !strings.Contains(out, c.says) {
				t.Errorf("it says %q, want %q", out, c.says)
			}
		})
	}
}

// TestFailsClosedUnderSeccomp runs the engine where a filter forbids
// namespaces, as in containers: inside itself.
func TestFailsClosedUnderSeccomp(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	job := attack(t)
	job.Root = []sandbox.Layer{{Dir: "/"}} // for a test program that is not static
	job.Inputs = []sandbox.Input{{At: "/" + argCheck, File: self, Executable: true}}
	job.Argv = []string{"/" + argCheck}
	job.Limits = sandbox.DefaultLimits()
	o := engines()[0].must(t, job)
	if !strings.Contains(o.log, "making namespaces is not allowed here") {
		t.Errorf("%+v\n%s", o.Result, o.log)
	}
}

func TestGVisorThatIsMissing(t *testing.T) {
	t.Setenv("PATH", openDir(t))
	if err := (&sandbox.GVisor{}).Check(t.Context()); err == nil || !strings.Contains(err.Error(), "install gVisor, or use embedded") {
		t.Errorf("error is %v", err)
	}
	if err := (&sandbox.GVisor{Runsc: attackProgram(t)}).Check(t.Context()); err == nil {
		t.Error("a program that is not runsc passes")
	}
}

// TestJobsThatAreRefused changes one thing of a good job.
func TestJobsThatAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*sandbox.Job)
		says   string
	}{
		"no command":         {func(j *sandbox.Job) { j.Argv = nil }, "argv"},
		"relative command":   {func(j *sandbox.Job) { j.Argv[0] = "attack" }, "argv"},
		"relative directory": {func(j *sandbox.Job) { j.Dir = "work" }, "dir"},
		"unclean directory":  {func(j *sandbox.Job) { j.Dir = "/a/../b" }, "dir"},
		"env without =":      {func(j *sandbox.Job) { j.Env = []string{"A"} }, "KEY=VALUE"},
		"env twice":          {func(j *sandbox.Job) { j.Env = []string{"A=1", "A=2"} }, "twice"},
		"zero byte":          {func(j *sandbox.Job) { j.Env = []string{"A=\x00"} }, "zero byte"},
		"long argv":          {func(j *sandbox.Job) { j.Argv = append(j.Argv, strings.Repeat("x", 1<<20)) }, "argv and env take"},
		"no host name":       {func(j *sandbox.Job) { j.Hostname = "" }, "hostname"},
		"odd host name":      {func(j *sandbox.Job) { j.Hostname = "a b" }, "hostname"},
		"no processors":      {func(j *sandbox.Job) { j.CPUs = 0 }, "cpus"},
		"many processors":    {func(j *sandbox.Job) { j.CPUs = 1024 }, "larger machine"},
		"negative uid":       {func(j *sandbox.Job) { j.UID = -1 }, "uid"},
		"no clock":           {func(j *sandbox.Job) { j.Clock = j.Clock.AddDate(-100, 0, 0) }, "clock"},
		"fine clock":         {func(j *sandbox.Job) { j.Clock = j.Clock.Add(1) }, "clock"},
		"both layers":        {func(j *sandbox.Job) { j.Root = []sandbox.Layer{{Tar: "a", Dir: "b"}} }, "layer 0"},
		"layer over proc":    {func(j *sandbox.Job) { j.Root = []sandbox.Layer{{Tar: "a", At: "/proc"}} }, "layer 0"},
		"no such layer":      {func(j *sandbox.Job) { j.Root = []sandbox.Layer{{Tar: "/none.tar"}} }, "/none.tar"},
		"layer is a device":  {func(j *sandbox.Job) { j.Root = []sandbox.Layer{{Tar: "/dev/zero"}} }, "not a regular file"},
		"comma in directory": {func(j *sandbox.Job) { j.Root = []sandbox.Layer{{Dir: "/a,upperdir=/b"}} }, "comma"},
		"input over dev":     {func(j *sandbox.Job) { j.Inputs[0].At = "/dev/null" }, "input"},
		"no such input":      {func(j *sandbox.Job) { j.Inputs[0].File = "/none" }, "/none"},
		"large input":        {func(j *sandbox.Job) { j.Limits.Root = 1 << 20 }, "limit on root"},
		"output is root":     {func(j *sandbox.Job) { j.Outputs = []string{"/"} }, "output"},
		"output in proc":     {func(j *sandbox.Job) { j.Outputs = []string{"/proc/self/mem"} }, "output"},
		"outputs overlap":    {func(j *sandbox.Job) { j.Outputs = []string{"/a", "/a/b"} }, "overlap"},
		"no limit":           {func(j *sandbox.Job) { j.Limits.Disk = 0 }, "limit on disk"},
		"negative limit":     {func(j *sandbox.Job) { j.Limits.Time = -1 }, "limit on time"},
	} {
		t.Run(name, func(t *testing.T) {
			job := attack(t, "out-missing")
			c.change(job)
			var log strings.Builder
			_, err := (&sandbox.Embedded{}).Run(t.Context(), job, &log, openDir(t))
			if err == nil || !strings.Contains(err.Error(), c.says) || log.Len() > 0 {
				t.Errorf("error is %v, want %q in it; log %q", err, c.says, log.String())
			}
		})
	}
}

// TestCommandsThatFail have results, not errors.
func TestCommandsThatFail(t *testing.T) {
	each(t, func(t *testing.T, e engine) {
		job := attack(t, "no such attack")
		if o := e.must(t, job); o.Exit != 2 || o.Reason != sandbox.Exited || !strings.Contains(o.log, "usage: attack") {
			t.Errorf("%+v\n%s", o.Result, o.log)
		}
		job.Argv = []string{"/none"}
		if o := e.must(t, job); o.OK() || o.Exit != 127 || !strings.Contains(o.Detail, "/none") {
			t.Errorf("%+v\n%s", o.Result, o.log)
		}
	})
}
