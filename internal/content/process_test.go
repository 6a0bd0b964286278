package content_test

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
	"strings"
	"syscall"
	"testing"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/content"
)

// TestMain lets the test program be started again as another process.
func TestMain(m *testing.M) {
	if role, ok := roles[os.Getenv("CONTENT_TEST_ROLE")]; ok {
		if err := role(os.Getenv("CONTENT_TEST_DIR")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

var roles = map[string]func(dir string) error{
	"putter": putter, "holder": holder, "filler": filler,
}

// another returns a command that plays a role in dir.
func another(t *testing.T, role, dir string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), "CONTENT_TEST_ROLE="+role, "CONTENT_TEST_DIR="+dir)
	cmd.Stderr = os.Stderr
	return cmd
}

// putter stores and moves content for ever, and prints the digest of what it
// has stored when that is promised to be durable.
func putter(dir string) error {
	s, err := content.Open(dir)
	if err != nil {
		return err
	}
	for n := 0; ; n++ {
		class := content.Classes()[rand.IntN(4)]
		// Half of it is what others store too.
		in, err := s.Put(context.Background(), class, bytes.NewReader(some(rand.Uint64N(4000), rand.IntN(200_000))), plenty)
		if errors.Is(err, content.ErrConflict) {
			continue
		} else if err != nil {
			return err
		}
		fmt.Println(in.Digest)
		if n%5 == 0 {
			if err := s.Reclassify(context.Background(), in.Digest, content.Classes()[rand.IntN(4)]); err != nil {
				return err
			}
		}
	}
}

// child is a putter.
type child struct {
	cmd   *exec.Cmd
	lines chan string
}

// start starts a putter and may wait until it has stored something.
func start(t *testing.T, dir string, wait bool) *child {
	t.Helper()
	c := &child{another(t, "putter", dir), make(chan string, 1<<16)}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	first := make(chan struct{})
	go func() {
		defer close(c.lines)
		for n, r := 0, bufio.NewReader(out); ; n++ {
			line, err := r.ReadString('\n')
			if n == 0 {
				close(first)
			}
			if err != nil {
				return // a line that was not finished promises nothing
			}
			c.lines <- strings.TrimSuffix(line, "\n")
		}
	}()
	if wait {
		<-first
	}
	return c
}

// kill kills the putter and returns what it promised.
func (c *child) kill(t *testing.T) []digest.Digest {
	t.Helper()
	if err := c.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	var promised []digest.Digest
	for line := range c.lines {
		d, err := digest.Parse(line)
		if err != nil {
			t.Fatal(err)
		}
		promised = append(promised, d)
	}
	if err := c.cmd.Wait(); err == nil || c.cmd.ProcessState.Exited() {
		t.Fatalf("a process ended before it was killed: %v", err)
	}
	return promised
}

// TestKilled kills two processes at a random moment, again and again. Nothing
// that is visible may be broken, nothing that was promised may be missing, and
// what they left must go.
func TestKilled(t *testing.T) {
	dir := t.TempDir()
	promised := map[digest.Digest]bool{}
	littered := 0
	for round := range 24 {
		// Some are killed while they open the store, the others later.
		a, b := start(t, dir, round%4 > 0), start(t, dir, false)
		time.Sleep(time.Duration(rand.IntN(60)) * time.Millisecond)
		for _, c := range []*child{a, b} {
			for _, d := range c.kill(t) {
				promised[d] = true
			}
		}
		entries, err := os.ReadDir(filepath.Join(dir, "tmp"))
		if err != nil {
			if errors.Is(err, os.ErrNotExist) {
				continue // killed before it could begin
			}
			t.Fatal(err)
		}
		littered += len(entries)
		s := open(t, dir)
		leftovers(t, dir)
		seen := map[digest.Digest]bool{}
		if err := s.Walk(t.Context(), func(in content.Info) error {
			seen[in.Digest] = true
			return s.Check(t.Context(), in.Digest)
		}); err != nil {
			t.Fatal(err)
		}
		for d := range promised {
			if !seen[d] {
				t.Fatalf("%s was promised and is gone", d)
			}
		}
	}
	t.Logf("%d promised, %d temporary files left by crashes", len(promised), littered)
	if len(promised) < 10 {
		t.Errorf("only %d contents were stored: the test proves nothing", len(promised))
	}
}

// holder begins to write and commits when it is told to.
func holder(dir string) error {
	s, err := content.Open(dir)
	if err != nil {
		return err
	}
	w, err := s.Create(context.Background(), content.Public, plenty)
	if err != nil {
		return err
	}
	if _, err := w.Write([]byte("held")); err != nil {
		return err
	}
	fmt.Println("ready")
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		return err
	}
	_, err = w.Commit()
	return err
}

// TestLivingWriter: opening the store leaves the temporary file of another
// process alone while that lives, and removes it when it was killed.
func TestLivingWriter(t *testing.T) {
	dir := t.TempDir()
	for _, kill := range []bool{true, false} {
		cmd := another(t, "holder", dir)
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		s := open(t, dir)
		if entries, err := os.ReadDir(filepath.Join(dir, "tmp")); err != nil || len(entries) != 1 {
			t.Errorf("the file of a living writer: %v, %v", entries, err)
		}
		if kill {
			_ = cmd.Process.Kill()
			_ = cmd.Wait() // says that it was killed
			open(t, dir)
		} else {
			fmt.Fprintln(in, "commit")
			if err := cmd.Wait(); err != nil {
				t.Fatal(err)
			}
			if err := s.Check(t.Context(), digest.Of([]byte("held"))); err != nil {
				t.Error(err)
			}
		}
		leftovers(t, dir)
	}
}
