package release_test

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/recipe"
	"vitrine.example/internal/release"
	"vitrine.example/internal/snapshot"
)

// TestBadWords: what is wrong with a request is said before a file is read.
func TestBadWords(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		dir := t.TempDir()
		a := file(t, filepath.Join(dir, "a"), 1, 10)
		d := digest.Of(nil)
		for name, c := range map[string]struct {
			r    release.Request
			word string
		}{
			"no product":            {release.Request{Version: "1"}, "product: missing"},
			"no purl":               {release.Request{Product: "tool", Version: "1"}, "product: "},
			"long product":          {release.Request{Product: "pkg:generic/" + strings.Repeat("x", 5000), Version: "1"}, "product: "},
			"no version":            {release.Request{Product: product}, "version: missing"},
			"two versions":          {release.Request{Product: product + "@1", Version: "2"}, "version: "},
			"version of two lines":  {release.Request{Product: product, Version: "1\n2"}, "version: "},
			"channel in capitals":   {release.Request{Product: product, Version: "1", Channel: "Stable"}, "channel: "},
			"seq without channel":   {release.Request{Product: product, Version: "1", Seq: 1}, "seq: "},
			"negative seq":          {release.Request{Product: product, Version: "1", Channel: "c", Seq: -1}, "seq: "},
			"link without channel":  {release.Request{Product: product, Version: "1", Previous: &d}, "previous: "},
			"link of the first":     {release.Request{Product: product, Version: "1", Channel: "c", Seq: 1, Previous: &d}, "previous: "},
			"notes are no URL":      {release.Request{Product: product, Version: "1", Notes: "see below"}, "notes: "},
			"kind without source":   {release.Request{Product: product, Version: "1", Kind: "git"}, "source: "},
			"access without source": {release.Request{Product: product, Version: "1", Access: "room"}, "source: "},
			"URI without source":    {release.Request{Product: product, Version: "1", SourceURI: "https://example.org/"}, "source: "},
			"unknown kind":          {release.Request{Product: product, Version: "1", Source: dir, Kind: "svn"}, "kind: "},
			"sealed source":         {release.Request{Product: product, Version: "1", Source: dir, Access: "sealed"}, "access: "},
			"no source URI":         {release.Request{Product: product, Version: "1", Source: dir, SourceURI: "::"}, "uri: "},
			"two of one name":       {release.Request{Product: product, Version: "1", Artifacts: []string{a, filepath.Join(dir, "b", "a")}}, "same name"},
			"name of two lines":     {release.Request{Product: product, Version: "1", Artifacts: []string{filepath.Join(dir, "x\ny")}}, `x\ny`},
			"name with an escape":   {release.Request{Product: product, Version: "1", Artifacts: []string{filepath.Join(dir, "x\x1b[2J")}}, `x\x1b`},
			"name that is no text":  {release.Request{Product: product, Version: "1", Artifacts: []string{filepath.Join(dir, "x\xff")}}, `x\xff`},
			"parent directory":      {release.Request{Product: product, Version: "1", Artifacts: []string{dir + "/.."}}, `".."`},
			"empty path":            {release.Request{Product: product, Version: "1", Artifacts: []string{""}}, "artifacts/0"},
		} {
			t.Run(name, func(t *testing.T) {
				if c.r.Artifacts == nil {
					c.r.Artifacts = []string{a}
				}
				w.pub.Progress = func(string, int64, int64) { t.Error("something was read") }
				refused(t, w, c.r, nil, c.word)
			})
		}
		w.pub.Progress = nil
		refused(t, w, release.Request{Product: product, Version: "1"}, nil, "artifacts")
	})
}

// TestBadFiles: everything that is not a quiet regular file is refused by name.
func TestBadFiles(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		dir := t.TempDir()
		good := file(t, filepath.Join(dir, "good"), 1, 10)
		in := func(name string) string { return filepath.Join(dir, name) }
		if err := errors.Join(os.Symlink(good, in("link")), os.Symlink("nowhere", in("dangling")),
			os.Mkdir(in("directory"), 0o755), syscall.Mkfifo(in("pipe"), 0o644)); err != nil {
			t.Fatal(err)
		}
		l, err := net.Listen("unix", in("socket"))
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		for name, want := range map[string]error{
			"link": snapshot.ErrRefused, "dangling": snapshot.ErrRefused, "directory": snapshot.ErrRefused,
			"pipe": snapshot.ErrRefused, "socket": snapshot.ErrRefused, "missing": fs.ErrNotExist,
			"good/below": syscall.ENOTDIR, strings.Repeat("n", 255) + "/x": fs.ErrNotExist,
		} {
			t.Run(name[:min(len(name), 10)], func(t *testing.T) {
				w.pub.Progress = func(string, int64, int64) { t.Error("something was read") }
				r := release.Request{Product: product, Version: "1", Artifacts: []string{good, in(name)}}
				refused(t, w, r, want, "artifact", name)
			})
		}
		device := release.Request{Product: product, Version: "1", Artifacts: []string{"/dev/null"}}
		refused(t, w, device, snapshot.ErrRefused, "/dev/null", "device")
	})
}

