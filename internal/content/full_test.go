package content_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"vitrine.example/digest"
	"vitrine.example/internal/content"
)

// TestFull fills a small disk. The disk is a tmpfs in a mount namespace of its
// own, so that nobody else sees it and nothing stays.
func TestFull(t *testing.T) {
	cmd := another(t, "filler", t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	if err := cmd.Run(); err != nil {
		t.Fatalf("on a small disk: %v (the test needs the right to mount: run it as root, or allow unprivileged user namespaces: sysctl kernel.unprivileged_userns_clone=1)", err)
	}
}

// filler is TestFull in its process.
func filler(dir string) error {
	// What is mounted here is not to be seen outside.
	if err := syscall.Mount("", "/", "", syscall.MS_PRIVATE|syscall.MS_REC, ""); err != nil {
		return fmt.Errorf("making mounts private: %w", err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m,nr_inodes=100"); err != nil {
		return fmt.Errorf("mounting a small disk: %w", err)
	}
	ctx := context.Background()
	store := filepath.Join(dir, "content")
	s, err := content.Open(store)
	if err != nil {
		return err
	}
	first, err := s.Put(ctx, content.Public, bytes.NewReader(some(1, 300_000)), plenty)
	if err != nil {
		return err
	}
	refused := func(p []byte) error {
		_, err := s.Put(ctx, content.Public, bytes.NewReader(p), plenty)
		if !errors.Is(err, content.ErrFull) || !strings.Contains(err.Error(), "no space left on device") || !strings.Contains(err.Error(), store) {
			return fmt.Errorf("on a full disk: %w", err)
		}
		if _, err := s.Stat(digest.Of(p)); !errors.Is(err, content.ErrUnknown) {
			return fmt.Errorf("visible all the same: %w", err)
		}
		entries, err := os.ReadDir(filepath.Join(store, "tmp"))
		if err != nil || len(entries) != 0 {
			return fmt.Errorf("left behind: %v, %w", entries, err)
		}
		return s.Check(ctx, first.Digest)
	}
	if err := refused(some(2, 4<<20)); err != nil {
		return err
	}
	// Room again: the same works as if nothing had been.
	if _, err := s.Put(ctx, content.Public, bytes.NewReader(some(3, 300_000)), plenty); err != nil {
		return err
	}
	// No inode left: already the temporary file cannot be made.
	var ballast []string
	for i := range 200 {
		name := filepath.Join(dir, fmt.Sprint(i))
		if err := os.Mkdir(name, 0o700); err != nil {
			break
		}
		ballast = append(ballast, name)
	}
	if err := refused(some(4, 10)); err != nil {
		return err
	}
	// One inode left: the file can be made, its directory cannot.
	if err := os.Remove(ballast[0]); err != nil {
		return err
	}
	if err := refused(some(5, 10)); err != nil {
		return err
	}
	for _, name := range ballast[1:] {
		if err := os.Remove(name); err != nil {
			return err
		}
	}
	_, err = s.Put(ctx, content.Public, bytes.NewReader(some(5, 10)), plenty)
	return err
}
