package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"vitrine.example/internal/fixture"
	"vitrine.example/key"
	"vitrine.example/proof"
	"vitrine.example/statement"
	"vitrine.example/tlog"
	"vitrine.example/verdict"
)

// TestVerifyMakesNoNetworkCall watches every thread of a verify that accepts
// and of one that refuses: not one system call of the network class is made.
func TestVerifyMakesNoNetworkCall(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Fatal("strace is missing; install it: apt-get install strace")
	}
	bin, err := lookVitrine()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	writeSmallWorld(t, dir)
	// A program that does use the network shows that the watch works.
	if got := watch(t, strace, dir, 2, bin, "policy", "init", "--node", "http://127.0.0.1:1", "-o", "p.toml"); len(got) == 0 {
		t.Fatal("strace saw no network call of a command that makes some")
	}
	evidence, vkey := forkEvidence()
	if err := os.WriteFile(filepath.Join(dir, "evidence.fork"), evidence, 0o644); err != nil {
		t.Fatal(err)
	}
	if got := watch(t, strace, dir, 0, bin, "log", "verify-fork", "evidence.fork", "--vkey", string(vkey)); len(got) > 0 {
		t.Errorf("verify-fork made network calls:\n%s", got)
	}
	verify := []string{bin, "verify", "app.tar.gz", "--policy", "policy.toml", "--at", fixture.Epoch.Format(time.RFC3339)}
	if got := watch(t, strace, dir, 0, verify...); len(got) > 0 {
		t.Errorf("an accepting verify made network calls:\n%s", got)
	}
	if err := os.WriteFile(filepath.Join(dir, "app.tar.gz"), []byte("other bytes"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := watch(t, strace, dir, 1, verify...); len(got) > 0 {
		t.Errorf("a refusing verify made network calls:\n%s", got)
	}
}

// watch returns what network calls a command and its threads make.
func watch(t *testing.T, strace, dir string, want int, command ...string) []byte {
	t.Helper()
	log := filepath.Join(t.TempDir(), "strace")
	cmd := exec.Command(strace, append([]string{"-f", "-qq", "-e", "trace=network", "-e", "signal=none", "-o", log, "--"}, command...)...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != want {
		t.Fatalf("%v: %v, want exit %d\n%s", command, err, want, out)
	}
	b, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// writeSmallWorld writes app.tar.gz, its bundle and policy.toml into dir.
func writeSmallWorld(t *testing.T, dir string) {
	t.Helper()
	w := fixture.New("network", key.P256)
	f := fixture.File{Name: "app.tar.gz", Data: []byte("the bytes of app\n")}
	b := proof.Bundle{Statements: []proof.Logged{w.Logged("pkg:generic/app", "1.0", "", f)}}
	bundle, err := b.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	p := verdict.Policy{
		Signers: []verdict.Signer{{Name: "vendor", Key: w.Vendor.Public(), May: []string{statement.ReleaseType}}},
		Log:     tlog.Policy{Logs: []tlog.PolicyLog{{Key: w.Log.Verifier()}}, Quorum: "none"},
	}
	policy, err := p.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{f.Name: f.Data, f.Name + ".vitrine": bundle, "policy.toml": policy} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
