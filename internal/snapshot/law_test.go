package snapshot_test

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"vitrine.example/internal/snapshot"
)

// TestLinksStayInside: whatever links a snapshot takes, following any of them
// from the unpacked tree never leads out, as the operating system sees it.
func TestLinksStayInside(t *testing.T) {
	base := t.TempDir()
	n := 0
	part := rapid.SampledFrom([]string{"a", "b", "c", "..", "..", "."})
	rapid.Check(t, func(rt *rapid.T) {
		n++
		outside := filepath.Join(base, fmt.Sprint(n))
		dir := filepath.Join(outside, "x", "y", "tree")
		if err := os.MkdirAll(filepath.Join(dir, "a", "b", "c"), 0o755); err != nil {
			rt.Fatal(err)
		}
		defer os.RemoveAll(outside)
		for range rapid.IntRange(1, 6).Draw(rt, "links") {
			at := rapid.SampledFrom([]string{"", "a", "a/b", "a/b/c"}).Draw(rt, "at")
			name := rapid.SampledFrom([]string{"l", "m", "b", "c"}).Draw(rt, "name")
			target := strings.Join(rapid.SliceOfN(part, 1, 5).Draw(rt, "target"), "/")
			if rapid.Bool().Draw(rt, "through a link") {
				target = rapid.SampledFrom([]string{"l", "m", "a/l", "a/b/m"}).Draw(rt, "link") + "/" + target
			}
			_ = os.Symlink(target, filepath.Join(dir, at, name)) // taken: one link fewer
		}
		if _, _, err := write(t, snapshot.Directory, dir, snapshot.Limits{}); err != nil {
			return
		}
		err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err != nil || d.Type()&os.ModeSymlink == 0 {
				return err
			}
			real, err := filepath.EvalSymlinks(path)
			if err == nil && real != dir && !strings.HasPrefix(real, dir+"/") {
				rt.Errorf("%s leads to %s", path, real)
			}
			return nil
		})
		if err != nil {
			rt.Fatal(err)
		}
	})
}

// TestBoundedMemory takes snapshots of 100,000 files, as a commit and as
// directories, and looks at the memory meanwhile.
func TestBoundedMemory(t *testing.T) {
	const files, folders = 100_000, 100
	var script strings.Builder
	script.WriteString("blob\nmark :1\ndata 2\nx\n\ncommit refs/heads/main\ncommitter n <e> 5 +0000\ndata 1\nm\n")
	for i := range files {
		fmt.Fprintf(&script, "M 100644 :1 d%02d/f%06d\n", i%folders, i)
	}
	repo := t.TempDir()
	git(t, repo, nil, "init", "-q", "--bare")
	git(t, repo, []byte(script.String()), "fast-import", "--quiet")
	script.Reset()
	checkMemory(t, repo, snapshot.Git, files)

	plain := inMemory(t)
	for i := range folders {
		if err := os.Mkdir(filepath.Join(plain, fmt.Sprintf("d%02d", i)), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for i := range files {
		f, err := os.Create(filepath.Join(plain, fmt.Sprintf("d%02d/f%06d", i%folders, i)))
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	checkMemory(t, plain, snapshot.Directory, files)
}

// inMemory returns a directory in a file system in memory, where there is one:
// making 100,000 files on a disk takes longer than all other tests together.
func inMemory(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "snapshot")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// checkMemory samples the live heap while a snapshot is written.
func checkMemory(t *testing.T, path string, kind snapshot.Kind, want int64) {
	t.Helper()
	s, err := snapshot.Open(t.Context(), kind, path, snapshot.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	live := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before, most, writes := live(), uint64(0), 0
	sum, err := s.WriteTo(t.Context(), &onWrite{func(int) {
		if writes++; writes%20_000 == 0 {
			most = max(most, live())
		}
	}}, nil)
	if err != nil || sum.Entries != want {
		t.Errorf("%s: %+v, %v", kind, sum, err)
	}
	if most == 0 || most > before+8<<20 {
		t.Errorf("%s: the heap grew from %d to %d bytes", kind, before, most)
	}
}

// TestSparse writes a file whose size needs a pax record, and reads the header back.
func TestSparse(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "huge"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	const size = 1 << 33
	if err := os.Truncate(filepath.Join(dir, "huge"), size); err != nil {
		t.Fatal(err)
	}
	s, err := snapshot.Open(t.Context(), snapshot.Directory, dir, snapshot.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	var head []byte
	enough := io.ErrShortWrite
	_, err = s.WriteTo(t.Context(), writer(func(p []byte) (int, error) {
		if head = append(head, p...); len(head) > 4096 {
			return 0, enough
		}
		return len(p), nil
	}), nil)
	if err == nil {
		t.Fatal("nothing stopped it")
	}
	if !strings.Contains(string(head[512:1024]), "19 size=8589934592\n") || string(head[1024+124:1024+136]) != "00000000000\x00" {
		t.Errorf("header %q", head[:1536])
	}
}

type writer func(p []byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }
