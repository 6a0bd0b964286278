package content_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"testing/iotest"

	"vitrine.example/digest"
	"vitrine.example/internal/content"
)

const plenty = 1 << 30

func open(t testing.TB, dir string) *content.Store {
	t.Helper()
	s, err := content.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func put(t testing.TB, s *content.Store, c content.Class, p []byte) content.Info {
	t.Helper()
	in, err := s.Put(t.Context(), c, bytes.NewReader(p), plenty)
	if err != nil {
		t.Fatal(err)
	}
	return in
}

// some returns n bytes that differ from seed to seed.
func some(seed uint64, n int) []byte {
	p := make([]byte, n)
	r := rand.New(rand.NewPCG(seed, 1))
	for i := range p {
		p[i] = byte(r.Uint32())
	}
	return p
}

// path is where the layout puts some content: this is a format.
func path(dir string, in content.Info) string {
	h := in.Digest.String()
	return filepath.Join(dir, string(in.Class), h[:2], h)
}

// leftovers fails where something lies in the directory for temporary files.
func leftovers(t testing.TB, dir string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(dir, "tmp"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		t.Errorf("left behind: tmp/%s", e.Name())
	}
}

func TestRoundTrip(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "there", "yet")
	s := open(t, dir)
	for _, size := range []int{0, 1, 1000, 16 << 10, 256 << 10, 1<<20 + 1} {
		for _, class := range content.Classes() {
			t.Run(fmt.Sprintf("%s %d", class, size), func(t *testing.T) {
				p := append(some(uint64(size), size), class...)
				in := put(t, s, class, p)
				if in != (content.Info{Digest: digest.Of(p), Class: class, Size: int64(len(p))}) {
					t.Errorf("put gave %+v", in)
				}
				if again := put(t, s, class, p); again != in {
					t.Errorf("again gave %+v", again)
				}
				if st, err := s.Stat(in.Digest); err != nil || st != in {
					t.Errorf("stat gave %+v, %v", st, err)
				}
				if err := s.Check(t.Context(), in.Digest); err != nil {
					t.Error(err)
				}
				got, in2, err := s.ReadAll(t.Context(), in.Digest, int64(len(p)))
				if err != nil || in2 != in || !bytes.Equal(got, p) {
					t.Errorf("read %d bytes, %+v, %v", len(got), in2, err)
				}
				r, in2, err := s.Open(t.Context(), in.Digest)
				if err != nil || in2 != in {
					t.Fatal(in2, err)
				}
				defer r.Close()
				if size > 1<<14 { // TestReader reads byte by byte
					got, err := io.ReadAll(r)
					if err != nil || !bytes.Equal(got, p) {
						t.Errorf("streamed %d bytes, %v", len(got), err)
					}
				} else if err := iotest.TestReader(r, p); err != nil {
					t.Error(err)
				}
				fi, err := os.Lstat(path(dir, in))
				if err != nil || fi.Mode() != 0o400 {
					t.Errorf("file has mode %v, %v", fi.Mode(), err)
				}
			})
		}
	}
	leftovers(t, dir)
	if fi, err := os.Stat(filepath.Join(dir, "room")); err != nil || fi.Mode().Perm() != 0o700 {
		t.Errorf("class directory has mode %v, %v", fi.Mode(), err)
	}
}

