package farm

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/content"
)

// Cache keeps content that a worker needs again and again: toolchains, modules,
// root file systems. It is only a help: everything that is read out of it is
// checked, and what is not what it should be is fetched again.
type Cache struct {
	dir  string
	max  int64
	mu   sync.Mutex
	gate map[digest.Digest]*gate // one fetches, the others wait
}

// gate lets one at a time through, as long as somebody is at it.
type gate struct {
	turn  chan struct{} // has room for who is through
	users int
}

// OpenCache uses a directory for at most so many bytes.
func OpenCache(dir string, max int64) (*Cache, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("cache: %w", err)
	}
	parts, err := filepath.Glob(filepath.Join(dir, ".part-*"))
	if err != nil {
		return nil, err
	}
	for _, p := range parts {
		if err := os.Remove(p); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("cache: %w", err)
		}
	}
	return &Cache{dir: dir, max: max, gate: map[digest.Digest]*gate{}}, nil
}

// Get opens content, which it fetches where it is not there. What is read is
// checked; where it is wrong, the read ends with an error and the next Get fetches.
func (c *Cache) Get(ctx context.Context, d digest.Digest, size int64, fetch func() (io.ReadCloser, error)) (io.ReadCloser, error) {
	path := filepath.Join(c.dir, d.String())
	leave, err := c.enter(ctx, d)
	if err != nil {
		return nil, err
	}
	defer leave()
	if f, err := os.Open(path); err == nil {
		now := time.Now()
		_ = os.Chtimes(path, now, now) // only the order of eviction
		return &reader{ReadCloser: f, want: d, left: size, hash: sha256.New(), bad: func() { _ = os.Remove(path) }}, nil
	}
	r, err := fetch()
	if err != nil {
		return nil, err
	}
	err = fill(path, checked(r, d, size))
	if err = errors.Join(err, r.Close()); err != nil {
		return nil, fmt.Errorf("fetching %s: %w", d, err)
	}
	c.evict(path)
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return checked(f, d, size), nil
}

// enter waits until nobody else is at the content of d.
func (c *Cache) enter(ctx context.Context, d digest.Digest) (leave func(), err error) {
	c.mu.Lock()
	g := c.gate[d]
	if g == nil {
		g = &gate{turn: make(chan struct{}, 1)}
		c.gate[d] = g
	}
	g.users++
	c.mu.Unlock()
	gone := func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if g.users--; g.users == 0 {
			delete(c.gate, d)
		}
	}
	select {
	case g.turn <- struct{}{}:
		return func() { <-g.turn; gone() }, nil
	case <-ctx.Done():
		gone()
		return nil, ctx.Err()
	}
}

// evict removes what was used longest ago until the rest has room; keep stays.
func (c *Cache) evict(keep string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		return
	}
	var files []fs.FileInfo
	var sum int64
	for _, e := range entries {
		if fi, err := e.Info(); err == nil && fi.Mode().IsRegular() {
			files, sum = append(files, fi), sum+fi.Size()
		}
	}
	slices.SortFunc(files, func(a, b fs.FileInfo) int { return a.ModTime().Compare(b.ModTime()) })
	for _, fi := range files {
		if sum <= c.max {
			return
		}
		if path := filepath.Join(c.dir, fi.Name()); path != keep && os.Remove(path) == nil {
			sum -= fi.Size() // who reads it still can: the file is open
		}
	}
}

// checked ends with an error where what is read is not size bytes of the digest.
func checked(r io.ReadCloser, d digest.Digest, size int64) io.ReadCloser {
	return &reader{ReadCloser: r, want: d, left: size, hash: sha256.New()}
}

type reader struct {
	io.ReadCloser
	want digest.Digest
	left int64
	hash hash.Hash
	bad  func() // told where it is wrong; may be nil
}

func (r *reader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	r.hash.Write(p[:n])
	r.left -= int64(n)
	over := r.left == 0 && digest.Digest(r.hash.Sum(nil)) != r.want // also for who stops at the last byte
	if r.left < 0 || over || r.left > 0 && errors.Is(err, io.EOF) {
		if r.bad != nil {
			r.bad()
		}
		if a, ok := r.ReadCloser.(*answered); ok {
			a.fail()
		}
		return 0, fmt.Errorf("%w: %s", content.ErrCorrupt, r.want)
	}
	return n, err
}
