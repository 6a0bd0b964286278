package artifact

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"sync"
	"syscall"

	"vitrine.example/digest"
	"vitrine.example/internal/artifact/archive"
)

// session is a comparison under way.
type session struct {
	ctx   context.Context
	o     Options
	tmp   *spool
	slots chan struct{} // of workers beside the first

	finder archive.Finder

	mu     sync.Mutex
	counts Counts
	unread []string
	facts  []Fact
	// derived are digests of rebuilt files that were explained, in hexadecimal,
	// with those of the shipped ones.
	derived map[string]string
}

// blob is a file, or a member that lies in one.
type blob struct {
	*io.SectionReader
	name string // for people: the last of its names
}

// outcome is what the comparison of two files found.
type outcome struct {
	verdict Verdict
	rung    Rung
	causes  []Cause
	diffs   []Difference
}

func (o *outcome) add(p outcome) {
	o.causes = append(o.causes, p.causes...)
	o.diffs = append(o.diffs, p.diffs...)
}

// place is where a comparison stands.
type place struct {
	where string // through the layers
	depth int
	exec  bool // the file may be executed
	pol   archive.Policy
	name  string // of the file: tells documentation from code
}

// arrow stands between the layers of a place.
const arrow = " → "

func (p place) in(layer string) place {
	p.depth++
	p.name = layer
	p.exec = false
	if p.where == "" {
		p.where = layer
	} else {
		p.where += arrow + layer
	}
	return p
}

// Compare compares what shipped with what was rebuilt: two files or two directories.
func Compare(ctx context.Context, shipped, rebuilt string, o Options) (*Report, error) {
	s := &session{ctx: ctx, o: o.complete(), slots: make(chan struct{}, 1), derived: map[string]string{}}
	s.tmp = newSpool(s.o.TempDir, s.o.Spool)
	defer s.tmp.close()
	a, err := os.Stat(shipped)
	if err != nil {
		return nil, fmt.Errorf("reading what shipped: %w", err)
	}
	b, err := os.Stat(rebuilt)
	if err != nil {
		return nil, fmt.Errorf("reading what was rebuilt: %w", err)
	}
	if a.IsDir() && b.IsDir() {
		return s.trees(shipped, rebuilt)
	}
	if !a.Mode().IsRegular() || !b.Mode().IsRegular() {
		return nil, fmt.Errorf("comparing %s with %s: %w", shipped, rebuilt, ErrKind)
	}
	return s.two(shipped, rebuilt)
}

// two compares two files.
func (s *session) two(shipped, rebuilt string) (*Report, error) {
	a, closeA, err := openBlob(shipped)
	if err != nil {
		return nil, err
	}
	defer closeA()
	b, closeB, err := openBlob(rebuilt)
	if err != nil {
		return nil, err
	}
	defer closeB()
	r := &Report{Shipped: Side{Name: shipped, Size: a.Size()}, Rebuilt: Side{Name: rebuilt, Size: b.Size()}}
	err = s.both(func() (err error) { r.Shipped.SHA256, err = s.sum(a); return },
		func() (err error) { r.Rebuilt.SHA256, err = s.sum(b); return })
	if err != nil {
		return nil, err
	}
	r.Shipped.Format, r.Rebuilt.Format = string(detect(a)), string(detect(b))
	out := outcome{verdict: Identical, rung: RungBytes}
	if r.Shipped.SHA256 != r.Rebuilt.SHA256 {
		if out, err = s.files(place{name: filepath.Base(rebuilt)}, a, b); err != nil {
			return nil, err
		}
	}
	return s.report(r, out), nil
}

func openBlob(path string) (blob, func(), error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return blob{}, nil, fmt.Errorf("reading: %w", err)
	}
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = fmt.Errorf("reading %s: %w", path, ErrKind)
	}
	if err != nil {
		f.Close()
		return blob{}, nil, err
	}
	return blob{io.NewSectionReader(f, 0, st.Size()), filepath.Base(path)}, func() { f.Close() }, nil
}

func (s *session) sum(b blob) (string, error) {
	d, n, err := digest.OfReader(&live{s.ctx, io.NewSectionReader(b, 0, b.Size())}, nil)
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", b.name, err)
	}
	s.count(func(c *Counts) { c.Read += n })
	return hex.EncodeToString(d[:]), nil
}

// live ends reading with its context.
type live struct {
	ctx context.Context
	r   io.Reader
}

func (l *live) Read(p []byte) (int, error) {
	if err := l.ctx.Err(); err != nil {
		return 0, err
	}
	return l.r.Read(p)
}

func (s *session) count(f func(*Counts)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.counts)
}

// skip notes what could not be looked into.
func (s *session) skip(where string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if where == "" {
		where = "the file"
	}
	if len(s.unread) < 1000 {
		s.unread = append(s.unread, where+": "+err.Error())
	}
}

func (s *session) fact(f Fact) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.facts = append(s.facts, f)
}

// both does two things at once.
func (s *session) both(a, b func() error) error {
	done := make(chan error, 1)
	go func() { done <- b() }()
	err := a()
	if err2 := <-done; err == nil {
		err = err2
	}
	return err
}

// each calls f for 0 … n-1, on both cores where one is free.
func (s *session) each(n int, f func(int) error) error {
	var next int
	var mu sync.Mutex
	work := func() error {
		for {
			mu.Lock()
			i := next
			next++
			mu.Unlock()
			if i >= n {
				return nil
			}
			if err := s.ctx.Err(); err != nil {
				return err
			}
			if err := f(i); err != nil {
				mu.Lock()
				next = n
				mu.Unlock()
				return err
			}
		}
	}
	select {
	case s.slots <- struct{}{}:
		err := s.both(work, work)
		<-s.slots
		return err
	default:
		return work()
	}
}

// report puts an outcome into words that are the same on each run.
func (s *session) report(r *Report, out outcome) *Report {
	r.Schema, r.Verdict, r.Rung = Schema, out.verdict, out.rung
	r.Compared, r.Facts = s.counts, s.facts
	r.Causes, r.Differences = append([]Cause{}, out.causes...), append([]Difference{}, out.diffs...)
	r.Unread = append([]string{}, s.unread...)
	r.Ignored = append([]string{}, r.Ignored...)
	sort.SliceStable(r.Causes, func(i, j int) bool { return r.Causes[i].Where < r.Causes[j].Where })
	sort.SliceStable(r.Differences, func(i, j int) bool { return r.Differences[i].Where < r.Differences[j].Where })
	sort.Strings(r.Unread)
	sort.SliceStable(r.Facts, func(i, j int) bool { return r.Facts[i].Where < r.Facts[j].Where })
	if n := len(r.Differences) - s.o.Differences; n > 0 {
		r.Omitted, r.Differences = n, r.Differences[:s.o.Differences]
	}
	return r
}
