package centre

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"vitrine.example/digest"
	"vitrine.example/internal/backup"
	"vitrine.example/internal/content"
	"vitrine.example/internal/ledger"
	"vitrine.example/internal/store/storetest"
)

// restored makes a node from a backup and gives it the keys of the old one.
func restored(t testing.TB, file, keysOf string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "restored")
	_, err := RestoreNode(within(t), file, dir, RestoreNodeOptions{})
	check(t, err)
	if keysOf != "" {
		check(t, os.RemoveAll(filepath.Join(dir, keysDir)))
		check(t, os.CopyFS(filepath.Join(dir, keysDir), os.DirFS(filepath.Join(keysOf, keysDir))))
		check(t, chmodKeys(dir))
	}
	return dir
}

// wantLeft fails where anything but the names is in a directory.
func wantLeft(t testing.TB, dir string, names ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	check(t, err)
	got := []string{}
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if fmt.Sprint(got) != fmt.Sprint(append([]string{}, names...)) {
		t.Errorf("%s has %v, want %v", dir, got, names)
	}
}

// TestBackup: a node that is made again from a backup shows what it has shown,
// signs nothing before others were asked, and then goes on with the next index.
// Its witness cosigns nothing. On both engines.
func TestBackup(t *testing.T) {
	storetest.URLs(t, func(t *testing.T, url string) {
		dir := newNode(t, InitOptions{})
		if url[0] != '/' {
			check(t, appendTo(filepath.Join(dir, ConfigFile), "\ndatabase = \""+url+"\"\n"))
		}
		h := connect(t, dir)
		first := publish(t, h, "1.0.0", "first")
		_, err := h.local().content.Put(within(t), content.Room, readerOf("of a room"), 100)
		check(t, err)
		env := sign(t, h, "1.1.0")
		check(t, h.Close(within(t)))
		file := filepath.Join(t.TempDir(), "node.backup")
		b, err := Backup(within(t), dir, file, BackupOptions{Keys: true})
		check(t, err)
		if b.Entries != 1 || !b.Keys || b.Content < 3 || (len(b.Missing) > 0) != (url[0] != '/') {
			t.Errorf("backed up %+v", b)
		}
		if fi, err := os.Stat(file); err != nil || fi.Mode().Perm() != 0o600 {
			t.Errorf("the file with the keys: %v, %v", fi, err)
		}
		wantLeft(t, filepath.Dir(file), "node.backup")
		if _, err := Backup(within(t), dir, file, BackupOptions{}); !errors.Is(err, fs.ErrExist) {
			t.Errorf("a backup over another: %v", err)
		}

		again := restored(t, file, "")
		if _, err := os.Lstat(filepath.Join(again, witnessState)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("witness-state came along: %v", err)
		}
		h = connect(t, again)
		_, err = h.Rebuild(within(t), nil) // as the start does
		check(t, err)
		if got := listed(t, h); len(got) != 1 {
			t.Errorf("the pages show %v", got)
		}
		if _, err := h.Submit(within(t), env.Bytes()); !errors.Is(err, ErrHold) {
			t.Errorf("a restored node took a statement: %v", err)
		}
		if why := h.local().witness.Lost(); why == "" {
			t.Error("the witness of a restored node would cosign")
		}
		if in, err := h.local().content.Stat(contentDigest("of a room")); err != nil || in.Class != content.Room {
			t.Errorf("content of a room: %+v, %v", in, err)
		}
		check(t, h.Close(within(t)))
		_, mirror := mirrorOf(t, dir, first.Envelope.Digest())
		if n, err := ResumeLog(within(t), again, []string{mirror}, false); err != nil || n != 1 {
			t.Fatalf("resuming: %d, %v", n, err)
		}
		h = connect(t, again)
		if r, err := h.Submit(within(t), env.Bytes()); err != nil || r.Index != 1 {
			t.Errorf("the next statement: %+v, %v", r, err)
		}
		check(t, h.Close(within(t)))
		if r, err := CheckLog(within(t), again, nil); err != nil || len(r.Faults) > 0 || r.Size != 2 {
			t.Errorf("log check: %+v, %v", r, err)
		}
	})
}

// TestBackupIsOlder: a backup that is older than what others have seen is
// refused with the reason; with the log of a mirror the node goes on.
func TestBackupIsOlder(t *testing.T) {
	dir := newNode(t, InitOptions{})
	h := connect(t, dir)
	first := publish(t, h, "1.0.0", "first")
	file := filepath.Join(t.TempDir(), "node.backup")
	_, err := Backup(within(t), dir, file, BackupOptions{})
	check(t, err)
	second := publish(t, h, "1.1.0", "second")
	check(t, h.Close(within(t)))
	_, mirror := mirrorOf(t, dir, first.Envelope.Digest(), second.Envelope.Digest())

	again := restored(t, file, "")
	if _, err := ResumeLog(within(t), again, []string{mirror}, false); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("resuming without keys: %v", err)
	}
	again = restored(t, file, dir)
	if _, err := ResumeLog(within(t), again, []string{mirror}, false); !errors.Is(err, ledger.ErrBehind) {
		t.Fatalf("resuming an older backup: %v", err)
	}
	check(t, os.Rename(filepath.Join(again, logDir), filepath.Join(again, "old-log")))
	r, err := RestoreLog(within(t), again, RestoreOptions{From: []string{mirror}})
	if err != nil || r.Size != 2 {
		t.Fatalf("%+v, %v", r, err)
	}
	_, err = ResumeLog(within(t), again, []string{mirror}, false)
	check(t, err)
	h = connect(t, again)
	if r, err := h.Submit(within(t), sign(t, h, "1.2.0").Bytes()); err != nil || r.Index != 2 {
		t.Errorf("the next statement: %+v, %v", r, err)
	}
}

