package artifact

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"vitrine.example/internal/artifact/archive"
)

// files climbs the ladder for two files of which it is known that they differ.
func (s *session) files(p place, a, b blob) (outcome, error) {
	fa, fb := detect(a), detect(b)
	if fa != fb {
		out := different(Difference{Where: p.where, What: "format", Shipped: string(fa), Rebuilt: string(fb)})
		out.add(s.bytes(p, a, b))
		return out, s.ctx.Err()
	}
	if p.depth > s.o.Depth {
		s.skip(p.where, fmt.Errorf("more than %d layers", s.o.Depth))
		return s.bytes(p, a, b), s.ctx.Err()
	}
	out, err := s.format(fa, p, a, b)
	if err == nil && out.verdict == Identical {
		// They differ: what found nothing has overlooked something.
		out = different(Difference{Where: p.where, What: "bytes that no cause covers", Shipped: bytesText(a), Rebuilt: bytesText(b)})
	}
	if err == nil || s.ctx.Err() != nil || !lookedInto(err) {
		return out, err
	}
	// What cannot be read as its format is compared as bytes, and it is said why.
	s.skip(p.where, err)
	return s.bytes(p, a, b), s.ctx.Err()
}

// lookedInto reports whether err is of what was read, not of reading it.
func lookedInto(err error) bool {
	return errors.Is(err, archive.ErrFormat) || errors.Is(err, archive.ErrBound) ||
		errors.Is(err, archive.ErrPacked) || errors.Is(err, errSpool) || errors.Is(err, errCode)
}

func (s *session) format(f archive.Format, p place, a, b blob) (outcome, error) {
	switch f {
	case archive.Gzip, archive.XZ, archive.Zstd, archive.Bzip2:
		return s.streams(f, p, a, b)
	case archive.Tar, archive.Cpio, archive.Zip, archive.Ar:
		return s.archives(f, p, a, b)
	case archive.RPM:
		return s.rpms(p, a, b)
	case elf, pe, macho:
		return s.code(p, a, b)
	case text:
		return s.texts(p, a, b)
	}
	return s.bytes(p, a, b), s.ctx.Err()
}

func different(d ...Difference) outcome {
	return outcome{verdict: Different, rung: RungNone, diffs: d}
}

// same reports whether two blobs are the same bytes.
func same(ctx context.Context, a, b blob) (bool, error) {
	if a.Size() != b.Size() {
		return false, nil
	}
	const step = 256 << 10
	x, y := make([]byte, min(step, a.Size())), make([]byte, min(step, a.Size()))
	for at := int64(0); at < a.Size(); at += int64(len(x)) {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		n := min(int64(len(x)), a.Size()-at)
		if _, err := a.ReadAt(x[:n], at); err != nil && !errors.Is(err, io.EOF) {
			return false, err
		}
		if _, err := b.ReadAt(y[:n], at); err != nil && !errors.Is(err, io.EOF) {
			return false, err
		}
		if !bytes.Equal(x[:n], y[:n]) {
			return false, nil
		}
	}
	return true, nil
}

// How much of two files without structure is shown.
const (
	hexRow    = 16
	hexRanges = 4
)

// bytes compares two files that have no structure, or none that is read.
func (s *session) bytes(p place, a, b blob) outcome {
	d := Difference{Where: p.where, What: "content", Shipped: bytesText(a), Rebuilt: bytesText(b)}
	n, at, err := s.unequal(a, b)
	if err != nil {
		s.skip(p.where, err)
		return different(d)
	}
	if a.Size() == b.Size() {
		d.Shipped += fmt.Sprintf(", %d differ", n)
	}
	for _, off := range at {
		h := Hunk{Title: fmt.Sprintf("offset %#x", off)}
		h.Lines = append(h.Lines, hexLine("- ", a, off), hexLine("+ ", b, off))
		d.Hunks = append(d.Hunks, h)
	}
	if len(at) == 0 && a.Size() == b.Size() {
		return outcome{verdict: Identical, rung: RungBytes}
	}
	return different(d)
}

func bytesText(b blob) string { return fmt.Sprintf("%d bytes", b.Size()) }

// unequal counts the bytes that differ in what both have, and gives the rows of
// the first few.
func (s *session) unequal(a, b blob) (n int64, rows []int64, err error) {
	x, y := make([]byte, 64<<10), make([]byte, 64<<10)
	size := min(a.Size(), b.Size())
	for at := int64(0); at < size; at += int64(len(x)) {
		if err := s.ctx.Err(); err != nil {
			return n, rows, err
		}
		m := int(min(int64(len(x)), size-at))
		if _, err := a.ReadAt(x[:m], at); err != nil && !errors.Is(err, io.EOF) {
			return n, rows, err
		}
		if _, err := b.ReadAt(y[:m], at); err != nil && !errors.Is(err, io.EOF) {
			return n, rows, err
		}
		if bytes.Equal(x[:m], y[:m]) {
			continue
		}
		for i := range m {
			if x[i] == y[i] {
				continue
			}
			n++
			row := (at + int64(i)) / hexRow * hexRow
			if len(rows) < hexRanges && (len(rows) == 0 || rows[len(rows)-1] != row) {
				rows = append(rows, row)
			}
		}
	}
	if a.Size() != b.Size() && len(rows) < hexRanges {
		if row := size / hexRow * hexRow; len(rows) == 0 || rows[len(rows)-1] != row {
			rows = append(rows, row)
		}
	}
	return n, rows, nil
}

func hexLine(mark string, b blob, off int64) string {
	row := make([]byte, hexRow)
	n, err := b.ReadAt(row, off)
	if err != nil && !errors.Is(err, io.EOF) {
		return mark + err.Error()
	}
	printed := bytes.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '.'
		}
		return r
	}, latin(row[:n]))
	return fmt.Sprintf("%s%-47s  %s", mark, fmt.Sprintf("% x", row[:n]), printed)
}

// latin makes bytes that bytes.Map goes over one by one.
func latin(b []byte) []byte {
	out := make([]byte, len(b))
	for i, c := range b {
		if out[i] = c; c > '~' {
			out[i] = '.'
		}
	}
	return out
}
