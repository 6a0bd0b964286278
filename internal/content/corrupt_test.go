package content_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"vitrine.example/digest"
	"vitrine.example/internal/content"
)

// TestCorrupt changes stored content in every way that keeps it a file, and
// reads it in every way.
func TestCorrupt(t *testing.T) {
	p := some(1, 600_000)
	flip := func(at int) []byte {
		q := bytes.Clone(p)
		q[at] ^= 1
		return q
	}
	for name, q := range map[string][]byte{
		"first byte":  flip(0),
		"middle byte": flip(300_000),
		"last byte":   flip(len(p) - 1),
		"shorter":     p[:len(p)-1],
		"longer":      append(bytes.Clone(p), 0),
		"empty":       {},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir)
			in := put(t, s, content.Room, p)
			if err := os.Chmod(path(dir, in), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path(dir, in), q, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := s.Check(t.Context(), in.Digest); !errors.Is(err, content.ErrCorrupt) {
				t.Errorf("Check: %v", err)
			}
			if got, _, err := s.ReadAll(t.Context(), in.Digest, plenty); !errors.Is(err, content.ErrCorrupt) || got != nil {
				t.Errorf("ReadAll: %d bytes, %v", len(got), err)
			}
			r, info, err := s.Open(t.Context(), in.Digest)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			// Who reads as many bytes as Info says, and no more, must notice.
			if info.Size > 0 {
				if n, err := io.ReadFull(r, make([]byte, info.Size)); !errors.Is(err, content.ErrCorrupt) {
					t.Errorf("ReadFull: %d of %d bytes, %v", n, info.Size, err)
				}
			}
			if _, err := io.ReadAll(r); !errors.Is(err, content.ErrCorrupt) {
				t.Errorf("the error does not stay: %v", err)
			}
			// Storing it again repairs it.
			put(t, s, content.Room, p)
			if err := s.Check(t.Context(), in.Digest); err != nil {
				t.Errorf("after storing it again: %v", err)
			}
			leftovers(t, dir)
		})
	}
}

// TestTruncatedWhileReading cuts a file short under a reader.
func TestTruncatedWhileReading(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	in := put(t, s, content.Public, some(1, 100_000))
	r, _, err := s.Open(t.Context(), in.Digest)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := io.ReadFull(r, make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path(dir, in), 50_000); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(r); !errors.Is(err, content.ErrCorrupt) {
		t.Errorf("got %v", err)
	}
}

// TestForeign puts things into a store that it did not make.
func TestForeign(t *testing.T) {
	p := some(1, 100)
	d := digest.Of(p)
	elsewhere := filepath.Join(t.TempDir(), d.String())
	if err := os.WriteFile(elsewhere, p, 0o600); err != nil {
		t.Fatal(err)
	}
	here := func(dir string) string { return path(dir, content.Info{Digest: d, Class: content.Public}) }
	shard := func(dir string) string { return filepath.Dir(here(dir)) }
	for name, mk := range map[string]func(dir string) error{
		"link for content": func(dir string) error { return os.Symlink(elsewhere, here(dir)) },
		"dangling link":    func(dir string) error { return os.Symlink("nowhere", here(dir)) },
		"directory":        func(dir string) error { return os.Mkdir(here(dir), 0o700) },
		"pipe":             func(dir string) error { return syscall.Mkfifo(here(dir), 0o600) },
		"upper case": func(dir string) error {
			return os.WriteFile(filepath.Join(shard(dir), strings.ToUpper(d.String())), p, 0o600)
		},
		"wrong shard":         func(dir string) error { return os.WriteFile(filepath.Join(shard(dir), "00"+d.String()[2:]), p, 0o600) },
		"name with an ending": func(dir string) error { return os.WriteFile(here(dir)+".bak", p, 0o600) },
		"file as shard":       func(dir string) error { return os.WriteFile(filepath.Join(dir, "public", "00"), nil, 0o600) },
		"odd shard":           func(dir string) error { return os.Mkdir(filepath.Join(dir, "room", "0G"), 0o700) },
		"odd class":           func(dir string) error { return os.Mkdir(filepath.Join(dir, "secret"), 0o700) },
		"odd temporary file":  func(dir string) error { return os.WriteFile(filepath.Join(dir, "tmp", "notes"), nil, 0o600) },
		"shard of another class": func(dir string) error {
			room := filepath.Join(dir, "room", d.String()[:2])
			return errors.Join(os.Mkdir(room, 0o700), os.WriteFile(filepath.Join(room, d.String()), p, 0o400),
				os.Remove(shard(dir)), os.Symlink(room, shard(dir)))
		},
		"two classes": func(dir string) error {
			room := filepath.Join(dir, "room", d.String()[:2])
			return errors.Join(os.Mkdir(room, 0o700), os.WriteFile(filepath.Join(room, d.String()), p, 0o400), os.Link(filepath.Join(room, d.String()), here(dir)))
		},
		"many": func(dir string) error {
			var errs []error
			for i := range 30 {
				errs = append(errs, os.WriteFile(filepath.Join(shard(dir), strings.Repeat("x", i+1)), nil, 0o600))
			}
			return errors.Join(errs...)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir)
			if err := os.Mkdir(shard(dir), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := mk(dir); err != nil {
				t.Fatal(err)
			}
			if got, _, err := s.ReadAll(t.Context(), d, plenty); err == nil {
				t.Errorf("read %d bytes of it", len(got))
			}
			kept := put(t, s, content.Sealed, []byte("kept"))
			var seen []content.Info
			err := s.Walk(t.Context(), func(in content.Info) error {
				if in.Digest == kept.Digest {
					seen = append(seen, in)
				}
				return nil
			})
			if !errors.Is(err, content.ErrForeign) {
				t.Errorf("Walk did not report it: %v", err)
			} else if len(err.Error()) > 4096 {
				t.Errorf("Walk's report has %d bytes", len(err.Error()))
			}
			if len(seen) != 1 {
				t.Errorf("Walk lost the rest: %v", seen)
			}
			open(t, dir) // still opens
		})
	}
}

func TestForeignClass(t *testing.T) {
	for _, name := range []string{"public", "room", "tmp"} {
		for kind, mk := range map[string]func(path string) error{
			"link": func(p string) error { return os.Symlink(t.TempDir(), p) },
			"file": func(p string) error { return os.WriteFile(p, nil, 0o600) },
		} {
			dir := t.TempDir()
			if err := mk(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
			if _, err := content.Open(dir); !errors.Is(err, content.ErrForeign) {
				t.Errorf("%s as %s: %v", kind, name, err)
			}
		}
	}
}
