package snapshot_test

import (
	"bytes"
	"compress/zlib"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"vitrine.example/internal/snapshot"
)

// git runs git in dir with a fixed person and clock, and input where given.
func git(t testing.TB, dir string, input []byte, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-C", dir, "-c", "init.defaultBranch=main", "-c", "protocol.file.allow=always", "-c", "gc.auto=0"}, args...)...)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_AUTHOR_NAME=n", "GIT_AUTHOR_EMAIL=e@example.org",
		"GIT_COMMITTER_NAME=n", "GIT_COMMITTER_EMAIL=e@example.org",
		"GIT_AUTHOR_DATE=1700000000 +0100", "GIT_COMMITTER_DATE=1700000001 -0500")
	cmd.Stdin = bytes.NewReader(input)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v (is it missing? apt-get install git)\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

const committed = 1700000001

// repo makes a repository with one commit of files.
func repo(t testing.TB, files map[string]string, initArgs ...string) string {
	t.Helper()
	dir := t.TempDir()
	git(t, dir, nil, append([]string{"init", "-q"}, initArgs...)...)
	tree(t, dir, files)
	git(t, dir, nil, "add", "-A")
	git(t, dir, nil, "commit", "-q", "--allow-empty", "-m", "first")
	return dir
}

var project = map[string]string{
	"a.txt": "1\n", "a/b/c": "2", "a-b": "3", "run*": "#!/bin/sh\n", "l -> a/b/c": "", "ü/ö\n": "4", "e": "",
	strings.Repeat("p/", 100) + "deep": "5", ".gitattributes": "*.sub export-subst\nignored export-ignore\n*.txt text eol=crlf\n",
	"v.sub": "$Format:%H$", "ignored": "kept", "big": strings.Repeat("0123456789abcdef", 40_000),
}

// TestClones: every clone of a commit gives the same bytes, however its objects
// are stored and whatever lies around it.
func TestClones(t *testing.T) {
	origin := repo(t, project)
	want := take(t, "", origin)
	dir := t.TempDir()
	for name, args := range map[string][]string{
		"plain": {"clone", "-q", origin, "plain"}, "bare": {"clone", "-q", "--bare", origin, "bare"},
		"shallow": {"clone", "-q", "--depth=1", "file://" + origin, "shallow"}, "shared": {"clone", "-q", "-s", origin, "shared"},
		"crlf": {"clone", "-q", "-c", "core.autocrlf=true", origin, "crlf"},
	} {
		git(t, dir, nil, args...)
		if !bytes.Equal(want, take(t, snapshot.Git, filepath.Join(dir, name))) {
			t.Errorf("%s: another snapshot", name)
		}
	}
	git(t, origin, nil, "worktree", "add", "-q", "--detach", filepath.Join(dir, "worktree"))
	git(t, origin, nil, "gc", "-q")
	if !bytes.Equal(want, take(t, "", filepath.Join(dir, "worktree"))) || !bytes.Equal(want, take(t, "", origin)) {
		t.Error("after gc: another snapshot")
	}
	s, err := snapshot.Open(t.Context(), "", origin, snapshot.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if s.Commit() != git(t, origin, nil, "rev-parse", "HEAD") || s.Kind() != snapshot.Git {
		t.Errorf("commit %s of kind %s", s.Commit(), s.Kind())
	}
	checkAgainstGitArchive(t, origin, want)
}

// checkAgainstGitArchive compares with what git itself packs, attributes and
// directories aside.
func checkAgainstGitArchive(t *testing.T, dir string, got []byte) {
	t.Helper()
	plain := t.TempDir()
	git(t, plain, nil, "clone", "-q", "--bare", dir, "x")
	attributes := filepath.Join(plain, "x", "info", "attributes")
	if err := os.WriteFile(attributes, []byte("* -export-subst -export-ignore -text -eol\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("git", "-C", filepath.Join(plain, "x"), "-c", "tar.umask=0022", "archive", "--format=tar", "HEAD")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, l := range listing(t, out) {
		if l[0] != '5' && l[0] != 'g' {
			want = append(want, l)
		}
	}
	if have := listing(t, got); !slices.Equal(have, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(have, "\n"), strings.Join(want, "\n"))
	}
}

// TestGitAndDirectory: a checkout as a directory differs by the time alone.
func TestGitAndDirectory(t *testing.T) {
	dir := repo(t, map[string]string{"a/b": "1", "run*": "2", "l -> a": "", strings.Repeat("n", 150): "3"})
	asGit, asDir := listing(t, take(t, snapshot.Git, dir)), listing(t, take(t, snapshot.Directory, dir))
	for i, l := range asGit {
		if strings.Replace(l, fmt.Sprint(committed), "0", 1) != asDir[i] {
			t.Errorf("%s, then %s", l, asDir[i])
		}
	}
}

// TestSHA256Repository reads a repository of git's other object format.
func TestSHA256Repository(t *testing.T) {
	dir := repo(t, map[string]string{"a/b": "1", "c": "2"}, "--object-format=sha256")
	s, err := snapshot.Open(t.Context(), "", dir, snapshot.Limits{})
	if err != nil || len(s.Commit()) != 64 {
		t.Fatalf("%+v, %v", s, err)
	}
	other := repo(t, map[string]string{"a/b": "1", "c": "2"})
	if !bytes.Equal(take(t, "", dir), take(t, "", other)) {
		t.Error("the same tree at the same time gave two snapshots")
	}
}

// TestDirty: what is not committed is not left out in silence.
func TestDirty(t *testing.T) {
	for name, change := range map[string]func(dir string) error{
		"changed":    func(d string) error { return os.WriteFile(d+"/a", []byte("y"), 0o644) },
		"same size":  func(d string) error { return os.WriteFile(d+"/a", []byte("z"), 0o644) },
		"removed":    func(d string) error { return os.Remove(d + "/a") },
		"executable": func(d string) error { return os.Chmod(d+"/a", 0o755) },
		"untracked":  func(d string) error { return os.WriteFile(d+"/n\new", nil, 0o644) },
		"staged": func(d string) error {
			return errors.Join(os.WriteFile(d+"/b", nil, 0o644), exec.Command("git", "-C", d, "add", "b").Run())
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := repo(t, map[string]string{"a": "x", ".gitignore": "*.o\n"})
			if err := os.WriteFile(filepath.Join(dir, "ignored.o"), nil, 0o644); err != nil {
				t.Fatal(err)
			}
			take(t, "", dir)
			if err := change(dir); err != nil {
				t.Fatal(err)
			}
			_, _, err := write(t, "", dir, snapshot.Limits{})
			if !errors.Is(err, snapshot.ErrDirty) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %v", err)
			}
		})
	}
}

