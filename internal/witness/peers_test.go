package witness_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"database/sql"
	"errors"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"vitrine.example/internal/witness"
	"vitrine.example/internal/witness/conformance"
	"vitrine.example/test/peer"
	"vitrine.example/tlog"
)

const litewitnessVersion = "v0.9.0"

// litewitness starts one that knows these logs, and returns its URL and key. It
// ends with the test.
func litewitness(t testing.TB, logs []witness.Log) (string, tlog.Verifier) {
	t.Helper()
	program, err := peer.Build(t.Context(), "filippo.io/torchwood/cmd/litewitness", litewitnessVersion)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	key, err := serveAgent(t, filepath.Join(dir, "agent"))
	if err != nil {
		t.Fatal(err)
	}
	v, err := tlog.NewVerifier(witnessName, tlog.Ed25519Cosignature, key)
	if err != nil {
		t.Fatal(err)
	}
	sshKey, err := ssh.NewPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	addr := freePort(t)
	run := func() (stop func()) {
		cmd := exec.Command(program, "-db", filepath.Join(dir, "db"), "-name", witnessName, "-ssh-agent", filepath.Join(dir, "agent"),
			"-key", ssh.FingerprintSHA256(sshKey), "-listen", addr)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		await(t, addr, &out)
		return func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	}
	run()() // makes the tables
	if err := configure(filepath.Join(dir, "db"), logs); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(run())
	return "http://" + addr, v
}

// suiteLogs are the logs that the suite plays.
func suiteLogs(t testing.TB, seed string) (out []witness.Log) {
	t.Helper()
	logs, err := conformance.Logs(seed)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range logs {
		out = append(out, witness.Log{Origin: l.Origin, Keys: l.Keys})
	}
	return out
}

// serveAgent runs an ssh-agent with one new key until the test ends.
func serveAgent(t testing.TB, path string) (ed25519.PublicKey, error) {
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	ring := agent.NewKeyring()
	if err := ring.Add(agent.AddedKey{PrivateKey: key}); err != nil {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _ = agent.ServeAgent(ring, c) }()
		}
	}()
	return pub, nil
}

func freePort(t testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// await waits until a server answers.
func await(t testing.TB, addr string, out *bytes.Buffer) {
	for range 200 {
		res, err := http.Get("http://" + addr + "/")
		if err == nil {
			_ = res.Body.Close()
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("it does not answer: %s", out)
}

// configure writes the logs of the suite into litewitness's database, as its
// witnessctl does, which does not build from the module proxy.
func configure(path string, logs []witness.Log) (err error) {
	db, err := sql.Open("sqlite", path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	for _, l := range logs {
		ctx := context.Background()
		if _, err := db.ExecContext(ctx, `INSERT INTO log (origin, tree_size, tree_hash) VALUES (?, 0, ?)`, l.Origin, tlog.EmptyRoot().String()); err != nil {
			return err
		}
		for _, k := range l.Keys {
			if _, err := db.ExecContext(ctx, `INSERT INTO key (origin, key) VALUES (?, ?)`, l.Origin, k.String()); err != nil {
				return err
			}
		}
	}
	return nil
}
