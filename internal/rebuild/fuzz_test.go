package rebuild_test

import (
	"archive/tar"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vitrine.example/digest"
	"vitrine.example/internal/rebuild"
	"vitrine.example/internal/recipe"
	"vitrine.example/statement"
)

// Whatever an archive is that is compared member by member, it is never
// identical, and explained only where both members of it are what was built.
func FuzzMembers(f *testing.F) {
	run, text := file("run", "RUN", 0o755), file("text", "TEXT", 0o644)
	for _, headers := range [][]tar.Header{{run, text}, {text, run}, {run, text, run}, {run}, {file("run", "RUX", 0o755), text}, {file("run", "RUN", 0o4755), text}} {
		f.Add([]byte(pack(f, headers...)))
	}
	f.Add([]byte(hidden(f, run, text)))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, dir := made(t, map[string]string{"run": "RUN", "text": "TEXT"})
		path := filepath.Join(t.TempDir(), "x")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		o := &rebuild.Order{Shipped: []rebuild.Shipped{{Name: "x", SHA256: digest.Of(b), Size: int64(len(b))}},
			Outputs: []recipe.Output{{Path: "/out/run", Artifact: "x", Member: "run"}, {Path: "/out/text", Artifact: "x", Member: "text"}}}
		j := rebuild.Judge{Dir: t.TempDir(), Shipped: func(context.Context, rebuild.Shipped) (string, error) { return path, nil }}
		res, err := j.Judge(context.Background(), o, a, dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		if res.Outcome != statement.Explained && res.Outcome != statement.Different {
			t.Fatalf("it is %s", res.Outcome)
		}
		if n := strings.Count(string(res.Explanation), `"how":"identical"`); res.Outcome == statement.Explained && n != 2 {
			t.Fatalf("explained with %d members: %s", n, res.Explanation)
		}
	})
}
