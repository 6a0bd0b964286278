//go:build linux

package test

import (
	"context"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// TestSupervisorCountsAndStrikes shows that the supervisor itself works, on a
// program that is not ours.
func TestSupervisorCountsAndStrikes(t *testing.T) {
	dir := t.TempDir()
	write := []string{"/bin/sh", "-c", "echo one >" + dir + "/a && echo two >" + dir + "/b && cat " + dir + "/a"}
	fine, err := supervise(context.Background(), dir, func(event) answer { return answer{} }, write...)
	if err != nil {
		t.Fatal(err)
	}
	if fine.code != 0 || fine.stdout != "one\n" {
		t.Fatalf("unhindered: exit %d, stdout %q, stderr %q", fine.code, fine.stdout, fine.stderr)
	}
	var writes int
	for _, e := range fine.events {
		if e.call.name == "write" {
			writes++
		}
	}
	if writes != 2 {
		t.Fatalf("%d writes seen, want 2: %v", writes, fine.events)
	}

	full, err := supervise(context.Background(), dir, func(e event) answer {
		if e.call.name == "write" && e.path == "b" {
			return answer{errno: unix.ENOSPC}
		}
		return answer{}
	}, write...)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(dir + "/b"); full.code != 1 || err != nil || len(b) != 0 {
		t.Errorf("with a full disk: exit %d, stderr %q, file %q, %v", full.code, full.stderr, b, err)
	}

	dead, err := supervise(context.Background(), dir, func(e event) answer { return answer{kill: e.path == "b"} }, write...)
	if err != nil {
		t.Fatal(err)
	}
	if dead.code != -1 || dead.stdout != "" {
		t.Errorf("killed: exit %d, stdout %q", dead.code, dead.stdout)
	}
}
