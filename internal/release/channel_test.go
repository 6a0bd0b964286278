package release_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/release"
	"vitrine.example/internal/store"
	"vitrine.example/key"
	"vitrine.example/statement"
)

// TestChannel walks along a channel: numbers and links are given, may be said,
// and may not be said otherwise.
func TestChannel(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		dir := t.TempDir()
		update := func(n uint64) release.Request {
			path := file(t, filepath.Join(dir, fmt.Sprint(n), "base.db"), n, 100)
			return release.Request{Product: product, Version: fmt.Sprintf("1.%d", n), Channel: "daily", Artifacts: []string{path}}
		}
		at := func(r release.Request, seq int64, previous *digest.Digest) release.Request {
			r.Seq, r.Previous = seq, previous
			return r
		}
		stranger := digest.Of([]byte("stranger"))
		refused(t, w, at(update(1), 2, nil), release.ErrSequence, "seq", "use 1", "no release yet")
		refused(t, w, at(update(1), 2, &stranger), release.ErrSequence, "seq", "use 1")
		refused(t, w, at(update(1), 0, &stranger), release.ErrSequence, "previous", stranger.String())
		one := publish(t, w, update(1))
		two := publish(t, w, update(2))
		d1, d2 := one.Envelope.Digest(), two.Envelope.Digest()
		if two.Release.Seq != 2 || two.Release.Previous == nil || *two.Release.Previous != d1 {
			t.Fatalf("second release %+v", two.Release)
		}
		refused(t, w, at(update(3), 4, nil), release.ErrSequence, "use 3", "seq 2", d2.String(), "index 1")
		refused(t, w, at(update(3), 2, nil), release.ErrConflict, "seq 2", d2.String(), "index 1")
		refused(t, w, at(update(3), 2, &d1), release.ErrConflict, "seq 2", d2.String())
		refused(t, w, at(update(3), 3, &d1), release.ErrSequence, "previous", d1.String(), d2.String())
		three := publish(t, w, at(update(3), 3, &d2))
		same(t, one, publish(t, w, update(1)))
		same(t, two, publish(t, w, at(update(2), 2, &d1)))
		same(t, three, publish(t, w, update(3)))
		refused(t, w, at(update(2), 3, nil), release.ErrConflict, "seq 2", d2.String(), "index 1")
		refused(t, w, at(update(1), 1, &d1), nil, "previous")
		other := update(2)
		other.Channel = "beta"
		if out := publish(t, w, other); out.Release.Seq != 1 || out.Duplicate {
			t.Errorf("another channel begins with %+v", out.Release)
		}
		other.Channel = ""
		if out := publish(t, w, other); out.Release.Seq != 0 || out.Duplicate {
			t.Errorf("without a channel: %+v", out.Release)
		}
	})
}

// TestVersionTaken: one version is one release; what differs is named.
func TestVersionTaken(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		dir := t.TempDir()
		a, b := file(t, filepath.Join(dir, "a"), 1, 10), file(t, filepath.Join(dir, "b"), 2, 10)
		src := filepath.Join(dir, "src")
		file(t, filepath.Join(src, "x"), 3, 10)
		r := release.Request{Product: product, Version: "1", Artifacts: []string{a, b}, Source: src}
		first := publish(t, w, r)
		d := first.Envelope.Digest().String()
		for name, c := range map[string]struct {
			change func(r *release.Request)
			words  []string
		}{
			"other file":   {func(r *release.Request) { r.Artifacts = []string{a, file(t, filepath.Join(dir, "o", "b"), 9, 10)} }, []string{`artifact "b"`}},
			"one more":     {func(r *release.Request) { r.Artifacts = []string{a, b, file(t, filepath.Join(dir, "c"), 2, 10)} }, []string{`artifact "c"`}},
			"one less":     {func(r *release.Request) { r.Artifacts = []string{a} }, []string{`artifact "b" (missing now)`}},
			"no source":    {func(r *release.Request) { r.Source = "" }, []string{"source"}},
			"other notes":  {func(r *release.Request) { r.Notes = "https://example.org/" }, []string{"notes"}},
			"other access": {func(r *release.Request) { r.Source, r.Access = copyTree(t, src), "circle" }, nil},
		} {
			t.Run(name, func(t *testing.T) {
				r := r
				c.change(&r)
				refused(t, w, r, nil, c.words...)
			})
		}
		r.Artifacts = []string{a}
		refused(t, w, r, release.ErrConflict, product, `"1"`, d, "index 0")
	})
}

func copyTree(t *testing.T, _ string) string {
	t.Helper()
	dir := t.TempDir()
	file(t, filepath.Join(dir, "x"), 4, 10)
	return dir
}

