package release_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/content"
	"vitrine.example/internal/release"
	"vitrine.example/statement"
)

// TestPublish releases a Go binary and a text with a directory as source, and
// looks at every word of the statement and every byte in the content store.
func TestPublish(t *testing.T) {
	bin := goProgram(t)
	each(t, func(t *testing.T, w *world) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "tool"), bin, 0o755); err != nil {
			t.Fatal(err)
		}
		manual := file(t, filepath.Join(dir, "manual ü.txt"), 1, 5000)
		source := filepath.Join(dir, "src")
		file(t, filepath.Join(source, "main.go"), 2, 300)
		var said bytes.Buffer
		w.pub.Log = slog.New(slog.NewTextHandler(&said, nil))
		r := release.Request{
			Product: product + "@1.0", Artifacts: []string{filepath.Join(dir, "tool"), manual}, Source: source,
			Recipe:    recipeFile(t, filepath.Join(dir, "recipe.toml"), "tool"),
			SourceURI: "https://example.org/src", Notes: "https://example.org/notes", Channel: "stable",
		}
		out := publish(t, w, r)
		if out.Index != 0 || out.Duplicate || len(w.log.leaves) != 1 {
			t.Errorf("receipt %+v, %d leaves", out.Receipt, len(w.log.leaves))
		}
		checkStatement(t, w, out)
		rel := out.Release
		if rel.Product != product || rel.Version != "1.0" || rel.Channel != "stable" || rel.Seq != 1 || rel.Previous != nil || rel.Notes != r.Notes {
			t.Errorf("release %+v", rel)
		}
		if want := time.Date(2026, 3, 1, 11, 0, 1, 0, time.UTC); rel.Published != want {
			t.Errorf("published %s, want %s", rel.Published, want)
		}
		if len(rel.Artifacts) != 2 || rel.Artifacts[0].Name != "manual ü.txt" || rel.Artifacts[1].Name != "tool" {
			t.Fatalf("artifacts %+v", rel.Artifacts)
		}
		if rel.Artifacts[0].SBOM != nil || !strings.Contains(said.String(), "manual ü.txt") {
			t.Errorf("a text has an SBOM, or nobody said that it has none: %s", said.String())
		}
		holds(t, w, rel.Artifacts[0].SHA256, content.Public, noise(1, 5000))
		holds(t, w, rel.Artifacts[1].SHA256, content.Public, bin)
		sb := rel.Artifacts[1].SBOM
		if sb == nil {
			t.Fatal("the Go binary has no SBOM")
		}
		doc := get(t, w, sb.SHA256, content.Public)
		if int64(len(doc)) != sb.Size || !json.Valid(doc) || !bytes.Contains(doc, []byte(rel.Artifacts[1].SHA256.String())) {
			t.Errorf("sbom %+v: %s", sb, doc)
		}
		src := rel.Source
		if src.Kind != "directory" || src.Access != "room" || src.Commit != "" || src.URI != r.SourceURI {
			t.Errorf("source %+v", src)
		}
		if tar := get(t, w, src.SHA256, content.Room); int64(len(tar)) != src.Size || !bytes.Contains(tar, noise(2, 300)) {
			t.Errorf("snapshot of %d bytes, said %d", len(tar), src.Size)
		}
		if rec := rel.Recipe; rec == nil || rec.MediaType != release.RecipeType {
			t.Errorf("recipe %+v", rec)
		} else {
			holds(t, w, rec.SHA256, content.Public, []byte(recipeText("tool")))
		}
		if !strings.Contains(said.String(), "does not make this artifact") {
			t.Errorf("nobody said that the recipe does not make the manual: %s", said.String())
		}
		r.Artifacts = []string{r.Artifacts[1], r.Artifacts[0]}
		same(t, out, publish(t, w, r))
	})
}

// recipeText is a recipe that makes one artifact.
func recipeText(artifact string) string {
	return "version = 1\nclock = 2026-03-01T12:00:00Z\n\n[[step]]\nrun = [\"/bin/true\"]\n\n" +
		"[[output]]\npath = \"/out/a\"\nartifact = \"" + artifact + "\"\n"
}

