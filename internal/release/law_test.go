package release_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"vitrine.example/digest"
	"vitrine.example/internal/release"
	"vitrine.example/internal/store"
)

// TestAdmitLaw: whatever statements arrive in whatever order, Admit does what a
// plain list of the channel does: it takes the next one with a new version
// after the last one, what it has, and nothing else.
func TestAdmitLaw(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		k := newSigner(t)
		round := 0
		rapid.Check(t, func(rt *rapid.T) {
			round++
			channel := fmt.Sprint("c", round)
			var chain []digest.Digest
			versions := map[string]bool{}
			has := map[digest.Digest]bool{}
			err := w.db.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
				for range rapid.IntRange(1, 8).Draw(rt, "statements") {
					version := rapid.SampledFrom([]string{"1", "2", "3", "4"}).Draw(rt, "version")
					seq := rapid.Int64Range(1, 4).Draw(rt, "seq")
					var previous *digest.Digest
					if seq > 1 {
						d := digest.Of([]byte("stranger"))
						if n := rapid.IntRange(0, len(chain)).Draw(rt, "previous"); n > 0 {
							d = chain[n-1]
						}
						previous = &d
					}
					env := sign(t, k, version, channel, seq, previous)
					n := int64(len(chain))
					want := seq == n+1 && !versions[version] && (n == 0 || *previous == chain[n-1])
					err := release.Admit(ctx, tx, env)
					if want {
						chain = append(chain, env.Digest())
						versions[version], has[env.Digest()] = true, true
					}
					if (err == nil) != (want || has[env.Digest()]) || err != nil && !errors.Is(err, release.ErrConflict) {
						rt.Errorf("version %s seq %d after %d: error %v, want none: %v", version, seq, n, err, want)
					}
					if err := release.Admit(ctx, tx, env); (err == nil) != has[env.Digest()] {
						rt.Errorf("again: error %v", err)
					}
				}
				return nil
			})
			if err != nil {
				rt.Fatal(err)
			}
		})
	})
}
