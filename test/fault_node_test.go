//go:build linux

package test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// faultBinary is the real vitrine, built once for all tests here. Its file is
// unlinked as soon as it is open, so that no test run leaves one behind.
var faultBinary struct {
	sync.Once
	file *os.File
	err  error
}

func vitrineBinary(t *testing.T) string {
	t.Helper()
	b := &faultBinary
	b.Do(func() {
		var dir string
		if dir, b.err = os.MkdirTemp("", "vitrine-fault-*"); b.err != nil {
			return
		}
		defer os.RemoveAll(dir)
		path := filepath.Join(dir, "vitrine")
		cmd := exec.Command("go", "build", "-trimpath", "-o", path, "vitrine.example/cmd/vitrine")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			b.err = fmt.Errorf("building vitrine: %w\n%s", err, out)
			return
		}
		b.file, b.err = os.Open(path)
	})
	if b.err != nil {
		t.Fatal(b.err)
	}
	return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), b.file.Fd())
}

// room is a directory with a node that has published version 1.0, and with
// what version 2.0 is made of.
type room struct {
	bin, dir string
}

// newRoom makes the room that others are copied from.
func newRoom(t *testing.T, bin, dir string) *room {
	t.Helper()
	r := &room{bin, dir}
	files := map[string]string{"app": "version one\n", "src/main.c": "int main(void) { return 0; }\n", "src/README": "an example\n"}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r.must(t, "init", r.node(), "--url", "https://vendor.example", "--listen", "127.0.0.1:0")
	r.must(t, "release", "publish", "--product", "pkg:generic/app@1.0", "--artifact", r.path("app"), r.node())
	r.must(t, "policy", "init", "--node", r.node(), "--product", "pkg:generic/app", "-o", r.path("policy.toml"))
	if err := os.WriteFile(r.path("app"), []byte("version two\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *room) path(name string) string { return filepath.Join(r.dir, name) }
func (r *room) node() string            { return r.path("node") }

// copy copies the room into a new directory below parent.
func (r *room) copy(parent string) (*room, error) {
	dir, err := os.MkdirTemp(parent, "room-*")
	if err != nil {
		return nil, err
	}
	if out, err := exec.Command("cp", "-a", r.dir+"/.", dir).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("copying: %w\n%s", err, out)
	}
	return &room{r.bin, dir}, nil
}

// publish is the command line that the faults strike.
func (r *room) publish() []string {
	return []string{r.bin, "release", "publish", "--product", "pkg:generic/app@2.0", "--artifact", r.path("app"),
		"--source", r.path("src"), "--json", r.node()}
}

// run runs vitrine without any fault.
func (r *room) run(args ...string) (code int, stdout, stderr string, err error) {
	cmd := exec.Command(r.bin, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	if e := (*exec.ExitError)(nil); errors.As(err, &e) {
		err = nil
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String(), err
}

func (r *room) must(t *testing.T, args ...string) string {
	t.Helper()
	code, out, errs, err := r.run(args...)
	if err != nil || code != 0 {
		t.Fatalf("vitrine %s: exit %d, %v\n%s%s", strings.Join(args, " "), code, err, out, errs)
	}
	return out
}

// acknowledged is what publish prints.
type acknowledged struct {
	Statement string `json:"statement"`
	Index     *int64 `json:"index"`
	Duplicate bool   `json:"duplicate"`
}

// sound checks a room after a fault: the log is clean, what was acknowledged
// is there, publishing again succeeds with the same statement, and that there
// is one statement more than before the fault.
func (r *room) sound(acked *acknowledged) error {
	if err := r.logIsClean(-1); err != nil {
		return fmt.Errorf("after the fault: %w", err)
	}
	if acked != nil {
		if code, _, errs, err := r.run("log", "proof", r.node(), fmt.Sprint(*acked.Index)); err != nil || code != 0 {
			return fmt.Errorf("LOST: index %d was acknowledged and is not there: exit %d, %w\n%s", *acked.Index, code, err, errs)
		}
	}
	code, out, errs, err := r.run(r.publish()[1:]...)
	if err != nil || code != 0 {
		return fmt.Errorf("publishing again: exit %d, %w\n%s", code, err, errs)
	}
	var again acknowledged
	if err := json.Unmarshal([]byte(out), &again); err != nil || again.Index == nil {
		return fmt.Errorf("publishing again: %w\n%s", err, out)
	}
	if acked != nil && (*acked.Index != *again.Index || acked.Statement != again.Statement) {
		return fmt.Errorf("LOST: acknowledged %s at %d, and then again %s at %d", acked.Statement, *acked.Index, again.Statement, *again.Index)
	}
	if *again.Index != 1 {
		return fmt.Errorf("publishing again gave index %d, want 1: one release, one statement", *again.Index)
	}
	if err := r.logIsClean(2); err != nil {
		return fmt.Errorf("after publishing again: %w", err)
	}
	if code, out, errs, err := r.run("verify", r.path("app"), "--policy", r.path("policy.toml")); err != nil || code != 0 {
		return fmt.Errorf("verifying: exit %d, %w\n%s%s", code, err, out, errs)
	}
	return nil
}

// logIsClean runs `vitrine log check`; size is how many entries there must be,
// or -1.
func (r *room) logIsClean(size int64) error {
	code, out, errs, err := r.run("log", "check", "--json", r.node())
	if err != nil || code != 0 {
		return fmt.Errorf("log check: exit %d, %w\n%s%s", code, err, out, errs)
	}
	var report struct{ Size int64 }
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		return fmt.Errorf("log check: %w\n%s", err, out)
	}
	if size >= 0 && report.Size != size {
		return fmt.Errorf("log check: %d entries, want %d", report.Size, size)
	}
	return nil
}
