package ledger_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"vitrine.example/internal/store/storetest"
)

// A log that was closed can be opened, although a program that was started
// meanwhile has its lock file open still, as each has between fork and exec.
func TestClosedAlthoughForked(t *testing.T) {
	t.Parallel()
	o := options(t, filepath.Join(t.TempDir(), "log"), storetest.Open(t, storetest.SQLite(t)))
	l := open(t, o)
	name, err := filepath.EvalSymlinks(filepath.Join(o.Dir, ".lock"))
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatalf("this test needs /proc: %v", err)
	}
	dup := 0
	for _, e := range entries {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err != nil || to != name {
			continue
		}
		var fd int
		for _, c := range e.Name() {
			fd = 10*fd + int(c-'0')
		}
		copied, err := syscall.Dup(fd)
		if err != nil {
			t.Fatal(err)
		}
		dup++
		defer syscall.Close(copied)
	}
	if dup == 0 {
		t.Fatal("the lock file is not open")
	}
	closeLog(t, l)
	closeLog(t, open(t, o))
}
