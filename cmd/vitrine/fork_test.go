package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"vitrine.example/internal/fixture"
	"vitrine.example/key"
	"vitrine.example/proof"
	"vitrine.example/tlog"
)

// forkEvidence is evidence against a log whose first witness cosigned both
// histories, and the log's verifier key.
func forkEvidence() (evidence, vkey []byte) {
	w := fixture.New("fork", key.P256, "ams", "cpt")
	signed := func(entry string, seen ...*tlog.Signer) *tlog.SignedCheckpoint {
		c := &tlog.SignedCheckpoint{Checkpoint: tlog.Checkpoint{Origin: w.Origin, Size: 1, Root: tlog.LeafHash([]byte(entry))}}
		for _, s := range append([]*tlog.Signer{w.Log}, seen...) {
			sig, err := s.SignCheckpoint(c.Checkpoint)
			if err != nil {
				panic(err)
			}
			c.Signatures = append(c.Signatures, sig)
		}
		return c
	}
	ams, cpt := w.Witnesses[0].Signer, w.Witnesses[1].Signer
	f, err := tlog.NewSizeFork(signed("one", ams), signed("other", ams, cpt))
	if err != nil {
		panic(err)
	}
	return f.Marshal(), []byte(w.Log.Verifier().String())
}

// writeForkEvidence EVIDENCE VKEY writes forkEvidence to files.
func writeForkEvidence(ts *testscript.TestScript, _ bool, args []string) {
	evidence, vkey := forkEvidence()
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), evidence, 0o600))
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), vkey, 0o600))
}

// forkKeys are the verifier keys of the witnesses of forkEvidence.
func forkKeys() (both, one string) {
	w := fixture.New("fork", key.P256, "ams", "cpt")
	return w.Witnesses[0].Verifier().String(), w.Witnesses[1].Verifier().String()
}

func TestVerifyForkAnswersYesNoAndNothing(t *testing.T) {
	evidence, vkey := forkEvidence()
	other := fixture.New("stranger", key.P256).Log.Verifier().String()
	i := bytes.Index(evidence, []byte("— "))
	flipped := bytes.Clone(evidence)
	flipped[i+40] ^= 1
	path := filepath.Join(t.TempDir(), "evidence.fork")
	for _, c := range []struct {
		name string
		file []byte
		vkey string
		want int
		says string
	}{
		{"it holds", evidence, string(vkey), exitYes, "holds: the log has signed two histories"},
		{"another log's key", evidence, other, exitNo, "no signature of this key"},
		{"a flipped signature", flipped, string(vkey), exitNo, "signature does not verify"},
		{"no evidence", []byte("hello\n"), string(vkey), exitNone, "fork evidence line 1"},
		{"no key", evidence, "nonsense", exitNone, "--vkey"},
	} {
		if err := os.WriteFile(path, c.file, 0o644); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if got := run([]string{"log", "verify-fork", path, "--vkey", c.vkey}, &out, &out); got != c.want || !strings.Contains(out.String(), c.says) {
			t.Errorf("%s: exit %d, want %d and %q:\n%s", c.name, got, c.want, c.says, &out)
		}
	}
}

func TestVerifyForkNamesTheWitnessThatCosignedBoth(t *testing.T) {
	evidence, vkey := forkEvidence()
	both, one := forkKeys()
	path := filepath.Join(t.TempDir(), "evidence.fork")
	if err := os.WriteFile(path, evidence, 0o644); err != nil {
		t.Fatal(err)
	}
	var out, people bytes.Buffer
	args := []string{"log", "verify-fork", path, "--vkey", string(vkey), "--witness", both, "--witness", one, "--json"}
	if got := run(args, &out, &people); got != exitYes {
		t.Fatalf("exit %d: %s", got, &people)
	}
	var r forkReport
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatalf("%v: %s", err, &out)
	}
	if !r.Holds || r.Kind != "size" || len(r.Witnesses) != 2 || !r.Witnesses[0].Both || r.Witnesses[1].Both {
		t.Errorf("got %+v", r)
	}
}

// TestVerifyWritesTheEvidenceOfTwoHistories gives verify two bundles of one file
// that contradict each other, and has verify-fork judge what it writes.
func TestVerifyWritesTheEvidenceOfTwoHistories(t *testing.T) {
	dir := t.TempDir()
	writeSmallWorld(t, dir)
	in := func(name string) string { return filepath.Join(dir, name) }
	w := fixture.New("network", key.P256)
	other := proof.Bundle{Statements: []proof.Logged{w.Logged("pkg:generic/app", "6.6", "", fixture.File{Name: "app.tar.gz", Data: []byte("the bytes of app\n")})}}
	raw, err := other.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(in("other.vitrine"), raw, 0o644); err != nil {
		t.Fatal(err)
	}
	verify := []string{"verify", in("app.tar.gz"), "--policy", in("policy.toml"), "--at", fixture.Epoch.Format(time.RFC3339)}
	for _, c := range []struct {
		name string
		args []string
		want int
		says string
	}{
		{"one bundle", verify, exitYes, ""},
		{"two histories", append(slices.Clip(verify), "--bundle", in("app.tar.gz.vitrine"), "--bundle", in("other.vitrine"), "--evidence", in("found.fork")), exitNo, "has signed two histories"},
		{"what it wrote", []string{"log", "verify-fork", in("found.fork"), "--vkey", w.Log.Verifier().String()}, exitYes, "holds"},
		{"one bundle and evidence", append(slices.Clip(verify), "--fork", in("found.fork")), exitNo, "has signed two histories"},
		{"no evidence", append(slices.Clip(verify), "--fork", in("policy.toml")), exitNone, "fork evidence line 1"},
	} {
		var out bytes.Buffer
		if got := run(c.args, &out, &out); got != c.want || !strings.Contains(out.String(), c.says) {
			t.Errorf("%s: exit %d, want %d and %q:\n%s", c.name, got, c.want, c.says, &out)
		}
	}
}
