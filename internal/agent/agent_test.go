package agent_test

import (
	"bufio"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/agent"
	"vitrine.example/key"
)

// startAgent runs OpenSSH's ssh-agent until the test ends and returns its socket.
func startAgent(t *testing.T) string {
	t.Helper()
	// Sockets have short paths only; t.TempDir may be long.
	dir, err := os.MkdirTemp("", "agent")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	cmd := exec.Command(tool(t, "ssh-agent"), "-D", "-a", socket)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	// It prints where it listens once it does.
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || !strings.Contains(line, socket) {
		t.Fatalf("ssh-agent printed %q, %v", line, err)
	}
	return socket
}

func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%v: apt-get install openssh-client", err)
	}
	return path
}

// run runs one of OpenSSH's tools against the agent.
func run(t *testing.T, socket, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(tool(t, name), args...)
	cmd.Env = append(os.Environ(), "SSH_AUTH_SOCK="+socket)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// addKey makes a key with ssh-keygen, gives it to the agent, and returns its fingerprint.
func addKey(t *testing.T, socket, comment string, args ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "key")
	run(t, socket, "ssh-keygen", append([]string{"-q", "-N", "", "-C", comment, "-f", file}, args...)...)
	run(t, socket, "ssh-add", "-q", file)
	return strings.Fields(run(t, socket, "ssh-keygen", "-l", "-f", file+".pub"))[1]
}

func TestRealAgent(t *testing.T) {
	socket := startAgent(t)
	a := agent.Agent{Socket: socket}
	if s, err := a.Signers(); err != nil || len(s) != 0 {
		t.Errorf("empty agent: %d keys, %v", len(s), err)
	}
	if _, err := a.Find("SHA256:x"); err == nil || !strings.Contains(err.Error(), "add one with ssh-add") {
		t.Errorf("empty agent: %v", err)
	}
	p256 := addKey(t, socket, "release key", "-t", "ecdsa", "-b", "256")
	ed := addKey(t, socket, "other key", "-t", "ed25519")
	p384 := addKey(t, socket, "p384", "-t", "ecdsa", "-b", "384")
	rsa := addKey(t, socket, "rsa", "-t", "rsa", "-b", "2048")

	signers, err := a.Signers()
	if err != nil || len(signers) != 2 {
		t.Fatalf("%d keys, %v", len(signers), err)
	}
	for _, fingerprint := range []string{p384, rsa, "", "SHA256:", strings.Repeat("x", 1000)} {
		_, err := a.Find(fingerprint)
		if err == nil || !strings.Contains(err.Error(), p256) || !strings.Contains(err.Error(), ed) || len(err.Error()) > 1000 {
			t.Errorf("Find(%.80q): %v", fingerprint, err)
		}
	}
	for fingerprint, comment := range map[string]string{p256: "release key", ed: "other key"} {
		s, err := a.Find(fingerprint)
		if err != nil {
			t.Fatal(err)
		}
		if s.Fingerprint() != fingerprint || s.Comment() != comment {
			t.Errorf("%s %q, want %s %q", s.Fingerprint(), s.Comment(), fingerprint, comment)
		}
		der, err := x509.MarshalPKIXPublicKey(s.Public())
		if err != nil || s.ID() != digest.Of(der) {
			t.Errorf("ID %s, %v", s.ID(), err)
		}
		if same, err := a.Find(s.ID().String()); err != nil || same.Fingerprint() != fingerprint {
			t.Errorf("by ID: %v", err)
		}
		checkSigns(t, s)
		checkStatementKey(t, s)
	}
}

// checkStatementKey has the agent stand behind a statement key.
func checkStatementKey(t *testing.T, s *agent.Signer) {
	t.Helper()
	k, err := key.NewSigner(s)
	if err != nil {
		t.Fatal(err)
	}
	if k.Public().ID() != s.ID() {
		t.Errorf("key ID %s, and the agent's is %s", k.Public().ID(), s.ID())
	}
	for range 10 { // half of them get the higher s from the agent
		sig, err := k.Sign([]byte("a statement"))
		if err != nil {
			t.Fatal(err)
		}
		if err := k.Public().Verify([]byte("a statement"), sig); err != nil {
			t.Error(err)
		}
	}
}