func TestEmpty(t *testing.T) {
	s := open(t, t.TempDir())
	in := put(t, s, content.Public, nil)
	// FIPS 180-4, the empty message.
	if in.Digest.String() != "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" {
		t.Errorf("digest %s", in.Digest)
	}
	got, _, err := s.ReadAll(t.Context(), in.Digest, 0)
	if err != nil || len(got) != 0 {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestWriter(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	p := some(1, 300_000)
	w, err := s.Create(t.Context(), content.Room, plenty)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(p); i += 7777 {
		if _, err := w.Write(p[i:min(i+7777, len(p))]); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Stat(digest.Of(p)); !errors.Is(err, content.ErrUnknown) {
		t.Errorf("visible before Commit: %v", err)
	}
	in, err := w.Commit()
	if err != nil || in.Digest != digest.Of(p) || in.Size != int64(len(p)) {
		t.Errorf("got %+v, %v", in, err)
	}
	if err := w.Close(); err != nil {
		t.Errorf("Close after Commit: %v", err)
	}
	if _, err := w.Write(p); err == nil {
		t.Error("a write after Commit was taken")
	}
	if _, err := w.Commit(); err == nil {
		t.Error("a second Commit was taken")
	}
	if err := s.Check(t.Context(), in.Digest); err != nil {
		t.Error(err)
	}
	discarded, err := s.Create(t.Context(), content.Room, plenty)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := discarded.Write([]byte("never mind")); err != nil {
		t.Fatal(err)
	}
	if err := discarded.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Stat(digest.Of([]byte("never mind"))); !errors.Is(err, content.ErrUnknown) {
		t.Errorf("visible without Commit: %v", err)
	}
	leftovers(t, dir)
}

func TestRefused(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	broken := errors.New("cable cut")
	for name, c := range map[string]struct {
		ctx   context.Context
		class content.Class
		r     io.Reader
		max   int64
		want  error
	}{
		"too large":        {t.Context(), content.Public, bytes.NewReader(some(1, 1001)), 1000, content.ErrTooLarge},
		"much too large":   {t.Context(), content.Public, bytes.NewReader(some(1, 3<<20)), 1 << 20, content.ErrTooLarge},
		"nothing allowed":  {t.Context(), content.Public, bytes.NewReader([]byte{1}), 0, content.ErrTooLarge},
		"broken at once":   {t.Context(), content.Public, iotest.ErrReader(broken), plenty, broken},
		"broken later":     {t.Context(), content.Public, io.MultiReader(bytes.NewReader(some(1, 2<<20)), iotest.ErrReader(broken)), plenty, broken},
		"truncated":        {t.Context(), content.Public, io.MultiReader(bytes.NewReader(some(1, 9)), iotest.ErrReader(io.ErrUnexpectedEOF)), plenty, io.ErrUnexpectedEOF},
		"cancelled":        {cancelled, content.Public, bytes.NewReader(some(1, 9)), plenty, context.Canceled},
		"cancelled midway": {t.Context(), content.Public, nil, plenty, context.Canceled},
		"no class":         {t.Context(), "", bytes.NewReader(nil), plenty, nil},
		"a path as class":  {t.Context(), "../public", bytes.NewReader(nil), plenty, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if c.r == nil {
				ctx, cancel := context.WithCancel(t.Context())
				c.ctx, c.r = ctx, io.MultiReader(bytes.NewReader(some(1, 1<<20)), after(cancel), bytes.NewReader(some(2, 1<<20)))
			}
			in, err := s.Put(c.ctx, c.class, c.r, c.max)
			if err == nil || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("got %+v, %v; want %v", in, err, c.want)
			}
			leftovers(t, dir)
		})
	}
	err := s.Walk(t.Context(), func(in content.Info) error { return fmt.Errorf("visible: %s", in.Digest) })
	if err != nil {
		t.Error(err)
	}
}

// after is a reader that gives nothing and calls f.
func after(f func()) io.Reader {
	return readerFunc(func([]byte) (int, error) { f(); return 0, io.EOF })
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestUnknown(t *testing.T) {
	s := open(t, t.TempDir())
	d := digest.Of([]byte("nobody stored this"))
	_, _, oerr := s.Open(t.Context(), d)
	_, _, rerr := s.ReadAll(t.Context(), d, plenty)
	_, serr := s.Stat(d)
	for name, err := range map[string]error{
		"Open": oerr, "ReadAll": rerr, "Stat": serr,
		"Check":      s.Check(t.Context(), d),
		"Reclassify": s.Reclassify(t.Context(), d, content.Room),
	} {
		if !errors.Is(err, content.ErrUnknown) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestClasses(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	p := some(1, 100)
	in := put(t, s, content.Room, p)
	if _, err := s.Put(t.Context(), content.Public, bytes.NewReader(p), plenty); !errors.Is(err, content.ErrConflict) {
		t.Errorf("the same under another class: %v", err)
	}
	if st, err := s.Stat(in.Digest); err != nil || st.Class != content.Room {
		t.Errorf("now %+v, %v", st, err)
	}
	r, _, err := s.Open(t.Context(), in.Digest)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for range 2 {
		if err := s.Reclassify(t.Context(), in.Digest, content.Public); err != nil {
			t.Fatal(err)
		}
		if st, err := s.Stat(in.Digest); err != nil || st.Class != content.Public {
			t.Errorf("now %+v, %v", st, err)
		}
	}
	if _, err := os.Lstat(path(dir, in)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("still under its old class: %v", err)
	}
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, p) {
		t.Errorf("a reader was disturbed: %v", err)
	}
	if err := s.Reclassify(t.Context(), in.Digest, "secret"); err == nil {
		t.Error("an unknown class was accepted")
	}
	if _, err := content.ParseClass("Public"); err == nil {
		t.Error("a class in another case was accepted")
	}
	if c, err := content.ParseClass("sealed"); err != nil || c != content.Sealed {
		t.Errorf("got %q, %v", c, err)
	}
	leftovers(t, dir)
}

func TestReadAllBound(t *testing.T) {
	s := open(t, t.TempDir())
	in := put(t, s, content.Public, some(1, 100))
	if _, _, err := s.ReadAll(t.Context(), in.Digest, 99); !errors.Is(err, content.ErrTooLarge) {
		t.Errorf("got %v", err)
	}
}

func TestReadCancelled(t *testing.T) {
	s := open(t, t.TempDir())
	in := put(t, s, content.Public, some(1, 1000))
	ctx, cancel := context.WithCancel(t.Context())
	r, _, err := s.Open(ctx, in.Digest)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cancel()
	if _, err := io.ReadAll(r); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if err := s.Check(ctx, in.Digest); !errors.Is(err, context.Canceled) {
		t.Errorf("Check gave %v", err)
	}
}
