package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"vitrine.example/internal/fixture"
	"vitrine.example/key"
	"vitrine.example/proof"
	"vitrine.example/statement"
	"vitrine.example/tlog"
	"vitrine.example/verdict"
)

// apart makes the material in a process of its own. What a command is said to
// have used begins with what its parent had in memory when it was started, so
// the parent must stay small.
func apart(dir string, large int64) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	cmd := exec.Command(self, "-prepare", dir, "-large", strconv.FormatInt(large, 10))
	cmd.Stderr = os.Stderr
	kind, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("making material: %w", err)
	}
	return string(kind), nil
}

// material writes a small and a large file with their bundles, the policy that
// accepts both, and what cosign needs for the small one. It returns the
// predicate type, which cosign asks for.
func material(dir string, large int64) (kind string, err error) {
	w := fixture.New("bench", key.P256)
	w.Fill(1000)
	files := map[string][]byte{}
	for name, size := range map[string]int64{"small": 4 << 10, "large": large} {
		f := fixture.File{Name: name, Data: make([]byte, size)}
		_, _ = rand.NewChaCha8([32]byte{}).Read(f.Data)
		l := w.Logged("pkg:generic/bench", "1.0", "", f)
		b := proof.Bundle{Statements: []proof.Logged{l}}
		raw, err := b.Marshal()
		if err != nil {
			return "", err
		}
		files[name], files[name+".vitrine"] = f.Data, raw
		if name == "small" {
			e := w.ExportLogged(l, w.Vendor.Public(), f)
			files["small.sigstore.json"], files["root.json"], files["vendor.pem"], kind = e.Bundle, e.Root, e.Key, e.Type
		}
	}
	p := verdict.Policy{
		Product: "pkg:generic/bench",
		Signers: []verdict.Signer{{Name: "vendor", Key: w.Vendor.Public(), May: []string{statement.ReleaseType}}},
		Log:     tlog.Policy{Logs: []tlog.PolicyLog{{Key: w.Log.Verifier()}}, Quorum: "none"},
	}
	if files["policy.toml"], err = p.Marshal(); err != nil {
		return "", err
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			return "", err
		}
	}
	return kind, nil
}

// buildCosign builds the peer into the user's cache, once.
func buildCosign() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "vitrine", "tools", "cosign-"+cosignVersion)
	bin := filepath.Join(dir, "cosign")
	if _, err := os.Stat(bin); err == nil {
		return bin, nil
	}
	fmt.Fprintln(os.Stderr, "bench/verify: building cosign", cosignVersion, "(once)")
	cmd := exec.Command("go", "install", "-trimpath", "github.com/sigstore/cosign/v3/cmd/cosign@"+cosignVersion)
	cmd.Env = append(os.Environ(), "GOBIN="+dir, "CGO_ENABLED=0", "GOFLAGS=")
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("building cosign: %w", err)
	}
	return bin, nil
}