// TestNewKey: after the key was changed, what is released stays as it was
// signed, and what was signed but not admitted is signed again.
func TestNewKey(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.log.key = key.Public{}
		path := file(t, filepath.Join(t.TempDir(), "a"), 1, 10)
		r := release.Request{Product: product, Version: "1", Artifacts: []string{path}}
		first := publish(t, w, r)
		gone := errors.New("the node is not running")
		w.log.before = func() error { return gone }
		r2 := r
		r2.Version = "2"
		if _, err := w.pub.Publish(t.Context(), r2); !errors.Is(err, gone) {
			t.Fatalf("error %v", err)
		}
		w.log.before = nil
		w.pub.Signer = newSigner(t)
		same(t, first, publish(t, w, r))
		if out := publish(t, w, r2); out.Envelope.Verify(w.pub.Signer.Public()) != nil {
			t.Error("the statement of the old key was submitted")
		}
	})
}

// TestDraftIsKept: a statement that could not be submitted is submitted later,
// unless its place was taken meanwhile.
func TestDraftIsKept(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		dir := t.TempDir()
		var seen [][]byte
		w.pub.Submit = submitter(func(ctx context.Context, raw []byte) (release.Receipt, error) {
			if seen = append(seen, raw); len(seen)%2 == 1 {
				return release.Receipt{}, errors.New("no answer")
			}
			return w.log.Submit(ctx, raw)
		})
		a := release.Request{Product: product, Version: "1", Channel: "c", Artifacts: []string{file(t, filepath.Join(dir, "a"), 1, 10)}}
		b := release.Request{Product: product, Version: "2", Channel: "c", Artifacts: []string{file(t, filepath.Join(dir, "b"), 2, 10)}}
		if _, err := w.pub.Publish(t.Context(), a); err == nil {
			t.Fatal("no error")
		}
		if out := publish(t, w, a); string(seen[0]) != string(seen[1]) || out.Index != 0 {
			t.Error("a second statement was signed")
		}
		if _, err := w.pub.Publish(t.Context(), b); err == nil {
			t.Fatal("no error")
		}
		w.pub.Submit = w.log
		c := b
		c.Version, c.Artifacts = "3", a.Artifacts
		publish(t, w, c) // takes the place that b was signed for
		out := publish(t, w, b)
		if out.Release.Seq != 3 || *out.Release.Previous != w.log.leaves[1] {
			t.Errorf("release %+v", out.Release)
		}
	})
}

type submitter func(ctx context.Context, raw []byte) (release.Receipt, error)

func (f submitter) Submit(ctx context.Context, raw []byte) (release.Receipt, error) {
	return f(ctx, raw)
}

// sign makes a release statement without a publisher.
func sign(t testing.TB, k *key.Signer, version, channel string, seq int64, previous *digest.Digest) *statement.Envelope {
	t.Helper()
	r := &statement.Release{
		Product: product, Version: version, Channel: channel, Seq: seq, Previous: previous,
		Published: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		Artifacts: []statement.Artifact{{Name: "a", Size: 1, SHA256: digest.Of([]byte("a"))}},
	}
	s, err := statement.New(r.Subjects(), r)
	if err != nil {
		t.Fatal(err)
	}
	env, err := statement.Sign(s, k)
	if err != nil {
		t.Fatal(err)
	}
	return env
}

func admit(t testing.TB, db *store.DB, env *statement.Envelope) error {
	t.Helper()
	return db.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error { return release.Admit(ctx, tx, env) })
}

// TestAdmit is the node's rule by itself, for statements from anywhere.
func TestAdmit(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		k := newSigner(t)
		one := sign(t, k, "1", "c", 1, nil)
		d1 := one.Digest()
		two := sign(t, k, "2", "c", 2, &d1)
		d2, stranger := two.Digest(), digest.Of([]byte("stranger"))
		plain := sign(t, k, "1", "", 0, nil)
		vsa, err := statement.Sign(&statement.Statement{
			Type: statement.Type, Subject: []statement.Subject{statement.NewSubject("a", stranger)},
			PredicateType: "https://slsa.dev/verification_summary/v1", Predicate: []byte(`{}`),
		}, k)
		if err != nil {
			t.Fatal(err)
		}
		for i, c := range []struct {
			env  *statement.Envelope
			want error
		}{
			{two, release.ErrConflict}, // nothing before it
			{one, nil},
			{one, nil},
			{sign(t, k, "1b", "c", 1, nil), release.ErrConflict},      // number taken
			{sign(t, k, "1", "c", 2, &d1), release.ErrConflict},       // version taken
			{sign(t, k, "2", "c", 2, &stranger), release.ErrConflict}, // not after 1
			{sign(t, k, "3", "c", 3, &d1), release.ErrConflict},       // leaves 2 out
			{two, nil},
			{sign(t, k, "2c", "c", 2, &d1), release.ErrConflict}, // a fork of the channel
			{sign(t, k, "3", "c", 3, &d2), nil},
			{sign(t, k, "1", "other", 1, nil), nil},
			{plain, nil},
			{plain, nil},
			{sign(t, newSigner(t), "1", "", 0, nil), release.ErrConflict}, // another key, same name
			{sign(t, k, "2", "", 0, nil), nil},
			{vsa, nil}, {vsa, nil},
		} {
			if err := admit(t, w.db, c.env); !errors.Is(err, c.want) {
				t.Errorf("case %d: error %v, want %v", i, err, c.want)
			}
		}
	})
}