func recipeFile(t *testing.T, path, artifact string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(recipeText(artifact)), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// checkStatement reads the statement as a stranger would.
func checkStatement(t *testing.T, w *world, out *release.Published) {
	t.Helper()
	raw := get(t, w, out.Envelope.Digest(), content.Public)
	env, err := statement.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	if err := env.Verify(w.pub.Signer.Public()); err != nil {
		t.Error(err)
	}
	if w.log.leaves[out.Index] != env.Digest() {
		t.Errorf("index %d holds %s, not %s", out.Index, w.log.leaves[out.Index], env.Digest())
	}
	rel, err := env.Statement().Release()
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range env.Statement().Subject {
		if a := rel.Artifacts[i]; s.Name != a.Name || s.SHA256() != a.SHA256 {
			t.Errorf("subject %d is %+v, artifact %+v", i, s, a)
		}
	}
}

func get(t *testing.T, w *world, d digest.Digest, class content.Class) []byte {
	t.Helper()
	b, info, err := w.content.ReadAll(t.Context(), d, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	if info.Class != class {
		t.Errorf("%s has class %s, want %s", d, info.Class, class)
	}
	return b
}

func holds(t *testing.T, w *world, d digest.Digest, class content.Class, want []byte) {
	t.Helper()
	if got := get(t, w, d, class); !bytes.Equal(got, want) || digest.Of(want) != d {
		t.Errorf("%s holds %d bytes, want %d others", d, len(got), len(want))
	}
}

const mega = 1 << 20

// TestAgainReadsNothing: a second run reads neither artifacts nor archive.
func TestAgainReadsNothing(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		dir := t.TempDir()
		r := release.Request{Product: product, Version: "1", Source: archive(t, filepath.Join(dir, "src.tar"), 8*mega)}
		for i := range uint64(4) {
			r.Artifacts = append(r.Artifacts, file(t, filepath.Join(dir, string(rune('a'+i))), i, 8*mega))
		}
		first := publish(t, w, r)
		before := bytesRead(t)
		second := publish(t, w, r)
		same(t, first, second)
		if n := bytesRead(t) - before; n > mega {
			t.Errorf("the second run read %d bytes of %d", n, 40*mega)
		}
	})
}

// TestResume stops a run in its third file: the next run reads what was not
// finished and nothing else.
func TestResume(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		dir := t.TempDir()
		r := release.Request{Product: product, Version: "1"}
		for i := range uint64(4) {
			r.Artifacts = append(r.Artifacts, file(t, filepath.Join(dir, string(rune('a'+i))), i, 8*mega))
		}
		ctx, cancel := context.WithCancel(t.Context())
		w.pub.Progress = func(_ string, done, total int64) {
			if total != 32*mega {
				t.Errorf("total %d", total)
			}
			if done > 20*mega {
				cancel()
			}
		}
		if _, err := w.pub.Publish(ctx, r); !errors.Is(err, context.Canceled) {
			t.Fatalf("error %v", err)
		}
		w.pub.Progress = nil
		before := bytesRead(t)
		publish(t, w, r)
		if n := bytesRead(t) - before; n < 16*mega || n > 17*mega {
			t.Errorf("%d bytes were read, want %d: the two files that were not finished", n, 16*mega)
		}
	})
}

// TestStale: what was hashed counts no more once the file or the stored copy changed.
func TestStale(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		path := file(t, filepath.Join(t.TempDir(), "tool"), 1, 1000)
		fi, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		publish(t, w, release.Request{Product: product, Version: "1", Artifacts: []string{path}})
		// Same name, size, inode and modification time, other bytes.
		if err := os.WriteFile(path, noise(2, 1000), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, fi.ModTime(), fi.ModTime()); err != nil {
			t.Fatal(err)
		}
		out := publish(t, w, release.Request{Product: product, Version: "2", Artifacts: []string{path}})
		if out.Release.Artifacts[0].SHA256 != digest.Of(noise(2, 1000)) {
			t.Error("the digest of the old bytes was released")
		}
		if err := w.content.Reclassify(t.Context(), digest.Of(noise(2, 1000)), content.Room); err != nil {
			t.Fatal(err)
		}
		refused(t, w, release.Request{Product: product, Version: "3", Artifacts: []string{path}}, content.ErrConflict, `"tool"`)
	})
}

// TestProgress: each stage rises to its total.
func TestProgress(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		dir := t.TempDir()
		last, end := map[string]int64{}, map[string]int64{}
		w.pub.Progress = func(stage string, done, total int64) {
			if done < last[stage] {
				t.Errorf("%s went from %d to %d", stage, last[stage], done)
			}
			last[stage], end[stage] = done, total
		}
		publish(t, w, release.Request{
			Product: product, Version: "1", Source: archive(t, filepath.Join(dir, "src.tar"), 100_000),
			Artifacts: []string{file(t, filepath.Join(dir, "a"), 1, 3*mega), file(t, filepath.Join(dir, "b"), 2, 0)},
		})
		for _, stage := range []string{release.StageArtifacts, release.StageSource, release.StageLog} {
			if end[stage] <= 0 || last[stage] != end[stage] {
				t.Errorf("%s ended at %d of %d", stage, last[stage], end[stage])
			}
		}
		if end[release.StageArtifacts] != 3*mega {
			t.Errorf("artifacts: %d bytes", end[release.StageArtifacts])
		}
	})
}
