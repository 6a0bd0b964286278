package ledger_test

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"filippo.io/mldsa"
	"golang.org/x/mod/sumdb/note"

	"vitrine.example/internal/ledger"
	"vitrine.example/internal/store/storetest"
	"vitrine.example/tlog"
)

// A clock that runs backwards, or a key that cannot be reached: entries are not
// acknowledged, callers learn why and soon, and the log goes on when it can.
func TestSignerRefuses(t *testing.T) {
	t.Parallel()
	var refuse atomic.Bool
	wrong := errors.New("the clock is wrong")
	dir, db := t.TempDir(), storetest.Open(t, storetest.SQLite(t))
	o := options(t, dir, db)
	o.Now = func() (time.Time, error) {
		if refuse.Load() {
			return time.Time{}, wrong
		}
		return time.Now(), nil
	}
	o.Patience = 200 * time.Millisecond
	l := open(t, o)
	addAll(t, l, leaves(0, 3))
	refuse.Store(true)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := l.Add(ctx, []byte("leaf 3")); !errors.Is(err, ledger.ErrUnpublished) || !errors.Is(err, wrong) {
		t.Fatalf("adding: %v", err)
	}
	// The entry has its index, but nobody is told before a checkpoint covers it.
	if _, err := l.Find(ctx, tlog.LeafHash([]byte("leaf 3"))); !errors.Is(err, ledger.ErrUnknown) {
		t.Errorf("finding it: %v", err)
	}
	if _, err := l.Leaf(ctx, 3); !errors.Is(err, ledger.ErrUnknown) {
		t.Errorf("reading it: %v", err)
	}
	st, err := l.Status(ctx)
	if err != nil || !strings.Contains(st.Refusal, wrong.Error()) || st.Sequenced != 4 || st.Published != 3 {
		t.Errorf("status %+v, %v", st, err)
	}
	if _, err := l.Add(ctx, []byte("leaf 4")); !errors.Is(err, wrong) {
		t.Errorf("another is taken although none can be published: %v", err)
	}
	refuse.Store(false)
	for {
		e, err := l.Add(ctx, []byte("leaf 3"))
		if errors.Is(err, ledger.ErrUnpublished) {
			continue // until Tessera tries again
		}
		if err != nil || e.Index != 3 || !e.Duplicate {
			t.Fatalf("once the clock is right: %+v, %v", e, err)
		}
		break
	}
	if st, err := l.Status(ctx); err != nil || st.Refusal != "" || st.Published != 4 {
		t.Errorf("status %+v, %v", st, err)
	}
	closeLog(t, l)
	check(t, dir, db)
}

// A signer that refuses from the beginning keeps a new log from being opened.
func TestOpenWithoutSigner(t *testing.T) {
	t.Parallel()
	wrong := errors.New("no token in the slot")
	o := options(t, t.TempDir(), storetest.Open(t, storetest.SQLite(t)))
	o.Now = func() (time.Time, error) { return time.Time{}, wrong }
	o.Patience = time.Second
	if _, err := ledger.Open(t.Context(), o); err == nil || !strings.Contains(err.Error(), wrong.Error()) {
		t.Fatalf("opening: %v", err)
	}
	o.Now = nil
	closeLog(t, open(t, o)) // nothing was left that is in the way
}

// bare hides the method that tells the verifier key.
type bare struct{ note.Signer }

