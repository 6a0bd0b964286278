package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func sample(t *testing.T, mode os.FileMode) []file {
	t.Helper()
	p := filepath.Join(t.TempDir(), "vitrine")
	if err := os.WriteFile(p, []byte("#!/bin/sh\necho odd\n"), mode); err != nil {
		t.Fatal(err)
	}
	return []file{{"bin/vitrine", p, 0o755}, {"share/doc/vitrine/LICENSE", p, 0o644}}
}

// The modes, times and names on the machine do not show in the archives.
func TestArchivesDependOnContentOnly(t *testing.T) {
	for name, write := range map[string]func(string, []file) error{
		"tar.gz": func(to string, f []file) error { return writeTarGz(to, "vitrine_1_linux_amd64", f) },
		"deb":    func(to string, f []file) error { return writeDeb(to, "1.0.0-rc1", "amd64", f) },
	} {
		a, b := filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "b")
		if err := write(a, sample(t, 0o600)); err != nil {
			t.Fatal(name, err)
		}
		if err := write(b, sample(t, 0o755)); err != nil {
			t.Fatal(name, err)
		}
		x, _ := os.ReadFile(a)
		y, _ := os.ReadFile(b)
		if len(x) == 0 || !bytes.Equal(x, y) {
			t.Errorf("%s: two runs gave different bytes", name)
		}
	}
}

func TestDebIsReadByDpkg(t *testing.T) {
	dpkg, err := exec.LookPath("dpkg-deb")
	if err != nil {
		t.Fatal("dpkg-deb is missing; install it: apt-get install dpkg")
	}
	deb := filepath.Join(t.TempDir(), "vitrine.deb")
	if err := writeDeb(deb, "1.0.0-rc1", "amd64", sample(t, 0o644)); err != nil {
		t.Fatal(err)
	}
	info, err := exec.Command(dpkg, "--field", deb, "Package", "Version", "Architecture").CombinedOutput()
	if err != nil || !strings.Contains(string(info), "Version: 1.0.0~rc1") || !strings.Contains(string(info), "Architecture: amd64") {
		t.Errorf("dpkg-deb --field: %v\n%s", err, info)
	}
	members, err := exec.Command(dpkg, "--contents", deb).CombinedOutput()
	if err != nil || !strings.Contains(string(members), "-rwxr-xr-x root/root") && !strings.Contains(string(members), "-rwxr-xr-x 0/0") || !strings.Contains(string(members), "./usr/bin/vitrine") {
		t.Errorf("dpkg-deb --contents: %v\n%s", err, members)
	}
}
