package gossip_test

import (
	"testing"

	"vitrine.example/internal/gossip"
	"vitrine.example/internal/store"
	"vitrine.example/internal/store/storetest"
	"vitrine.example/tlog"
)

// growth shows that the log once signed odd, of another history, and that of a
// size of this one.
func (h history) growth(t *testing.T, odd *tlog.SignedCheckpoint, size int64) *tlog.Fork {
	t.Helper()
	path, err := tlog.ReadForkPath(odd.Size, size, h)
	if err != nil {
		t.Fatal(err)
	}
	f, err := tlog.NewGrowthFork(odd, h.signed(t, signer(t, origin), size), path)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestOneLieIsAcceptedOnce: with one checkpoint of another history, which
// anybody finds at /forks/, an outsider makes evidence against each checkpoint
// that the log publishes. It neither fills the log's places nor holds a log
// again whose operator has accepted the lie; a second lie does.
func TestOneLieIsAcceptedOnce(t *testing.T) {
	one, two, three := newHistory(t, "", 64), newHistory(t, " other", 2), newHistory(t, " third", 3)
	s := signer(t, origin)
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		a := newNode(t, db, one, 60)
		keep := func(f *tlog.Fork) bool {
			t.Helper()
			fresh, err := a.Keep(t.Context(), f)
			if err != nil {
				t.Fatal(err)
			}
			return fresh
		}
		lie := two.signed(t, s, 8)
		if !keep(one.growth(t, lie, 9)) {
			t.Fatal("evidence is not kept")
		}
		for size := int64(10); size <= 60; size++ {
			keep(one.growth(t, lie, size))
		}
		open := a.forks(t)
		if len(open) >= gossip.MaxForks/2 {
			t.Errorf("one lie takes %d of %d places", len(open), gossip.MaxForks)
		}
		for _, k := range open {
			if err := a.Accept(t.Context(), k.Digest, "seen"); err != nil {
				t.Fatal(err)
			}
		}
		for size := int64(9); size <= 60; size++ {
			if keep(one.growth(t, lie, size)) {
				t.Fatalf("what was accepted holds the log again, by a checkpoint of %d entries", size)
			}
		}
		if !keep(one.growth(t, three.signed(t, s, 8), 20)) {
			t.Error("another lie is not kept")
		}
		if f, err := tlog.NewSizeFork(lie, three.signed(t, s, 8)); err != nil || !keep(f) {
			t.Errorf("evidence of two histories that are not ours is not kept: %v", err)
		}
	})
}

// TestARepetitionIsNotFetchedAgain: a member has found the same fork with
// another of the log's checkpoints, and keeps it under another name.
func TestARepetitionIsNotFetchedAgain(t *testing.T) {
	one, two := newHistory(t, "", 64), newHistory(t, " other", 2)
	lie := two.signed(t, signer(t, origin), 8)
	a, b := newNode(t, another(t), one, 60), newNode(t, another(t), one, 60)
	if _, err := a.Keep(t.Context(), one.growth(t, lie, 20)); err != nil {
		t.Fatal(err)
	}
	if err := a.Accept(t.Context(), a.forks(t)[0].Digest, "seen"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Keep(t.Context(), one.growth(t, lie, 30)); err != nil {
		t.Fatal(err)
	}
	a.meet(b)
	for range 2 {
		a.round(t)
	}
	if n := len(a.forks(t)); n != 0 {
		t.Errorf("%d open, want none", n)
	}
	if n := len(a.Troubles()); n != 0 {
		t.Errorf("an honest member is named: %v", a.Troubles())
	}
}