func TestOpenOptions(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, storetest.SQLite(t))
	tests := []struct {
		name  string
		spoil func(o *ledger.Options)
		says  string
	}{
		{"no directory", func(o *ledger.Options) { o.Dir = "" }, "directory"},
		{"no database", func(o *ledger.Options) { o.DB = nil }, "database"},
		{"no signer", func(o *ledger.Options) { o.Signer = nil }, "signer"},
		{"signer without verifier", func(o *ledger.Options) { o.Signer = bare{o.Signer} }, "verifier key"},
		{"additional signer of another name", func(o *ledger.Options) {
			sk, _, err := note.GenerateKey(rand.Reader, "other.example")
			if err != nil {
				t.Fatal(err)
			}
			s, err := note.NewSigner(sk)
			if err != nil {
				t.Fatal(err)
			}
			o.Additional = []note.Signer{s}
		}, "other.example"},
		{"directory is a file", func(o *ledger.Options) {
			o.Dir = filepath.Join(t.TempDir(), "file")
			writeFile(t, o.Dir, "")
		}, "not a directory"},
		{"lock is a link", func(o *ledger.Options) {
			if err := os.Symlink("elsewhere", filepath.Join(o.Dir, ".lock")); err != nil {
				t.Fatal(err)
			}
		}, "symbolic links"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := options(t, t.TempDir(), db)
			tt.spoil(&o)
			l, err := ledger.Open(t.Context(), o)
			if err == nil {
				closeLog(t, l)
			}
			if err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("error %v, want one that says %q", err, tt.says)
			}
		})
	}
}

// Checkpoints carry the signatures of all keys, and proofs too.
func TestAdditionalSigner(t *testing.T) {
	t.Parallel()
	key, err := mldsa.GenerateKey(mldsa.MLDSA44())
	if err != nil {
		t.Fatal(err)
	}
	second, err := tlog.NewSigner(origin, tlog.MLDSA44Cosignature, key, func() (time.Time, error) { return time.Now(), nil })
	if err != nil {
		t.Fatal(err)
	}
	o := options(t, t.TempDir(), storetest.Open(t, storetest.SQLite(t)))
	o.Additional = []note.Signer{second}
	l := open(t, o)
	addAll(t, l, leaves(0, 2))
	raw, err := l.Proof(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	p, err := tlog.ParseProof(raw)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []tlog.Verifier{newSigner(t, 1).Verifier(), second.Verifier()} {
		if _, err := v.Verify(p.Checkpoint); err != nil {
			t.Errorf("%v: %v", v.Type(), err)
		}
	}
	if n := len(p.Checkpoint.Signatures); n != 2 {
		t.Errorf("%d signatures", n)
	}
}

// Nobody waits for ever: a caller's own deadline is kept, and the entry goes on.
func TestAddDeadline(t *testing.T) {
	t.Parallel()
	o := options(t, t.TempDir(), storetest.Open(t, storetest.SQLite(t)))
	l := open(t, o)
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	addAll(t, l, leaves(0, 1)) // so that the next checkpoint takes an interval
	if _, err := l.Add(ctx, []byte("slow")); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("adding: %v", err)
	}
	e, err := l.Add(t.Context(), []byte("slow"))
	if err != nil || e.Index > 1 {
		t.Errorf("adding again: %+v, %v", e, err)
	}
}

// Where Tessera cannot publish, which it only writes to its log, callers learn
// the reason, and the entries are published when it can again.
func TestPublishingFails(t *testing.T) {
	t.Parallel()
	dir, db := t.TempDir(), storetest.Open(t, storetest.SQLite(t))
	o := options(t, dir, db)
	o.Patience = 300 * time.Millisecond
	l := open(t, o)
	addAll(t, l, leaves(0, 3))
	lock := filepath.Join(dir, ".state/publish.lock")
	remove(t, lock)
	if err := os.Mkdir(lock, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Add(t.Context(), []byte("leaf 3")); !errors.Is(err, ledger.ErrUnpublished) || !strings.Contains(err.Error(), "publish.lock") {
		t.Fatalf("adding: %v", err)
	}
	remove(t, lock)
	var e ledger.Entry
	err := ledger.ErrUnpublished
	for errors.Is(err, ledger.ErrUnpublished) {
		e, err = l.Add(t.Context(), []byte("leaf 3"))
	}
	if err != nil || e.Index != 3 || !e.Duplicate {
		t.Errorf("when it can: %+v, %v", e, err)
	}
	closeLog(t, l)
	check(t, dir, db)
}
