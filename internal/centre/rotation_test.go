package centre

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"vitrine.example/internal/release"
	"vitrine.example/tlog"
)

// dieEnv makes the test program do some of the changes of a step, and then kill
// itself: "KIND STEP CHANGES DIR".
const dieEnv = "VITRINE_TEST_ROTATE"

func rotateAndDie() {
	text := os.Getenv(dieEnv)
	if text == "" {
		return
	}
	parts := strings.SplitN(text, " ", 4)
	ctx := context.Background()
	n, err := Open(ctx, parts[3], quiet())
	if err == nil {
		var r *rotation
		if r, err = n.rotation(parts[0]); err == nil {
			err = r.partly(parts[1], parts[2])
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGKILL); err != nil {
		os.Exit(2)
	}
	select {}
}

// partly does the first changes of a step; more than there are is an error.
func (r *rotation) partly(what, changes string) (err error) {
	steps, n := []step{}, 0
	if n, err = strconv.Atoi(changes); err != nil {
		return err
	}
	switch what {
	case "use":
		k, _, err := r.one(KeyPrepared)
		if err != nil {
			return err
		}
		if steps, _, err = r.exchange(k); err != nil {
			return err
		}
	case "retire":
		old, _, err := r.one(KeyOld)
		if err != nil {
			return err
		}
		steps, _ = r.retirement(old, false)
	}
	if n > len(steps) {
		return fmt.Errorf("%s has %d changes, not %d", what, len(steps), n)
	}
	return perform(steps[:n])
}

// dieIn runs partly in a process that is killed then.
func dieIn(t *testing.T, dir, kind, step string, changes int) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %s %d %s", dieEnv, kind, step, changes, dir))
	out, err := cmd.CombinedOutput()
	var e *exec.ExitError
	if !errors.As(err, &e) || e.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("%s %s, %d changes: %v\n%s", step, kind, changes, err, out)
	}
}

// stepped does a step in the directory of a node that nobody serves.
func stepped(t *testing.T, dir, do, kind string) *Rotated {
	t.Helper()
	h := connect(t, dir)
	r, err := h.Rotate(within(t), RotateAsk{Do: do, Kind: kind})
	check(t, errors.Join(err, h.Close(within(t))))
	return r
}

// keyStates are the states of a kind's keys.
func keyStates(t *testing.T, dir, kind string) (out []KeyState) {
	t.Helper()
	h := connect(t, dir)
	all, err := h.Keys(within(t))
	check(t, errors.Join(err, h.Close(within(t))))
	for _, k := range all {
		if k.Kind == kind {
			out = append(out, k.State)
		}
	}
	return out
}

func wantStates(t *testing.T, dir, kind string, want ...KeyState) {
	t.Helper()
	if got := keyStates(t, dir, kind); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s keys are %q, want %q", kind, got, want)
	}
}

// checkpointOf is a node's newest, signed anew by all that sign now.
func checkpointOf(t *testing.T, h *Handle, text string) *tlog.SignedCheckpoint {
	t.Helper()
	publish(t, h, text, text)
	raw, err := os.ReadFile(filepath.Join(h.dir, logDir, "checkpoint"))
	check(t, err)
	c, err := tlog.ParseCheckpoint(raw)
	check(t, err)
	return c
}

func signs(t *testing.T, vkey string, c *tlog.SignedCheckpoint) bool {
	t.Helper()
	v, err := tlog.ParseVerifier(vkey)
	check(t, err)
	_, err = v.Verify(c)
	if err != nil && !errors.Is(err, tlog.ErrNotSigned) {
		t.Fatal(err)
	}
	return err == nil
}

func dumpOf(t *testing.T, h *Handle) string {
	t.Helper()
	var b strings.Builder
	check(t, h.Dump(within(t), &b))
	return b.String()
}

func wantSound(t *testing.T, dir string) {
	t.Helper()
	r, err := CheckLog(within(t), dir, nil)
	check(t, err)
	if len(r.Faults) > 0 {
		t.Errorf("the log: %v", r.Faults)
	}
	for _, f := range Doctor(within(t), dir) {
		if !f.OK && f.Check != "listen" {
			t.Errorf("doctor: %s: %s", f.Check, f.Detail)
		}
	}
}