// TestBackupWhileWriting: a backup that is made while another process serves the
// node and others write has all that was acknowledged before it began, and its
// log is whole, with the database of each engine.
func TestBackupWhileWriting(t *testing.T) {
	storetest.URLs(t, func(t *testing.T, url string) {
		dir := newNode(t, InitOptions{})
		if url[0] != '/' {
			check(t, appendTo(filepath.Join(dir, ConfigFile), "\ndatabase = \""+url+"\"\n"))
		}
		p := startProcess(t, dir)
		h := connect(t, dir)
		ctx, stop := context.WithCancel(within(t))
		var highest atomic.Int64
		var work sync.WaitGroup
		enough := make(chan bool)
		for i := range 4 {
			work.Go(func() {
				for j := 0; ctx.Err() == nil; j++ {
					r, err := h.Submit(ctx, sign(t, h, fmt.Sprintf("%d.%d", i, j)).Bytes())
					if err != nil {
						if ctx.Err() == nil {
							t.Errorf("submitting: %v", err)
						}
						return
					}
					for old := highest.Load(); r.Index > old && !highest.CompareAndSwap(old, r.Index); old = highest.Load() {
					}
					if j == 3 && i == 0 {
						close(enough)
					}
				}
			})
		}
		<-enough
		var files []string
		var floors []int64
		for i := range 3 {
			floors = append(floors, highest.Load()+1)
			files = append(files, filepath.Join(t.TempDir(), fmt.Sprint(i)))
			_, err := Backup(within(t), dir, files[i], BackupOptions{Keys: true})
			check(t, err)
		}
		stop()
		work.Wait()
		check(t, h.Close(within(t)))
		_ = p.end(t, os.Interrupt)
		for i, file := range files {
			again := restored(t, file, "")
			if url[0] != '/' { // as somebody who has no copy of the database
				check(t, os.Remove(filepath.Join(again, ConfigFile)))
				b, err := os.ReadFile(filepath.Join(dir, ConfigFile))
				check(t, err)
				check(t, os.WriteFile(filepath.Join(again, ConfigFile), b, 0o600))
				setConfig(t, again, "database = \""+url+"\"", "database = \""+storetest.Postgres(t)+"\"")
			}
			h := connect(t, again)
			rebuilt, err := h.Rebuild(within(t), nil)
			check(t, err)
			check(t, h.Close(within(t)))
			r, err := CheckLog(within(t), again, nil)
			check(t, err)
			if len(r.Faults) > 0 || r.Size < floors[i] || r.Entries != r.Size {
				t.Errorf("backup %d: %+v, want at least %d entries", i, r, floors[i])
			}
			if rebuilt.Statements != r.Size {
				t.Errorf("backup %d: %d of %d statements", i, rebuilt.Statements, r.Size)
			}
		}
	})
}

// TestRestoreRefuses: what is damaged, cut, or not empty is refused, and leaves
// nothing.
func TestRestoreRefuses(t *testing.T) {
	dir := newNode(t, InitOptions{})
	h := connect(t, dir)
	publish(t, h, "1.0.0", "first")
	check(t, h.Close(within(t)))
	file := filepath.Join(t.TempDir(), "node.backup")
	_, err := Backup(within(t), dir, file, BackupOptions{})
	check(t, err)
	whole, err := os.ReadFile(file)
	check(t, err)
	place := t.TempDir()
	target := filepath.Join(place, "node")
	for _, at := range []int{0, 1, len(whole) / 3, len(whole) / 2, len(whole) - 9, len(whole) - 1} {
		for what, b := range map[string][]byte{
			"cut": whole[:at], "flipped": append(append(append([]byte{}, whole[:at]...), whole[at]^1), whole[at+1:]...),
		} {
			if at == 1 && what == "flipped" {
				continue
			}
			bad := filepath.Join(t.TempDir(), "bad")
			check(t, os.WriteFile(bad, b, 0o600))
			if _, err := RestoreNode(within(t), bad, target, RestoreNodeOptions{}); err == nil {
				t.Errorf("%s at %d was restored", what, at)
			}
			wantLeft(t, place)
		}
	}
	if _, err := RestoreNode(within(t), file, target, RestoreNodeOptions{Limits: backup.Limits{Bytes: 1 << 10}}); !errors.Is(err, backup.ErrTooLarge) {
		t.Errorf("a backup beyond the bound: %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := RestoreNode(ended, file, target, RestoreNodeOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
	if _, err := Backup(ended, dir, filepath.Join(place, "other"), BackupOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted backup: %v", err)
	}
	wantLeft(t, place)
	if _, err := RestoreNode(within(t), file, dir, RestoreNodeOptions{}); !errors.Is(err, fs.ErrExist) {
		t.Errorf("restored over a node: %v", err)
	}
}

func readerOf(s string) io.Reader { return strings.NewReader(s) }

func contentDigest(s string) digest.Digest { return digest.Of([]byte(s)) }
