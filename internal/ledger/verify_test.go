package ledger_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	xtlog "golang.org/x/mod/sumdb/tlog"

	"vitrine.example/internal/ledger"
	"vitrine.example/internal/store/storetest"
	"vitrine.example/tlog"
)

// exported is what Export gave, as a source.
type exported map[string][]byte

func (exported) String() string { return "an export" }

func (e exported) Checkpoint(context.Context) ([]byte, error) { return e["checkpoint"], nil }

func (e exported) Tile(_ context.Context, t tlog.Tile) ([]byte, error) {
	if b, ok := e[t.Path()]; ok {
		return b, nil
	}
	return nil, fs.ErrNotExist
}

func export(t testing.TB, dir string, since int64) exported {
	t.Helper()
	out := exported{}
	if _, err := ledger.Export(t.Context(), dir, newSigner(t, 1).Verifier(), since, func(name string, b []byte) error {
		out[name] = bytes.Clone(b)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestVerify: what follows any size is verified with what was exported since then
// and nothing else, its first entries are those of the older tree, and each bit
// of each file counts.
func TestVerify(t *testing.T) {
	t.Parallel()
	const size = 600
	db := storetest.Open(t, storetest.SQLite(t))
	dir := filepath.Join(t.TempDir(), "log")
	logOf(t, db, dir, size)
	var order [][]byte // of the log, as the whole export has it
	for _, since := range []int64{0, 1, 255, 256, 257, 511, 512, 513, 599, 600} {
		e := export(t, dir, since)
		var got [][]byte
		o := ledger.VerifyOptions{Source: e, Verifier: newSigner(t, 1).Verifier(), Since: since,
			Entries: func(_ context.Context, _ int64, entries [][]byte) error { got = append(got, entries...); return nil }}
		v, err := ledger.Verify(t.Context(), o)
		if err != nil {
			t.Fatalf("since %d: %v", since, err)
		}
		if int(v.Files) != len(e)-1 || v.Checkpoint.Size != size {
			t.Errorf("since %d: %d of %d files were looked at", since, v.Files, len(e)-1)
		}
		if want := int(size - since/256*256); len(got) != want {
			t.Errorf("since %d: %d entries, want %d", since, len(got), want)
		}
		if since == 0 {
			order = got
		}
		if want := rootAt(t, order[:since]); v.SinceRoot != want {
			t.Errorf("since %d: the older tree has the root %v, want %v", since, v.SinceRoot, want)
		}
		wantAllCount(t, o, e)
	}
	for _, since := range []int64{-1, size + 1} {
		if _, err := ledger.Verify(t.Context(), ledger.VerifyOptions{Source: export(t, dir, 0), Verifier: newSigner(t, 1).Verifier(), Since: since}); !errors.Is(err, ledger.ErrDamaged) {
			t.Errorf("since %d: %v", since, err)
		}
	}
}

// rootAt computes a root in another way.
func rootAt(t testing.TB, leaves [][]byte) tlog.Hash {
	t.Helper()
	var hashes []tlog.Hash
	for _, l := range leaves {
		hashes = append(hashes, tlog.LeafHash(l))
	}
	var root func([]tlog.Hash) tlog.Hash
	root = func(h []tlog.Hash) tlog.Hash {
		switch len(h) {
		case 0:
			return tlog.EmptyRoot()
		case 1:
			return h[0]
		}
		k := 1
		for 2*k < len(h) {
			k *= 2
		}
		return xtlog.NodeHash(root(h[:k]), root(h[k:]))
	}
	return root(hashes)
}

// wantAllCount changes, cuts, lengthens and removes each file in turn.
func wantAllCount(t *testing.T, o ledger.VerifyOptions, e exported) {
	t.Helper()
	o.Entries = nil
	for name, b := range e {
		changes := map[string][]byte{"missing": nil, "longer": append(bytes.Clone(b), 0), "shorter": b[:len(b)-1]}
		for _, at := range []int{0, 2, len(b) / 2, len(b) - 1} {
			flipped := bytes.Clone(b)
			flipped[at] ^= 4
			changes[fmt.Sprintf("changed at %d", at)] = flipped
		}
		for what, c := range changes {
			bad := exported{}
			for n, b := range e {
				bad[n] = b
			}
			if bad[name] = c; c == nil {
				delete(bad, name)
			}
			o.Source = bad
			if _, err := ledger.Verify(t.Context(), o); err == nil {
				t.Errorf("since %d: %s %s: accepted", o.Since, name, what)
			}
		}
	}
}

// TestBackupOfALog: what Backup gives is restored to the same log, whatever is
// published when it is made.
func TestBackupOfALog(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, storetest.SQLite(t))
	dir := filepath.Join(t.TempDir(), "log")
	logOf(t, db, dir, 300)
	to := filepath.Join(t.TempDir(), "log")
	var names []string
	size, err := ledger.Backup(t.Context(), dir, newSigner(t, 1).Verifier(), func(name string, b []byte) error {
		names = append(names, name)
		path := filepath.Join(ledger.RestoringDir(to), name)
		return errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, b, 0o644))
	})
	if err != nil || size != 300 || !slices.Contains(names, ledger.BackupCheckpoint) || slices.Contains(names, ledger.BackupCosigned) {
		t.Fatalf("%d, %v: %v", size, err, names)
	}
	r, err := restore(t, to, db, copied{dir: ledger.RestoringDir(to)})
	if err != nil || r.Size != 300 || r.Fetched != 0 || int(r.Kept) != len(names)-1 {
		t.Fatalf("%+v, %v", r, err)
	}
}