// TestSubmodule: submodules are part of the snapshot, at the commit that is named.
func TestSubmodule(t *testing.T) {
	inner := repo(t, map[string]string{"x": "inner\n"})
	middle := repo(t, map[string]string{"m": "middle\n"})
	git(t, middle, nil, "submodule", "add", "-q", inner, "inner")
	git(t, middle, nil, "commit", "-q", "-m", "with inner")
	outer := repo(t, map[string]string{"a": "1", "z": "2"})
	git(t, outer, nil, "submodule", "add", "-q", middle, "lib/middle")
	git(t, outer, nil, "submodule", "update", "-q", "--init", "--recursive")
	git(t, outer, nil, "commit", "-q", "-m", "with middle")
	want := take(t, "", outer)
	var names []string
	for _, l := range listing(t, want) {
		names = append(names, strings.Split(l, `"`)[1])
	}
	if got := strings.Join(names, " "); got != ".gitmodules a lib/middle/.gitmodules lib/middle/inner/x lib/middle/m z" {
		t.Errorf("entries %s", got)
	}
	clone := filepath.Join(t.TempDir(), "clone")
	git(t, outer, nil, "clone", "-q", outer, clone)
	if _, _, err := write(t, "", clone, snapshot.Limits{}); !errors.Is(err, snapshot.ErrRefused) || !strings.Contains(err.Error(), "submodule update") {
		t.Errorf("without its submodules: error %v", err)
	}
	git(t, clone, nil, "submodule", "update", "-q", "--init", "--recursive")
	if !bytes.Equal(want, take(t, "", clone)) {
		t.Error("the clone gives another snapshot")
	}
	tree(t, clone, map[string]string{"lib/middle/inner/x": "changed\n"})
	if _, _, err := write(t, "", clone, snapshot.Limits{}); !errors.Is(err, snapshot.ErrDirty) {
		t.Errorf("with a changed submodule: error %v", err)
	}
}