// TestAdmitRace: of many statements for one place exactly one gets it.
func TestAdmitRace(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		k := newSigner(t)
		for round := range 4 {
			var wg sync.WaitGroup
			errs := make([]error, 8)
			for i := range errs {
				env := sign(t, k, fmt.Sprint(round, "-", i), fmt.Sprint("c", round), 1, nil)
				if round%2 == 0 {
					env = sign(t, newSigner(t), fmt.Sprint(round), "", 0, nil)
				}
				wg.Go(func() { errs[i] = admit(t, w.db, env) })
			}
			wg.Wait()
			won := 0
			for _, err := range errs {
				if err == nil {
					won++
				} else if !errors.Is(err, release.ErrConflict) {
					t.Errorf("error %v", err)
				}
			}
			if won != 1 {
				t.Errorf("round %d: %d statements have one place", round, won)
			}
		}
	})
}

// TestPublishersRace: releases of one channel published at once get one number
// each, in an unbroken chain; one release published at once is one statement.
func TestPublishersRace(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		dir := t.TempDir()
		const n = 5
		var wg sync.WaitGroup
		got := make([]*release.Published, 2*n)
		for i := range got {
			v := i % n // each is published twice
			r := release.Request{
				Product: product, Version: fmt.Sprint(v), Channel: "c",
				Artifacts: []string{file(t, filepath.Join(dir, fmt.Sprint(i), "a"), uint64(v), 1000)},
			}
			wg.Go(func() {
				var err error
				if got[i], err = w.pub.Publish(t.Context(), r); err != nil {
					t.Errorf("release %d: %v", i, err)
				}
			})
		}
		wg.Wait()
		if t.Failed() {
			return
		}
		bySeq := map[int64]*release.Published{}
		for i, p := range got {
			if q := got[(i+n)%(2*n)]; p.Envelope.Digest() != q.Envelope.Digest() || p.Index != q.Index {
				t.Errorf("version %d has two statements", i%n)
			}
			bySeq[p.Release.Seq] = p
		}
		for seq := int64(1); seq <= n; seq++ {
			p := bySeq[seq]
			if p == nil {
				t.Fatalf("seq %d is missing", seq)
			}
			if seq > 1 && *p.Release.Previous != bySeq[seq-1].Envelope.Digest() {
				t.Errorf("seq %d does not follow", seq)
			}
		}
		if len(w.log.leaves) != n {
			t.Errorf("%d leaves for %d releases", len(w.log.leaves), n)
		}
	})
}

// TestPlaceIsLookedAtFirst: a number or a predecessor that cannot be had is
// found out before a byte is read.
func TestPlaceIsLookedAtFirst(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		dir := t.TempDir()
		update := func(n uint64, seq int64, previous *digest.Digest) release.Request {
			path := file(t, filepath.Join(dir, fmt.Sprint(n), "base.db"), n, 100)
			return release.Request{Product: product, Version: fmt.Sprintf("1.%d", n), Channel: "daily",
				Artifacts: []string{path}, Seq: seq, Previous: previous}
		}
		d1 := publish(t, w, update(1, 1, nil)).Envelope.Digest()
		d2 := publish(t, w, update(2, 2, &d1)).Envelope.Digest()
		read := 0
		w.pub.Progress = func(string, int64, int64) { read++ }
		for name, c := range map[string]struct {
			r    release.Request
			want error
			word string
		}{
			"a number too high":                {update(3, 4, nil), release.ErrSequence, "use 3"},
			"a number that is taken":           {update(3, 2, nil), release.ErrConflict, d2.String()},
			"another predecessor":              {update(3, 3, &d1), release.ErrSequence, d1.String()},
			"a version with another number":    {update(2, 3, nil), release.ErrConflict, "seq 2 already, not 3"},
			"a version with another beginning": {update(2, 0, &d2), release.ErrConflict, "previous"},
		} {
			if _, err := w.pub.Publish(t.Context(), c.r); !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.word) {
				t.Errorf("%s: %v, want %v, %q", name, err, c.want, c.word)
			}
			if read > 0 {
				t.Errorf("%s: files were read before", name)
			}
			read = 0
		}
		if publish(t, w, update(3, 3, &d2)); read == 0 {
			t.Error("nobody was told of what is read: the test cannot fail")
		}
	})
}
