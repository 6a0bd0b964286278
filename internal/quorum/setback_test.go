package quorum_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vitrine.example/internal/ledger"
	"vitrine.example/internal/store/storetest"
	"vitrine.example/tlog"
)

// A log that was set back takes no entry while nobody answers, nor when those do
// who have cosigned more: it would begin a second history. One that is the newest
// takes what was asked for meanwhile as soon as a quorum has cosigned it once more.
func TestSetBackTakesNothingUnconfirmed(t *testing.T) {
	storetest.URLs(t, func(t *testing.T, db string) {
		a, b, c := ours(t, "a.example/witness", tlog.Ed25519Cosignature), ours(t, "b.example/witness", tlog.MLDSA44Cosignature), ours(t, "c.example/witness", tlog.Ed25519Cosignature)
		all := func(down bool) {
			for _, w := range []*served{a, b, c} {
				w.down.Store(down)
			}
		}
		p := policy(t, 2, a, b, c)
		dir, old := filepath.Join(t.TempDir(), "log"), filepath.Join(t.TempDir(), "old")
		l := openLog(t, dir, db, newQuorum(t, p))
		_, err := l.Add(t.Context(), []byte("leaf 0"))
		check(t, err)
		closeLog(t, l)
		check(t, os.CopyFS(old, os.DirFS(dir)))
		l = openLog(t, dir, db, newQuorum(t, p))
		_, err = l.Add(t.Context(), []byte("leaf 1"))
		check(t, err)
		closeLog(t, l)

		all(true)
		stale := openLog(t, old, storetest.SQLite(t), newQuorum(t, p))
		for range 2 { // nobody answers; then all who have cosigned more
			_, err = stale.Add(t.Context(), []byte("another leaf 1"))
			if !errors.Is(err, ledger.ErrUnconfirmed) || !errors.Is(err, ledger.ErrUnpublished) || !strings.Contains(err.Error(), "awaiting 2 of 3 witnesses") {
				t.Errorf("a log that was set back: %v", err)
			}
			s, err := stale.Status(t.Context())
			check(t, err)
			if s.Sequenced != 1 || s.Unconfirmed == "" {
				t.Errorf("status %+v", s)
			}
			all(false)
		}
		closeLog(t, stale)
		r, err := ledger.Check(t.Context(), old, logKey(t).Verifier(), nil, nil)
		check(t, err)
		if r.Size != 1 {
			t.Errorf("the log that was set back has grown to %d entries", r.Size)
		}

		all(true)
		l = openLog(t, dir, db, newQuorum(t, p))
		if e, err := l.Add(t.Context(), []byte("leaf 1")); err != nil || e.Index != 1 {
			t.Errorf("an entry that the log has is answered with %+v, %v", e, err)
		}
		if _, err := l.Add(t.Context(), []byte("leaf 2")); !errors.Is(err, ledger.ErrUnconfirmed) {
			t.Errorf("nobody answers: %v", err)
		}
		all(false)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		check(t, l.AwaitConfirmed(ctx))
		e, err := l.Add(t.Context(), []byte("leaf 2"))
		if err != nil || e.Index != 2 {
			t.Errorf("confirmed: %+v, %v", e, err)
		}
	})
}

// A new log takes entries although nobody knows it yet, and one whose witnesses go
// away takes them on: only what was opened has to be confirmed.
func TestNewLogNeedsNoConfirmation(t *testing.T) {
	a := ours(t, "a.example/witness", tlog.Ed25519Cosignature)
	a.down.Store(true)
	l := openLog(t, filepath.Join(t.TempDir(), "log"), storetest.SQLite(t), newQuorum(t, policy(t, 1, a)))
	for _, leaf := range []string{"leaf 0", "leaf 1"} {
		_, err := l.Add(t.Context(), []byte(leaf))
		if errors.Is(err, ledger.ErrUnconfirmed) || !errors.Is(err, ledger.ErrUnpublished) || !strings.Contains(err.Error(), "sequenced, awaiting") {
			t.Errorf("a new log: %v", err)
		}
	}
	a.down.Store(false)
	until(t, "both entries", func() bool { s, err := l.Status(t.Context()); return err == nil && s.Published == 2 })
}
