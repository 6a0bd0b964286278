package ledger_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"vitrine.example/internal/ledger"
	"vitrine.example/internal/store/storetest"
)

// TestLeaves: by bundle, entries are those that they are one by one, and a
// changed bundle is noticed.
func TestLeaves(t *testing.T) {
	const size = 600
	dir := t.TempDir()
	l := open(t, options(t, dir, storetest.Open(t, storetest.SQLite(t))))
	addAll(t, l, leaves(0, size))
	for at := int64(0); at < size; {
		some, err := l.Leaves(t.Context(), at, 100)
		if err != nil || len(some) == 0 || len(some) > 100 {
			t.Fatalf("from %d: %d entries, %v", at, len(some), err)
		}
		for i, got := range some {
			if want, err := l.Leaf(t.Context(), at+int64(i)); err != nil || !bytes.Equal(got, want) {
				t.Errorf("entry %d: %q, want %q, %v", at+int64(i), got, want, err)
			}
		}
		at += int64(len(some))
	}
	if some, err := l.Leaves(t.Context(), 0, size); err != nil || len(some) != 256 {
		t.Errorf("the first bundle: %d entries, %v", len(some), err)
	}
	for _, c := range []struct {
		index int64
		n     int
	}{{-1, 1}, {size, 1}, {1 << 62, 1}, {0, 0}, {0, -1}} {
		if some, err := l.Leaves(t.Context(), c.index, c.n); !errors.Is(err, ledger.ErrUnknown) {
			t.Errorf("%+v: %d entries, %v", c, len(some), err)
		}
	}
	path := filepath.Join(dir, "tile", "entries", "000")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)-1] ^= 1
	if err := errors.Join(os.Chmod(path, 0o600), os.WriteFile(path, b, 0o600)); err != nil {
		t.Fatal(err)
	}
	if some, err := l.Leaves(t.Context(), 0, 1); !errors.Is(err, ledger.ErrDamaged) {
		t.Errorf("a changed bundle: %q, %v", some, err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if some, err := l.Leaves(t.Context(), 0, 1); !errors.Is(err, ledger.ErrDamaged) {
		t.Errorf("a missing bundle: %q, %v", some, err)
	}
}
