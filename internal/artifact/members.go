package artifact

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"vitrine.example/internal/artifact/archive"
)

// archives compares two archives that lie in files.
func (s *session) archives(f archive.Format, p place, a, b blob) (outcome, error) {
	var x, y *archive.Index
	err := s.both(func() (err error) { x, err = s.index(f, a); return whose("shipped", err) },
		func() (err error) { y, err = s.index(f, b); return whose("rebuilt", err) })
	if err != nil {
		return outcome{}, err
	}
	m := archive.Match(x, y)
	if f == archive.Ar && isDeb(x) && isDeb(y) {
		p.pol.System = true
	}
	return s.matched(p, m, source{file: a.SectionReader, format: f}, source{file: b.SectionReader, format: f})
}

func (s *session) index(f archive.Format, b blob) (x *archive.Index, err error) {
	whole := &counter{r: io.NewSectionReader(b, 0, b.Size())}
	switch f {
	case archive.Tar:
		x, err = archive.ReadTar(s.ctx, whole, s.o.Archive, nil)
	case archive.Cpio:
		x, err = archive.ReadCpio(s.ctx, whole, s.o.Archive, nil)
	case archive.Ar:
		x, err = archive.ReadAr(s.ctx, b.SectionReader, s.o.Archive)
	default:
		x, err = archive.ReadZip(s.ctx, b.SectionReader, s.o.Archive)
	}
	if err == nil {
		s.count(func(c *Counts) { c.Members += int64(len(x.Entries)) })
	}
	return x, err
}

func isDeb(x *archive.Index) bool {
	return len(x.Entries) > 0 && x.Entries[0].Name == "debian-binary"
}

// task is a pair whose stored contents differ.
type task struct {
	pair archive.Pair
	a, b blob
	rawA *io.SectionReader // the archives, where they lie in files
	rawB *io.SectionReader
	err  error // why the contents could not be had
	out  outcome
	done bool
}

// matched compares two archives: contents first, then all that is not content.
func (s *session) matched(p place, m *archive.Matching, a, b source) (outcome, error) {
	p.pol.Reset = p.pol.Reset || isNpm(m.A) && isNpm(m.B)
	var tasks []*task
	at := map[*archive.Entry]*task{}
	for _, pair := range m.Pairs {
		if !pair.SameContent() {
			t := &task{pair: pair, rawA: a.file, rawB: b.file}
			tasks = append(tasks, t)
			at[pair.A] = t
		}
	}
	if err := s.unpack(m, tasks, a, b); err != nil {
		return outcome{}, err
	}
	if err := s.contents(p, m, tasks); err != nil {
		return outcome{}, err
	}
	out := outcome{rung: RungEntries}
	for _, t := range tasks {
		out.add(t.out)
	}
	proven := func(q archive.Pair) bool {
		t := at[q.A]
		return t != nil && t.done && t.out.verdict == Explained
	}
	s.settle(p, m, proven, &out)
	if a.format == archive.Zip {
		if err := s.module(p, m, a, b); err != nil {
			return out, err
		}
	}
	return out.settled(), nil
}

// contents compares the contents of the tasks. Of a Debian package the data
// comes before the control, which says the digests of the data.
func (s *session) contents(p place, m *archive.Matching, tasks []*task) error {
	if isDeb(m.A) && isDeb(m.B) {
		for _, t := range slices.Backward(tasks) {
			if err := s.content1(p, m, t); err != nil {
				return err
			}
		}
		return nil
	}
	return s.each(len(tasks), func(i int) error { return s.content1(p, m, tasks[i]) })
}

// settle adds what the archives themselves say.
func (s *session) settle(p place, m *archive.Matching, proven func(archive.Pair) bool, out *outcome) {
	set := m.Settle(p.pol, proven)
	for _, d := range set.Differences {
		where := p.where
		if d.Member != "" {
			where = join(p.where, d.Member)
		}
		if d.Field == "member" || d.Field == "type" {
			out.rung = RungNone
		}
		out.diffs = append(out.diffs, Difference{Where: where, What: d.Field, Shipped: d.Shipped, Rebuilt: d.Rebuilt})
	}
	if len(set.Differences) > 0 {
		out.rung = RungNone
	}
	for _, c := range set.Causes {
		proof := proofPatched
		if c.Cause == archive.CauseSigning {
			proof = proofAttached
		}
		out.causes = append(out.causes, Cause{Name: string(c.Cause), Where: p.where, Members: c.Members, Example: c.Example,
			Shipped: c.Shipped, Rebuilt: c.Rebuilt, Proved: c.Proved, Proof: proof})
	}
	if !set.Proved && len(out.diffs) == 0 {
		// Nothing is explained that was not proved: this line is never to be seen.
		out.diffs = append(out.diffs, Difference{Where: p.where, What: "bytes that no cause covers", Shipped: "shipped", Rebuilt: "rebuilt"})
	}
}

func join(where, name string) string {
	if where == "" {
		return name
	}
	return where + arrow + name
}

