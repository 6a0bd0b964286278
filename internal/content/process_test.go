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

// TestKilled kills two processes at a random moment, again and again. Nothing
// that is visible may be broken, nothing that was promised may be missing, and
// what they left must go.
func TestKilled(t *testing.T) {
	dir := t.TempDir()
	promised := map[digest.Digest]bool{}
	littered := 0
	for range 25 {
		var cmds []*exec.Cmd
		var outs []*bytes.Buffer
		for range 2 {
			cmd, out := another(t, "putter", dir), new(bytes.Buffer)
			cmd.Stdout = out
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			cmds, outs = append(cmds, cmd), append(outs, out)
		}
		time.Sleep(time.Duration(20+rand.IntN(80)) * time.Millisecond)
		for i, cmd := range cmds {
			if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Wait(); err == nil || cmd.ProcessState.Exited() {
				t.Fatalf("a process ended before it was killed: %v", err)
			}
			for line := range strings.Lines(outs[i].String()) {
				if d, err := digest.Parse(strings.TrimSuffix(line, "\n")); err == nil {
					promised[d] = true
				}
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
