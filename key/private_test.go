package key_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/mldsa"

	"vitrine.example/key"
)

var algorithms = []key.Algorithm{key.P256, key.Ed25519, key.MLDSA44}

func TestPrivateRoundTrip(t *testing.T) {
	for _, alg := range algorithms {
		s := mustGenerate(t, alg)
		text, err := key.MarshalPrivate(s)
		if err != nil {
			t.Fatalf("%s: %v", alg, err)
		}
		again, err := key.ParsePrivate(text)
		if err != nil {
			t.Fatalf("%s: %v", alg, err)
		}
		if !again.(interface{ Equal(crypto.PrivateKey) bool }).Equal(s) {
			t.Errorf("%s: another key", alg)
		}
		if other := mustGenerate(t, alg); other.(interface{ Equal(crypto.PrivateKey) bool }).Equal(s) {
			t.Errorf("%s: the same key twice", alg)
		}
	}
}

// The example of RFC 9881 appendix C.1: the seed 00 01 … 1f of ML-DSA-44.
func TestMLDSAIsWrittenByItsSeed(t *testing.T) {
	const want = "-----BEGIN PRIVATE KEY-----\n" +
		"MDQCAQAwCwYJYIZIAWUDBAMRBCKAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZ\nGhscHR4f\n" +
		"-----END PRIVATE KEY-----\n"
	seed := make([]byte, 32)
	for i := range seed {
		seed[i] = byte(i)
	}
	s, err := key.Generate(key.MLDSA44, bytes.NewReader(seed))
	if err != nil {
		t.Fatal(err)
	}
	text, err := key.MarshalPrivate(s)
	if err != nil || string(text) != want {
		t.Errorf("%v:\n%s", err, text)
	}
	_, err = key.NewSigner(s)
	wantError(t, err, "an ML-DSA key cannot sign statements")
}

// The same random bytes give the same key; a source that ends or never gives a
// scalar in range is noticed.
func TestGenerate(t *testing.T) {
	for _, alg := range algorithms {
		seed := strings.Repeat("x", 32)
		var texts []string
		for range 2 {
			s, err := key.Generate(alg, strings.NewReader(seed))
			if err != nil {
				t.Fatal(err)
			}
			text, err := key.MarshalPrivate(s)
			if err != nil {
				t.Fatal(err)
			}
			texts = append(texts, string(text))
		}
		if texts[0] != texts[1] {
			t.Errorf("%s: two keys of one seed", alg)
		}
		_, err := key.Generate(alg, strings.NewReader("short"))
		wantError(t, err, string(alg), "EOF")
	}
	// All ones is no scalar: the next 32 bytes are taken.
	if _, err := key.Generate(key.P256, strings.NewReader(strings.Repeat("\xff", 32)+strings.Repeat("x", 32))); err != nil {
		t.Error(err)
	}
	_, err := key.Generate(key.P256, strings.NewReader(strings.Repeat("\xff", 1000)))
	wantError(t, err, "random source is broken")
	_, err = key.Generate(key.P256, strings.NewReader(strings.Repeat("\xff", 40)))
	wantError(t, err, "EOF")
	_, err = key.Generate("rsa", nil)
	wantError(t, err, `unknown algorithm "rsa"`, "ecdsa-p256")
}

func TestMarshalPrivateRefuses(t *testing.T) {
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	mldsa65, err := mldsa.GenerateKey(mldsa.MLDSA65())
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		s    crypto.Signer
		want string
	}{
		"nil":       {nil, "cannot sign"},
		"P-384":     {p384, "P-384 cannot sign statements"},
		"ML-DSA-65": {mldsa65, "ML-DSA-65 is not used here"},
		"elsewhere": {silent{mustGenerate(t, key.P256)}, "not in this process"},
		"truncated": {ed25519.PrivateKey("short"), "5 bytes"},
	} {
		_, err := key.MarshalPrivate(c.s)
		if err == nil {
			t.Errorf("%s: accepted", name)
			continue
		}
		wantError(t, err, c.want)
	}
}

func TestReadPrivateFile(t *testing.T) {
	dir := t.TempDir()
	text, err := key.MarshalPrivate(mustGenerate(t, key.Ed25519))
	if err != nil {
		t.Fatal(err)
	}
	write := func(name string, b []byte, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil { // whatever the umask is
			t.Fatal(err)
		}
		return path
	}
	for _, mode := range []os.FileMode{0o600, 0o400, 0o700} {
		if _, err := key.ReadPrivateFile(write("good", text, mode)); err != nil {
			t.Error(err)
		}
		os.Remove(filepath.Join(dir, "good"))
	}
	for _, mode := range []os.FileMode{0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o644, 0o777} {
		_, err := key.ReadPrivateFile(write("open", text, mode))
		wantError(t, err, filepath.Join(dir, "open"), "chmod 600")
	}
	_, err = key.ReadPrivateFile(filepath.Join(dir, "missing"))
	wantError(t, err, "missing")
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v is not os.ErrNotExist", err)
	}
	_, err = key.ReadPrivateFile(dir)
	wantError(t, err, dir, "not a regular file")
	_, err = key.ReadPrivateFile(write("huge", bytes.Repeat([]byte("x"), 1<<20), 0o600))
	wantError(t, err, "huge", "more than 16384 bytes")
	_, err = key.ReadPrivateFile(write("empty", nil, 0o600))
	wantError(t, err, "empty", `no PEM block "PRIVATE KEY"`)
	_, err = key.ReadPrivateFile(write("public", read(t, "openssl", "p256.pub.pem"), 0o600))
	wantError(t, err, "public", `PEM block "PUBLIC KEY", want "PRIVATE KEY"`)
}
