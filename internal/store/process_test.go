package store_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"vitrine.example/internal/store"
	"vitrine.example/internal/store/storetest"
)

// TestMain lets the test program be started again as another process.
func TestMain(m *testing.M) {
	if role, ok := roles[os.Getenv("STORE_TEST_ROLE")]; ok {
		if err := role(os.Getenv("STORE_TEST_URL")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

var roles = map[string]func(url string) error{"opener": opener, "writer": writer, "filler": filler}

// another returns a command that plays a role.
func another(t *testing.T, role, url string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), "STORE_TEST_ROLE="+role, "STORE_TEST_URL="+url)
	cmd.Stderr = os.Stderr
	return cmd
}

// opener opens and closes the database.
func opener(url string) error {
	db, err := store.Open(context.Background(), url)
	if err != nil {
		return err
	}
	return db.Close()
}

// TestMigrateAtOnce: several processes meet one empty database.
func TestMigrateAtOnce(t *testing.T) {
	storetest.URLs(t, func(t *testing.T, url string) {
		var cmds []*exec.Cmd
		for range 4 {
			cmd := another(t, "opener", url)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			cmds = append(cmds, cmd)
		}
		for _, cmd := range cmds {
			if err := cmd.Wait(); err != nil {
				t.Error(err)
			}
		}
		db := storetest.Open(t, url)
		var all, different int64
		scan(t, db, `SELECT count(*), count(DISTINCT version_id) FROM vitrine_schema`, nil, &all, &different)
		if all != different || all < 2 {
			t.Errorf("%d migrations noted, %d different", all, different)
		}
	})
}

// writer counts upwards, one transaction a number, and prints each number when
// its transaction is promised to be durable.
func writer(url string) error {
	db, err := store.Open(context.Background(), url)
	if err != nil {
		return err
	}
	for {
		var n int64
		err := db.Update(context.Background(), func(ctx context.Context, tx *store.Tx) error {
			err := tx.QueryRowContext(ctx, `SELECT coalesce(max(n), 0) + 1 FROM kill`).Scan(&n)
			if err != nil {
				return err
			}
			_, err = tx.ExecContext(ctx, `INSERT INTO kill (n, pad) VALUES ($1, $2)`, n, make([]byte, rand.IntN(3000)))
			return err
		})
		if err != nil {
			return err
		}
		fmt.Println(n)
	}
}

// TestKilled kills a process that writes, again and again: what it promised
// stays, and the database is sound.
func TestKilled(t *testing.T) {
	storetest.URLs(t, func(t *testing.T, url string) {
		run(t, storetest.Open(t, url), `CREATE TABLE kill (n BIGINT PRIMARY KEY, pad blob NOT NULL)`)
		for range 8 {
			cmd := another(t, "writer", url)
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(out)
			if !lines.Scan() {
				t.Fatal("nothing was written")
			}
			time.AfterFunc(time.Duration(rand.IntN(40))*time.Millisecond, func() { _ = cmd.Process.Kill() })
			var promised int64
			for more := true; more; more = lines.Scan() {
				if n, err := strconv.ParseInt(lines.Text(), 10, 64); err == nil {
					promised = max(promised, n)
				}
			}
			if err := cmd.Wait(); err == nil || cmd.ProcessState.Exited() {
				t.Fatalf("the process ended before it was killed: %v", err)
			}
			db, err := store.Open(t.Context(), url)
			if err != nil {
				t.Fatal(err)
			}
			var last, count int64
			scan(t, db, `SELECT max(n), count(*) FROM kill`, nil, &last, &count)
			if last < promised || count != last {
				t.Errorf("%d was promised; there are %d rows, the last is %d", promised, count, last)
			}
			if err := errors.Join(db.Check(t.Context()), db.Close()); err != nil {
				t.Error(err)
			}
		}
	})
}

// TestFull fills a small disk. The disk is a tmpfs in a mount namespace of its
// own, so that nobody else sees it and nothing stays.
func TestFull(t *testing.T) {
	cmd := another(t, "filler", t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	if err := cmd.Run(); err != nil {
		t.Fatalf("on a small disk: %v (the test needs the right to mount: run it as root, or allow unprivileged user namespaces: sysctl kernel.unprivileged_userns_clone=1)", err)
	}
}

// filler is TestFull in its process.
func filler(dir string) error {
	if err := syscall.Mount("", "/", "", syscall.MS_PRIVATE|syscall.MS_REC, ""); err != nil {
		return fmt.Errorf("making mounts private: %w", err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=2m"); err != nil {
		return fmt.Errorf("mounting a small disk: %w", err)
	}
	ctx, path := context.Background(), filepath.Join(dir, "test.db")
	ballast := filepath.Join(dir, "ballast")
	fill := func() error { _ = os.WriteFile(ballast, make([]byte, 4<<20), 0o600); return nil }
	full := func(what string, err error) error {
		if !errors.Is(err, store.ErrFull) || !strings.Contains(err.Error(), "the disk is full") || !strings.Contains(err.Error(), dir) {
			return fmt.Errorf("%s on a full disk: %w", what, err)
		}
		return nil
	}
	if err := fill(); err != nil {
		return err
	}
	_, err := store.Open(ctx, path)
	if err := full("opening", err); err != nil {
		return err
	}
	if err := os.Remove(ballast); err != nil {
		return err
	}
	db, err := store.Open(ctx, path)
	if err != nil {
		return err
	}
	run := func(query string, args ...any) error {
		return db.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.ExecContext(ctx, query, args...)
			return err
		})
	}
	if err := run(`CREATE TABLE t (n BIGINT PRIMARY KEY, pad blob NOT NULL)`); err != nil {
		return err
	}
	kept := 0
	for err = nil; err == nil && kept < 1000; kept++ {
		err = run(`INSERT INTO t VALUES ($1, $2)`, kept, bytes.Repeat([]byte{1}, 20_000))
	}
	kept-- // the last one failed
	if err := full("writing", err); err != nil {
		return err
	}
	count := func() error {
		var n int
		err := db.View(ctx, func(ctx context.Context, tx *store.Tx) error {
			return tx.QueryRowContext(ctx, `SELECT count(*) FROM t WHERE length(pad) = 20000`).Scan(&n)
		})
		if err != nil || n != kept {
			return fmt.Errorf("%d rows of %d: %w", n, kept, err)
		}
		return db.Check(ctx)
	}
	if err := count(); err != nil {
		return err
	}
	if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT, "size=8m"); err != nil {
		return err
	}
	if err := run(`INSERT INTO t VALUES ($1, $2)`, kept, bytes.Repeat([]byte{1}, 20_000)); err != nil {
		return fmt.Errorf("with room again: %w", err)
	}
	kept++
	if err := errors.Join(count(), db.Close()); err != nil {
		return err
	}
	if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		return err
	}
	if _, err := store.Open(ctx, path); err == nil || !strings.Contains(err.Error(), "cannot write in "+dir) {
		return fmt.Errorf("on a disk that is read-only: %w", err)
	}
	return nil
}

