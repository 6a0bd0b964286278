package projection_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"vitrine.example/digest"
	"vitrine.example/internal/content"
	"vitrine.example/internal/fixture"
	"vitrine.example/internal/projection"
	"vitrine.example/internal/projection/projectiontest"
	"vitrine.example/internal/store"
	"vitrine.example/internal/store/storetest"
	"vitrine.example/key"
	"vitrine.example/statement"
	"vitrine.example/tlog"
)

// full is a release that uses every field.
func full() *statement.Release {
	previous := digest.Of([]byte("previous"))
	return &statement.Release{
		Product: "pkg:generic/app", Version: "1.2.3", Channel: "stable", Seq: 2, Previous: &previous,
		Published: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC),
		Artifacts: []statement.Artifact{
			{Name: "app-linux", Size: 1234567, SHA256: digest.Of([]byte("linux")), SBOM: &statement.Evidence{
				MediaType: "application/vnd.cyclonedx+json", Size: 99, SHA256: digest.Of([]byte("sbom")),
			}},
			{Name: "app-mac", Size: 7, SHA256: digest.Of([]byte("mac"))},
		},
		Source: &statement.Source{
			Kind: "git", Access: "room", Size: 4096, SHA256: digest.Of([]byte("source")),
			Commit: strings.Repeat("ab", 20), URI: "https://example.org/app.git",
		},
		Notes: "https://example.org/notes",
	}
}

func small(version string, artifact string) *statement.Release {
	return &statement.Release{
		Product: "pkg:generic/tool", Version: version, Published: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC),
		Artifacts: []statement.Artifact{{Name: "tool", Size: int64(len(artifact)), SHA256: digest.Of([]byte(artifact))}},
	}
}

// TestReleaseComesBackWhole runs on both engines: what a statement says is what
// the tables say.
func TestReleaseComesBackWhole(t *testing.T) {
	storetest.URLs(t, func(t *testing.T, url string) {
		n := projectiontest.On(t, url)
		want := full()
		env := n.Sign(t, want)
		index := n.Submit(t, env)
		n.Catch(t)
		got, err := n.Projection.Release(t.Context(), env.Digest())
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(&got.Release, want) {
			t.Errorf("release:\n got %+v\nwant %+v", &got.Release, want)
		}
		if got.Index != index || got.Statement != env.Digest() || got.Key != n.Key.Public().ID() || got.Count != 2 || got.Bytes != 1234574 {
			t.Errorf("release: %+v", got)
		}
		e, err := n.Projection.Statement(t.Context(), env.Digest())
		if err != nil {
			t.Fatal(err)
		}
		if e.Kind != projection.Statement || e.Index != index || e.PredicateType != statement.ReleaseType || e.Problem != "" ||
			len(e.Subjects) != 2 || e.Subjects[1] != (projection.Subject{Name: "app-mac", SHA256: digest.Of([]byte("mac"))}) {
			t.Errorf("entry: %+v", e)
		}
		for name, f := range map[string]projection.Filter{
			"all": {}, "product": {Product: "pkg:generic/app"}, "channel": {Channel: "stable"},
			"artifact": {Artifact: digest.Of([]byte("mac"))}, "before": {Before: index + 1},
			"everything": {Product: "pkg:generic/app", Channel: "stable", Artifact: digest.Of([]byte("mac")), Before: index + 1, Limit: 1},
		} {
			if found, err := n.Projection.Releases(t.Context(), f); err != nil || len(found) != 1 || found[0].Statement != env.Digest() {
				t.Errorf("%s: %v, %v", name, found, err)
			}
		}
		for name, f := range map[string]projection.Filter{
			"product": {Product: "pkg:generic/ap"}, "channel": {Channel: "beta"},
			"artifact": {Artifact: digest.Of([]byte("other"))},
		} {
			if found, err := n.Projection.Releases(t.Context(), f); err != nil || len(found) != 0 {
				t.Errorf("not %s: %v, %v", name, found, err)
			}
		}
		if c, err := n.Projection.Counts(t.Context()); err != nil || c != (projection.Counts{Statements: 1, Releases: 1}) {
			t.Errorf("counts: %+v, %v", c, err)
		}
	})
}

