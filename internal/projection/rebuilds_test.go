package projection_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"vitrine.example/digest"
	"vitrine.example/internal/fixture"
	"vitrine.example/internal/projection"
	"vitrine.example/internal/store"
	"vitrine.example/internal/store/storetest"
	"vitrine.example/key"
	"vitrine.example/statement"
)

// said writes rebuilds in one line each.
func said(all []projection.Rebuild) (out []string) {
	for _, r := range all {
		out = append(out, fmt.Sprintf("%s %d %s", r.Origin, r.Index, r.Outcome))
	}
	return out
}

// TestRebuilds: what each log says of a release, of its owner alone, the newest
// first and no more than is asked for.
func TestRebuilds(t *testing.T) {
	w := rebuilding(t)
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		n := w.node(t, db)
		n.follow(t, alpha)
		n.follow(t, beta)
		n.catch(t)
		ctx, released := t.Context(), w.own[0].Digest()
		all, err := n.RebuildsOf(ctx, released, 2, 64)
		if err != nil {
			t.Fatal(err)
		}
		last := int64(len(w.logs[alpha].leaves)) - 3 // behind it its provenance, and another's provenance
		want := []string{
			fmt.Sprintf("%s %d identical", alpha, last), fmt.Sprintf("%s %d failed", alpha, last-1),
			fmt.Sprintf("%s %d identical", beta, last), fmt.Sprintf("%s %d failed", beta, last-1),
		}
		if got := said(all); !slices.Equal(got, want) {
			t.Fatalf("%q, want %q", got, want)
		}
		if got, err := n.RebuildsOf(ctx, released, 1, 1); err != nil || !slices.Equal(said(got), want[:1]) {
			t.Errorf("bounded: %q, %v", said(got), err)
		}
		if all[0].Provenance.IsZero() || !all[1].Artifacts[0].Shipped.IsZero() && all[1].Artifacts[0].Rebuilt != nil {
			t.Errorf("%+v", all[:2])
		}
		one, err := n.Explained(ctx, digest.Of([]byte(alpha)))
		if err != nil || one.Outcome != statement.Different || one.Detail != "one function" || !one.Flaky || one.Attempts != 3 ||
			one.Explanation.Size != 3 || one.Engine != "embedded" || one.Release != released || len(one.Artifacts) != 1 {
			t.Errorf("%+v, %v", one, err)
		}
		again, err := n.OneRebuild(ctx, one.Statement)
		if err != nil || again.Index != one.Index || again.Finished != fixture.Epoch {
			t.Errorf("%+v, %v", again, err)
		}
		if _, err := n.OneRebuild(ctx, released); !errors.Is(err, projection.ErrUnknown) {
			t.Errorf("a release is no rebuild: %v", err)
		}
		n.pages(t)
		// Whoever is no longer trusted has said nothing.
		n.trust[alpha] = func() []key.Public { return nil }
		n.catch(t)
		if got, err := n.RebuildsOf(ctx, released, 2, 64); err != nil || !slices.Equal(said(got), want[2:]) {
			t.Errorf("without alpha's keys: %q, %v", said(got), err)
		}
	})
}

// pages reads the list of all rebuilds one by one.
func (n *node) pages(t *testing.T) {
	t.Helper()
	all, err := n.Rebuilds(t.Context(), projection.RebuildFilter{}, nil)
	if err != nil || len(all) != 6 {
		t.Fatalf("%d rebuilds, %v", len(all), err)
	}
	var got []string
	var after *projection.RebuildCursor
	for range len(all) {
		page, err := n.Rebuilds(t.Context(), projection.RebuildFilter{Limit: 1}, after)
		if err != nil || len(page) != 1 {
			t.Fatalf("after %+v: %v, %v", after, page, err)
		}
		got = append(got, said(page)...)
		after = &projection.RebuildCursor{Finished: page[0].Finished, Origin: page[0].Origin, Index: page[0].Index}
	}
	if !slices.Equal(got, said(all)) {
		t.Errorf("one by one %q, at once %q", got, said(all))
	}
	some, err := n.Rebuilds(t.Context(), projection.RebuildFilter{Outcome: statement.Failed, Release: n.w.own[0].Digest()}, nil)
	if err != nil || len(some) != 2 || some[0].Outcome != statement.Failed {
		t.Errorf("failed: %q, %v", said(some), err)
	}
}

// TestRebuildsOfAnOlderDatabase: what was projected before the tables were there
// is found when its entries are looked at again.
func TestRebuildsOfAnOlderDatabase(t *testing.T) {
	w := rebuilding(t)
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		n := w.node(t, db)
		n.follow(t, alpha)
		n.catch(t)
		want := dump(t, n.Projection)
		err := db.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			for _, q := range []string{
				`DELETE FROM projected_rebuild`, `DELETE FROM projected_rebuilt`, `DELETE FROM projected_provenance`,
				`UPDATE projected_entry SET again = 2 WHERE predicate_type IN ('https://vitrine.example/rebuild/v1', 'https://slsa.dev/provenance/v1')`,
			} {
				if _, err := tx.ExecContext(ctx, q); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if dump(t, n.Projection) == want {
			t.Fatal("nothing was taken away")
		}
		n.catch(t)
		if got := dump(t, n.Projection); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	})
}
