package centre

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/content"
	"vitrine.example/internal/farm"
	"vitrine.example/internal/mirror"
	"vitrine.example/internal/rebuild"
	"vitrine.example/internal/recipe"
	"vitrine.example/internal/release"
	"vitrine.example/internal/store"
	"vitrine.example/internal/store/storetest"
)

// TestJobPages: what stands in the queue is shown, with its log only where anyone
// may read the source; a node without a queue has no jobs.
func TestJobPages(t *testing.T) {
	h := connect(t, newNode(t, InitOptions{URL: "https://vendor.example"}))
	n := h.local()
	if n.jobPages(nil) != nil {
		t.Error("without a queue there are jobs")
	}
	releases := map[content.Class]digest.Digest{}
	for _, class := range []content.Class{content.Public, content.Room} {
		p, err := h.Publisher(nil)
		check(t, err)
		file, source := filepath.Join(t.TempDir(), "app"), t.TempDir()
		check(t, os.WriteFile(file, []byte(class), 0o600))
		check(t, os.WriteFile(filepath.Join(source, "main.c"), []byte("// "+class), 0o600))
		rel, err := p.Publish(within(t), release.Request{
			Product: "pkg:generic/" + string(class), Version: "1.0", Artifacts: []string{file}, Source: source, Access: class,
		})
		check(t, err)
		releases[class] = rel.Envelope.Digest()
	}
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		q := &farm.Queue{DB: db, Now: time.Now}
		pages := n.jobPages(q)
		for class, d := range releases {
			id, _, err := q.Add(t.Context(), farm.Ask{
				Node: "vendor.example", Origin: "vendor.example", Product: "pkg:generic/app", Version: "1.0",
				Order: rebuild.Order{
					Release: d, Recipe: digest.Of(nil), Task: rebuild.Task{Limits: recipe.DefaultLimits()},
					Shipped: []rebuild.Shipped{{Name: "app", SHA256: digest.Of([]byte("app")), Size: 3}},
				},
			})
			check(t, err)
			held, err := q.Take(t.Context(), "worker")
			check(t, err)
			check(t, q.Log(t.Context(), id, held.Epoch, 0, []byte("cc main.c\n")))
			j, err := pages.Job(t.Context(), id)
			if err != nil || j.Open != (class == content.Public) || j.State != farm.Leased || j.Release != d {
				t.Errorf("%s: %+v, %v", class, j, err)
			}
			if b, err := pages.Log(t.Context(), id, 3); err != nil || string(b) != "main.c\n" {
				t.Errorf("%q, %v", b, err)
			}
		}
		if all, err := pages.List(t.Context(), 0, 10); err != nil || len(all) != 2 {
			t.Errorf("%v, %v", all, err)
		}
		if _, err := pages.Job(t.Context(), 99); !errors.Is(err, farm.ErrUnknown) {
			t.Errorf("%v", err)
		}
	})
	if _, err := n.Proof(t.Context(), "nowhere.example", 0); !errors.Is(err, mirror.ErrUnknown) {
		t.Errorf("proving an unknown log: %v", err)
	}
}
