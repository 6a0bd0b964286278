package farm

import (
	"errors"
	"io"
	"os"
	"sync"
)

// spool keeps the log of a build on disk until the node has it: a node that
// cannot be reached costs no memory, and the log is whole when it can.
type spool struct {
	mu        sync.Mutex
	f         *os.File
	size, out int64 // bytes in the file, and those that the node has
	cut       bool
}

// cutNote ends a log that is longer than the node takes.
const cutNote = "\nvitrine: the log is longer than it may be, the rest is left out\n"

func newSpool(path string) (*spool, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	return &spool{f: f}, nil
}

// Write takes all that it is given, and leaves out what is over the bound: a
// build does not fail because it talks.
func (s *spool) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	keep := p
	if room := MaxLog - int64(len(cutNote)) - s.size; int64(len(p)) > room {
		keep = p[:max(room, 0)]
	}
	if err := s.add(keep); err != nil {
		return 0, err
	}
	if len(keep) < len(p) && !s.cut {
		s.cut = true
		if err := s.add([]byte(cutNote)); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

func (s *spool) add(p []byte) error {
	n, err := s.f.WriteAt(p, s.size)
	s.size += int64(n)
	return err
}

// next is what the node does not have yet, at most MaxChunk bytes of it.
func (s *spool) next() (start int64, data []byte, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	data = make([]byte, min(s.size-s.out, MaxChunk))
	if _, err := s.f.ReadAt(data, s.out); err != nil && !errors.Is(err, io.EOF) {
		return 0, nil, err
	}
	return s.out, data, nil
}

func (s *spool) sent(upTo int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.out = upTo
}

// Close ends it.
func (s *spool) Close() error { return s.f.Close() }
