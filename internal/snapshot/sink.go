package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// sink takes entries in order, keeps the bounds and writes the tar.
type sink struct {
	ctx      context.Context
	tar      tarWriter
	order    order
	lim      Limits
	sum      Summary
	progress func(int64)
	buf      []byte
}

func newSink(ctx context.Context, w io.Writer, lim Limits, progress func(int64)) *sink {
	if progress == nil {
		progress = func(int64) {}
	}
	return &sink{ctx: ctx, tar: tarWriter{w: w}, lim: lim, progress: progress, buf: make([]byte, 256<<10)}
}

// begin checks an entry against names, order and bounds.
func (s *sink) begin(name, suffix string, size int64) error {
	if err := s.ctx.Err(); err != nil {
		return err
	}
	if err := checkPath(name); err != nil {
		return err
	}
	if err := s.order.next(name + suffix); err != nil {
		return err
	}
	if s.sum.Entries++; s.sum.Entries > s.lim.Entries {
		return fmt.Errorf("%q is entry %d of the source, of at most %d: %w", name, s.sum.Entries, s.lim.Entries, ErrTooLarge)
	}
	if size > s.lim.Bytes-s.sum.Bytes {
		return fmt.Errorf("%q (%d bytes) brings the source above %d bytes: %w", name, size, s.lim.Bytes, ErrTooLarge)
	}
	return nil
}

// file writes a file of exactly size bytes.
func (s *sink) file(name string, exec bool, size int64, r io.Reader) error {
	if err := s.begin(name, "", size); err != nil {
		return err
	}
	if err := s.tar.header(entry{typ: typeFile, name: name, exec: exec, size: size}); err != nil {
		return err
	}
	if err := s.copy(name, size, r); err != nil {
		return err
	}
	_, err := s.tar.w.Write(padding(size))
	return err
}

func (s *sink) copy(name string, size int64, r io.Reader) error {
	for left := size; left > 0; {
		if err := s.ctx.Err(); err != nil {
			return err
		}
		n, err := io.ReadFull(r, s.buf[:min(left, int64(len(s.buf)))])
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return fmt.Errorf("%q ended %d bytes early: %w", name, left-int64(n), ErrChanged)
		}
		if err != nil {
			return fmt.Errorf("reading %q: %w", name, err)
		}
		if _, err := s.tar.w.Write(s.buf[:n]); err != nil {
			return err
		}
		left -= int64(n)
		s.sum.Bytes += int64(n)
		s.progress(s.sum.Bytes)
	}
	return nil
}

// link writes a symbolic link that stays inside the tree.
func (s *sink) link(name, target string) error {
	if err := s.begin(name, "", 0); err != nil {
		return err
	}
	if err := checkLink(name, target); err != nil {
		return err
	}
	return s.tar.header(entry{typ: typeLink, name: name, target: target})
}

// dir writes a directory that has nothing in it.
func (s *sink) dir(name string) error {
	if err := s.begin(name, "/", 0); err != nil {
		return err
	}
	return s.tar.header(entry{typ: typeDir, name: name + "/"})
}

// close ends the tar; a snapshot of nothing is refused.
func (s *sink) close() (Summary, error) {
	if s.sum.Entries == 0 {
		return s.sum, fmt.Errorf("there are no files in it: %w", ErrRefused)
	}
	return s.sum, s.tar.close()
}
