package binary

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
)

// fatMagic begins a file that holds one Mach-O file for each processor (Apple,
// mach-o/fat.h); all its numbers are big-endian.
const fatMagic = 0xcafebabe

const maxSlices = 16

// slice is one Mach-O file in a fat file.
type slice struct {
	cpu, sub, off, size, align uint32
	file                       []byte
}

func isFat(file []byte) bool {
	return len(file) >= 8 && binary.BigEndian.Uint32(file) == fatMagic && binary.BigEndian.Uint32(file[4:]) <= maxSlices
}

// fatSlices reads the table of a fat file.
func fatSlices(file []byte) ([]slice, error) {
	v := &view{b: file, o: beOrder}
	n := uint64(v.u32(4))
	if n == 0 || n > maxSlices {
		return nil, fmt.Errorf("fat mach-o: %d slices: %w", n, ErrFormat)
	}
	var all []slice
	end := uint64(8 + 20*n)
	for i := range n {
		p := 8 + 20*i
		s := slice{cpu: v.u32(p), sub: v.u32(p + 4), off: v.u32(p + 8), size: v.u32(p + 12), align: v.u32(p + 16)}
		s.file = v.bytes(uint64(s.off), uint64(s.size))
		if v.bad || uint64(s.off) < end || s.align > 20 {
			return nil, fmt.Errorf("fat mach-o: slice %d lies at %d with %d bytes: %w", i, s.off, s.size, ErrFormat)
		}
		end = uint64(s.off) + uint64(s.size)
		all = append(all, s)
	}
	return all, nil
}

// compareFat compares slice by slice. The file is explained only if slices that
// were explained, put together again, are the shipped file.
func compareFat(ctx context.Context, fa, fb []byte, o Options) (Result, error) {
	r := Result{Format: "mach-o fat", Rung: RungBytes, Explained: true}
	a, err := fatSlices(fa)
	if err != nil {
		return Result{}, fmt.Errorf("reading the shipped file: %w", err)
	}
	if bytes.Equal(fa, fb) {
		return r, nil
	}
	b, err := fatSlices(fb)
	if err != nil {
		return Result{}, fmt.Errorf("reading the rebuilt file: %w", err)
	}
	r.Counts.Bytes = differing(fa, fb)
	if len(a) != len(b) {
		r.Notes = append(r.Notes, fmt.Sprintf("%d slices, rebuilt %d", len(a), len(b)))
		r.Rung, r.Explained = RungNone, false
		return r, nil
	}
	parts := slices.Clone(b)
	for i := range a {
		if a[i].cpu != b[i].cpu || a[i].sub != b[i].sub {
			r.Notes = append(r.Notes, fmt.Sprintf("slice %d is for another processor", i))
			r.Rung, r.Explained = RungNone, false
			return r, nil
		}
		one, out, err := compareThin(ctx, a[i].file, b[i].file, o)
		if err != nil {
			return Result{}, fmt.Errorf("slice %d: %w", i, err)
		}
		parts[i].file = out
		r.merge(one, o)
	}
	proved := joinFat(parts)
	r.Counts.Residue = differing(fa, proved)
	r.Explained = bytes.Equal(fa, proved) && len(r.Causes) > 0
	if !bytes.Equal(fa, joinFat(a)) || !bytes.Equal(fb, joinFat(b)) || !sameFrame(fa, fb, a, b) {
		r.Sections = append(r.Sections, Section{Name: "between slices", A: int64(a[0].off), B: int64(b[0].off), Kind: kindGap})
		r.Explained = r.Explained && bytes.Equal(fb, joinFat(b)) // nothing is thrown away in silence
	}
	if r.Rung == RungBytes {
		r.Rung = RungSections
	}
	return r, nil
}

// sameFrame compares what comes before the first slice.
func sameFrame(fa, fb []byte, a, b []slice) bool {
	return bytes.Equal(fa[:a[0].off], fb[:b[0].off])
}

// joinFat writes slices as lipo does: in order, each at the next multiple of
// its alignment, zeros between.
func joinFat(parts []slice) []byte {
	parts = slices.Clone(parts)
	out := binary.BigEndian.AppendUint32(nil, fatMagic)
	out = binary.BigEndian.AppendUint32(out, uint32(len(parts)))
	at := uint64(8 + 20*len(parts))
	for i := range parts {
		s := &parts[i]
		step := uint64(1) << s.align
		at = (at + step - 1) &^ (step - 1)
		s.off, s.size = uint32(at), uint32(len(s.file))
		for _, n := range []uint32{s.cpu, s.sub, s.off, s.size, s.align} {
			out = binary.BigEndian.AppendUint32(out, n)
		}
		at += uint64(s.size)
	}
	for i := range parts {
		out = append(out, make([]byte, int(parts[i].off)-len(out))...)
		out = append(out, parts[i].file...)
	}
	return out
}

// rungs from the highest to the lowest.
var rungs = []string{RungBytes, RungSections, RungFunctions, RungLines, RungNone}

// merge adds what was found in one slice.
func (r *Result) merge(one Result, o Options) {
	r.Rung = lower(r.Rung, one.Rung)
	r.Go = r.Go || one.Go
	in := one.Arch + " "
	for _, c := range one.Causes {
		c.Where = in + c.Where
		r.Causes = append(r.Causes, c)
	}
	for _, s := range one.Sections {
		s.Name = in + s.Name
		r.Sections = append(r.Sections, s)
	}
	for _, f := range one.Functions {
		f.Name = in + f.Name
		if len(r.Functions) < o.Items {
			r.Functions = append(r.Functions, f)
		}
	}
	for _, d := range one.Data {
		d.Section = in + d.Section
		if len(r.Data) < o.Items {
			r.Data = append(r.Data, d)
		}
	}
	for _, h := range one.Hunks {
		h.Title = in + h.Title
		if len(r.Hunks) < o.Hunks {
			r.Hunks = append(r.Hunks, h)
		}
	}
	for _, n := range one.Notes {
		r.Notes = append(r.Notes, in+n)
	}
	c, d := &r.Counts, one.Counts
	c.FunctionsA, c.FunctionsB = c.FunctionsA+d.FunctionsA, c.FunctionsB+d.FunctionsB
	c.Changed, c.OnlyA, c.OnlyB = c.Changed+d.Changed, c.OnlyA+d.OnlyA, c.OnlyB+d.OnlyB
	c.Tables, c.Data = c.Tables+d.Tables, c.Data+d.Data
}

// lower returns the lower of two rungs.
func lower(x, y string) string {
	for i := len(rungs) - 1; i >= 0; i-- {
		if rungs[i] == x || rungs[i] == y {
			return rungs[i]
		}
	}
	return RungNone
}