// TestEntriesAsTheyAre: whatever stands in the log is shown as what it is, and
// stops nothing behind it.
func TestEntriesAsTheyAre(t *testing.T) {
	n := projectiontest.New(t)
	ctx := t.Context()
	other := fixture.StatementKey("somebody else", key.P256)

	noise := n.Add(t, []byte("not of ours"))
	commitment := n.Add(t, statement.CommitmentLeaf(digest.Of([]byte("x"))))

	unknown := n.Sign(t, small("1.0.0", "unknown"))
	leaf, err := unknown.Leaf(n.Key.Public())
	if err != nil {
		t.Fatal(err)
	}
	unknownAt := n.Add(t, leaf) // never submitted

	damaged := n.Sign(t, small("1.0.1", "damaged"))
	damagedAt := n.Submit(t, damaged)
	hex := damaged.Digest().String()
	path := filepath.Join(n.Dir, "content", "public", hex[:2], hex)
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}

	// The journal lies: the envelope is good, but stands behind another leaf.
	swapped := n.Sign(t, small("1.0.2", "swapped"))
	leaf, err = swapped.Leaf(n.Key.Public())
	if err != nil {
		t.Fatal(err)
	}
	foreign := fixture.Release(other, "pkg:generic/evil", "9.9.9", "", fixture.File{Name: "evil", Data: []byte("evil")})
	n.Put(t, content.Public, foreign.Bytes())
	if err := n.DB.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
		return n.Projection.Submitted(ctx, tx, tlog.LeafHash(leaf), foreign.Digest())
	}); err != nil {
		t.Fatal(err)
	}
	swappedAt := n.Add(t, leaf)

	good := n.Sign(t, small("1.0.3", "good"))
	goodAt := n.Submit(t, good)
	n.Catch(t)

	for _, c := range []struct {
		index   int64
		kind    projection.Kind
		problem string
		known   bool
	}{
		{commitment, projection.Commitment, "", false},
		{unknownAt, projection.Statement, "not held here", false},
		{damagedAt, projection.Statement, "does not match its digest", false},
		{swappedAt, projection.Statement, "does not belong", false},
		{goodAt, projection.Statement, "", true},
	} {
		e, err := n.Projection.Entry(ctx, c.index)
		if err != nil {
			t.Errorf("entry %d: %v", c.index, err)
			continue
		}
		if e.Kind != c.kind || !strings.Contains(e.Problem, c.problem) || (c.problem == "") != (e.Problem == "") || e.Envelope.IsZero() == c.known {
			t.Errorf("entry %d: %+v, want %+v", c.index, e, c)
		}
	}
	if _, err := n.Projection.Entry(ctx, noise); !errors.Is(err, projection.ErrUnknown) {
		t.Errorf("an entry that is not ours: %v", err)
	}
	for _, d := range []digest.Digest{unknown.Digest(), damaged.Digest(), swapped.Digest(), foreign.Digest()} {
		if _, err := n.Projection.Statement(ctx, d); !errors.Is(err, projection.ErrUnknown) {
			t.Errorf("statement %s: %v, want unknown", d, err)
		}
		if _, err := n.Projection.Release(ctx, d); !errors.Is(err, projection.ErrUnknown) {
			t.Errorf("release %s: %v, want unknown", d, err)
		}
	}
	if found, err := n.Projection.Releases(ctx, projection.Filter{}); err != nil || len(found) != 1 || found[0].Statement != good.Digest() {
		t.Errorf("releases: %v, %v", found, err)
	}
	if got, err := n.Projection.Entries(ctx, 0, goodAt+1); err != nil || len(got) != 5 {
		t.Errorf("entries: %d, %v", len(got), err)
	}
}