// TestBadSource: a source that cannot be taken whole is refused by name.
func TestBadSource(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		art := file(t, filepath.Join(t.TempDir(), "tool"), 1, 10)
		for name, c := range map[string]struct {
			make func(dir string) error
			path string
			word string
		}{
			"link out":    {func(d string) error { return os.Symlink("../../etc/passwd", filepath.Join(d, "l")) }, "", `"l"`},
			"pipe":        {func(d string) error { return syscall.Mkfifo(filepath.Join(d, "p"), 0o644) }, "", `"p"`},
			"missing":     {func(string) error { return nil }, "gone", "gone"},
			"a text":      {func(d string) error { return os.WriteFile(filepath.Join(d, "t"), []byte("hello"), 0o644) }, "t", "neither"},
			"empty":       {func(string) error { return nil }, "", "no files"},
			"a pipe only": {func(d string) error { return syscall.Mkfifo(filepath.Join(d, "p"), 0o644) }, "p", "named pipe"},
		} {
			t.Run(name, func(t *testing.T) {
				dir := t.TempDir()
				if err := c.make(dir); err != nil {
					t.Fatal(err)
				}
				r := release.Request{Product: product, Version: "1", Artifacts: []string{art}, Source: filepath.Join(dir, c.path)}
				refused(t, w, r, nil, "source", c.word)
			})
		}
	})
}

func TestBadRecipe(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		dir := t.TempDir()
		art := file(t, filepath.Join(dir, "tool"), 1, 10)
		for path, word := range map[string]string{
			filepath.Join(dir, "gone"):                               "gone",
			file(t, filepath.Join(dir, "empty"), 1, 0):               "0 bytes",
			file(t, filepath.Join(dir, "long"), 1, recipe.MaxSize+1): "want 1 to",
			dir: "directory",
			file(t, filepath.Join(dir, "noise"), 1, 200):             "UTF-8",
			recipeFile(t, filepath.Join(dir, "other.toml"), "other"): "no artifact of the release",
		} {
			refused(t, w, release.Request{Product: product, Version: "1", Artifacts: []string{art}, Recipe: path}, nil, "recipe", word)
		}
	})
}

// TestChangedWhileRead changes a file in every way in the middle of reading it.
func TestChangedWhileRead(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		for name, change := range map[string]func(path string) error{
			"grows":     func(p string) error { return appendTo(p, "more") },
			"shrinks":   func(p string) error { return os.Truncate(p, 3*mega) },
			"rewritten": func(p string) error { return os.WriteFile(p, noise(5, 4*mega), 0o644) },
			"removed":   os.Remove,
			"replaced":  func(p string) error { return os.Rename(file(t, p+"2", 6, 4*mega), p) },
			"touched":   func(p string) error { return os.Chtimes(p, time.Now(), time.Now()) },
		} {
			t.Run(name, func(t *testing.T) {
				path := file(t, filepath.Join(t.TempDir(), "tool"), 1, 4*mega)
				done := false
				w.pub.Progress = func(stage string, n, _ int64) {
					if stage == release.StageArtifacts && n >= mega && !done {
						done = true
						if err := change(path); err != nil {
							t.Error(err)
						}
					}
				}
				r := release.Request{Product: product, Version: name, Artifacts: []string{path}}
				refused(t, w, r, snapshot.ErrChanged, path)
				w.pub.Progress = nil
			})
		}
	})
}

func appendTo(path, text string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// TestClock: without a time nothing is signed.
func TestClock(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		backwards := errors.New("the clock ran backwards")
		w.pub.Now = func() (time.Time, error) { return time.Time{}, backwards }
		r := release.Request{Product: product, Version: "1", Artifacts: []string{file(t, filepath.Join(t.TempDir(), "a"), 1, 1)}}
		refused(t, w, r, backwards)
		w.pub.Now = ticking()
		if out := publish(t, w, r); out.Index != 0 {
			t.Errorf("index %d", out.Index)
		}
	})
}
