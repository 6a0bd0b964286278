package artifact_test

import (
	"bytes"
	"testing"

	"vitrine.example/internal/artifact"
	"vitrine.example/internal/artifact/archive"
)

// FuzzCompare compares any two files: never a crash, never out of the bounds,
// identical exactly where the bytes are, and nothing explained without causes,
// all of them proved.
func FuzzCompare(f *testing.F) {
	all := []file{{name: "a", body: "one\n", mode: 0o644, kind: '0', time: day}, {name: "b", body: "two\n", mode: 0o755, kind: '0', time: day}}
	f.Add(tarOf(f, all), tarOf(f, all[:1]))
	f.Add(gzipOf(f, tarOf(f, all), 9), gzipOf(f, tarOf(f, all), 1))
	f.Add(zipOf(f, all, ""), zipOf(f, all, "comment"))
	f.Add([]byte("one\ntwo\n"), []byte("one\n2\n"))
	f.Add([]byte("!<arch>\n"), []byte("\x7fELF"))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, a, b []byte) {
		o := artifact.Options{Archive: archive.Limits{Members: 64, Inflate: 1 << 20}, Depth: 3, Spool: 4 << 20, Differences: 100}
		rep, err := room{dir}.try(t, a, b, o)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Equal(a, b) != (rep.Verdict == artifact.Identical) {
			t.Fatalf("%s", rep.Verdict)
		}
		if rep.Verdict == artifact.Explained && (len(rep.Causes) == 0 || len(rep.Differences) > 0) {
			t.Fatalf("explained by %+v, with %+v", rep.Causes, rep.Differences)
		}
		for _, c := range rep.Causes {
			if rep.Verdict == artifact.Explained && !c.Proved {
				t.Fatalf("%s is not proved", c.Name)
			}
		}
		var out bytes.Buffer
		if err := rep.Text(&out, false); err != nil || bytes.Count(out.Bytes(), []byte("\n")) > 40 {
			t.Fatalf("%v\n%s", err, &out)
		}
		if err := rep.HTML(&out); err != nil {
			t.Fatal(err)
		}
	})
}