// checkSigns has the agent sign messages of many lengths and verifies them with
// the standard library.
func checkSigns(t *testing.T, s *agent.Signer) {
	t.Helper()
	var _ crypto.MessageSigner = s
	opts := crypto.SignerOpts(crypto.Hash(0))
	if _, ok := s.Public().(*ecdsa.PublicKey); ok {
		opts = crypto.SHA256
	}
	for _, size := range []int{0, 1, 32, 1000, 100000} {
		message := make([]byte, size)
		if _, err := rand.Read(message); err != nil {
			t.Fatal(err)
		}
		sig, err := crypto.SignMessage(s, rand.Reader, message, opts)
		if err != nil {
			t.Fatal(err)
		}
		if !verifies(t, s.Public(), message, sig) {
			t.Errorf("%s: the signature of %d bytes does not verify", s.Fingerprint(), size)
		}
		if verifies(t, s.Public(), append(message, 0), sig) {
			t.Errorf("%s: the signature verifies for another message", s.Fingerprint())
		}
	}
	for _, wrong := range []crypto.Hash{crypto.SHA384, crypto.SHA512} {
		if _, err := s.SignMessage(nil, nil, wrong); err == nil {
			t.Errorf("%s: signs with %v", s.Fingerprint(), wrong)
		}
	}
	sum := sha256.Sum256(nil)
	if _, err := s.Sign(nil, sum[:], crypto.SHA256); err == nil || !strings.Contains(err.Error(), "whole messages") {
		t.Errorf("%s: signs a hash: %v", s.Fingerprint(), err)
	}
	_, err := s.Sign(nil, []byte("m"), crypto.Hash(0))
	if _, isEd := s.Public().(ed25519.PublicKey); isEd != (err == nil) {
		t.Errorf("%s: Sign without a hash: %v", s.Fingerprint(), err)
	}
}

func verifies(t *testing.T, pub crypto.PublicKey, message, sig []byte) bool {
	t.Helper()
	switch pub := pub.(type) {
	case *ecdsa.PublicKey:
		if pub.Curve != elliptic.P256() {
			t.Errorf("a key on %s", pub.Curve.Params().Name)
		}
		sum := sha256.Sum256(message)
		return ecdsa.VerifyASN1(pub, sum[:], sig)
	case ed25519.PublicKey:
		return ed25519.Verify(pub, message, sig)
	}
	t.Fatalf("a key of type %T", pub)
	return false
}

// An agent that forgot the key, or that is gone, is an error, not a crash.
func TestKeyAndAgentVanish(t *testing.T) {
	socket := startAgent(t)
	a := agent.Agent{Socket: socket}
	s, err := a.Find(addKey(t, socket, "k", "-t", "ed25519"))
	if err != nil {
		t.Fatal(err)
	}
	run(t, socket, "ssh-add", "-q", "-D")
	if _, err := s.SignMessage(nil, []byte("m"), crypto.Hash(0)); err == nil || !strings.Contains(err.Error(), s.Fingerprint()) {
		t.Errorf("forgotten key: %v", err)
	}
	if err := os.Remove(socket); err != nil {
		t.Fatal(err)
	}
	if _, err := s.SignMessage(nil, []byte("m"), crypto.Hash(0)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("vanished agent: %v", err)
	}
	if _, err := (agent.Agent{}).Signers(); err == nil || !strings.Contains(err.Error(), "SSH_AUTH_SOCK") {
		t.Errorf("no socket: %v", err)
	}
}

// An agent that accepts and says nothing is given up on.
func TestSilentAgent(t *testing.T) {
	dir, err := os.MkdirTemp("", "agent")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a := agent.Agent{Socket: l.Addr().String(), List: 50 * time.Millisecond}
	if _, err := a.Signers(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("silent agent: %v", err)
	}
}

// An agent that answers with garbage is refused without a crash.
func TestGarbageFromAgent(t *testing.T) {
	for name, answer := range map[string]string{
		"nothing":      "",
		"huge length":  "\xff\xff\xff\xff",
		"other kind":   "\x00\x00\x00\x01\x05",
		"many keys":    "\x00\x00\x00\x05\x0c\xff\xff\xff\xff",
		"short list":   "\x00\x00\x00\x05\x0c\x00\x00\x00\x02",
		"empty answer": "\x00\x00\x00\x00",
	} {
		dir, err := os.MkdirTemp("", "agent")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
		l, err := net.Listen("unix", filepath.Join(dir, "s"))
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
			conn.Read(make([]byte, 100))
			conn.Write([]byte(answer))
		}()
		if s, err := (agent.Agent{Socket: l.Addr().String()}).Signers(); err == nil {
			t.Errorf("%s: %d keys", name, len(s))
		}
		l.Close()
	}
}
