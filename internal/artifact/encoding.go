package artifact

import (
	"bufio"
	"fmt"
	"io"

	"vitrine.example/internal/artifact/archive"
)

// How a cause was proved.
const (
	proofPatched  = "set in the rebuilt file, it gives the shipped bytes"
	proofEncoded  = "the shipped content, encoded by it, gives the shipped bytes"
	proofDecoded  = "both streams, decoded strictly to their last byte, are the same content; the encoder itself was not found"
	proofReplaced = "replaced in the rebuilt file, it gives the shipped bytes"
	proofAttached = "attached to the rebuilt file, it gives the shipped bytes"
)

// encoding compares headers and compressed bytes of two members whose contents
// are the same, or were explained (then proven is true).
func (s *session) encoding(f archive.Format, p place, a, b blob, x, y layer, i int, proven bool) (outcome, error) {
	out := outcome{}
	if f != archive.Gzip {
		if !proven {
			return out, nil
		}
		// One member, so the files themselves: they differ.
		detail := [2]string{x.member.Facts, y.member.Facts}
		if detail[0] == detail[1] {
			detail = [2]string{bytesText(a), bytesText(b)}
		}
		out.causes = append(out.causes, Cause{Name: string(archive.CauseEncoder), Where: p.where, Shipped: detail[0], Rebuilt: detail[1], Proved: true, Proof: proofDecoded})
		return out, nil
	}
	deltas, ok := archive.GzipHeaders(x.member.Header, y.member.Header)
	for _, d := range deltas {
		if d.Cause == "" || !ok {
			out.diffs = append(out.diffs, Difference{Where: p.where, What: "gzip " + d.Field, Shipped: d.Shipped, Rebuilt: d.Rebuilt})
			continue
		}
		out.causes = append(out.causes, Cause{Name: string(d.Cause), Where: p.where, Example: d.Field, Shipped: d.Shipped, Rebuilt: d.Rebuilt, Proved: true, Proof: proofPatched})
	}
	if len(deltas) == 0 && !ok {
		out.diffs = append(out.diffs, Difference{Where: p.where, What: "gzip header", Shipped: fmt.Sprintf("% x", x.member.Header), Rebuilt: fmt.Sprintf("% x", y.member.Header)})
	}
	if !proven {
		return out, nil
	}
	ra, rb := storedOf(a, x), storedOf(b, y)
	eq, err := same(s.ctx, ra, rb)
	if err != nil || eq {
		return out, err
	}
	c, err := s.encoder(p, ra, rb, func() (io.ReadCloser, error) { return s.content(a, x) }, func() (io.ReadCloser, error) { return s.content(b, y) })
	out.causes = append(out.causes, c)
	return out, err
}

func storedOf(b blob, l layer) blob {
	return blob{io.NewSectionReader(b, l.member.StoredAt, l.member.Stored), b.name}
}

// content is the content of a member of a gzip file: from the spool, or decoded
// once more.
func (s *session) content(b blob, l layer) (io.ReadCloser, error) {
	if l.file.SectionReader != nil {
		return io.NopCloser(io.NewSectionReader(l.file, 0, l.file.Size())), nil
	}
	st, err := archive.OpenStream(s.ctx, archive.Gzip, io.NewSectionReader(b, l.member.Off, b.Size()-l.member.Off), s.o.Archive)
	if err != nil {
		return nil, err
	}
	return closing{st, st.Close}, st.Next()
}

type closing struct {
	io.Reader
	done func()
}

func (c closing) Close() error {
	c.done()
	return nil
}

// opener opens a decoded content.
type opener func() (io.ReadCloser, error)

// encoder names who wrote two deflate streams, where they are found by encoding
// their contents again.
func (s *session) encoder(p place, shipped, rebuilt blob, a, b opener) (Cause, error) {
	c := Cause{Name: string(archive.CauseEncoder), Where: p.where, Proved: true, Proof: proofDecoded}
	find := func(of blob, open opener) (string, error) {
		return s.finder.Find(s.ctx, func() (io.Reader, func(), error) {
			r, err := open()
			if err != nil {
				return nil, nil, err
			}
			return bufio.NewReaderSize(r, 64<<10), func() { r.Close() }, nil
		}, of.SectionReader)
	}
	var na, nb string
	err := s.both(func() (err error) { na, err = find(shipped, a); return }, func() (err error) { nb, err = find(rebuilt, b); return })
	if err != nil {
		return c, err
	}
	if na != "" {
		c.Proof = proofEncoded
	}
	c.Shipped, c.Rebuilt = encoderText(na, shipped), encoderText(nb, rebuilt)
	return c, nil
}

func encoderText(name string, b blob) string {
	if name == "" {
		return "unknown encoder, " + bytesText(b)
	}
	return name
}
