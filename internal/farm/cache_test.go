package farm_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/content"
	"vitrine.example/internal/farm"
)

// source is what a cache fetches from, and counts.
type source struct {
	fetched atomic.Int64
	text    string
}

func (s *source) fetch() (io.ReadCloser, error) {
	s.fetched.Add(1)
	return io.NopCloser(strings.NewReader(s.text)), nil
}

func get(t *testing.T, c *farm.Cache, s *source, want string) (string, error) {
	t.Helper()
	r, err := c.Get(t.Context(), digest.Of([]byte(want)), int64(len(want)), s.fetch)
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(r)
	return string(b), errors.Join(err, r.Close())
}

func TestCacheFetchesOnce(t *testing.T) {
	dir := t.TempDir()
	check(t, os.WriteFile(filepath.Join(dir, ".part-1"), []byte("of a worker that was killed"), 0o600))
	c, err := farm.OpenCache(dir, 1000)
	check(t, err)
	s := &source{text: "toolchain"}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if got, err := get(t, c, s, "toolchain"); got != "toolchain" || err != nil {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
	wg.Wait()
	if c, err = farm.OpenCache(dir, 1000); err != nil {
		t.Fatal(err)
	}
	if got, err := get(t, c, s, "toolchain"); got != "toolchain" || err != nil || s.fetched.Load() != 1 {
		t.Errorf("%q, %v, fetched %d times", got, err, s.fetched.Load())
	}
	if n := len(files(t, dir)); n != 1 {
		t.Errorf("%d files", n)
	}
}

func files(t *testing.T, dir string) (names []string) {
	t.Helper()
	all, err := os.ReadDir(dir)
	check(t, err)
	for _, e := range all {
		names = append(names, e.Name())
	}
	return names
}

// What is not what it should be is not handed out, and is fetched again.
func TestCacheThatIsSpoiled(t *testing.T) {
	dir := t.TempDir()
	c, err := farm.OpenCache(dir, 1000)
	check(t, err)
	s := &source{text: "toolchain"}
	path := filepath.Join(dir, digest.Of([]byte(s.text)).String())
	for i, spoil := range []string{"Toolchain", "tool", "toolchain and more", ""} {
		if got, err := get(t, c, s, s.text); got != s.text || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		check(t, os.WriteFile(path, []byte(spoil), 0o600))
		if got, err := get(t, c, s, s.text); !errors.Is(err, content.ErrCorrupt) {
			t.Errorf("spoiled: %q, %v", got, err)
		}
		if n := s.fetched.Load(); n != int64(i)+1 {
			t.Errorf("fetched %d times", n)
		}
	}
	for _, wrong := range []string{"Toolchain", "tool", "toolchain and more", ""} {
		check(t, os.RemoveAll(path))
		if got, err := get(t, c, &source{text: wrong}, s.text); !errors.Is(err, content.ErrCorrupt) || got != "" {
			t.Errorf("fetched %q: %q, %v", wrong, got, err)
		}
		if left := files(t, dir); len(left) > 0 {
			t.Errorf("fetched %q: left %v", wrong, left)
		}
	}
}

// Who reads exactly what there is, and no end, is told too.
func TestCacheIsCheckedWithoutTheEnd(t *testing.T) {
	c, err := farm.OpenCache(t.TempDir(), 1000)
	check(t, err)
	s := &source{text: "toolchain"}
	if _, err := get(t, c, s, s.text); err != nil {
		t.Fatal(err)
	}
	check(t, os.WriteFile(filepath.Join(c.Dir(), digest.Of([]byte(s.text)).String()), []byte("Toolchain"), 0o600))
	r, err := c.Get(t.Context(), digest.Of([]byte(s.text)), int64(len(s.text)), s.fetch)
	check(t, err)
	defer r.Close()
	if _, err := io.ReadFull(r, make([]byte, len(s.text))); err == nil {
		t.Error("spoiled, and read")
	}
}

// What was used longest ago goes; what was just fetched stays, however large.
func TestCacheMakesRoom(t *testing.T) {
	dir := t.TempDir()
	c, err := farm.OpenCache(dir, 100)
	check(t, err)
	text := func(i int) string { return strings.Repeat(fmt.Sprint(i), 40) }
	for i := range 3 {
		if _, err := get(t, c, &source{text: text(i)}, text(i)); err != nil {
			t.Fatal(err)
		}
		old := time.Now().Add(time.Duration(i-10) * time.Hour)
		check(t, os.Chtimes(filepath.Join(dir, digest.Of([]byte(text(i))).String()), old, old))
	}
	for i, want := range []int64{1, 0, 0} {
		s := &source{text: text(i)}
		if i > 0 { // 0 went for 2
			if _, err := get(t, c, s, text(i)); err != nil || s.fetched.Load() != want {
				t.Errorf("%d: %v, fetched %d times, want %d", i, err, s.fetched.Load(), want)
			}
		}
	}
	large := strings.Repeat("x", 1000)
	if got, err := get(t, c, &source{text: large}, large); got != large || err != nil {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if left := files(t, dir); len(left) != 1 {
		t.Errorf("left %v", left)
	}
}

// Who waits for somebody else's fetch can stop waiting.
func TestCacheWaitEnds(t *testing.T) {
	c, err := farm.OpenCache(t.TempDir(), 1000)
	check(t, err)
	d := digest.Of([]byte("slow"))
	fetching, end := make(chan struct{}), make(chan struct{})
	first := make(chan error, 1)
	go func() {
		_, err := c.Get(context.Background(), d, 4, func() (io.ReadCloser, error) { close(fetching); <-end; return nil, errors.New("nobody there") })
		first <- err
	}()
	<-fetching
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Get(ctx, d, 4, func() (io.ReadCloser, error) { return nil, errors.New("fetched twice at once") }); !errors.Is(err, context.Canceled) {
		t.Errorf("waited: %v", err)
	}
	close(end)
	if err := <-first; err == nil {
		t.Error("fetched nothing, and no error")
	}
	if n := c.Gates(); n != 0 {
		t.Errorf("%d gates are left", n)
	}
}
