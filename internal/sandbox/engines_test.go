//go:build linux

package sandbox_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"vitrine.example/internal/sandbox"
	"vitrine.example/test/peer"
)

// The names under which this program is started again.
const (
	argClient = "vitrine-sandbox-test-client"
	argCheck  = "vitrine-sandbox-test-check"
)

func TestMain(m *testing.M) {
	sandbox.Enter()
	switch filepath.Base(os.Args[0]) {
	case argClient:
		os.Exit(client())
	case argCheck:
		fmt.Println("checked:", (&sandbox.Embedded{}).Check(context.Background()))
		return
	}
	code := m.Run()
	if attackDir != "" {
		os.RemoveAll(attackDir)
	}
	os.Exit(code)
}

// testUser is an ordinary user that no machine has.
const testUser = 23_456

// engine is an engine as one user: the tests run all of them.
type engine struct {
	name   string
	user   bool // as an ordinary user, in a process of its own
	gvisor bool
}

// engines are all that this user can start. The tests run as root in `make
// test`; as another user there is that user alone.
func engines() []engine {
	if os.Geteuid() != 0 {
		return []engine{{name: "embedded as a user"}, {name: "gvisor as a user", gvisor: true}}
	}
	return []engine{{name: "embedded as root"}, {name: "embedded as a user", user: true},
		{name: "gvisor as root", gvisor: true}, {name: "gvisor as a user", gvisor: true, user: true}}
}

// itself is the engine in this process.
func (r request) itself() sandbox.Engine {
	if r.Runsc != "" {
		return &sandbox.GVisor{Runsc: r.Runsc}
	}
	return &sandbox.Embedded{}
}

func each(t *testing.T, f func(t *testing.T, e engine)) {
	for _, e := range engines() {
		t.Run(e.name, func(t *testing.T) { f(t, e) })
	}
}

// outcome is what a job gave.
type outcome struct {
	sandbox.Result
	log    string
	outDir string
}

// request is what the client does as another user.
type request struct {
	Job    *sandbox.Job
	OutDir string
	Runsc  string // of gVisor; "" is embedded
}

type reply struct {
	Result sandbox.Result
	Err    string
}

// client runs one request: stdin to descriptor 3, the log to stdout.
func client() int {
	var req request
	if err := json.NewDecoder(os.Stdin).Decode(&req); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	var r reply
	var err error
	e := req.itself()
	if req.Job == nil {
		err = e.Check(context.Background())
	} else {
		r.Result, err = e.Run(context.Background(), req.Job, os.Stdout, req.OutDir)
	}
	if err != nil {
		r.Err = err.Error()
	}
	if err := json.NewEncoder(os.NewFile(3, "reply")).Encode(r); err != nil {
		return 2
	}
	return 0
}

// run runs the job; an error of the engine is returned.
func (e engine) run(t *testing.T, job *sandbox.Job) (outcome, error) {
	t.Helper()
	o := outcome{outDir: openDir(t)}
	req := request{Job: job, OutDir: o.outDir}
	if e.gvisor {
		req.Runsc = runsc(t)
	}
	var log bytes.Buffer
	var err error
	if e.user {
		if err := os.Chown(o.outDir, testUser, testUser); err != nil {
			t.Fatal(err)
		}
		o.Result, err = ask(t, req, &log)
	} else {
		o.Result, err = req.itself().Run(t.Context(), job, &log, o.outDir)
	}
	o.log = log.String()
	return o, err
}

// must is run, for jobs that can be run.
func (e engine) must(t *testing.T, job *sandbox.Job) outcome {
	t.Helper()
	o, err := e.run(t, job)
	if err != nil {
		t.Fatalf("%v\nlog: %.2000s", err, o.log)
	}
	return o
}

func ask(t *testing.T, req request, log io.Writer) (sandbox.Result, error) {
	t.Helper()
	cmd, replies := clientCommand(t, req, log)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	cmd.ExtraFiles[0].Close()
	var r reply
	derr := json.NewDecoder(replies).Decode(&r)
	if err := errors.Join(derr, cmd.Wait()); err != nil {
		t.Fatalf("client: %v", err)
	}
	if r.Err != "" {
		return r.Result, errors.New(r.Err)
	}
	return r.Result, nil
}

// clientCommand is this program as an ordinary user.
func clientCommand(t *testing.T, req request, log io.Writer) (*exec.Cmd, *os.File) {
	t.Helper()
	b, err := json.Marshal(req)
	if err != nil {
		t.Fatal(err)
	}
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close() })
	cmd := &exec.Cmd{Path: "/proc/self/exe", Args: []string{argClient}, Dir: "/", Stdin: bytes.NewReader(b),
		Stdout: log, Stderr: os.Stderr, ExtraFiles: []*os.File{out}}
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: testUser, Gid: testUser}}
	}
	return cmd, in
}

// openDir is a directory that every user can reach.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sandbox")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// gVisor's newest commit on its module path; `go install` builds it.
const runscVersion = "v0.0.0-20260905035102-160fafc42237"

var (
	runscOnce sync.Once
	runscErr  error
)

// runsc builds gVisor, once for all runs, and copies it where every user
// reaches it, once for this one.
func runsc(t *testing.T) string {
	t.Helper()
	at := filepath.Join(filepath.Dir(attackProgram(t)), "runsc")
	runscOnce.Do(func() {
		var path string
		if path, runscErr = peer.Build(context.Background(), "gvisor.dev/gvisor/runsc", runscVersion); runscErr != nil {
			return
		}
		var b []byte
		if b, runscErr = os.ReadFile(path); runscErr == nil {
			runscErr = os.WriteFile(at, b, 0o755)
		}
	})
	if runscErr != nil {
		t.Fatal(runscErr)
	}
	return at
}

var (
	attackOnce sync.Once
	attackDir  string
	attackErr  error
)

// attackProgram builds the hostile program, once.
func attackProgram(t *testing.T) string {
	t.Helper()
	attackOnce.Do(func() {
		if attackDir, attackErr = os.MkdirTemp("", "attack"); attackErr != nil {
			return
		}
		os.Chmod(attackDir, 0o755)
		cmd := exec.Command("go", "build", "-o", filepath.Join(attackDir, "attack"), "./testdata/attack")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			attackErr = fmt.Errorf("building the attacks: %v\n%s", err, out)
		}
	})
	if attackErr != nil {
		t.Fatal(attackErr)
	}
	return filepath.Join(attackDir, "attack")
}

// attack is a job that runs one attack, with limits small enough to be met.
func attack(t *testing.T, args ...string) *sandbox.Job {
	return &sandbox.Job{
		Inputs:   []sandbox.Input{{At: "/attack", File: attackProgram(t), Executable: true}},
		Argv:     append([]string{"/attack"}, args...),
		Dir:      "/work",
		Clock:    time.Unix(1_700_000_000, 0),
		Hostname: "build",
		CPUs:     1,
		Limits: sandbox.Limits{
			Memory: 512 << 20, Processes: 128, Disk: 64 << 20, Inodes: 2000, Root: 64 << 20,
			Time: 5 * time.Minute, CPUTime: time.Minute, LogBytes: 1 << 20,
			OutputBytes: 32 << 20, OutputFiles: 100, OpenFiles: 1024,
		},
	}
}
