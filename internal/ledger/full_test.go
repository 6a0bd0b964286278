package ledger_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vitrine.example/internal/ledger"
	"vitrine.example/internal/store"
	"vitrine.example/internal/store/storetest"
)

// inside, when set, says that the test runs where it may mount.
const inside = "VITRINE_LEDGER_MOUNTS"

// TestFullDisk fills the disk under the log, under the database, and under
// both. Errors say so, nothing acknowledged is lost, and when there is space
// again the same process goes on.
func TestFullDisk(t *testing.T) {
	if os.Getenv(inside) == "" {
		inNamespace(t)
		return
	}
	for _, name := range []string{"log", "database", "both"} {
		t.Run(name, func(t *testing.T) {
			small := filepath.Join(t.TempDir(), "small")
			if err := os.Mkdir(small, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := unix.Mount("tmpfs", small, "tmpfs", 0, "size=4m"); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = unix.Unmount(small, unix.MNT_DETACH) })
			dir, url := filepath.Join(t.TempDir(), "log"), storetest.SQLite(t)
			if name != "database" {
				dir = filepath.Join(small, "log")
			}
			if name != "log" {
				url = filepath.Join(small, "test.db")
			}
			fillAndGoOn(t, small, dir, storetest.Open(t, url))
		})
	}
}

// inNamespace runs the test again in a process that may mount file systems.
func inNamespace(t *testing.T) {
	t.Helper()
	cmd := osexec.Command(os.Args[0], "-test.run=^TestFullDisk$", "-test.v")
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.EPERM) {
		t.Fatal("user namespaces are off: run `sysctl -w kernel.unprivileged_userns_clone=1 user.max_user_namespaces=1000`")
	}
	if err != nil || !bytes.Contains(out, []byte("--- PASS: TestFullDisk/both")) {
		t.Errorf("%v\n%s", err, out)
	}
}

func fillAndGoOn(t *testing.T, small, dir string, db *store.DB) {
	t.Helper()
	o := options(t, dir, db)
	o.Patience = 500 * time.Millisecond
	l := open(t, o)
	ballast := filepath.Join(small, "ballast")
	writeFile(t, ballast, strings.Repeat("b", 2<<20))
	acknowledged := map[string]int64{}
	n, full := 0, false
	next := func() error {
		leaf := fmt.Sprintf("%d %s", n, strings.Repeat("x", 8000))
		e, err := l.Add(t.Context(), []byte(leaf))
		if err != nil {
			return err // the same leaf is tried again next time
		}
		n++
		if other, ok := acknowledged[leaf]; ok && other != e.Index {
			t.Errorf("leaf %d is at %d and at %d", n, other, e.Index)
		}
		acknowledged[leaf] = e.Index
		return nil
	}
	fill(t, ballast+"2")
	for range 100 {
		if err := next(); err != nil {
			full = true
			if !errors.Is(err, store.ErrFull) && !strings.Contains(err.Error(), "no space left on device") && !strings.Contains(err.Error(), "full") {
				t.Errorf("the error does not say that the disk is full: %v", err)
			}
			break
		}
	}
	if !full {
		t.Fatal("the disk did not become full")
	}
	for range 5 {
		_ = next() // whatever happens, the log must be usable after
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	remove(t, ballast+"2")
	var err error
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		if err = next(); err == nil {
			break
		}
	}
	if err != nil {
		t.Fatalf("with space again: %v", err)
	}
	for range 10 {
		if err := next(); err != nil {
			t.Fatal(err)
		}
	}
	closeLog(t, l)
	if r := check(t, dir, db); r.Size < int64(len(acknowledged)) || r.Reserved != 0 {
		t.Errorf("report %+v, %d acknowledged", r, len(acknowledged))
	}
	l = open(t, o)
	for leaf, index := range acknowledged {
		wantLeaf(t, l, index, leaf)
	}
}

func wantLeaf(t testing.TB, l *ledger.Ledger, index int64, leaf string) {
	t.Helper()
	if got, err := l.Leaf(t.Context(), index); err != nil || string(got) != leaf {
		t.Errorf("entry %d is %.20q, %v, want %.20q", index, got, err, leaf)
	}
}

// fill takes all the space that is left.
func fill(t testing.TB, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 4096)
	for err == nil {
		_, err = f.Write(b)
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
