package farm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"vitrine.example/digest"
	"vitrine.example/internal/content"
	"vitrine.example/internal/rebuild"
)

// shelf is the store of one order: the cache, and behind it the office.
type shelf struct {
	w   *Worker
	l   *lease
	dir string
	mu  sync.Mutex
}

// Open gives content that is checked against its digest while it is read.
func (s *shelf) Open(ctx context.Context, d digest.Digest) (io.ReadCloser, content.Info, error) {
	size, ok := need(&s.l.h.Order, d)
	if !ok {
		return nil, content.Info{}, fmt.Errorf("%w: the order does not need %s", content.ErrUnknown, d)
	}
	info := content.Info{Digest: d, Size: size}
	if s.w.Cache == nil {
		r, err := s.fetch(ctx, d)
		if err != nil {
			return nil, info, err
		}
		return checked(r, d, size), info, nil
	}
	for try := 1; ; try++ {
		r, err := s.w.Cache.Get(ctx, d, size, func() (io.ReadCloser, error) { return s.fetch(ctx, d) })
		if err == nil || try == fetchTries || ctx.Err() != nil || errors.Is(err, ErrLost) || errors.Is(err, content.ErrUnknown) {
			return r, info, err
		}
	}
}

// fetchTries is how often content is fetched that ends too early: a client goes
// to another node then.
const fetchTries = 3

func (s *shelf) fetch(ctx context.Context, d digest.Digest) (io.ReadCloser, error) {
	return s.w.Office.Content(ctx, s.l.h.ID, s.l.h.Epoch, d)
}

// shipped puts a shipped artifact into a file, checked.
func (s *shelf) shipped(ctx context.Context, a rebuild.Shipped) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	path := filepath.Join(s.dir, "shipped-"+a.SHA256.String())
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	r, _, err := s.Open(ctx, a.SHA256)
	if err != nil {
		return "", fmt.Errorf("the shipped %s: %w", a.Name, err)
	}
	defer r.Close()
	if err := fill(path, r); err != nil {
		return "", fmt.Errorf("the shipped %s: %w", a.Name, err)
	}
	return path, nil
}

// fill writes a whole file or none.
func fill(path string, r io.Reader) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".part-*")
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
