// Interop runs an unmodified cosign, without any network, on what package proof
// exports: good ones must be accepted, mutated ones refused.
//
// It builds cosign from the module proxy into a cache directory and runs it in
// a network namespace of its own, which needs root or sudo. It prints a table
// and ends with a line "N passed, N failed"; the exit code is 1 where one failed.
//
//	go run ./test/interop
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"vitrine.example/internal/fixture"
	"vitrine.example/key"
)

// cosignVersion is what the exports are tested with (docs/spec/sigstore.md).
const cosignVersion = "v3.1.3"

func main() {
	cosign := flag.String("cosign", "", "use this cosign instead of building "+cosignVersion)
	flag.Parse()
	if err := run(*cosign); err != nil {
		fmt.Fprintln(os.Stderr, "interop: error:", err)
		os.Exit(1)
	}
}

func run(cosign string) error {
	if cosign == "" {
		var err error
		if cosign, err = build(); err != nil {
			return err
		}
	}
	isolate, err := namespace()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "vitrine-interop-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s := &session{command: append(isolate, cosign), dir: dir}
	if err := s.checkIsolation(isolate); err != nil {
		return err
	}
	for _, alg := range []key.Algorithm{key.P256, key.Ed25519} {
		good, other := fixture.Exports(alg)
		s.expect(alg, "good", good, true)
		s.expect(alg, "good: another release", other, true)
		for _, m := range fixture.Mutations(alg) {
			s.expect(alg, m.Name, m.Apply(good), false)
		}
		for _, m := range fixture.Unsigned() {
			s.expect(alg, "unsigned field, "+m.Name, m.Apply(good), true)
		}
	}
	fmt.Printf("%d passed, %d failed\n", s.passed, s.failed)
	if s.failed > 0 {
		return fmt.Errorf("cosign decided %d times otherwise than it should", s.failed)
	}
	return nil
}

// build installs cosign into the user's cache directory, once.
func build() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("finding the cache directory: %w", err)
	}
	dir := filepath.Join(cache, "vitrine", "tools", "cosign-"+cosignVersion)
	bin := filepath.Join(dir, "cosign")
	if _, err := os.Stat(bin); err == nil {
		return bin, nil
	}
	fmt.Fprintf(os.Stderr, "building cosign %s into %s (some minutes, once)\n", cosignVersion, dir)
	cmd := exec.Command("go", "install", "github.com/sigstore/cosign/v3/cmd/cosign@"+cosignVersion)
	cmd.Env = append(os.Environ(), "GOBIN="+dir, "CGO_ENABLED=0", "GOFLAGS=")
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("building cosign: %w", err)
	}
	return bin, nil
}

// namespace returns what starts a command without network.
func namespace() ([]string, error) {
	if _, err := exec.LookPath("unshare"); err != nil {
		return nil, errors.New("unshare is missing; install it with: apt-get install util-linux")
	}
	for _, c := range [][]string{{"unshare", "-n"}, {"unshare", "-rn"}, {"sudo", "-n", "unshare", "-n"}} {
		if exec.Command(c[0], append(c[1:], "true")...).Run() == nil {
			return c, nil
		}
	}
	return nil, errors.New("cannot make a network namespace; run as root or allow sudo unshare")
}

type session struct {
	command        []string
	dir            string
	passed, failed int
}

// checkIsolation makes sure that commands have no network but a downed loopback.
func (s *session) checkIsolation(isolate []string) error {
	out, err := exec.Command(isolate[0], append(isolate[1:], "cat", "/proc/net/dev", "/proc/net/route")...).Output()
	if err != nil {
		return fmt.Errorf("looking into the namespace: %w", err)
	}
	for line := range strings.Lines(string(out)) {
		if name, _, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) != "lo" {
			return fmt.Errorf("the namespace has the network interface %s", strings.TrimSpace(name))
		}
	}
	return nil
}

// expect runs cosign on e and prints a row of the table.
func (s *session) expect(alg key.Algorithm, name string, e fixture.Export, want bool) {
	accepted, said := s.verify(e)
	row := "ok    "
	if accepted == want && said != "" {
		s.passed++
	} else {
		s.failed++
		row = "FAILED"
	}
	fmt.Printf("%s  %-10s  %-8s  %-61s  %s\n", row, alg, map[bool]string{true: "accepted", false: "refused"}[accepted], name, said)
}

// verify returns what cosign decided and the last thing that it said. No
// options but those of a plain check: the log's entry is asked for by default.
func (s *session) verify(e fixture.Export) (bool, string) {
	write := func(name string, b []byte) string {
		path := filepath.Join(s.dir, name)
		if err := os.WriteFile(path, b, 0o644); err != nil {
			panic(err)
		}
		return path
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	args := append(s.command[1:len(s.command):len(s.command)], "verify-blob-attestation",
		"--key", write("key.pem", e.Key), "--bundle", write("bundle.json", e.Bundle),
		"--trusted-root", write("root.json", e.Root), "--type", e.Type, write("file", e.File))
	cmd := exec.CommandContext(ctx, s.command[0], args...)
	cmd.Env = append(os.Environ(), "HOME="+s.dir, "TUF_ROOT="+filepath.Join(s.dir, "tuf"))
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return false, "" // not started or killed: no decision
	}
	if exit != nil && exit.ExitCode() < 0 {
		return false, ""
	}
	_, text, ok := strings.Cut(out.String(), "Error: ")
	if !ok {
		text = out.String()
	}
	text = strings.Join(strings.Fields(text), " ")
	text = strings.TrimPrefix(text, "failed to verify log inclusion: verifying log entry: ")
	if len(text) > 100 {
		text = text[:100] + "…"
	}
	return err == nil, text
}