// commitTree commits raw tree entries that git itself would not write.
func commitTree(t testing.TB, dir string, entries ...string) {
	t.Helper()
	blob := git(t, dir, []byte("text"), "hash-object", "-w", "--stdin")
	link := git(t, dir, []byte("../../out"), "hash-object", "-w", "--stdin")
	var raw []byte
	for _, e := range entries {
		mode, rest, _ := strings.Cut(e, " ")
		name, id, found := strings.Cut(rest, "=")
		if id == "link" {
			id = link
		} else if !found {
			id = blob
		}
		raw = append(raw, mode+" "+name+"\x00"+unhex(t, id)...)
	}
	tree := git(t, dir, raw, "hash-object", "-t", "tree", "--literally", "-w", "--stdin")
	git(t, dir, nil, "update-ref", "HEAD", git(t, dir, nil, "commit-tree", "-m", "hostile", tree))
}

func unhex(t testing.TB, s string) string {
	t.Helper()
	b := make([]byte, len(s)/2)
	if _, err := fmt.Sscanf(s, "%x", &b); err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestHostileTrees: trees that somebody made by hand.
func TestHostileTrees(t *testing.T) {
	dir := t.TempDir()
	git(t, dir, nil, "init", "-q", "--bare")
	blob := git(t, dir, []byte("text"), "hash-object", "-w", "--stdin")
	sub := git(t, dir, []byte("100644 b\x00"+unhex(t, blob)), "hash-object", "-t", "tree", "-w", "--stdin")
	for name, entries := range map[string][]string{
		"parent": {"100644 .."}, "here": {"100644 ."}, "slash": {"100644 a/b"}, "absolute": {"100644 /a"}, "empty": {"100644 "},
		".git": {"100644 .git"}, ".GIT": {"40000 .GIT=" + sub}, "parent tree": {"40000 ..=" + sub},
		"twice": {"100644 a", "100644 a"}, "out of order": {"100644 b", "100644 a"},
		"file and directory": {"100644 a", "100644 a.b", "40000 a=" + sub}, "below a link": {"120000 a=link", "40000 a=" + sub},
		"link out": {"120000 l=link"}, "mode": {"100000 a"}, "pipe": {"10644 a"}, "leading zero": {"040000 a=" + sub},
		"not UTF-8": {"100644 \xff"}, "long": {"100644 " + strings.Repeat("x", 5000)}, "submodule": {"160000 m=" + blob},
		"tree as file": {"100644 a=" + sub}, "file as tree": {"40000 a=" + blob},
	} {
		t.Run(name, func(t *testing.T) {
			commitTree(t, dir, entries...)
			b, _, err := write(t, "", dir, snapshot.Limits{})
			if err == nil {
				t.Errorf("accepted: %s", strings.Join(listing(t, b), "\n"))
			}
		})
	}
	t.Run("bomb", func(t *testing.T) {
		id := sub
		for range 12 {
			var raw string
			for c := range byte(10) {
				raw += "40000 " + string('a'+c) + "\x00" + unhex(t, id)
			}
			id = git(t, dir, []byte(raw), "hash-object", "-t", "tree", "-w", "--stdin")
		}
		commitTree(t, dir, "40000 a="+id)
		if _, _, err := write(t, "", dir, snapshot.Limits{Entries: 1000}); !errors.Is(err, snapshot.ErrTooLarge) {
			t.Errorf("error %v", err)
		}
	})
}

// TestCorruptObject: an object that is not what its name says is found, though
// git gives it out.
func TestCorruptObject(t *testing.T) {
	dir := repo(t, map[string]string{"a": "genuine"})
	id := git(t, dir, nil, "rev-parse", "HEAD:a")
	path := filepath.Join(dir, ".git", "objects", id[:2], id[2:])
	var z bytes.Buffer
	w := zlib.NewWriter(&z)
	if _, err := w.Write([]byte("blob 7\x00forged!")); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Close(), os.Chmod(path, 0o600), os.WriteFile(path, z.Bytes(), 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := write(t, "", dir, snapshot.Limits{}); err == nil || !strings.Contains(err.Error(), id) {
		t.Errorf("error %v does not name %s", err, id)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, _, err := write(t, "", dir, snapshot.Limits{}); err == nil || !strings.Contains(err.Error(), id) {
		t.Errorf("error %v does not name %s", err, id)
	}
}

// TestQuietGit: nothing around a repository gets into the snapshot or is run.
func TestQuietGit(t *testing.T) {
	dir := repo(t, map[string]string{"a": "1"})
	want := take(t, "", dir)
	other := repo(t, map[string]string{"b": "2"})
	ran := filepath.Join(t.TempDir(), "ran")
	git(t, dir, nil, "config", "core.fsmonitor", "touch "+ran)
	git(t, dir, nil, "config", "core.pager", "touch "+ran)
	git(t, dir, nil, "config", "log.showSignature", "true")
	if err := os.WriteFile(filepath.Join(dir, ".git", "hooks", "post-index-change"), []byte("#!/bin/sh\ntouch "+ran+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	fake := git(t, dir, []byte("replaced"), "hash-object", "-w", "--stdin")
	git(t, dir, nil, "replace", git(t, dir, nil, "rev-parse", "HEAD:a"), fake)
	for k, v := range map[string]string{
		"GIT_DIR": filepath.Join(other, ".git"), "GIT_WORK_TREE": other, "GIT_INDEX_FILE": filepath.Join(other, ".git", "index"),
		"GIT_OBJECT_DIRECTORY": filepath.Join(other, ".git", "objects"), "GIT_TRACE": ran, "GIT_EXTERNAL_DIFF": "touch " + ran,
	} {
		t.Setenv(k, v)
	}
	if !bytes.Equal(want, take(t, "", dir)) {
		t.Error("another snapshot")
	}
	if _, err := os.Stat(ran); err == nil {
		t.Error("something was run or written")
	}
}

// TestPartialClone: objects that are missing are not fetched.
func TestPartialClone(t *testing.T) {
	origin := repo(t, map[string]string{"a": "1"})
	git(t, origin, nil, "config", "uploadpack.allowFilter", "true")
	clone := filepath.Join(t.TempDir(), "clone")
	git(t, origin, nil, "clone", "-q", "--bare", "--filter=blob:none", "file://"+origin, clone)
	if _, _, err := write(t, "", clone, snapshot.Limits{}); err == nil || !strings.Contains(err.Error(), git(t, origin, nil, "rev-parse", "HEAD:a")) {
		t.Errorf("error %v", err)
	}
}

// TestNoCommit: an empty repository, and a broken one below a good one.
func TestNoCommit(t *testing.T) {
	dir := t.TempDir()
	git(t, dir, nil, "init", "-q")
	if _, err := snapshot.Open(t.Context(), "", dir, snapshot.Limits{}); err == nil || !strings.Contains(err.Error(), "commit yet") {
		t.Errorf("error %v", err)
	}
	outer := repo(t, map[string]string{"sub/x": "1"})
	if err := os.Mkdir(filepath.Join(outer, "sub", ".git"), 0o755); err != nil {
		t.Fatal(err)
	}
	if s, err := snapshot.Open(t.Context(), "", filepath.Join(outer, "sub"), snapshot.Limits{}); err == nil {
		t.Errorf("the repository around it was taken: %s", s.Commit())
	}
}

// TestCommitTimes: the time of the commit, where a tar can hold it.
func TestCommitTimes(t *testing.T) {
	dir := repo(t, map[string]string{"a": "1"})
	tree := git(t, dir, nil, "rev-parse", "HEAD^{tree}")
	for stamp, want := range map[string]int64{
		"1 +0000": 1, "0 +0000": 0, "8589934591 +1400": 8589934591, "8589934592 +0000": 0, "-5 +0000": 0, "soon": 0, "": 0,
		"99999999999999999999 +0000": 0,
	} {
		raw := "tree " + tree + "\nauthor n <e> 5 +0000\ncommitter n <> > <e> " + stamp + "\n\ncommitter x <y> 77 +0000\n"
		id := git(t, dir, []byte(raw), "hash-object", "-t", "commit", "--literally", "-w", "--stdin")
		git(t, dir, nil, "update-ref", "HEAD", id)
		got := listing(t, take(t, "", dir))
		if want := line('0', 0o644, want, "a", "", "1"); got[0] != want {
			t.Errorf("%q: %s, want %s", stamp, got[0], want)
		}
	}
}