// TestServerEnds: when a test program is killed, its PostgreSQL ends and leaves
// nothing, be it while the server is being made or while it runs.
func TestServerEnds(t *testing.T) {
	for name, sign := range map[string]string{"while made": "", "while run": "data/postmaster.opts"} {
		t.Run(name, func(t *testing.T) {
			tmp := t.TempDir()
			for _, d := range []string{filepath.Dir(tmp), tmp} { // reachable for the server's account
				if err := os.Chmod(d, 0o777); err != nil {
					t.Fatal(err)
				}
			}
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(self, "-test.run=^TestNoLostUpdate$/^postgres$", "-test.count=10000")
			cmd.Env = append(os.Environ(), "TMPDIR="+tmp)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			eventually(t, "no server was started", func() bool {
				found, _ := filepath.Glob(filepath.Join(tmp, "storetest-*", sign))
				return len(found) > 0
			})
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Wait(); err == nil || cmd.ProcessState.Exited() {
				t.Fatalf("the test program ended before it was killed: %v", err)
			}
			// The directory goes after the server has ended.
			eventually(t, "the server was not removed", func() bool {
				left, _ := filepath.Glob(filepath.Join(tmp, "storetest-*"))
				return len(left) == 0
			})
		})
	}
}

// eventually waits for something to become true.
func eventually(t *testing.T, otherwise string, f func() bool) {
	t.Helper()
	for range 1200 {
		if f() {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal(otherwise)
}
