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
)

// BuildIn is [Build] for a program that needs CGO, and whose module cannot be
// installed by name: its package is built in a module made for it, which
// requires nothing but that module.
func BuildIn(ctx context.Context, module, pkg, version string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("building %s: %w", pkg, err)
	}
	dir := filepath.Join(cache, "vitrine-test", strings.ReplaceAll(pkg, "/", "+")+"@"+version)
	program := filepath.Join(dir, path.Base(pkg))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("building %s: %w", pkg, err)
	}
	unlock, err := lock(filepath.Join(dir, ".lock"))
	if err != nil {
		return "", fmt.Errorf("building %s: %w", pkg, err)
	}
	if _, err := os.Stat(program); err != nil {
		if err := compile(ctx, dir, program, module, pkg, version); err != nil {
			return "", errors.Join(fmt.Errorf("go build %s@%s: %w", pkg, version, err), unlock())
		}
	}
	return program, unlock()
}

func compile(ctx context.Context, dir, program, module, pkg, version string) error {
	mod := fmt.Sprintf("module peer.example\n\ngo 1.26.0\n\nrequire %s %s\n", module, version)
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte(mod), 0o644); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-mod=mod", "-o", program+".new", pkg)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off", "CGO_ENABLED=1")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%w: %s", err, bytes.TrimSpace(out.Bytes()))
	}
	return os.Rename(program+".new", program)
}
