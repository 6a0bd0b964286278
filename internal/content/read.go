package content

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"

	"vitrine.example/digest"
)

// open opens the file of d.
func (s *Store) open(ctx context.Context, d digest.Digest) (*os.File, Info, error) {
	if err := ctx.Err(); err != nil {
		return nil, Info{}, fmt.Errorf("content %s: %w", d, err)
	}
	for moves := 0; ; moves++ {
		in, err := s.Stat(d)
		if err != nil {
			return nil, Info{}, err
		}
		f, fi, err := openRegular(s.path(in.Class, d))
		if errors.Is(err, fs.ErrNotExist) && moves < 10 {
			continue // it was moved to another class
		} else if err != nil {
			return nil, Info{}, fmt.Errorf("content %s: %w", d, err)
		}
		in.Size = fi.Size()
		return f, in, nil
	}
}

// Open returns a reader that fails with [ErrCorrupt] where what it gave was not
// d: the last bytes are held back until the whole is checked, so that who reads
// exactly Size bytes and no more is warned too. Use ReadAll where nothing
// unchecked may be seen. The reader fails when ctx ends.
func (s *Store) Open(ctx context.Context, d digest.Digest) (io.ReadCloser, Info, error) {
	f, in, err := s.open(ctx, d)
	if err != nil {
		return nil, Info{}, err
	}
	return &reader{ctx: ctx, f: f, h: sha256.New(), d: d, left: in.Size}, in, nil
}

// reader gives the content of a file and checks it.
type reader struct {
	ctx  context.Context
	f    *os.File
	h    hash.Hash
	d    digest.Digest
	left int64
	end  error // what Read returns from now on
}

// Read gives the next bytes.
func (r *reader) Read(p []byte) (int, error) {
	if r.end == nil && r.left == 0 {
		r.end = r.check() // empty content
	}
	if r.end != nil || len(p) == 0 {
		return 0, r.end
	}
	if err := r.ctx.Err(); err != nil {
		return 0, fmt.Errorf("content %s: %w", r.d, err)
	}
	n, err := r.f.Read(p[:min(int64(len(p)), r.left)])
	r.h.Write(p[:n])
	r.left -= int64(n)
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		r.end = fmt.Errorf("content %s: %w", r.d, err)
	case err != nil: // shorter than it was when opened
		r.end = corrupt(r.d)
	case r.left == 0:
		if r.end = r.check(); !errors.Is(r.end, io.EOF) {
			return 0, r.end // hold back the last bytes
		}
		return n, nil
	}
	return n, r.end
}

// check returns io.EOF where all that was read is d, else ErrCorrupt.
func (r *reader) check() error {
	if digest.Digest(r.h.Sum(nil)) != r.d {
		return corrupt(r.d)
	}
	return io.EOF
}

// Close ends reading.
func (r *reader) Close() error { return r.f.Close() }

func corrupt(d digest.Digest) error {
	return fmt.Errorf("content %s: %w: the disk or somebody has changed it: store it again, or restore a backup", d, ErrCorrupt)
}

// ReadAll returns checked content of at most max bytes.
func (s *Store) ReadAll(ctx context.Context, d digest.Digest, max int64) (_ []byte, _ Info, err error) {
	r, in, err := s.Open(ctx, d)
	if err != nil {
		return nil, Info{}, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	if in.Size > max {
		return nil, Info{}, fmt.Errorf("content %s: %w: %d bytes, at most %d", d, ErrTooLarge, in.Size, max)
	}
	p := make([]byte, in.Size)
	if _, err := io.ReadFull(r, p); err != nil {
		return nil, Info{}, err
	}
	// Nothing was read, and so nothing checked, of empty content.
	if _, err := r.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		return nil, Info{}, err
	}
	return p, in, nil
}

// Check reads d again and reports [ErrCorrupt] or [ErrUnknown].
func (s *Store) Check(ctx context.Context, d digest.Digest) (err error) {
	f, _, err := s.open(ctx, d)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	got, _, err := digest.OfReader(during{ctx, f}, nil)
	if err != nil {
		return fmt.Errorf("content %s: %w", d, err)
	}
	if got != d {
		return corrupt(d)
	}
	return nil
}

// during reads until ctx ends.
type during struct {
	ctx context.Context
	r   io.Reader
}

func (c during) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
