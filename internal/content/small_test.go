package content_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"vitrine.example/digest"
	"vitrine.example/internal/content"
)

// TestReadPublic: it gives what is public and right, and nothing else, however
// much room it is given to read into.
func TestReadPublic(t *testing.T) {
	for _, room := range []int{0, 1, 2999, 3000, 3001, 1 << 16} {
		t.Run(strconv.Itoa(room), func(t *testing.T) {
			testReadPublic(t, func(s *content.Store, ctx context.Context, d digest.Digest, max int64) ([]byte, error) {
				return s.ReadPublicInto(ctx, d, max, bytes.Repeat([]byte("x"), room))
			})
		})
	}
	t.Run("ReadPublic", func(t *testing.T) { testReadPublic(t, (*content.Store).ReadPublic) })
}

func testReadPublic(t *testing.T, readPublic func(*content.Store, context.Context, digest.Digest, int64) ([]byte, error)) {
	dir := t.TempDir()
	s := open(t, dir)
	p := some(1, 3000)
	in := put(t, s, content.Public, p)
	if got, err := readPublic(s, t.Context(), in.Digest, int64(len(p))); err != nil || !bytes.Equal(got, p) {
		t.Errorf("public: %d bytes, %v", len(got), err)
	}
	empty := put(t, s, content.Public, nil)
	if got, err := readPublic(s, t.Context(), empty.Digest, 0); err != nil || len(got) != 0 {
		t.Errorf("empty: %d bytes, %v", len(got), err)
	}
	if _, err := readPublic(s, t.Context(), in.Digest, int64(len(p))-1); !errors.Is(err, content.ErrTooLarge) {
		t.Errorf("too large: %v", err)
	}
	if _, err := readPublic(s, t.Context(), digest.Of([]byte("unknown")), plenty); !errors.Is(err, content.ErrUnknown) {
		t.Errorf("unknown: %v", err)
	}
	for _, c := range []content.Class{content.Circle, content.Room, content.Sealed} {
		other := put(t, s, c, []byte(c))
		if got, err := readPublic(s, t.Context(), other.Digest, plenty); !errors.Is(err, content.ErrUnknown) || got != nil {
			t.Errorf("%s: %q, %v", c, got, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := readPublic(s, ctx, in.Digest, plenty); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if err := os.Chmod(path(dir, in), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path(dir, in), p[1:], 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := readPublic(s, t.Context(), in.Digest, plenty); !errors.Is(err, content.ErrCorrupt) || got != nil {
		t.Errorf("changed: %d bytes, %v", len(got), err)
	}
	// A link to the right bytes is not followed.
	elsewhere := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(elsewhere, p, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Remove(path(dir, in)), os.Symlink(elsewhere, path(dir, in))); err != nil {
		t.Fatal(err)
	}
	if got, err := readPublic(s, t.Context(), in.Digest, plenty); !errors.Is(err, content.ErrForeign) || got != nil {
		t.Errorf("link: %d bytes, %v", len(got), err)
	}
}