// unpack gets the contents of the tasks, both sides at once.
func (s *session) unpack(m *archive.Matching, tasks []*task, a, b source) error {
	if len(tasks) == 0 {
		return nil
	}
	var mu sync.Mutex
	fail := func(t *task, err error) {
		mu.Lock()
		defer mu.Unlock()
		if t.err == nil {
			t.err = err
		}
	}
	side := func(x *archive.Index, src source, entry func(*task) *archive.Entry, put func(*task, blob)) func() error {
		return func() error {
			if src.file == nil {
				return s.passing(src, tasks, entry, put, fail)
			}
			return s.direct(x, src, tasks, entry, put, fail)
		}
	}
	return s.both(
		side(m.A, a, func(t *task) *archive.Entry { return t.pair.A }, func(t *task, b blob) { t.a = b }),
		side(m.B, b, func(t *task) *archive.Entry { return t.pair.B }, func(t *task, b blob) { t.b = b }))
}

// direct gets contents out of a file: as they lie there, or decoded.
func (s *session) direct(x *archive.Index, src source, tasks []*task, entry func(*task) *archive.Entry, put func(*task, blob), fail func(*task, error)) error {
	var l *lane
	for _, t := range tasks {
		e := entry(t)
		r, err := x.Content(s.ctx, src.file, e, s.o.Archive)
		if sec, ok := r.(*io.SectionReader); ok && err == nil {
			put(t, blob{sec, e.Name})
			continue
		}
		var kept blob
		if err == nil {
			if l == nil {
				if l, err = s.tmp.lane(); err != nil {
					return err
				}
			}
			kept, err = l.keep(e.Name, r)
			s.count(func(c *Counts) { c.Inflated += kept.Size() })
		}
		switch {
		case s.ctx.Err() != nil:
			return s.ctx.Err()
		case err == nil:
			put(t, kept)
		case lookedInto(err):
			fail(t, err)
		default:
			return err
		}
	}
	return nil
}

var errEnough = errors.New("enough was read")

// passing gets contents out of a stream that is read once more, up to the last of them.
func (s *session) passing(src source, tasks []*task, entry func(*task) *archive.Entry, put func(*task, blob), fail func(*task, error)) error {
	want := make(map[int64]*task, len(tasks)) // by the offset of the content
	for _, t := range tasks {
		want[entry(t).Off] = t
	}
	st, err := src.reopen()
	if err != nil {
		return err
	}
	defer st.Close()
	l, err := s.tmp.lane()
	if err != nil {
		return err
	}
	left := len(want)
	visit := func(e *archive.Entry, r io.Reader) error {
		t := want[e.Off]
		if t == nil {
			return nil
		}
		kept, err := l.keep(e.Name, r)
		switch {
		case errors.Is(err, errSpool):
			fail(t, err)
		case err != nil:
			return err
		default:
			put(t, kept)
		}
		if left--; left == 0 {
			return errEnough
		}
		return nil
	}
	if err = readAgain(s.ctx, src.format, st, s.o.Archive, visit); errors.Is(err, errEnough) {
		return nil
	}
	return err
}

func readAgain(ctx context.Context, f archive.Format, r io.Reader, lim archive.Limits, visit archive.Visit) (err error) {
	if f == archive.Cpio {
		_, err = archive.ReadCpio(ctx, r, lim, visit)
	} else {
		_, err = archive.ReadTarAgain(ctx, r, lim, visit)
	}
	return err
}

// content1 compares the contents of one pair.
func (s *session) content1(p place, m *archive.Matching, t *task) error {
	e := t.pair.A
	q := p.in(e.Name)
	q.exec = e.Exec || t.pair.B.Exec
	if t.err != nil {
		s.skip(q.where, t.err)
		t.out = different(Difference{Where: q.where, What: "content", Shipped: storedText(t.pair.A), Rebuilt: storedText(t.pair.B)})
		return nil
	}
	eq, err := same(s.ctx, t.a, t.b)
	if err != nil {
		return err
	}
	switch {
	case eq:
		t.out = outcome{verdict: Identical, rung: RungStream}
	case e.Kind != archive.File || t.pair.B.Kind != archive.File:
		// A link's target is no text: nothing in it is harmless.
		t.out = s.bytes(q, t.a, t.b)
	default:
		if t.out, err = s.files(q, t.a, t.b); err != nil {
			return err
		}
	}
	if t.out.verdict != Different && (m.A.Packed(e) || m.B.Packed(t.pair.B)) {
		if err := s.recoded(q, m, t); err != nil {
			return err
		}
	}
	t.out, t.done = t.out.settled(), true
	if t.out.verdict == Explained && p.pol.System {
		return s.derive(t.a, t.b)
	}
	return nil
}

// recoded says who compressed a member of a zip whose content is proven.
func (s *session) recoded(p place, m *archive.Matching, t *task) error {
	if !m.A.Packed(t.pair.A) || !m.B.Packed(t.pair.B) {
		return nil // the method differs, and that is a difference
	}
	stored := func(e *archive.Entry, src *io.SectionReader) blob {
		return blob{io.NewSectionReader(src, e.Off, e.Size), e.Name}
	}
	whole := func(b blob) opener {
		return func() (io.ReadCloser, error) { return io.NopCloser(io.NewSectionReader(b, 0, b.Size())), nil }
	}
	c, err := s.encoder(p, stored(t.pair.A, t.rawA), stored(t.pair.B, t.rawB), whole(t.a), whole(t.b))
	t.out.causes = append(t.out.causes, c)
	return err
}

func storedText(e *archive.Entry) string { return fmt.Sprintf("%d bytes as stored", e.Size) }
