package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"

	"golang.org/x/sys/unix"
)

// GVisor runs the command on gVisor's kernel, a program of its own between the
// command and Linux. That program in turn runs in the same namespaces, on the
// same disk and under the same bounds as [Embedded] makes; what falls away is
// our Landlock and seccomp, in whose place gVisor puts its own. Slower, and a
// fault in Linux is out of the command's reach.
type GVisor struct {
	// Runsc is the path of runsc; "" looks for it on PATH.
	Runsc string
	// Cgroup is as in Embedded.
	Cgroup string
}

// Where things lie in the root of the sandbox's own processes.
const (
	jobRoot  = "/rootfs"
	runscAt  = "/runsc"
	bundleAt = "/bundle"
	stateAt  = "/state"
)

// Name is "gvisor".
func (*GVisor) Name() string { return "gvisor" }

// Check runs a command that does nothing.
func (g *GVisor) Check(ctx context.Context) error { return try(ctx, g) }

// Run runs the job; see [Engine].
func (g *GVisor) Run(ctx context.Context, job *Job, log io.Writer, outDir string) (Result, error) {
	res, err := g.run(ctx, job, log, outDir)
	if err != nil {
		return res, fmt.Errorf("sandbox gvisor: %w", err)
	}
	return res, nil
}

func (g *GVisor) run(ctx context.Context, job *Job, log io.Writer, outDir string) (Result, error) {
	path := g.Runsc
	if path == "" {
		var err error
		if path, err = exec.LookPath("runsc"); err != nil {
			return Result{}, errors.New("runsc is not on PATH: install gVisor, or use embedded")
		}
	}
	r := &runner{engine: g.Name(), job: job, log: log, outDir: outDir, cgroup: g.Cgroup, runsc: path}
	return r.run(ctx)
}

// runsc puts the program where it can be started from inside.
func (m *mounter) runsc() error {
	if m.o.Runsc == "" {
		return nil
	}
	fd := m.o.RunscFD
	at := m.outer + runscAt
	if err := os.WriteFile(at, nil, 0o755); err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.MoveMount(fd, "", unix.AT_FDCWD, at, unix.MOVE_MOUNT_F_EMPTY_PATH)
}

// runscArgs is how gVisor is started. It writes nowhere but to the job's disk,
// whose bounds hold then, and has no network but its own loopback.
func (o *orders) runscArgs() []string {
	return []string{"runsc", "--root=" + stateAt, "--platform=systrap", "--network=none", "--ignore-cgroups",
		"--overlay2=none", "--host-uds=none", "--host-fifo=none", "run", "--bundle=" + bundleAt, "job"}
}

// bundle writes the OCI bundle: only what gVisor reads of it.
func (o *orders) bundle() error {
	for _, dir := range []string{bundleAt, stateAt, "/tmp", "/run"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	var limits []ociLimit
	for _, r := range o.limits() {
		limits = append(limits, ociLimit{"RLIMIT_" + r.name, r.hard, r.soft})
	}
	mask := uint32(umask)
	spec := ociSpec{
		Version: "1.0.2",
		Process: ociProcess{
			User: ociUser{UID: o.UID, GID: o.GID, Umask: &mask}, Args: o.Argv, Env: o.Env, Cwd: o.Dir,
			Limits: limits, NoNewPrivileges: true,
		},
		Root:     ociRoot{Path: jobRoot},
		Hostname: o.Hostname,
		Mounts: []ociMount{
			{"/proc", "proc", "proc", []string{"nosuid", "nodev", "noexec"}},
			{"/dev", "tmpfs", "tmpfs", []string{"nosuid", "noexec", "ro"}},
			// gVisor would put file systems without a quota here.
			{"/dev/shm", "bind", "/dev/shm", []string{"nosuid", "nodev"}},
			{"/tmp", "bind", jobRoot + "/tmp", []string{"nosuid", "nodev"}},
		},
	}
	for _, kind := range []string{"pid", "ipc", "uts", "mount", "network"} {
		spec.Linux.Namespaces = append(spec.Linux.Namespaces, ociNamespace{kind})
	}
	b, err := json.Marshal(spec)
	if err != nil {
		return err
	}
	return os.WriteFile(bundleAt+"/config.json", b, 0o644)
}

// The parts of the OCI runtime specification's config.json that are used.
type (
	ociSpec struct {
		Version  string     `json:"ociVersion"`
		Process  ociProcess `json:"process"`
		Root     ociRoot    `json:"root"`
		Hostname string     `json:"hostname"`
		Mounts   []ociMount `json:"mounts"`
		Linux    struct {
			Namespaces []ociNamespace `json:"namespaces"`
		} `json:"linux"`
	}
	ociProcess struct {
		Terminal        bool       `json:"terminal"`
		User            ociUser    `json:"user"`
		Args            []string   `json:"args"`
		Env             []string   `json:"env"`
		Cwd             string     `json:"cwd"`
		Limits          []ociLimit `json:"rlimits"`
		NoNewPrivileges bool       `json:"noNewPrivileges"`
	}
	ociUser struct {
		UID   int     `json:"uid"`
		GID   int     `json:"gid"`
		Umask *uint32 `json:"umask"`
	}
	ociLimit struct {
		Type string `json:"type"`
		Hard uint64 `json:"hard"`
		Soft uint64 `json:"soft"`
	}
	ociRoot struct {
		Path     string `json:"path"`
		Readonly bool   `json:"readonly"`
	}
	ociMount struct {
		Destination string   `json:"destination"`
		Type        string   `json:"type"`
		Source      string   `json:"source"`
		Options     []string `json:"options"`
	}
	ociNamespace struct {
		Type string `json:"type"`
	}
)