// TestKilledRotation: a process that is killed with SIGKILL after any change of
// any step leaves a node that opens and is sound, and running the step again
// ends as if nothing had happened.
func TestKilledRotation(t *testing.T) {
	for _, kind := range []string{"log", "statement"} {
		t.Run(kind, func(t *testing.T) {
			dir := newNode(t, InitOptions{})
			h := connect(t, dir)
			first := publish(t, h, "0", "before")
			check(t, h.Close(within(t)))
			for changes := range 4 {
				prepared := stepped(t, dir, "prepare", kind)
				if again := stepped(t, dir, "prepare", kind); again.ID != prepared.ID {
					t.Errorf("preparing again made another key")
				}
				dieIn(t, dir, kind, "use", changes)
				wantSound(t, dir)
				if used := stepped(t, dir, "use", kind); used.Key != prepared.Key {
					t.Errorf("after %d changes the key in use is\n%s, want\n%s", changes, used.Key, prepared.Key)
				}
				wantSound(t, dir)
				h := connect(t, dir)
				checkpointOf(t, h, fmt.Sprint("new ", changes))
				if r, err := h.Submit(within(t), first.Envelope.Bytes()); err != nil || r.Index != first.Index || !r.Duplicate {
					t.Errorf("again under the first key: %+v, %v", r, err)
				}
				check(t, h.Close(within(t)))
				dieIn(t, dir, kind, "retire", changes)
				wantSound(t, dir)
				if len(keyStates(t, dir, kind)) > changes+1 && changes < 3 { // the last change has done it
					stepped(t, dir, "retire", kind)
				}
				want := []KeyState{KeyInUse}
				for range changes + 1 {
					want = append(want, KeyRetired)
				}
				wantStates(t, dir, kind, want...)
				wantSound(t, dir)
			}
		})
	}
}

// TestRotationOfTheLog: while the old key is there, checkpoints bear the
// signatures of both, so that whoever knows either goes on; it is not retired
// before the new one has signed; backups and archives made between verify.
func TestRotationOfTheLog(t *testing.T) {
	for _, kind := range []string{"log", "log-mldsa"} {
		t.Run(kind, func(t *testing.T) {
			dir := newNode(t, InitOptions{MLDSA: true})
			h := connect(t, dir)
			was := h.Info().Log
			old := was[map[string]int{"log": 0, "log-mldsa": 1}[kind]]
			c := checkpointOf(t, h, "1")
			next, err := h.Rotate(within(t), RotateAsk{Do: "rotate", Kind: kind})
			check(t, err)
			if i := h.local().Info(); len(i.Log) != 3 || i.Log[2] != next.Key {
				t.Errorf("node.json lacks the prepared key: %v", i.Log)
			}
			if !signs(t, old, c) || signs(t, next.Key, c) {
				t.Error("a prepared key signs")
			}
			_, err = h.Rotate(within(t), RotateAsk{Do: "rotate", Kind: kind})
			check(t, err)
			check(t, h.Close(within(t)))
			wantStates(t, dir, kind, KeyInUse, KeyOld)
			// Nothing new is signed yet.
			_, err = Backup(within(t), dir, filepath.Join(t.TempDir(), "a.backup"), BackupOptions{})
			check(t, err)
			h = connect(t, dir)
			if _, err := h.Rotate(within(t), RotateAsk{Do: "rotate", Kind: kind}); kind == "log" && !errors.Is(err, ErrRotation) {
				t.Errorf("retired before the new key has signed: %v", err)
			}
			if kind == "log" {
				c = checkpointOf(t, h, "2")
				if !signs(t, old, c) || !signs(t, next.Key, c) {
					t.Error("in the overlap both keys have to sign")
				}
			}
			check(t, h.Close(within(t)))
			file := filepath.Join(t.TempDir(), "b.backup")
			_, err = Backup(within(t), dir, file, BackupOptions{Keys: true})
			check(t, err)
			back := filepath.Join(t.TempDir(), "back")
			if r, err := RestoreNode(within(t), file, back, RestoreNodeOptions{}); err != nil || len(r.Missing) > 0 {
				t.Errorf("restoring what was backed up in the overlap: %+v, %v", r, err)
			}
			if kind == "log" {
				stepped(t, dir, "retire", kind)
				h = connect(t, dir)
				if c = checkpointOf(t, h, "3"); signs(t, old, c) || !signs(t, next.Key, c) {
					t.Error("a retired key signs")
				}
				if i := h.Info(); len(i.Retired) != 1 || i.Retired[0].Key != old || i.Retired[0].Kind != "log" {
					t.Errorf("node.json: %+v", i.Retired)
				}
				check(t, h.Close(within(t)))
			}
			wantSound(t, dir)
		})
	}
}