// dump is everything that the disposable tables say.
func dump(t testing.TB, p *projection.Projection) string {
	t.Helper()
	var b strings.Builder
	if err := p.Dump(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestDisposable: the tables come back from the log, and the journal from the
// content store.
func TestDisposable(t *testing.T) {
	n := projectiontest.New(t)
	ctx := t.Context()
	for i := range 5 {
		n.Submit(t, n.Sign(t, small(fmt.Sprintf("1.0.%d", i), fmt.Sprint("artifact ", i))))
		n.Add(t, fmt.Append(nil, "noise ", i))
		n.Add(t, statement.CommitmentLeaf(digest.Of(fmt.Append(nil, i))))
	}
	n.Put(t, content.Public, []byte("{}"))
	n.Put(t, content.Room, []byte("source"))
	n.Catch(t)
	before := dump(t, n.Projection)

	if err := n.Projection.Rebuild(ctx); err != nil {
		t.Fatal(err)
	}
	if next, published, err := n.Projection.Lag(ctx); next != 0 || published != 15 || err != nil {
		t.Errorf("lag after emptying: %d of %d, %v", next, published, err)
	}
	n.Catch(t)
	if after := dump(t, n.Projection); after != before {
		t.Errorf("after Rebuild:\n%s\nbefore:\n%s", after, before)
	}

	// The journal is lost with the rest: without it statements are unknown.
	if err := n.DB.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM submission`)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if err := n.Projection.Rebuild(ctx); err != nil {
		t.Fatal(err)
	}
	n.Catch(t)
	if found, err := n.Projection.Releases(ctx, projection.Filter{}); err != nil || len(found) != 0 {
		t.Fatalf("releases without a journal: %d, %v", len(found), err)
	}
	if found, err := n.Projection.Recover(ctx, []key.Public{n.Key.Public()}); err != nil || found != 5 {
		t.Fatalf("recovered %d, %v", found, err)
	}
	if pending, err := n.Projection.Pending(ctx, 10); err != nil || len(pending) != 0 {
		t.Errorf("recovered statements are pending: %v, %v", pending, err)
	}
	if err := n.Projection.Rebuild(ctx); err != nil {
		t.Fatal(err)
	}
	n.Catch(t)
	if after := dump(t, n.Projection); after != before {
		t.Errorf("after Recover:\n%s\nbefore:\n%s", after, before)
	}
	if found, err := n.Projection.Recover(ctx, []key.Public{fixture.StatementKey("other", key.P256).Public()}); err != nil || found != 0 {
		t.Errorf("recovered %d statements of another key, %v", found, err)
	}
}

// slowLog shows only the beginning of a log.
type slowLog struct {
	projection.Log
	published *int64
}

func (l slowLog) Published(context.Context) (int64, time.Time, error) {
	return *l.published, time.Time{}, nil
}

// TestAnyRhythm: however the log grows between steps, restarts and rebuilds,
// the tables end up the same as when they are filled at once.
func TestAnyRhythm(t *testing.T) {
	n := projectiontest.New(t)
	ctx := t.Context()
	var size int64
	for i := range 4 {
		n.Submit(t, n.Sign(t, small(fmt.Sprintf("1.0.%d", i), fmt.Sprint("artifact ", i))))
		size = 1 + n.Add(t, fmt.Append(nil, "noise ", i))
	}
	n.Catch(t)
	atOnce := dump(t, n.Projection)
	log := n.Published()
	rapid.Check(t, func(r *rapid.T) {
		var shown int64
		reopen := func() {
			p, err := projection.New(ctx, n.Options(slowLog{log, &shown}))
			if err != nil {
				r.Fatal(err)
			}
			n.Projection = p
		}
		reopen()
		if err := n.Projection.Rebuild(ctx); err != nil {
			r.Fatal(err)
		}
		for shown < size {
			switch rapid.IntRange(0, 5).Draw(r, "act") {
			case 0:
				reopen()
			case 1:
				if rapid.IntRange(0, 9).Draw(r, "rarely") == 0 {
					if err := n.Projection.Rebuild(ctx); err != nil {
						r.Fatal(err)
					}
				}
			case 2, 3:
				shown = min(size, shown+rapid.Int64Range(1, 5).Draw(r, "more"))
			default:
				if _, err := n.Projection.Step(ctx); err != nil {
					r.Fatal(err)
				}
				if next, published, err := n.Projection.Lag(ctx); err != nil || next != shown || published != shown {
					r.Fatalf("after a step: %d of %d, %v; %d are shown", next, published, err, shown)
				}
			}
		}
		n.Catch(t)
		if got := dump(t, n.Projection); got != atOnce {
			r.Errorf("step by step:\n%s\nat once:\n%s", got, atOnce)
		}
	})
}

func TestPending(t *testing.T) {
	n := projectiontest.New(t)
	ctx := t.Context()
	env := n.Sign(t, small("1.0.0", "a"))
	leaf, err := env.Leaf(n.Key.Public())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // noting twice is noting once
		if err := n.DB.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
			return n.Projection.Submitted(ctx, tx, tlog.LeafHash(leaf), env.Digest())
		}); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := n.Projection.Pending(ctx, 10); err != nil || len(got) != 1 || got[0] != env.Digest() {
		t.Fatalf("pending before logging: %v, %v", got, err)
	}
	n.Submit(t, env)
	n.Catch(t)
	if got, err := n.Projection.Pending(ctx, 10); err != nil || len(got) != 0 {
		t.Fatalf("pending after logging: %v, %v", got, err)
	}
}

// TestRunFollows: what is published shows up without anybody asking for a step,
// and Await says when.
func TestRunFollows(t *testing.T) {
	n := projectiontest.New(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	done := make(chan struct{})
	run, stop := context.WithCancel(ctx)
	go func() { n.Projection.Run(run); close(done) }()
	defer func() { stop(); <-done; cancel() }()
	for i := range 3 {
		env := n.Sign(t, small(fmt.Sprintf("1.0.%d", i), "x"))
		index := n.Submit(t, env)
		if err := n.Projection.Await(ctx, index); err != nil {
			t.Fatal(err)
		}
		if _, err := n.Projection.Release(ctx, env.Digest()); err != nil {
			t.Error(err)
		}
	}
	short, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
	defer cancel()
	if err := n.Projection.Await(short, 1000); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("waiting for what does not come: %v", err)
	}
}
