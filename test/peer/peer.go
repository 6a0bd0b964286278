// Package peer builds other people's programs, which tests and measurements
// run beside ours.
//
// [Build] installs a Go program at a fixed version into the user's cache, once
// for all. It is for tests; nothing in the product imports it.
package peer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Build returns the path of the program that `go install pkg@version` makes.
// What was built before is used again; processes that want the same program
// wait for each other.
func Build(ctx context.Context, pkg, version string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("building %s: %w", pkg, err)
	}
	name := strings.ReplaceAll(pkg, "/", "+") + "@" + version
	dir := filepath.Join(cache, "vitrine-test", name)
	program := filepath.Join(dir, path.Base(pkg))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("building %s: %w", pkg, err)
	}
	unlock, err := lock(filepath.Join(dir, ".lock"))
	if err != nil {
		return "", fmt.Errorf("building %s: %w", pkg, err)
	}
	if _, err := os.Stat(program); err != nil {
		err = install(ctx, dir, pkg+"@"+version)
		if err != nil {
			return "", errors.Join(fmt.Errorf("go install %s@%s: %w", pkg, version, err), unlock())
		}
	}
	return program, unlock()
}

// install runs in the cache directory, outside of any module.
func install(ctx context.Context, dir, what string) error {
	cmd := exec.CommandContext(ctx, "go", "install", what)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOBIN="+dir, "GOFLAGS=", "CGO_ENABLED=0")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%w: %s", err, bytes.TrimSpace(out.Bytes()))
	}
	return nil
}

func lock(name string) (func() error, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		return f.Close, nil
	}
}
