package binary

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"runtime"
)

// Compare compares a, which was shipped, with b, which was rebuilt. It fails
// with [ErrFormat] if one of the two cannot be read as an executable, or they
// are of different kinds; the two may still be compared as plain bytes then.
func Compare(ctx context.Context, a, b File, o Options) (Result, error) {
	o = o.bounded()
	if a.Size+b.Size > o.Memory || a.Size < 0 || b.Size < 0 {
		return Result{}, fmt.Errorf("comparing %s with %s: together larger than %d bytes: %w", a.Name, b.Name, o.Memory, ErrTooLarge)
	}
	fa, err := read(a)
	if err != nil {
		return Result{}, err
	}
	fb, err := read(b)
	if err != nil {
		return Result{}, err
	}
	if isFat(fa) && isFat(fb) {
		return compareFat(ctx, fa, fb, o)
	}
	r, _, err := compareThin(ctx, fa, fb, o)
	return r, err
}

// Known reports whether a file starts as an executable does that [Compare] reads.
func Known(head []byte) bool {
	if len(head) < 4 {
		return false
	}
	switch binary.BigEndian.Uint32(head) {
	case 0x7f454c46, 0xcffaedfe, 0xcefaedfe, fatMagic:
		return true
	}
	return head[0] == 'M' && head[1] == 'Z'
}

func (o Options) bounded() Options {
	or := func(n *int, d int) {
		if *n <= 0 {
			*n = d
		}
	}
	or(&o.Hunks, DefaultHunks)
	or(&o.HunkLines, DefaultHunkLines)
	or(&o.Items, DefaultItems)
	or(&o.Workers, runtime.GOMAXPROCS(0))
	if o.Memory <= 0 {
		o.Memory = DefaultMemory
	}
	return o
}

func read(f File) ([]byte, error) {
	b := make([]byte, f.Size)
	if n, err := f.ReadAt(b, 0); n < len(b) {
		if err == nil || err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("reading %s: %w", f.Name, err)
	}
	return b, nil
}

// parse reads the headers of a thin file.
func parse(file []byte) (*image, error) {
	switch {
	case len(file) >= 4 && string(file[:4]) == "\x7fELF":
		return parseELF(file)
	case len(file) >= 2 && string(file[:2]) == "MZ":
		return parsePE(file)
	case len(file) >= 4:
		return parseMachO(file)
	}
	return nil, fmt.Errorf("a file of %d bytes: %w", len(file), ErrFormat)
}

// compareThin compares two files, or two slices of fat files. It also returns
// the rebuilt file with all causes applied.
func compareThin(ctx context.Context, fa, fb []byte, o Options) (Result, []byte, error) {
	a, err := parse(fa)
	if err != nil {
		return Result{}, nil, fmt.Errorf("reading the shipped file: %w", err)
	}
	r := Result{Format: a.format, Arch: a.arch}
	if bytes.Equal(fa, fb) {
		r.Rung, r.Explained = RungBytes, true
		return r, fb, nil
	}
	b, err := parse(fb)
	if err != nil {
		return Result{}, nil, fmt.Errorf("reading the rebuilt file: %w", err)
	}
	if a.format != b.format {
		return Result{}, nil, fmt.Errorf("shipped is %s, rebuilt is %s: %w", a.format, b.format, ErrFormat)
	}
	p := prove(a, b, o)
	r.Causes, r.Explained, r.Counts.Residue = p.causes, p.explained, p.residue
	r.Counts.Bytes = differing(fa, fb)
	if err := ctx.Err(); err != nil {
		return Result{}, nil, err
	}
	if err := compareCode(ctx, a, b, o, &r, &p); err != nil {
		return Result{}, nil, err
	}
	p.nameCauses(a, r.Sections)
	r.Notes = append(r.Notes, notesOf(a, b)...)
	return r, p.out, nil
}

func notesOf(a, b *image) (notes []string) {
	for _, n := range a.notes {
		notes = append(notes, "shipped: "+n)
	}
	for _, n := range b.notes {
		notes = append(notes, "rebuilt: "+n)
	}
	return notes
}

// differing counts the bytes that differ at the same offset, and what the
// longer one has more.
func differing(a, b []byte) int64 {
	n := min(len(a), len(b))
	count := int64(len(a) + len(b) - 2*n)
	for at := 0; at < n; {
		end := min(at+4096, n)
		if !bytes.Equal(a[at:end], b[at:end]) {
			for i := at; i < end; i++ {
				if a[i] != b[i] {
					count++
				}
			}
		}
		at = end
	}
	return count
}
