package artifact_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"vitrine.example/internal/artifact"
	"vitrine.example/internal/artifact/archive"
)

// tree makes a directory with some of everything.
func tree(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, n := range []string{"bin/tool", "share/a.txt", "share/b.txt", "src/main.go"} {
		write(t, filepath.Join(dir, n), "content of "+n+"\n", 0o644)
	}
	for name, target := range map[string]string{"share/link": "a.txt", "share/loop": "loop", "share/up": "../share"} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestTrees(t *testing.T) {
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		change func(dir string)
		want   artifact.Verdict
		diff   string
	}{
		"nothing":         {func(string) {}, artifact.Identical, ""},
		"content":         {func(d string) { write(t, filepath.Join(d, "src/main.go"), "content of src/main_go\n", 0o644) }, artifact.Different, "src/main.go: content"},
		"executable":      {func(d string) { must(os.Chmod(filepath.Join(d, "bin/tool"), 0o755)) }, artifact.Different, "bin/tool: mode"},
		"setuid":          {func(d string) { must(os.Chmod(filepath.Join(d, "bin/tool"), 0o644|fs.ModeSetuid)) }, artifact.Different, "bin/tool: mode"},
		"group writes":    {func(d string) { must(os.Chmod(filepath.Join(d, "bin/tool"), 0o664)) }, artifact.Explained, ""},
		"one less":        {func(d string) { must(os.Remove(filepath.Join(d, "bin/tool"))) }, artifact.Different, "bin/tool: file"},
		"one more":        {func(d string) { write(t, filepath.Join(d, "bin/tool2"), "", 0o644) }, artifact.Different, "bin/tool2: file"},
		"empty directory": {func(d string) { must(os.Mkdir(filepath.Join(d, "empty"), 0o755)) }, artifact.Different, "empty: file"},
		"link": {func(d string) {
			must(os.Remove(filepath.Join(d, "share/link")))
			must(os.Symlink("b.txt", filepath.Join(d, "share/link")))
		}, artifact.Different, "share/link: link target"},
		"link for a file": {func(d string) {
			must(os.Remove(filepath.Join(d, "share/b.txt")))
			must(os.Symlink("a.txt", filepath.Join(d, "share/b.txt")))
		}, artifact.Different, "share/b.txt: type"},
		"fifo for a file": {func(d string) {
			must(os.Remove(filepath.Join(d, "share/b.txt")))
			must(unix.Mkfifo(filepath.Join(d, "share/b.txt"), 0o644))
		}, artifact.Different, "share/b.txt: type"},
		"attribute": {func(d string) { must(unix.Lsetxattr(filepath.Join(d, "bin/tool"), "user.note", []byte("x"), 0)) }, artifact.Different, "bin/tool: extended attributes"},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := tree(t), tree(t)
			c.change(b)
			for _, p := range [][2]string{{a, b}, {b, a}} {
				r, err := artifact.Compare(context.Background(), p[0], p[1], artifact.Options{})
				if err != nil {
					t.Fatal(err)
				}
				if c.diff == "" {
					want(t, r, c.want, "")
				} else {
					want(t, r, c.want, "", c.diff)
				}
				if len(r.Ignored) == 0 {
					t.Error("nothing is said of owners and times")
				}
			}
		})
	}
}

func TestWhatCannotBeCompared(t *testing.T) {
	dir := tree(t)
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, p := range [][2]string{{dir, filepath.Join(dir, "bin/tool")}, {pipe, pipe}, {filepath.Join(dir, "bin/tool"), pipe}, {"/dev/null", "/dev/null"}} {
		if _, err := artifact.Compare(context.Background(), p[0], p[1], artifact.Options{}); !errors.Is(err, artifact.ErrKind) {
			t.Errorf("%v: %v", p, err)
		}
	}
	if _, err := artifact.Compare(context.Background(), dir, filepath.Join(dir, "none"), artifact.Options{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := artifact.Compare(gone, dir, dir, artifact.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	_, err := artifact.Compare(context.Background(), dir, dir, artifact.Options{Archive: archive.Limits{Members: 3}})
	if !errors.Is(err, archive.ErrBound) {
		t.Errorf("too many files: %v", err)
	}
}

// TestBounds: what is over a bound is different, and the bound is named.
func TestBounds(t *testing.T) {
	r := newRoom(t)
	zeros := make([]byte, 200<<20)
	bomb, bomb2 := gzipOf(t, zeros, 9), gzipOf(t, append(zeros, 1), 9)
	many := func(last string) []byte {
		one := tarOf(t, []file{{name: "a", kind: '0', mode: 0o644, time: day}})[:512]
		return append(bytes.Repeat(one, 250_000), tarOf(t, []file{{name: last, kind: '0', mode: 0o644, time: day}})...)
	}
	deep := func(s string) []byte {
		b := []byte(s)
		for range 12 {
			b = gzipOf(t, b, 1)
		}
		return b
	}
	for name, c := range map[string]struct {
		a, b []byte
		o    artifact.Options
		say  string
	}{
		"ratio":   {bomb, bomb2, artifact.Options{}, "grows more than 250 times"},
		"inflate": {bomb, bomb2, artifact.Options{Archive: archive.Limits{Inflate: 1 << 20}}, "more than 1048576 bytes come out"},
		"members": {many("b"), tarOf(t, []file{{name: "c", kind: '0', mode: 0o644, time: day}}), artifact.Options{}, "more than 200000 members"},
		"depth":   {deep("one"), deep("two"), artifact.Options{}, "more than 8 layers"},
		"spool":   {gzipOf(t, zeros[:1<<20], 9), gzipOf(t, zeros[:1<<21], 9), artifact.Options{Spool: 1 << 16}, "--max-spool"},
		"lines":   {bytes.Repeat([]byte("\n"), 500_000), bytes.Repeat([]byte("\n"), 500_001), artifact.Options{}, "more than 400000 lines"},
		"text":    {bytes.Repeat([]byte("a\n"), 1000), bytes.Repeat([]byte("b\n"), 1000), artifact.Options{Text: 100}, "more than 100 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			rep, err := r.try(t, c.a, c.b, c.o)
			if err != nil {
				t.Fatal(err)
			}
			if rep.Verdict != artifact.Different || !strings.Contains(strings.Join(rep.Unread, "\n"), c.say) {
				t.Errorf("%s, unread %q, want %q", rep.Verdict, rep.Unread, c.say)
			}
		})
	}
	// Nothing is left in the directory of temporary files.
	left, err := os.ReadDir(r.dir)
	if err != nil || len(left) != 2 {
		t.Errorf("%v, %v: want the two files", left, err)
	}
}
