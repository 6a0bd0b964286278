package centre

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Environment variables by which the test program is a command that is killed,
// and by which it knows that it may mount.
const (
	backupEnv = "VITRINE_TEST_BACKUP" // node, file, directory to restore into
	mountEnv  = "VITRINE_TEST_MOUNTS"
)

// TestBackupChild is what TestBackupKilled kills; it does nothing by itself.
func TestBackupChild(t *testing.T) {
	arg := strings.Split(os.Getenv(backupEnv), "\n")
	if len(arg) != 3 {
		return
	}
	var err error
	if arg[2] == "" {
		_, err = Backup(context.Background(), arg[0], arg[1], BackupOptions{Keys: true})
	} else {
		_, err = RestoreNode(context.Background(), arg[1], arg[2], RestoreNodeOptions{})
	}
	check(t, err)
}

// killed runs a backup or a restoration and kills it after a while. It reports
// whether it was killed before its end.
func killed(t *testing.T, after time.Duration, node, file, dir string) bool {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestBackupChild$")
	cmd.Env = append(os.Environ(), backupEnv+"="+node+"\n"+file+"\n"+dir)
	check(t, cmd.Start())
	time.Sleep(after)
	_ = cmd.Process.Kill()
	return cmd.Wait() != nil
}

// TestBackupKilled: whenever a backup or a restoration is killed, the file or the
// node is whole or absent, and doing it again works and removes what was left.
func TestBackupKilled(t *testing.T) {
	dir := newNode(t, InitOptions{})
	h := connect(t, dir)
	publish(t, h, "1.0", "first")
	_, err := h.local().content.Put(within(t), "public", bytes.NewReader(bytes.Repeat([]byte("0123456789abcdef"), 4<<20)), 1<<30)
	check(t, err)
	check(t, h.Close(within(t)))
	place := t.TempDir()
	file, target := filepath.Join(place, "node.backup"), filepath.Join(place, "node")
	cut := 0
	for i := range 12 {
		if killed(t, time.Duration(i*20)*time.Millisecond, dir, file, "") {
			cut++
		}
		if _, err := os.Lstat(file); err == nil {
			_, err := RestoreNode(within(t), file, filepath.Join(t.TempDir(), "whole"), RestoreNodeOptions{})
			check(t, err)
			check(t, os.Remove(file))
		}
	}
	_, err = Backup(within(t), dir, file, BackupOptions{Keys: true})
	check(t, err)
	wantLeft(t, place, "node.backup")
	for i := range 12 {
		if killed(t, time.Duration(i*20)*time.Millisecond, dir, file, target) {
			cut++
		}
		if _, err := os.Lstat(target); err == nil {
			if r, err := CheckLog(within(t), target, nil); err != nil || len(r.Faults) > 0 || onHold(target) == nil {
				t.Errorf("a node that was restored before the end: %+v, %v", r, err)
			}
			check(t, os.RemoveAll(target))
		}
	}
	_, err = RestoreNode(within(t), file, target, RestoreNodeOptions{})
	check(t, err)
	wantLeft(t, place, "node", "node.backup")
	if cut < 2 {
		t.Errorf("only %d of 24 were killed before their end", cut)
	}
}

// TestBackupFullDisk: where there is no room for the backup, or for the node that
// is restored, the error says so and nothing is left; with room both work.
func TestBackupFullDisk(t *testing.T) {
	if os.Getenv(mountEnv) == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestBackupFullDisk$", "-test.v")
		cmd.Env = append(os.Environ(), mountEnv+"=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		}
		if out, err := cmd.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("--- PASS: TestBackupFullDisk")) {
			t.Errorf("%v (are user namespaces off?)\n%s", err, out)
		}
		return
	}
	dir := newNode(t, InitOptions{})
	h := connect(t, dir)
	publish(t, h, "1.0", "first")
	random := make([]byte, 3<<20) // does not compress
	for i, x := 0, uint32(1); i < len(random); i++ {
		x = x*1664525 + 1013904223
		random[i] = byte(x >> 24)
	}
	_, err := h.local().content.Put(within(t), "public", bytes.NewReader(random), 1<<30)
	check(t, err)
	check(t, h.Close(within(t)))
	small := filepath.Join(t.TempDir(), "small")
	check(t, os.Mkdir(small, 0o755))
	mount := func(size string) {
		check(t, unix.Mount("tmpfs", small, "tmpfs", 0, "size="+size))
	}
	for _, size := range []string{"100k", "1m", "2m"} {
		mount(size)
		if _, err := Backup(within(t), dir, filepath.Join(small, "node.backup"), BackupOptions{}); !errors.Is(err, unix.ENOSPC) && !strings.Contains(err.Error(), "full") {
			t.Errorf("a backup on a disk of %s: %v", size, err)
		}
		wantLeft(t, small)
		check(t, unix.Unmount(small, unix.MNT_DETACH))
	}
	file := filepath.Join(t.TempDir(), "node.backup")
	_, err = Backup(within(t), dir, file, BackupOptions{})
	check(t, err)
	for _, size := range []string{"100k", "1m", "3m"} {
		mount(size)
		for _, target := range []string{small, filepath.Join(small, "node")} {
			if _, err := RestoreNode(within(t), file, target, RestoreNodeOptions{}); !errors.Is(err, unix.ENOSPC) {
				t.Errorf("restored into %s on a disk of %s: %v", target, size, err)
			}
			wantLeft(t, small)
		}
		check(t, unix.Unmount(small, unix.MNT_DETACH))
	}
	mount("64m")
	defer func() { check(t, unix.Unmount(small, unix.MNT_DETACH)) }()
	_, err = RestoreNode(within(t), file, small, RestoreNodeOptions{}) // a mount point
	check(t, err)
	if _, err := os.Lstat(filepath.Join(small, ConfigFile)); err != nil || onHold(small) == nil {
		t.Errorf("restored into a mount point: %v", err)
	}
}
