//go:build linux

package test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// smallDisk mounts a file system of so many bytes, for which root is needed.
func smallDisk(t *testing.T, size int64) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "disk")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	options := fmt.Sprintf("size=%d,mode=0777", size)
	if os.Geteuid() == 0 {
		if err := unix.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
			t.Fatalf("mounting a small disk: %v", err)
		}
		t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
		return dir
	}
	if out, err := exec.Command("sudo", "-n", "mount", "-t", "tmpfs", "-o", options, "tmpfs", dir).CombinedOutput(); err != nil {
		t.Fatalf("mounting a small disk needs root, or sudo without a password: %v\n%s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("sudo", "-n", "umount", "-l", dir).Run() })
	return dir
}

// fill leaves so many bytes free on the disk of dir. free gives the rest back.
func fill(t *testing.T, dir string, leave int64) (free func()) {
	t.Helper()
	path := filepath.Join(dir, "ballast")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n, err := io.Copy(f, zeros{})
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("filling the disk: %v", err)
	}
	if err := f.Truncate(max(n-leave, 0)); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestFullDisk publishes with more and more space left: either it succeeds, or
// it says that there is no space, and succeeds when there is some again.
func TestFullDisk(t *testing.T) {
	base := newRoom(t, vitrineBinary(t), t.TempDir())
	disk := smallDisk(t, 64<<20)
	var full int
	for _, leave := range []int64{0, 4 << 10, 16 << 10, 64 << 10, 128 << 10, 256 << 10, 1 << 20, 8 << 20} {
		r, err := base.copy(disk)
		if err != nil {
			t.Fatal(err)
		}
		free := fill(t, disk, leave)
		code, out, errs, err := r.run(r.publish()[1:]...)
		free()
		if err != nil {
			t.Fatal(err)
		}
		acked := acknowledgement(out)
		switch {
		case code == 0 && acked == nil:
			t.Errorf("%d bytes free: no index printed: %q", leave, out)
		case code != 0:
			full++
			sayNoSpace(t, leave, errs)
		}
		if err := r.sound(acked); err != nil {
			t.Errorf("%d bytes free, exit %d: %v\nits stderr:\n%s", leave, code, err, errs)
		}
		if err := os.RemoveAll(r.dir); err != nil {
			t.Fatal(err)
		}
		if leave == 0 && code == 0 {
			t.Error("it published on a full disk")
		}
		if leave >= 8<<20 && code != 0 {
			t.Errorf("it did not publish with 8 MiB free: %s", errs)
		}
	}
	if full == 0 {
		t.Error("the disk was never full")
	}
}

func sayNoSpace(t *testing.T, leave int64, stderr string) {
	t.Helper()
	if !strings.Contains(stderr, "vitrine: error: ") || !strings.Contains(strings.ToLower(stderr), "no space left") && !strings.Contains(stderr, "is full") {
		t.Errorf("%d bytes free: the error does not say that there is no space:\n%s", leave, stderr)
	}
	if !strings.Contains(stderr, "free some space") {
		t.Errorf("%d bytes free: it does not say what to do:\n%s", leave, stderr)
	}
}

// TestFullDiskUnderAServer fills the disk under a node that is served. It goes
// on by itself when there is space again.
func TestFullDiskUnderAServer(t *testing.T) {
	base := newRoom(t, vitrineBinary(t), t.TempDir())
	disk := smallDisk(t, 64<<20)
	r, err := base.copy(disk)
	if err != nil {
		t.Fatal(err)
	}
	s := r.serve(t)
	for _, leave := range []int64{0, 32 << 10} {
		free := fill(t, disk, leave)
		code, out, errs, err := r.run(r.publish()[1:]...)
		if err != nil {
			t.Fatal(err)
		}
		if code == 0 && leave == 0 {
			t.Errorf("it published on a full disk: %s", out)
		} else if code != 0 {
			sayNoSpace(t, leave, errs)
		}
		free()
	}
	if err := r.sound(nil); err != nil {
		t.Errorf("while it is served: %v", err)
	}
	s.stop(t)
	if err := r.sound(nil); err != nil {
		t.Errorf("after it was served: %v", err)
	}
}

// TestOneServerADirectory: the second server refuses and names the first, and
// the first goes on.
func TestOneServerADirectory(t *testing.T) {
	r := newRoom(t, vitrineBinary(t), t.TempDir())
	s := r.serve(t)
	code, _, errs, err := r.run("serve", r.node())
	if err != nil {
		t.Fatal(err)
	}
	if code != 1 || !strings.Contains(errs, fmt.Sprintf("process %d", s.cmd.Process.Pid)) {
		t.Errorf("the second server: exit %d, and the first is process %d:\n%s", code, s.cmd.Process.Pid, errs)
	}
	if err := r.sound(nil); err != nil {
		t.Error(err)
	}
	s.stop(t)
}

// TestKilledServer: a server that is killed leaves nothing that keeps the next
// one out, and loses nothing.
func TestKilledServer(t *testing.T) {
	r := newRoom(t, vitrineBinary(t), t.TempDir())
	s := r.serve(t)
	_, out, errs, err := r.run(r.publish()[1:]...)
	acked := acknowledgement(out)
	if err != nil || acked == nil {
		t.Fatalf("%v\n%s", err, errs)
	}
	if err := s.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = s.cmd.Wait()
	if err := r.sound(acked); err != nil {
		t.Error(err)
	}
	r.serve(t).stop(t)
}

// server is a vitrine that serves a room's node.
type server struct {
	cmd     *exec.Cmd
	journal bytes.Buffer
}

// serve starts a server and waits until it serves.
func (r *room) serve(t *testing.T) *server {
	t.Helper()
	s := &server{cmd: exec.Command(r.bin, "serve", "--print-address", r.node())}
	s.cmd.Stderr = &s.journal
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.cmd.Process.Kill() })
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		_ = s.cmd.Wait()
		t.Fatalf("starting a server: %q, %v\n%s", line, err, &s.journal)
	}
	return s
}

// stop ends a server as an operator does.
func (s *server) stop(t *testing.T) {
	t.Helper()
	if err := s.cmd.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.cmd.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("stopping a server: %v\n%s", err, &s.journal)
		}
	case <-time.After(time.Minute):
		t.Errorf("the server did not stop within a minute:\n%s", &s.journal)
	}
}
