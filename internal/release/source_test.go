package release_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"vitrine.example/digest"
	"vitrine.example/internal/content"
	"vitrine.example/internal/release"
	"vitrine.example/internal/snapshot"
)

// archive writes a tar with one file of n bytes.
func archive(t testing.TB, path string, n int) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Name: "src/noise", Mode: 0o644, Size: int64(n)}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(noise(99, n)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// git runs git in dir.
func git(t testing.TB, dir string, args ...string) {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=n", "-c", "user.email=e@example.org"}, args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git %v: %v (is it missing? apt-get install git)\n%s", args, err, out)
	}
}

func repository(t testing.TB, dir string) string {
	t.Helper()
	file(t, filepath.Join(dir, "a", "b.go"), 3, 2000)
	git(t, dir, "init", "-q")
	git(t, dir, "add", ".")
	git(t, dir, "commit", "-q", "-m", "first")
	return dir
}

// TestGitSource: the same commit is the same snapshot from a clone, is not made
// twice, and a changed tree is refused.
func TestGitSource(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		dir := t.TempDir()
		repo, clone := repository(t, filepath.Join(dir, "repo")), filepath.Join(dir, "clone")
		git(t, dir, "clone", "-q", repo, clone)
		art := file(t, filepath.Join(dir, "tool"), 1, 10)
		r := release.Request{Product: product, Version: "1", Artifacts: []string{art}, Source: repo, Access: content.Circle}
		first := publish(t, w, r)
		src := first.Release.Source
		if src.Kind != "git" || len(src.Commit) != 40 || src.Access != "circle" {
			t.Errorf("source %+v", src)
		}
		if got := get(t, w, src.SHA256, content.Circle); !bytes.Contains(got, noise(3, 2000)) || int64(len(got)) != src.Size {
			t.Errorf("snapshot of %d bytes, said %d", len(got), src.Size)
		}
		var read int64
		w.pub.Progress = func(stage string, done, _ int64) {
			if stage == release.StageSource && done > 0 && done < src.Size {
				read = done
			}
		}
		r.Source = clone
		same(t, first, publish(t, w, r))
		if read != 0 {
			t.Error("the snapshot of the same commit was made again")
		}
		file(t, filepath.Join(repo, "new\nname"), 4, 1)
		r.Source = repo
		refused(t, w, r, snapshot.ErrDirty, "commit")
	})
}

// TestArchiveSource: an archive is stored as it is.
func TestArchiveSource(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		dir := t.TempDir()
		path := archive(t, filepath.Join(dir, "src.tar"), 1000)
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		art := file(t, filepath.Join(dir, "tool"), 1, 10)
		r := release.Request{Product: product, Version: "1", Artifacts: []string{art}, Source: path, Access: content.Public}
		out := publish(t, w, r)
		if src := out.Release.Source; src.Kind != "archive" || src.SHA256 != digest.Of(want) || src.Size != int64(len(want)) {
			t.Errorf("source %+v", src)
		}
		holds(t, w, digest.Of(want), content.Public, want)
	})
}

// TestSourceIsArtifact: bytes cannot be public and kept in a room at once.
func TestSourceIsArtifact(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		path := archive(t, filepath.Join(t.TempDir(), "src.tar"), 1000)
		r := release.Request{Product: product, Version: "1", Artifacts: []string{path}, Source: path}
		refused(t, w, r, content.ErrConflict, "src.tar", "access public")
		r.Access = content.Public
		out := publish(t, w, r)
		if out.Release.Source.SHA256 != out.Release.Artifacts[0].SHA256 {
			t.Errorf("release %+v", out.Release)
		}
	})
}

// TestTheNodeIsNoSource: the keys of a node do not get into a snapshot, by
// whatever path its directory is reached.
func TestTheNodeIsNoSource(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		dir := t.TempDir()
		a := file(t, filepath.Join(dir, "work", "app"), 1, 10)
		node := filepath.Join(dir, "work", "deep", "node")
		file(t, filepath.Join(node, "keys", "log.pem"), 2, 10)
		link, way := filepath.Join(dir, "link"), filepath.Join(dir, "way")
		if err := errors.Join(os.Symlink(node, link), os.Symlink(filepath.Join(dir, "work"), way)); err != nil {
			t.Fatal(err)
		}
		for _, private := range []string{node, link, node + "/."} {
			w.pub.Private = private
			for _, source := range []string{dir, filepath.Join(dir, "work"), node, way, way + "/deep/."} {
				refused(t, w, release.Request{
					Product: product, Version: "1", Artifacts: []string{a}, Source: source,
				}, snapshot.ErrRefused, source, "keys")
			}
		}
		src := filepath.Join(dir, "work", "src")
		file(t, filepath.Join(src, "main.c"), 3, 10)
		w.pub.Private = node
		if _, err := w.pub.Publish(t.Context(), release.Request{Product: product, Version: "1", Artifacts: []string{a}, Source: src}); err != nil {
			t.Error(err)
		}
	})
}
