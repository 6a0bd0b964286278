package test

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The release files are the same bytes when they are built again elsewhere, by
// a compiler that remembers nothing of the first time.
func TestDistTwiceGivesTheSameBytes(t *testing.T) {
	first, second := t.TempDir(), t.TempDir()
	dist(t, "..", first)

	elsewhere := filepath.Join(t.TempDir(), "a checkout of another name")
	copyTracked(t, "..", elsewhere)
	dist(t, elsewhere, second, "GOCACHE="+filepath.Join(t.TempDir(), "cache"), "HOME="+t.TempDir(),
		"GOPATH="+goEnv(t, "GOPATH"), "GOMODCACHE="+goEnv(t, "GOMODCACHE"), "TZ=Asia/Tokyo", "USER=other")

	sums, err := os.ReadFile(filepath.Join(first, "SHA256SUMS"))
	if err != nil || len(bytes.Fields(sums)) < 4 {
		t.Fatalf("SHA256SUMS: %v: %q", err, sums)
	}
	for i, name := range strings.Fields(string(sums)) {
		if i%2 == 0 {
			continue
		}
		a, err := os.ReadFile(filepath.Join(first, name))
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(second, name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a, b) {
			t.Errorf("%s differs between two builds (%d and %d bytes)", name, len(a), len(b))
		}
	}
}

func dist(t *testing.T, repo, out string, env ...string) {
	t.Helper()
	cmd := exec.Command("go", "run", "./scripts/dist", "-out", out)
	cmd.Dir = repo
	cmd.Env = append(os.Environ(), env...)
	if b, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("dist in %s: %v\n%s", repo, err, b)
	}
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.Command("go", "env", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// copyTracked copies what a clone would have, as it stands in the working tree.
func copyTracked(t *testing.T, from, to string) {
	t.Helper()
	cmd := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	cmd.Dir = from
	names, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range strings.Split(strings.TrimRight(string(names), "\x00"), "\x00") {
		src, err := os.Open(filepath.Join(from, name))
		if os.IsNotExist(err) {
			continue // deleted, not yet committed
		} else if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Dir(filepath.Join(to, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		dst, err := os.Create(filepath.Join(to, name))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(dst, src); err != nil {
			t.Fatal(err)
		}
		if err := dst.Close(); err != nil {
			t.Fatal(err)
		}
		src.Close()
	}
}
