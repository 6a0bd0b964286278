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

// Put stores what r gives, at most max bytes. Content that is there already is
// not written again, unless its copy turns out to be broken; under another
// class it is [ErrConflict]. An error of r, and any other, leaves nothing.
func (s *Store) Put(ctx context.Context, class Class, r io.Reader, max int64) (Info, error) {
	w, err := s.Create(ctx, class, max)
	if err != nil {
		return Info{}, err
	}
	// The hash is computed while the next bytes are read and written.
	d, _, err := digest.OfReader(io.TeeReader(r, sink{w}), nil)
	if err != nil {
		if w.err == nil { // it was r
			err = fmt.Errorf("storing content: reading it: %w", err)
		}
		return Info{}, errors.Join(err, w.Close())
	}
	return w.commit(d)
}

// sink writes without hashing.
type sink struct{ w *Writer }

func (s sink) Write(p []byte) (int, error) { return s.w.write(p) }

// Writer takes content piece by piece; its digest is known at Commit. It is for
// use by one goroutine.
type Writer struct {
	s     *Store
	ctx   context.Context
	class Class
	f     *os.File // nil when committed or closed
	h     hash.Hash
	n     int64
	max   int64
	err   error // the first one
}

var errClosed = errors.New("the writer is closed")

// Create starts a Writer for at most max bytes. Close without Commit discards.
// The writer fails when ctx ends.
func (s *Store) Create(ctx context.Context, class Class, max int64) (*Writer, error) {
	if err := errorsFirst(ctx.Err(), class.check()); err != nil {
		return nil, fmt.Errorf("storing content: %w", err)
	}
	f, err := s.createTemp()
	if err != nil {
		return nil, fmt.Errorf("storing content: %w", explain(s.dir, err))
	}
	return &Writer{s: s, ctx: ctx, class: class, f: f, h: sha256.New(), max: max}, nil
}

// Write adds p.
func (w *Writer) Write(p []byte) (int, error) {
	n, err := w.write(p)
	w.h.Write(p[:n])
	return n, err
}

// write adds p to the file alone.
func (w *Writer) write(p []byte) (n int, err error) {
	switch {
	case w.err != nil:
		return 0, w.err
	case w.f == nil:
		return 0, errClosed
	case w.ctx.Err() != nil:
		err = w.ctx.Err()
	case int64(len(p)) > w.max-w.n:
		err = fmt.Errorf("%w: more than %d bytes", ErrTooLarge, w.max)
	default:
		n, err = w.f.Write(p)
		w.n += int64(n)
	}
	if err != nil {
		w.err = fmt.Errorf("storing content: %w", explain(w.s.dir, err))
	}
	return n, w.err
}

// Commit makes the content durable and visible.
func (w *Writer) Commit() (Info, error) { return w.commit(digest.Digest(w.h.Sum(nil))) }

// commit makes what was written visible as d, which it is.
func (w *Writer) commit(d digest.Digest) (Info, error) {
	err := w.err
	if err == nil && w.f == nil {
		err = errClosed
	}
	if err == nil {
		err = w.ctx.Err()
	}
	if err == nil {
		err = w.publish(d)
	}
	if err != nil {
		if w.err == nil {
			err = fmt.Errorf("storing content %s: %w", d, explain(w.s.dir, err))
		}
		return Info{}, errors.Join(err, w.Close())
	}
	return Info{Digest: d, Class: w.class, Size: w.n}, nil
}

// publish gives the file its name, unless the name is taken by the same
// content. When it returns nil both the content and the name are durable.
func (w *Writer) publish(d digest.Digest) error {
	have, err := w.held(d)
	if err != nil {
		return err
	}
	if have {
		// Whoever stored it may not have come to this yet.
		return errorsFirst(w.s.syncName(w.class, d), w.Close())
	}
	if err := errorsFirst(w.f.Chmod(fileMode), w.f.Sync()); err != nil {
		return err
	}
	err = w.s.exclusively(func() error {
		// Another may have come first, or moved it here meanwhile.
		in, err := w.s.find(d)
		if err == nil && in.Class != w.class {
			return conflict(in, w.class)
		}
		if err != nil && !errors.Is(err, ErrUnknown) {
			return err
		}
		if err := w.s.makeShard(w.class, d); err != nil {
			return err
		}
		return os.Rename(w.f.Name(), w.s.path(w.class, d))
	})
	if err != nil {
		return err
	}
	f := w.f
	w.f = nil // the name is given: nothing to discard
	return errorsFirst(syncDir(w.s.shard(w.class, d)), f.Close())
}

// held reports whether d is there under the class of w and whole. A broken
// copy counts as absent and is replaced.
func (w *Writer) held(d digest.Digest) (bool, error) {
	in, err := w.s.Stat(d)
	if errors.Is(err, ErrUnknown) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	if in.Class != w.class {
		return false, conflict(in, w.class)
	}
	err = w.s.Check(w.ctx, d)
	if errors.Is(err, ErrCorrupt) || errors.Is(err, ErrUnknown) {
		return false, nil
	}
	return err == nil, err
}

// syncName makes the name of d under c durable.
func (s *Store) syncName(c Class, d digest.Digest) error {
	return errorsFirst(s.makeShard(c, d), syncDir(s.shard(c, d)))
}

func conflict(in Info, want Class) error {
	return fmt.Errorf("%w: %s, not %s", ErrConflict, in.Class, want)
}

// Close discards what was not committed.
func (w *Writer) Close() error {
	if w.f == nil {
		return nil
	}
	f := w.f
	w.f = nil
	if err := discard(f); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("discarding content: %w", err)
	}
	return nil
}
