package circle_test

import (
	"context"
	"errors"
	"testing"

	"vitrine.example/internal/circle"
	"vitrine.example/internal/store"
	"vitrine.example/internal/store/storetest"
	"vitrine.example/proof"
)

func TestStoreKeepsWhatCounts(t *testing.T) {
	v1, items := material(t)
	junk := newOrg(t, "x").consent(t, v1)
	whole := digestOf(evaluate(t, v1, items...))
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := context.Background()
		s := circle.Store{DB: db}
		if _, err := s.Load(ctx); !errors.Is(err, circle.ErrNone) {
			t.Fatalf("empty: %v", err)
		}
		root := v1.Envelope.Digest()
		if _, _, err := s.Merge(ctx, root, items); err == nil {
			t.Fatal("a circle without its first version was kept")
		}
		if _, err := s.Load(ctx); !errors.Is(err, circle.ErrNone) {
			t.Fatalf("after a refusal: %v", err)
		}
		// Piece by piece, in the order in which each hangs on what is there.
		for i, l := range append([]proof.Logged{v1}, items...) {
			if _, changed, err := s.Merge(ctx, root, []proof.Logged{l, junk}); err != nil || !changed && i == 0 {
				t.Fatalf("%d: %v, changed %t", i, err, changed)
			}
		}
		if _, _, err := s.Merge(ctx, root, append(items, v1)); err != nil {
			t.Fatal(err)
		}
		if _, changed, err := s.Merge(ctx, root, append(items, v1)); err != nil || changed {
			t.Fatalf("the same again: changed %t, %v", changed, err)
		}
		h, err := s.Load(ctx)
		if err != nil || digestOf(h) != whole {
			t.Fatalf("%v\n%s\n%s", err, digestOf(h), whole)
		}
		raw, err := h.File()
		if err != nil {
			t.Fatal(err)
		}
		b, err := proof.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := circle.Evaluate(root, b.Statements); err != nil || digestOf(again) != whole {
			t.Fatalf("the file says otherwise: %v", err)
		}
		if _, _, err := s.Merge(ctx, junk.Envelope.Digest(), items); !errors.Is(err, circle.ErrOther) {
			t.Errorf("another circle: %v", err)
		}
	})
}
