package quorum_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"database/sql"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"vitrine.example/internal/quorum"
	"vitrine.example/internal/store/storetest"
	"vitrine.example/test/peer"
	"vitrine.example/tlog"
)

const litewitnessVersion = "v0.9.0"

// Another implementation of a witness cosigns our log, beside one of ours.
func TestLitewitness(t *testing.T) {
	theirs, a := litewitness(t), ours(t, "a.example/witness", tlog.MLDSA44Cosignature)
	p := policy(t, 2, theirs, a)
	q := newQuorum(t, p)
	l := openLog(t, filepath.Join(t.TempDir(), "log"), storetest.SQLite(t), q)
	for i := range 5 {
		e, err := l.Add(t.Context(), fmt.Appendf(nil, "leaf %d", i))
		check(t, err)
		if c := cosigned(t, l, p); c.Size <= e.Index {
			t.Errorf("entry %d is acknowledged, and %d are cosigned", e.Index, c.Size)
		}
	}
	// One that has lost what it knew starts from what the witnesses tell.
	again := newQuorum(t, p)
	check(t, l.SetCosigner(again))
	_, err := l.Add(t.Context(), []byte("leaf 5"))
	check(t, err)
	for _, s := range again.Status() {
		if s.Size != 6 || s.Error != "" {
			t.Errorf("status %+v", s)
		}
	}
}

// Two other implementations cosign our log, and both have to.
func TestLitewitnessAndSunlight(t *testing.T) {
	s, err := peer.StartSunlight(t.Context(), t.TempDir(), []string{logKey(t).Verifier().String()})
	check(t, err)
	t.Cleanup(func() { check(t, s.Stop()) })
	witnesses := []*served{litewitness(t)}
	for _, k := range s.WitnessKeys {
		v, err := tlog.ParseVerifier(k)
		check(t, err)
		if v.Type() == tlog.MLDSA44Cosignature {
			witnesses = append(witnesses, &served{name: "sunlight", key: v, url: s.Submission})
		}
	}
	p := policy(t, 2, witnesses...)
	q, err := quorum.New(quorum.Options{Log: logKey(t).Verifier(), Policy: p, Logger: quiet, Roots: s.Roots, Dial: s.Dial})
	check(t, err)
	t.Cleanup(q.Close)
	l := openLog(t, filepath.Join(t.TempDir(), "log"), storetest.SQLite(t), q)
	for i := range 5 {
		e, err := l.Add(t.Context(), fmt.Appendf(nil, "leaf %d", i))
		check(t, err)
		if c := cosigned(t, l, p); c.Size <= e.Index {
			t.Errorf("entry %d is acknowledged, and %d are cosigned", e.Index, c.Size)
		}
	}
	for _, s := range q.Status() {
		if s.Size != 5 || s.Error != "" {
			t.Errorf("status %+v", s)
		}
	}
}

// litewitness starts one that knows our log.
func litewitness(t testing.TB) *served {
	t.Helper()
	program, err := peer.Build(t.Context(), "filippo.io/torchwood/cmd/litewitness", litewitnessVersion)
	check(t, err)
	dir := t.TempDir()
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	check(t, err)
	serveAgent(t, filepath.Join(dir, "agent"), key)
	v, err := tlog.NewVerifier("lite.example/w", tlog.Ed25519Cosignature, pub)
	check(t, err)
	sshKey, err := ssh.NewPublicKey(pub)
	check(t, err)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	addr := free.Addr().String()
	check(t, free.Close())
	run := func() (stop func()) {
		cmd := exec.Command(program, "-db", filepath.Join(dir, "db"), "-name", v.Name(), "-ssh-agent", filepath.Join(dir, "agent"),
			"-key", ssh.FingerprintSHA256(sshKey), "-listen", addr)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		check(t, cmd.Start())
		until(t, "litewitness answers", func() bool {
			res, err := http.Get("http://" + addr + "/")
			if err == nil {
				_ = res.Body.Close()
			}
			return err == nil
		})
		return func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	}
	run()() // makes the tables
	// As its witnessctl does, which does not build from the module proxy.
	db, err := sql.Open("sqlite", filepath.Join(dir, "db"))
	check(t, err)
	_, err = db.ExecContext(t.Context(), `INSERT INTO log (origin, tree_size, tree_hash) VALUES (?, 0, ?)`, origin, tlog.EmptyRoot().String())
	check(t, err)
	_, err = db.ExecContext(t.Context(), `INSERT INTO key (origin, key) VALUES (?, ?)`, origin, logKey(t).Verifier().String())
	check(t, err)
	check(t, db.Close())
	t.Cleanup(run())
	return &served{name: "lite", key: v, url: "http://" + addr}
}

// serveAgent runs an ssh-agent with one key until the test ends.
func serveAgent(t testing.TB, path string, key ed25519.PrivateKey) {
	t.Helper()
	ring := agent.NewKeyring()
	check(t, ring.Add(agent.AddedKey{PrivateKey: key}))
	l, err := net.Listen("unix", path)
	check(t, err)
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
}
