package content_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"vitrine.example/digest"
	"vitrine.example/internal/content"
)

// TestModel runs random operations on a store and on a map, which must agree.
func TestModel(t *testing.T) {
	parent := "/dev/shm" // where syncing costs nothing: this test is not about crashes
	if fi, err := os.Stat(parent); err != nil || !fi.IsDir() {
		parent = t.TempDir()
	}
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(parent, "content-model-")
		if err != nil {
			rt.Fatal(err)
		}
		defer os.RemoveAll(dir)
		m := &model{dir: dir, has: map[digest.Digest]held{}}
		m.reopen(rt)
		rt.Repeat(map[string]func(*rapid.T){
			"put": m.put, "write": m.write, "read": m.read, "reclassify": m.reclassify,
			"damage": m.damage, "reopen": m.reopen, "": m.walk,
		})
	})
}

type held struct {
	p       []byte
	class   content.Class
	damaged bool
}

type model struct {
	dir string
	s   *content.Store
	has map[digest.Digest]held
}

// Few values, so that they meet.
var (
	values  = rapid.Custom(func(t *rapid.T) []byte { return some(rapid.Uint64Range(0, 5).Draw(t, "value"), 3000) })
	classes = rapid.SampledFrom(content.Classes())
)

func (m *model) reopen(t *rapid.T) {
	s, err := content.Open(m.dir)
	if err != nil {
		t.Fatal(err)
	}
	m.s = s
}

// stored brings the model up to what storing p under class must have done.
func (m *model) stored(t *rapid.T, p []byte, class content.Class, in content.Info, err error) {
	d := digest.Of(p)
	if h, ok := m.has[d]; ok && h.class != class {
		if !errors.Is(err, content.ErrConflict) {
			t.Fatalf("under %s, put as %s: %v", h.class, class, err)
		}
		return
	}
	if err != nil || in != (content.Info{Digest: d, Class: class, Size: int64(len(p))}) {
		t.Fatalf("put gave %+v, %v", in, err)
	}
	m.has[d] = held{p: p, class: class}
}

func (m *model) put(t *rapid.T) {
	p, class := values.Draw(t, "p"), classes.Draw(t, "class")
	in, err := m.s.Put(t.Context(), class, bytes.NewReader(p), int64(len(p)))
	m.stored(t, p, class, in, err)
}

func (m *model) write(t *rapid.T) {
	p, class := values.Draw(t, "p"), classes.Draw(t, "class")
	w, err := m.s.Create(t.Context(), class, int64(len(p)))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for part := range slices.Chunk(p, rapid.IntRange(1, 3000).Draw(t, "chunk")) {
		if _, err := w.Write(part); err != nil {
			t.Fatal(err)
		}
	}
	if !rapid.Bool().Draw(t, "commit") {
		return
	}
	in, err := w.Commit()
	m.stored(t, p, class, in, err)
}

func (m *model) read(t *rapid.T) {
	p := values.Draw(t, "p")
	d := digest.Of(p)
	got, in, err := m.s.ReadAll(t.Context(), d, 3000)
	switch h, ok := m.has[d]; {
	case !ok && !errors.Is(err, content.ErrUnknown), h.damaged && !errors.Is(err, content.ErrCorrupt):
		t.Fatalf("read gave %d bytes, %v", len(got), err)
	case ok && !h.damaged && (err != nil || !bytes.Equal(got, p) || in.Class != h.class):
		t.Fatalf("read gave %d bytes, %+v, %v", len(got), in, err)
	}
}

func (m *model) reclassify(t *rapid.T) {
	d, class := digest.Of(values.Draw(t, "p")), classes.Draw(t, "class")
	err := m.s.Reclassify(t.Context(), d, class)
	h, ok := m.has[d]
	if ok != (err == nil) || !ok && !errors.Is(err, content.ErrUnknown) {
		t.Fatal(err)
	}
	if ok {
		h.class = class
		m.has[d] = h
	}
}

// damage changes one byte on the disk.
func (m *model) damage(t *rapid.T) {
	d := digest.Of(values.Draw(t, "p"))
	h, ok := m.has[d]
	if !ok || h.damaged {
		return
	}
	q := bytes.Clone(h.p)
	q[rapid.IntRange(0, len(q)-1).Draw(t, "at")] ^= 0x10
	file := path(m.dir, content.Info{Digest: d, Class: h.class})
	if err := errors.Join(os.Chmod(file, 0o600), os.WriteFile(file, q, 0o600)); err != nil {
		t.Fatal(err)
	}
	h.damaged = true
	m.has[d] = h
}

// walk checks that exactly what the model has is there, in order.
func (m *model) walk(t *rapid.T) {
	var last digest.Digest
	n := 0
	err := m.s.Walk(t.Context(), func(in content.Info) error {
		n++
		h, ok := m.has[in.Digest]
		if !ok || h.class != in.Class || in.Size != int64(len(h.p)) {
			return fmt.Errorf("%+v: want %v under %s", in, ok, h.class)
		}
		if bytes.Compare(in.Digest[:], last[:]) <= 0 {
			return fmt.Errorf("%s after %s", in.Digest, last)
		}
		last = in.Digest
		if err := m.s.Check(t.Context(), in.Digest); errors.Is(err, content.ErrCorrupt) != h.damaged {
			return fmt.Errorf("damaged is %v, Check gave %w", h.damaged, err)
		}
		return nil
	})
	if err != nil || n != len(m.has) {
		t.Fatalf("walked %d of %d: %v", n, len(m.has), err)
	}
}
