package artifact

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// errSpool says that the bound of the spool is reached.
var errSpool = errors.New("more than --max-spool bytes would have to be unpacked to look into it")

// spool keeps members that differ in a temporary file without a name.
type spool struct {
	dir string
	max int64

	mu    sync.Mutex
	files []*os.File
	used  int64
}

func newSpool(dir string, max int64) *spool { return &spool{dir: dir, max: max} }

// lane is one file of the spool, for one writer at a time.
type lane struct {
	s   *spool
	f   *os.File
	end int64
}

func (s *spool) lane() (*lane, error) {
	f, err := os.CreateTemp(s.dir, "vitrine-explain-*")
	if err != nil {
		return nil, fmt.Errorf("unpacking: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, fmt.Errorf("unpacking: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files = append(s.files, f)
	return &lane{s: s, f: f}, nil
}

func (s *spool) take(n int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.used+n > s.max {
		return errSpool
	}
	s.used += n
	return nil
}

func (s *spool) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.files {
		f.Close()
	}
}

// keep copies r to its end.
func (l *lane) keep(name string, r io.Reader) (blob, error) {
	w := &laneWriter{l: l, at: l.end}
	n, err := io.CopyBuffer(w, struct{ io.Reader }{r}, make([]byte, 64<<10))
	b := blob{io.NewSectionReader(l.f, l.end, n), name}
	l.end = w.at
	return b, err
}

type laneWriter struct {
	l  *lane
	at int64
}

func (w *laneWriter) Write(p []byte) (int, error) {
	if err := w.l.s.take(int64(len(p))); err != nil {
		return 0, err
	}
	n, err := w.l.f.WriteAt(p, w.at)
	w.at += int64(n)
	return n, err
}

// passing keeps what is read on its way, up to max bytes; then it lets all of it go.
func (l *lane) passing(max int64) *passer { return &passer{l: l, max: max, at: l.end} }

type passer struct {
	l    *lane
	max  int64
	at   int64
	n    int64
	over bool
}

func (p *passer) Write(b []byte) (int, error) {
	if p.over {
		return len(b), nil
	}
	if p.n+int64(len(b)) > p.max || p.l.s.take(int64(len(b))) != nil {
		p.over = true
		p.l.s.give(p.n)
		return len(b), nil
	}
	n, err := p.l.f.WriteAt(b, p.at+p.n)
	p.n += int64(n)
	return n, err
}

// blob is what was kept, or nothing.
func (p *passer) blob(name string) blob {
	if p.over {
		return blob{}
	}
	p.l.end = p.at + p.n
	return blob{io.NewSectionReader(p.l.f, p.at, p.n), name}
}

func (s *spool) give(n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used -= n
}
