package centre

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"filippo.io/torchwood"
	xtlog "golang.org/x/mod/sumdb/tlog"

	"vitrine.example/digest"
	"vitrine.example/internal/ledger"
	"vitrine.example/internal/store/storetest"
	"vitrine.example/tlog"
)

// mirrorOf copies the log of a node and its statements as a mirror serves them.
func mirrorOf(t testing.TB, dir string, statements ...digest.Digest) (copied, url string) {
	t.Helper()
	copied = t.TempDir()
	check(t, os.CopyFS(copied, os.DirFS(filepath.Join(dir, logDir))))
	check(t, os.RemoveAll(filepath.Join(copied, ".state")))
	check(t, os.Mkdir(filepath.Join(copied, "envelope"), 0o755))
	for i, d := range statements {
		b, err := os.ReadFile(filepath.Join(dir, contentDir, "public", d.String()[:2], d.String()))
		check(t, err)
		check(t, os.WriteFile(filepath.Join(copied, "envelope", string(rune('0'+i))), b, 0o644))
	}
	srv := httptest.NewServer(http.FileServerFS(os.DirFS(copied)))
	t.Cleanup(srv.Close)
	return copied, srv.URL
}

// TestRestoreLog: a node whose log, database and content are gone refuses to
// begin another log; it comes back from a mirror, signs nothing until others
// were asked, and then goes on with the next index.
func TestRestoreLog(t *testing.T) {
	storetest.URLs(t, func(t *testing.T, url string) {
		dir := newNode(t, InitOptions{})
		h := connect(t, dir)
		first := publish(t, h, "1.0.0", "first")
		check(t, h.Close(within(t)))
		old, _ := mirrorOf(t, dir)
		h = connect(t, dir)
		second := publish(t, h, "1.1.0", "second")
		proof, err := h.Proof(within(t), 0)
		check(t, err)
		check(t, h.Close(within(t)))
		_, mirror := mirrorOf(t, dir, first.Envelope.Digest(), second.Envelope.Digest())

		for _, name := range []string{logDir, contentDir, "vitrine.db", "vitrine.db-wal", "vitrine.db-shm"} {
			check(t, os.RemoveAll(filepath.Join(dir, name)))
		}
		check(t, appendTo(filepath.Join(dir, ConfigFile), "\ndatabase = \""+url+"\"\n"))
		if _, err := Connect(within(t), dir, quiet()); !errors.Is(err, ErrLogLost) {
			t.Fatalf("a node without its log: %v, want ErrLogLost", err)
		}
		r, err := RestoreLog(within(t), dir, RestoreOptions{From: []string{old, mirror}})
		check(t, err)
		if r.Size != 2 || r.Statements != 2 || len(r.Missing) != 0 || !r.Hold || r.From != mirror {
			t.Errorf("restored %+v of %+v", r, r.Restored)
		}
		h = connect(t, dir)
		_, err = h.Rebuild(within(t), nil) // as the start does by itself
		check(t, err)
		if got := listed(t, h); len(got) != 2 {
			t.Errorf("the pages show %v, want both releases", got)
		}
		env := sign(t, h, "1.2.0")
		if _, err := h.Submit(within(t), env.Bytes()); !errors.Is(err, ErrHold) {
			t.Errorf("a node on hold took a statement: %v", err)
		}
		check(t, h.Close(within(t)))

		if _, err := ResumeLog(within(t), dir, nil, false); err == nil {
			t.Error("resumed without asking anybody")
		}
		if _, err := ResumeLog(within(t), dir, []string{mirror, filepath.Join(dir, "keys")}, false); err == nil {
			t.Error("resumed although one did not answer")
		}
		if n, err := ResumeLog(within(t), dir, []string{mirror, old}, false); err != nil || n != 2 {
			t.Fatalf("resuming: %d, %v", n, err)
		}
		h = connect(t, dir)
		if again, err := h.Proof(within(t), 0); err != nil || len(again) == 0 || len(proof) == 0 {
			t.Errorf("the proof of an old entry: %v", err)
		}
		if got, err := h.Submit(within(t), env.Bytes()); err != nil || got.Index != 2 {
			t.Errorf("the next statement: %+v, %v, want index 2", got, err)
		}
		check(t, h.Close(within(t)))
		if report, err := CheckLog(within(t), dir, nil); err != nil || len(report.Faults) > 0 {
			t.Errorf("log check: %+v, %v", report, err)
		}
		// An archive of it opens in torchwood, all entries verified.
		archive := filepath.Join(t.TempDir(), "000.zip")
		if n, err := ExportLog(within(t), dir, archive, ExportOptions{}); err != nil || n != 3 {
			t.Errorf("exporting: %d, %v", n, err)
		}
		wantArchive(t, archive, 3)
		// The mirror is behind now; what is behind here would be refused.
		check(t, os.RemoveAll(filepath.Join(dir, logDir)))
		if _, err := RestoreLog(within(t), dir, RestoreOptions{From: []string{mirror}, AcceptNewest: true}); !errors.Is(err, ledger.ErrBehind) {
			t.Errorf("restoring less than the database knows: %v", err)
		}
	})
}

// wantArchive reads an archive as torchwood does.
func wantArchive(t *testing.T, path string, size int64) {
	t.Helper()
	fsys := torchwood.NewTileArchiveFS(os.DirFS(filepath.Dir(path)))
	defer fsys.Close()
	tiles, err := torchwood.NewTileFS(fsys)
	check(t, err)
	client, err := torchwood.NewClient(tiles)
	check(t, err)
	raw, err := tiles.ReadEndpoint(within(t), "checkpoint")
	check(t, err)
	c, err := tlog.ParseCheckpoint(raw)
	check(t, err)
	n := int64(0)
	for range client.AllEntries(within(t), xtlog.Tree{N: c.Size, Hash: c.Root}, 0) {
		n++
	}
	if err := client.Err(); err != nil || n != size {
		t.Errorf("torchwood reads %d entries of the archive, %v, want %d", n, err, size)
	}
}

// TestSeen: a node that is older than what a witness has seen stays on hold
// over restarts, doctor says so, and resuming from that witness is refused.
func TestSeen(t *testing.T) {
	dir := newNode(t, InitOptions{})
	h := connect(t, dir)
	publish(t, h, "1.0.0", "first")
	check(t, h.Close(within(t)))
	backup := filepath.Join(t.TempDir(), "backup")
	check(t, os.CopyFS(backup, os.DirFS(dir)))
	check(t, chmodKeys(backup))
	h = connect(t, dir)
	publish(t, h, "1.1.0", "second")
	check(t, h.Close(within(t)))
	witness, _ := mirrorOf(t, dir)
	raw, err := os.ReadFile(filepath.Join(witness, "checkpoint"))
	check(t, err)

	n, err := Open(within(t), backup, quiet())
	check(t, err)
	if err := n.Seen("witness W", raw); !errors.Is(err, ledger.ErrBehind) {
		t.Errorf("a newer checkpoint: %v", err)
	}
	check(t, n.Close(within(t)))
	h = connect(t, backup)
	if _, err := h.Submit(within(t), sign(t, h, "1.2.0").Bytes()); !errors.Is(err, ErrHold) {
		t.Errorf("a stale node took a statement after a restart: %v", err)
	}
	check(t, h.Close(within(t)))
	if f := finding(Doctor(within(t), backup), "hold"); f.OK || f.Detail == "" {
		t.Errorf("doctor: %+v", f)
	}
	if _, err := ResumeLog(within(t), backup, []string{witness}, false); !errors.Is(err, ledger.ErrBehind) {
		t.Errorf("resuming a stale node: %v", err)
	}
}
