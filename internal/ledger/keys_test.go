package ledger_test

import (
	"errors"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"vitrine.example/internal/ledger"
	"vitrine.example/internal/store/storetest"
	"vitrine.example/tlog"
)

// TestRotatedKey: a log whose newest checkpoint bears the old key's signature
// alone opens under the new key where the old one is known, signs with both in
// the overlap, and needs the old one no more after that.
func TestRotatedKey(t *testing.T) {
	t.Parallel()
	storetest.URLs(t, func(t *testing.T, url string) {
		dir, db := t.TempDir(), storetest.Open(t, url)
		o := options(t, dir, db)
		l := open(t, o)
		addAll(t, l, leaves(0, 3))
		closeLog(t, l)
		old, fresh := newSigner(t, 1), newSigner(t, 2)
		o.Signer = fresh
		if _, err := ledger.Open(t.Context(), o); !errors.Is(err, ledger.ErrDamaged) || !errors.Is(err, tlog.ErrNotSigned) {
			t.Fatalf("opened under another key: %v", err)
		}
		if v, err := ledger.SignedAlone(dir, fresh.Verifier(), old.Verifier()); err != nil || !v.Equal(old.Verifier()) {
			t.Errorf("signed by %v, %v", v, err)
		}
		if _, err := ledger.SignedAlone(dir, fresh.Verifier()); !errors.Is(err, tlog.ErrNotSigned) {
			t.Errorf("signed by the new key: %v", err)
		}
		any := ledger.AnyOf(fresh.Verifier(), old.Verifier())
		if r, err := ledger.Check(t.Context(), dir, any, db, nil); err != nil || len(r.Faults) > 0 || r.Origin != origin {
			t.Errorf("checked before the first new checkpoint: %+v, %v", r, err)
		}
		if r, err := ledger.Check(t.Context(), dir, ledger.AnyOf(fresh.Verifier(), newSigner(t, 3).Verifier()), db, nil); err != nil || len(r.Faults) == 0 {
			t.Errorf("checked under other keys: %+v, %v", r, err)
		}
		o.Earlier, o.Additional = []tlog.Verifier{old.Verifier()}, []note.Signer{old}
		l = open(t, o)
		addAll(t, l, leaves(3, 5))
		raw, err := l.Checkpoint(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		closeLog(t, l)
		for _, v := range []tlog.Verifier{old.Verifier(), fresh.Verifier()} {
			if got, err := ledger.SignedAlone(dir, v); err != nil || !got.Equal(v) {
				t.Errorf("in the overlap: %v, %v\n%s", got, err, raw)
			}
		}
		o.Earlier, o.Additional = nil, nil
		l = open(t, o)
		addAll(t, l, leaves(5, 6))
		closeLog(t, l)
		if _, err := ledger.SignedAlone(dir, old.Verifier()); !errors.Is(err, tlog.ErrNotSigned) {
			t.Errorf("the old key still signs: %v", err)
		}
	})
}

// TestAnyOfRefusesAWrongSignature: a line of one key that is wrong is not made
// good by another.
func TestAnyOfRefusesAWrongSignature(t *testing.T) {
	t.Parallel()
	a, b := newSigner(t, 1), newSigner(t, 2)
	c := tlog.Checkpoint{Origin: origin, Size: 0, Root: tlog.EmptyRoot()}
	one, err := a.SignCheckpoint(c)
	if err != nil {
		t.Fatal(err)
	}
	two, err := b.SignCheckpoint(tlog.Checkpoint{Origin: origin, Size: 1, Root: tlog.LeafHash(nil)})
	if err != nil {
		t.Fatal(err)
	}
	any := ledger.AnyOf(a.Verifier(), b.Verifier())
	if _, err := any.Verify(&tlog.SignedCheckpoint{Checkpoint: c, Signatures: []tlog.Signature{one}}); err != nil {
		t.Errorf("one of two: %v", err)
	}
	if _, err := any.Verify(&tlog.SignedCheckpoint{Checkpoint: c, Signatures: []tlog.Signature{one, two}}); err == nil || errors.Is(err, tlog.ErrNotSigned) {
		t.Errorf("with a wrong line: %v", err)
	}
	if _, err := any.Verify(&tlog.SignedCheckpoint{Checkpoint: c}); !errors.Is(err, tlog.ErrNotSigned) {
		t.Errorf("unsigned: %v", err)
	}
}
