package witness_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"vitrine.example/internal/store"
	"vitrine.example/internal/store/storetest"
	"vitrine.example/internal/witness"
	"vitrine.example/tlog"
)

// child, when set, makes this program a witness instead of a test: on the
// database that it names.
const child = "VITRINE_WITNESS_CHILD"

// updatesVar says how many updates TestKill makes; the default is small.
// VITRINE_WITNESS_UPDATES=10000 is the long run.
const updatesVar = "VITRINE_WITNESS_UPDATES"

func TestMain(m *testing.M) {
	if db := os.Getenv(child); db != "" {
		fmt.Fprintln(os.Stderr, serveForEver(db))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func serveForEver(path string) error {
	db, err := store.Open(context.Background(), path)
	if err != nil {
		return err
	}
	o := options(&testing.B{}, db)
	o.State = path + ".state"
	w, err := witness.Open(context.Background(), o)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	return (&http.Server{Handler: w.Handler(), ReadHeaderTimeout: time.Minute}).Serve(l)
}

// victim is a witness in a process of its own.
type victim struct {
	cmd  *exec.Cmd
	url  string
	errs bytes.Buffer
}

func start(t *testing.T, db string) *victim {
	t.Helper()
	v := &victim{cmd: exec.Command(os.Args[0])}
	v.cmd.Env = append(os.Environ(), child+"="+db)
	v.cmd.Stderr = &v.errs
	out, err := v.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := v.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		_ = v.cmd.Wait()
		t.Fatalf("%v: %s", err, &v.errs)
	}
	v.url = "http://" + strings.TrimSpace(line)
	return v
}

func (v *victim) kill() {
	_ = v.cmd.Process.Kill()
	_ = v.cmd.Wait()
	http.DefaultClient.CloseIdleConnections()
}

// send returns the status, or 0 where there was no answer.
func (v *victim) send(q *tlog.AddCheckpoint) (int, []byte) {
	res, err := http.Post(v.url+"/add-checkpoint", "", bytes.NewReader(q.Marshal()))
	if err != nil {
		return 0, nil
	}
	b, err := io.ReadAll(res.Body)
	if errors.Join(err, res.Body.Close()) != nil {
		return 0, nil
	}
	return res.StatusCode, b
}

// newest is the checkpoint that the witness serves.
func (v *victim) newest(t *testing.T, l *testLog) tlog.Checkpoint {
	t.Helper()
	res, err := http.Get(fmt.Sprintf("%s/%x/checkpoint", v.url, sha256.Sum256([]byte(l.origin))))
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(res.Body)
	if err := errors.Join(err, res.Body.Close()); err != nil {
		t.Fatal(err)
	}
	if res.StatusCode == http.StatusNotFound {
		return tlog.Checkpoint{Origin: l.origin, Root: tlog.EmptyRoot()}
	}
	c, err := tlog.ParseCheckpoint(b)
	if err != nil {
		t.Fatal(err)
	}
	return c.Checkpoint
}

// Killed at any moment in the middle of a stream of updates, a witness never
// signs two views, and its state is never behind a cosignature that it has given.
// What it keeps beside its database agrees with it after each kill: else the next
// update would not be cosigned. Each update is two requests at once that show different histories; whichever
// wins is the log from there on.
func TestKill(t *testing.T) {
	updates := 300
	if s := os.Getenv(updatesVar); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		updates = n
	}
	path := filepath.Join(t.TempDir(), "witness.db")
	db := storetest.Open(t, path)
	l := addLog(t, newWitness(t, options(t, db)), newLog(t, "log.example/killed"))
	if err := witness.NewState(path + ".state"); err != nil {
		t.Fatal(err)
	}
	cosigned := map[int64]tlog.Hash{} // by answers
	v, kills, latest := start(t, path), 0, int64(0)
	defer func() { v.kill() }()
	next, usual := rand.IntN(9), time.Millisecond // the update to strike, and how long one takes
	for n := range updates {
		rivals := [2]*testLog{l.fork(l.size, l.size+1, fmt.Sprint("a", n)), l.fork(l.size, l.size+2, fmt.Sprint("b", n))}
		var status [2]int
		done := make(chan struct{})
		go func() {
			defer close(done)
			other := make(chan struct{})
			go func() { defer close(other); status[1], _ = v.send(rivals[1].request(l.size, l.size+2)) }()
			status[0], _ = v.send(rivals[0].request(l.size, l.size+1))
			<-other
		}()
		killed := n == next
		if began := time.Now(); killed {
			time.Sleep(time.Duration(rand.Int64N(int64(usual) * 5 / 4)))
			v.kill()
			<-done
			v = start(t, path)
			kills++
			next = n + 1 + rand.IntN(9)
		} else {
			<-done
			usual = (3*usual + time.Since(began)) / 4
		}
		for i, s := range status {
			if s != http.StatusOK {
				continue
			}
			size, root := rivals[i].size, rivals[i].root(rivals[i].size)
			if other, ok := cosigned[size]; ok && other != root {
				t.Fatalf("update %d: two roots of size %d were cosigned", n, size)
			}
			cosigned[size], latest = root, max(latest, size)
		}
		if status[0] == http.StatusOK && status[1] == http.StatusOK {
			t.Fatalf("update %d: two histories were cosigned", n)
		}
		if !killed && status != [2]int{200, 409} && status != [2]int{409, 200} {
			t.Fatalf("update %d was not disturbed, and got %v", n, status)
		}
		l = follow(t, v, l, rivals, latest)
	}
	for size, root := range cosigned {
		if l.root(size) != root {
			t.Errorf("what was cosigned at size %d is not in the history at the end", size)
		}
	}
	if kills < updates/20 {
		t.Errorf("%d kills in %d updates: too few to show anything", kills, updates)
	}
	t.Logf("%d updates, %d kills, %d answered", updates, kills, len(cosigned))
}

// follow returns the history that the witness has: as before or one of the two.
func follow(t *testing.T, v *victim, l *testLog, rivals [2]*testLog, latest int64) *testLog {
	t.Helper()
	c := v.newest(t, l)
	if c.Size < latest {
		t.Fatalf("the state is at size %d, and %d was cosigned", c.Size, latest)
	}
	for _, h := range append(rivals[:], l) {
		if c.Size == h.size && c.Root == h.root(h.size) {
			return h
		}
	}
	t.Fatalf("the state is at size %d with a root of neither history", c.Size)
	return nil
}
