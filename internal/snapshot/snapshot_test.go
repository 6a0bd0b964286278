package snapshot_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/snapshot"
)

// tree makes files: "link -> target", "dir/", or a name with its content.
// A name that ends in * is executable.
func tree(t testing.TB, dir string, files map[string]string) string {
	t.Helper()
	for name, text := range files {
		link, target, isLink := strings.Cut(name, " -> ")
		name, exec := strings.CutSuffix(name, "*")
		path := filepath.Join(dir, name)
		var err error
		switch {
		case isLink:
			path = filepath.Join(dir, link)
			err = errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.Symlink(target, path))
		case strings.HasSuffix(name, "/"):
			err = os.MkdirAll(path, 0o755)
		default:
			mode := os.FileMode(0o640)
			if exec {
				mode = 0o750
			}
			err = errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), mode))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func write(t testing.TB, kind snapshot.Kind, path string, lim snapshot.Limits) ([]byte, snapshot.Summary, error) {
	t.Helper()
	s, err := snapshot.Open(t.Context(), kind, path, lim)
	if err != nil {
		return nil, snapshot.Summary{}, err
	}
	var b bytes.Buffer
	sum, err := s.WriteTo(t.Context(), &b, nil)
	return b.Bytes(), sum, err
}

func take(t testing.TB, kind snapshot.Kind, path string) []byte {
	t.Helper()
	b, _, err := write(t, kind, path, snapshot.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// listing reads a tar by the standard library, one line an entry.
func listing(t testing.TB, b []byte) (lines []string) {
	t.Helper()
	for r := tar.NewReader(bytes.NewReader(b)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return lines
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, fmt.Sprintf("%c %o %d %q %q %s", h.Typeflag, h.Mode, h.ModTime.Unix(), h.Name, h.Linkname, digest.Of(text)))
	}
}

func line(typ byte, mode int, at int64, name, target, text string) string {
	return fmt.Sprintf("%c %o %d %q %q %s", typ, mode, at, name, target, digest.Of([]byte(text)))
}

var long = strings.Repeat("d", 120) + "/" + strings.Repeat("e", 200) + "/" + strings.Repeat("f", 255)

// TestDirectory: names of all kinds, in byte order, nothing of the disk but the
// right to execute.
func TestDirectory(t *testing.T) {
	files := map[string]string{
		"b": "1", "a/x": "2", "a.txt": "3", "a-": "4", "run*": "5", "empty/": "", "deep/er/empty/": "",
		"ü/日本": "6", "new\nline": "7", "sp ace": "", "-rf": "8", ".hidden": "9", ".gitignore": "x",
		".git/config": "no", "sub/.git": "no", "sub/kept": "10", long: "11",
		"l1 -> a/x": "", "a/up -> ../b": "", "dangling -> not/there": "", "l2 -> " + strings.Repeat("t/", 80) + "t": "",
	}
	got := listing(t, take(t, snapshot.Directory, tree(t, t.TempDir(), files)))
	want := []string{
		line('0', 0o644, 0, "-rf", "", "8"),
		line('0', 0o644, 0, ".gitignore", "", "x"),
		line('0', 0o644, 0, ".hidden", "", "9"),
		line('0', 0o644, 0, "a-", "", "4"),
		line('0', 0o644, 0, "a.txt", "", "3"),
		line('2', 0o777, 0, "a/up", "../b", ""),
		line('0', 0o644, 0, "a/x", "", "2"),
		line('0', 0o644, 0, "b", "", "1"),
		line('2', 0o777, 0, "dangling", "not/there", ""),
		line('0', 0o644, 0, long, "", "11"),
		line('5', 0o755, 0, "deep/er/empty/", "", ""),
		line('5', 0o755, 0, "empty/", "", ""),
		line('2', 0o777, 0, "l1", "a/x", ""),
		line('2', 0o777, 0, "l2", strings.Repeat("t/", 80)+"t", ""),
		line('0', 0o644, 0, "new\nline", "", "7"),
		line('0', 0o755, 0, "run", "", "5"),
		line('0', 0o644, 0, "sp ace", "", ""),
		line('0', 0o644, 0, "sub/kept", "", "10"),
		line('0', 0o644, 0, "ü/日本", "", "6"),
	}
	want = sortedByName(want)
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// sortedByName sorts lines by the name in them, as bytes.
func sortedByName(lines []string) []string {
	name := func(l string) string {
		var typ rune
		var mode, at int
		var n string
		if _, err := fmt.Sscanf(l, "%c %o %d %q", &typ, &mode, &at, &n); err != nil {
			panic(err)
		}
		return n
	}
	slices.SortFunc(lines, func(a, b string) int { return strings.Compare(name(a), name(b)) })
	return lines
}

// TestSameBytes: owners, times, rights and the order on the disk do not matter.
func TestSameBytes(t *testing.T) {
	files := map[string]string{"a/b": "1", "a/c*": "2", "z": "3", "l -> a/b": ""}
	one, two := tree(t, t.TempDir(), files), t.TempDir()
	for _, name := range []string{"z", "l -> a/b", "a/c*", "a/b"} {
		tree(t, two, map[string]string{name: files[name]})
	}
	for name, mode := range map[string]os.FileMode{"a/b": 0o604, "a/c": 0o711 | os.ModeSetuid, "z": 0o400, "a": 0o700} {
		if err := errors.Join(os.Chmod(filepath.Join(two, name), mode), os.Chtimes(filepath.Join(two, name), time.Unix(5, 0), time.Unix(7, 0))); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(take(t, "", one), take(t, "", two)) {
		t.Error("the same tree gave two snapshots")
	}
}

// TestStandardTar: where ustar is enough, the bytes are those that the standard
// library writes, which was written by others from the same standard.
func TestStandardTar(t *testing.T) {
	got := take(t, "", tree(t, t.TempDir(), map[string]string{
		"a": strings.Repeat("x", 513), "b/c*": "", "d/": "", "e": strings.Repeat("y", 1024), "l -> b/c": "",
		strings.Repeat("n", 100): "z",
	}))
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range []*tar.Header{
		{Typeflag: tar.TypeReg, Name: "a", Mode: 0o644, Size: 513}, {Typeflag: tar.TypeReg, Name: "b/c", Mode: 0o755},
		{Typeflag: tar.TypeDir, Name: "d/", Mode: 0o755}, {Typeflag: tar.TypeReg, Name: "e", Mode: 0o644, Size: 1024},
		{Typeflag: tar.TypeSymlink, Name: "l", Linkname: "b/c", Mode: 0o777},
		{Typeflag: tar.TypeReg, Name: strings.Repeat("n", 100), Mode: 0o644, Size: 1},
	} {
		h.Format, h.ModTime = tar.FormatUSTAR, time.Unix(0, 0)
		text := map[string]string{"a": strings.Repeat("x", 513), "e": strings.Repeat("y", 1024)}[h.Name]
		if h.Size == 1 {
			text = "z"
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, b.Bytes()) {
		t.Errorf("the bytes differ:\n%q\n%q", got, b.Bytes())
	}
}

// TestGNUTar unpacks a snapshot by GNU tar and takes a snapshot of the result.
func TestGNUTar(t *testing.T) {
	dir := tree(t, t.TempDir(), map[string]string{
		"ü/日本": "6", "new\nline": "7", long: "11", "run*": "x", "empty/": "",
		"l2 -> " + strings.Repeat("t/", 80) + "t": "", strings.Repeat("p", 99) + "/" + strings.Repeat("q", 99): "8",
	})
	b, out := take(t, "", dir), t.TempDir()
	cmd := exec.Command("tar", "-x", "-C", out)
	cmd.Stdin = bytes.NewReader(b)
	if said, err := cmd.CombinedOutput(); err != nil || len(said) > 0 {
		t.Fatalf("tar: %v (is it missing? apt-get install tar)\n%s", err, said)
	}
	if !bytes.Equal(b, take(t, "", out)) {
		t.Error("what GNU tar unpacked is not what was packed")
	}
}

// TestGolden keeps the format: this digest must never change under one
// snapshot.Format. It was computed by testdata/snapshot.py, which is written
// from docs/spec/release.md alone.
func TestGolden(t *testing.T) {
	b := take(t, snapshot.Directory, tree(t, t.TempDir(), golden))
	want, err := os.ReadFile("testdata/golden.sha256")
	if err != nil {
		t.Fatal(err)
	}
	if got := digest.Of(b).String(); got != strings.TrimSpace(string(want)) {
		t.Errorf("the snapshot has digest %s, want %s", got, want)
	}
}

var golden = map[string]string{
	"README": "hello\n", "bin/run*": "#!/bin/sh\n", "ü": strings.Repeat("u", 600), "tab\tname": "t", "void/": "",
	strings.Repeat("a", 100): "fits", strings.Repeat("b", 101): "does not", "dir/l -> ../README": "",
	"far -> " + strings.Repeat("x/", 60) + "end": "", strings.Repeat("c", 99) + "/under": "cut at the slash",
}

// TestRefused: what cannot be part of a snapshot is named.
func TestRefused(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		more  func(dir string) error
		want  error
		word  string
	}{
		"absolute link":     {map[string]string{"a": "", "sub/l -> /etc/passwd": ""}, nil, snapshot.ErrRefused, `"sub/l"`},
		"link out":          {map[string]string{"sub/l -> ../../x": ""}, nil, snapshot.ErrRefused, `"sub/l"`},
		"link to parent":    {map[string]string{"l -> ..": ""}, nil, snapshot.ErrRefused, `"l"`},
		"link down and up":  {map[string]string{"l -> a/../b": ""}, nil, snapshot.ErrRefused, "down and up"},
		"link by a link":    {map[string]string{"d/e/root -> ../..": "", "m -> d/e/root/../x": ""}, nil, snapshot.ErrRefused, `"m"`},
		"not UTF-8":         {map[string]string{"a/b\xff": ""}, nil, snapshot.ErrRefused, `"a/b\xff"`},
		"other git":         {map[string]string{"a/.GIT/config": ""}, nil, snapshot.ErrRefused, `.GIT`},
		"pipe":              {map[string]string{"a": ""}, func(d string) error { return syscall.Mkfifo(d+"/p", 0o644) }, snapshot.ErrRefused, `"p" is a named pipe`},
		"socket":            {nil, func(d string) error { return syscall.Mknod(d+"/s", syscall.S_IFSOCK|0o644, 0) }, snapshot.ErrRefused, `"s" is a socket`},
		"nothing":           {nil, nil, snapshot.ErrRefused, "no files"},
		"nothing but .git":  {map[string]string{".gitx/": "", "x/": ""}, func(d string) error { return errors.Join(os.Remove(d+"/.gitx"), os.Remove(d+"/x")) }, snapshot.ErrRefused, "no files"},
		"too many":          {map[string]string{"1": "", "2": "", "3": "", "4": "", "5": "", "6": "", "7": ""}, nil, snapshot.ErrTooLarge, "at most 6|above 6"},
		"too many in depth": {map[string]string{"1/1": "", "2/2": "", "3/3/": "", "4/4": "", "5/5": "", "6/6": "", "7/7": ""}, nil, snapshot.ErrTooLarge, `"7/7"`},
		"too large":         {map[string]string{"1": strings.Repeat("x", 600), "2": strings.Repeat("x", 600)}, nil, snapshot.ErrTooLarge, `"2"`},
		"hole too large":    {map[string]string{"1": ""}, func(d string) error { return os.Truncate(d+"/1", 1<<40) }, snapshot.ErrTooLarge, `"1"`},
	} {
		t.Run(name, func(t *testing.T) {
			dir := tree(t, t.TempDir(), c.files)
			if c.more != nil {
				if err := c.more(dir); err != nil {
					t.Fatal(err)
				}
			}
			_, _, err := write(t, "", dir, snapshot.Limits{Entries: 6, Bytes: 1000})
			if !errors.Is(err, c.want) || !containsAny(err.Error(), c.word) {
				t.Errorf("error %v, want %v and %s", err, c.want, c.word)
			}
		})
	}
}

func containsAny(s, words string) bool {
	return slices.ContainsFunc(strings.Split(words, "|"), func(w string) bool { return strings.Contains(s, w) })
}

// TestOpen: kinds are found out, and a wrong one is refused.
func TestOpen(t *testing.T) {
	dir := tree(t, t.TempDir(), map[string]string{"d/x": "", "f": "no tar", "l -> f": "", "d2 -> d": ""})
	for path, want := range map[string]snapshot.Kind{"d": snapshot.Directory, "f": snapshot.Archive, "d2": snapshot.Directory} {
		if got, err := snapshot.Detect(filepath.Join(dir, path)); got != want || err != nil {
			t.Errorf("%s is %q, %v", path, got, err)
		}
	}
	for name, c := range map[string]struct {
		kind snapshot.Kind
		path string
	}{
		"missing": {"", "gone"}, "archive by a link": {"", "l"}, "directory as archive": {snapshot.Archive, "d"},
		"directory as git": {snapshot.Git, "d"}, "file as directory": {snapshot.Directory, "f"}, "unknown": {"svn", "d"},
	} {
		if _, err := snapshot.Open(t.Context(), c.kind, filepath.Join(dir, c.path), snapshot.Limits{}); err == nil ||
			!strings.Contains(err.Error(), filepath.Join(dir, c.path)) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

// onWrite calls f before each write.
type onWrite struct{ f func(n int) }

func (w *onWrite) Write(p []byte) (int, error) { w.f(len(p)); return len(p), nil }

// TestChanging changes a tree while it is read.
func TestChanging(t *testing.T) {
	big := strings.Repeat("x", 1<<20)
	for name, c := range map[string]struct {
		change func(dir string) error
		word   string
	}{
		"grows":          {func(d string) error { return os.WriteFile(d+"/b", []byte(big+"y"), 0o644) }, "/b"},
		"shrinks":        {func(d string) error { return os.Truncate(d+"/b", 10) }, `"b"`},
		"vanishes":       {func(d string) error { return os.Remove(d + "/c") }, "c"},
		"becomes a link": {func(d string) error { return errors.Join(os.Remove(d+"/c"), os.Symlink("/etc/passwd", d+"/c")) }, `"c"`},
		"directory becomes a link": {func(d string) error {
			return errors.Join(os.RemoveAll(d+"/d"), os.Symlink("/etc", d+"/d"))
		}, "d"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := tree(t, t.TempDir(), map[string]string{"b": big, "c": "x", "d/hosts": "x"})
			s, err := snapshot.Open(t.Context(), "", dir, snapshot.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			done := false
			_, err = s.WriteTo(t.Context(), &onWrite{func(n int) {
				if n > 512 && !done {
					done = true
					if err := c.change(dir); err != nil {
						t.Error(err)
					}
				}
			}}, nil)
			if err == nil || !strings.Contains(err.Error(), c.word) {
				t.Errorf("error %v does not name %s", err, c.word)
			}
		})
	}
}

// TestCancel: writing stops when the context ends, and with the writer's error.
func TestCancel(t *testing.T) {
	dir := tree(t, t.TempDir(), map[string]string{"a": strings.Repeat("x", 4<<20), "b": "x"})
	ctx, cancel := context.WithCancel(t.Context())
	s, err := snapshot.Open(ctx, "", dir, snapshot.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.WriteTo(ctx, io.Discard, func(int64) { cancel() }); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	full := errors.New("disk full")
	if _, err := s.WriteTo(t.Context(), failing{full}, nil); !errors.Is(err, full) {
		t.Errorf("error %v", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }
