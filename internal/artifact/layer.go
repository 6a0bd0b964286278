package artifact

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"vitrine.example/internal/artifact/archive"
)

// layer is what a member of a compressed file holds: an archive, whose bytes are
// in the spool unless there are many, or another file in the spool.
type layer struct {
	member archive.Member
	index  *archive.Index
	file   blob // nil of an archive that was read in passing
}

// keepUnpacked is up to which size an archive is kept in the spool while it is
// read: cheaper than to inflate it again for the members that differ.
const keepUnpacked = 512 << 20

// source gives contents of an archive.
type source struct {
	file   *io.SectionReader               // where they lie in a file, or
	reopen func() (*archive.Stream, error) // a stream to read again
	format archive.Format
}

// layers decodes a compressed file, member by member, to its last byte.
func (s *session) layers(f archive.Format, b blob) (all []layer, trailing int64, err error) {
	st, err := archive.OpenStream(s.ctx, f, b.SectionReader, s.o.Archive)
	if err != nil {
		return nil, 0, err
	}
	defer st.Close()
	var l *lane
	for {
		if err := st.Next(); errors.Is(err, io.EOF) {
			return all, st.Trailing, nil
		} else if err != nil {
			return nil, 0, err
		}
		if len(all) >= maxLayers {
			return nil, 0, fmt.Errorf("%s: more than %d members: %w", f, maxLayers, archive.ErrBound)
		}
		one, err := s.layer(&l, st, b.name)
		if err != nil {
			return nil, 0, err
		}
		all = append(all, one)
	}
}

// maxLayers bounds the members of a compressed file.
const maxLayers = 4096

func (s *session) layer(l **lane, st *archive.Stream, name string) (one layer, err error) {
	in := bufio.NewReaderSize(st, 64<<10)
	head, err := in.Peek(512)
	if err != nil && !errors.Is(err, io.EOF) {
		return one, err
	}
	count := &counter{r: in}
	if *l == nil {
		if *l, err = s.tmp.lane(); err != nil {
			return one, err
		}
	}
	keep := (*l).passing(keepUnpacked)
	switch {
	case archive.IsTar(head):
		one.index, err = archive.ReadTar(s.ctx, io.TeeReader(count, keep), s.o.Archive, nil)
		one.file = keep.blob(name)
	case archive.IsCpio(head):
		one.index, err = archive.ReadCpio(s.ctx, io.TeeReader(count, keep), s.o.Archive, nil)
		one.file = keep.blob(name)
	default:
		one.file, err = (*l).keep(inner(name), count)
	}
	if err != nil {
		return one, err
	}
	one.member = st.Member()
	s.count(func(c *Counts) {
		c.Inflated += count.n
		if one.index != nil {
			c.Members += int64(len(one.index.Entries))
		}
	})
	return one, nil
}

type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// streams compares two compressed files of one format.
func (s *session) streams(f archive.Format, p place, a, b blob) (outcome, error) {
	var x, y []layer
	var ta, tb int64
	err := s.both(func() (err error) { x, ta, err = s.layers(f, a); return whose("shipped", err) },
		func() (err error) { y, tb, err = s.layers(f, b); return whose("rebuilt", err) })
	if err != nil {
		return outcome{}, err
	}
	out := outcome{verdict: Identical, rung: RungStream}
	if isAPK(f, x, y) {
		return s.alpine(p, a, b, x, y, ta, tb)
	}
	if len(x) != len(y) {
		out.diffs = append(out.diffs, Difference{Where: p.where, What: "members of the " + string(f), Shipped: fmt.Sprint(len(x)), Rebuilt: fmt.Sprint(len(y))})
	}
	if d, err := s.trailing(p, a, b, ta, tb); err != nil {
		return out, err
	} else if d != nil {
		out.diffs = append(out.diffs, *d)
	}
	for i := range min(len(x), len(y)) {
		one, err := s.pairOfLayers(f, p, layerName(a.name, i, len(x)), a, b, x[i], y[i], i)
		if err != nil {
			return out, err
		}
		out.join(one)
	}
	return out.settled(), nil
}

func whose(side string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", side, err)
	}
	return nil
}

func layerName(name string, i, n int) string {
	if n == 1 {
		return inner(name)
	}
	return fmt.Sprintf("%s member %d", inner(name), i+1)
}