// TestRotationOfStatements: what the old key signed stays, through a rebuild to
// the byte, and what it signs anew is refused.
func TestRotationOfStatements(t *testing.T) { eachEngine(t, rotateStatements) }

func rotateStatements(t *testing.T, dir string) {
	h := connect(t, dir)
	was := h.keys.statement
	one := publish(t, h, "1", "one")
	late := sign(t, h, "late")
	check(t, h.Close(within(t)))
	stepped(t, dir, "prepare", statementKind)
	stepped(t, dir, "use", statementKind)
	h = connect(t, dir)
	two := publish(t, h, "2", "two")
	if two.Envelope.KeyID() == one.Envelope.KeyID() {
		t.Error("the old key signed a new statement")
	}
	if _, err := h.Submit(within(t), late.Bytes()); !errors.Is(err, ErrForbidden) {
		t.Errorf("a new statement under the old key: %v", err)
	}
	if i := h.Info(); len(i.Statement) != 2 || i.Statement[1] != string(was.Public().PEM()) {
		t.Errorf("node.json: %v", i.Statement)
	}
	check(t, h.Close(within(t)))
	stepped(t, dir, "retire", statementKind)
	h = connect(t, dir)
	before := dumpOf(t, h)
	if r, err := h.Rebuild(within(t), nil); err != nil || r.Statements != 2 {
		t.Errorf("rebuilt: %+v, %v", r, err)
	}
	if after := dumpOf(t, h); after != before {
		t.Errorf("after a rebuild:\n%s\nwant\n%s", after, before)
	}
	check(t, h.Close(within(t)))
	for _, suffix := range []string{"", "-wal", "-shm"} { // the database is lost
		_ = os.Remove(filepath.Join(dir, "vitrine.db"+suffix))
	}
	h = connect(t, dir)
	for _, p := range []*release.Published{one, two} {
		if r, err := h.Submit(within(t), p.Envelope.Bytes()); err != nil || !r.Duplicate || r.Index != p.Index {
			t.Errorf("again: %+v, %v", r, err)
		}
	}
	if after := dumpOf(t, h); after != before {
		t.Errorf("after the database was lost:\n%s\nwant\n%s", after, before)
	}
	if _, err := h.Submit(within(t), late.Bytes()); !errors.Is(err, ErrForbidden) {
		t.Errorf("a new statement under the retired key: %v", err)
	}
}

// TestRefusedSteps: a served node is not changed under the process that serves
// it, and a step out of order says what to do.
func TestRefusedSteps(t *testing.T) {
	dir := newNode(t, InitOptions{})
	_, stop := serve(t, dir)
	h := connect(t, dir)
	ask := func(do, kind string, want error, text string) {
		t.Helper()
		if _, err := h.Rotate(within(t), RotateAsk{Do: do, Kind: kind}); !errors.Is(err, want) || !strings.Contains(err.Error(), text) {
			t.Errorf("%s %s: %v", do, kind, err)
		}
	}
	ask("prepare", "bastion", ErrRotation, "statement, log, log-mldsa, witness")
	ask("prepare", "log-mldsa", ErrRotation, ConfigFile)
	next, err := h.Rotate(within(t), RotateAsk{Do: "prepare", Kind: "witness"})
	check(t, err)
	s, err := h.Status(within(t))
	check(t, err)
	if w := s.Info.Witness; len(w) != 3 || w[2] != next.Key {
		t.Errorf("the process that serves does not tell of the prepared key: %v", w)
	}
	ask("use", "witness", ErrServed, "stop it")
	ask("retire", "witness", ErrServed, "stop it")
	stop()
	h = connect(t, dir)
	ask("retire", "witness", ErrRotation, "vitrine key use")
	ask("use", "log", ErrRotation, "vitrine key prepare")
	ask("use up", "log", ErrRotation, "no step")
}