// join takes in the outcome of a part: the rung is the lower one.
func (o *outcome) join(p outcome) {
	o.add(p)
	if rank(p.rung) > rank(o.rung) {
		o.rung = p.rung
	}
}

// settled gives the verdict that follows from what was found.
func (o outcome) settled() outcome {
	switch {
	case len(o.diffs) > 0:
		o.verdict = Different
	case len(o.causes) > 0:
		o.verdict = Explained
	default:
		o.verdict = Identical
	}
	for _, c := range o.causes {
		if !c.Proved {
			o.verdict = Different
		}
	}
	return o
}

var rungs = []Rung{RungBytes, RungStream, RungEntries, RungSections, RungFunctions, RungLines, RungNone}

func rank(r Rung) int {
	for i, x := range rungs {
		if x == r {
			return i
		}
	}
	return len(rungs)
}

// trailing compares the bytes behind the last member.
func (s *session) trailing(p place, a, b blob, na, nb int64) (*Difference, error) {
	if na == 0 && nb == 0 {
		return nil, nil
	}
	x := blob{io.NewSectionReader(a, a.Size()-na, na), a.name}
	y := blob{io.NewSectionReader(b, b.Size()-nb, nb), b.name}
	eq, err := same(s.ctx, x, y)
	if err != nil || eq {
		return nil, err
	}
	d := &Difference{Where: p.where, What: "bytes behind the last member"}
	if na > 0 {
		d.Shipped = bytesText(x)
		d.Hunks = append(d.Hunks, Hunk{Title: "behind the shipped one", Lines: []string{hexLine("- ", x, 0)}})
	}
	if nb > 0 {
		d.Rebuilt = bytesText(y)
		d.Hunks = append(d.Hunks, Hunk{Title: "behind the rebuilt one", Lines: []string{hexLine("+ ", y, 0)}})
	}
	return d, nil
}

// pairOfLayers compares the contents of two members and then what the encoder made of them.
func (s *session) pairOfLayers(f archive.Format, p place, name string, a, b blob, x, y layer, i int) (outcome, error) {
	out := outcome{verdict: Identical, rung: RungStream}
	var err error
	switch q := p.in(name); {
	case x.index != nil && y.index != nil && x.index.Format == y.index.Format:
		m := archive.Match(x.index, y.index)
		if m.Equal() {
			break
		}
		out, err = s.matched(q, m, s.again(f, a, x, i), s.again(f, b, y, i))
	case x.index != nil || y.index != nil:
		out = different(Difference{Where: q.where, What: "format", Shipped: layerFormat(x), Rebuilt: layerFormat(y)})
	default:
		eq := false
		if eq, err = same(s.ctx, x.file, y.file); err == nil && !eq {
			q.exec = p.exec
			out, err = s.files(q, x.file, y.file)
		}
	}
	if err != nil {
		return out, err
	}
	enc, err := s.encoding(f, p, a, b, x, y, i, out.verdict != Different)
	out.add(enc)
	return out.settled(), err
}

func layerFormat(l layer) string {
	if l.index != nil {
		return string(l.index.Format)
	}
	return string(detect(l.file))
}

// again gives the contents of an archive: from the spool, or by inflating the
// member of the compressed file once more.
func (s *session) again(f archive.Format, b blob, l layer, i int) source {
	if l.file.SectionReader != nil {
		return source{format: l.index.Format, file: l.file.SectionReader}
	}
	return source{format: l.index.Format, reopen: func() (*archive.Stream, error) {
		sec, skip := b.SectionReader, i
		if f == archive.Gzip {
			sec, skip = io.NewSectionReader(b, l.member.Off, b.Size()-l.member.Off), 0
		}
		st, err := archive.OpenStream(s.ctx, f, sec, s.o.Archive)
		if err != nil {
			return nil, err
		}
		for range skip + 1 {
			if err := st.Next(); err != nil {
				st.Close()
				return nil, err
			}
		}
		return st, nil
	}}
}

// inner is the name of what a compressed file holds.
func inner(name string) string {
	for _, e := range []struct{ from, to string }{
		{".tgz", ".tar"}, {".txz", ".tar"}, {".tbz2", ".tar"}, {".tzst", ".tar"},
		{".gz", ""}, {".xz", ""}, {".zst", ""}, {".bz2", ""},
	} {
		if n := len(name) - len(e.from); n > 0 && name[n:] == e.from {
			return name[:n] + e.to
		}
	}
	return name + " content"
}
