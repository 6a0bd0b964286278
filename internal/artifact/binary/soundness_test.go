package binary_test

import (
	"bytes"
	"context"
	"debug/elf"
	"debug/gosym"
	"debug/macho"
	"debug/pe"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"

	bin "vitrine.example/internal/artifact/binary"
)

// text is the code of a Go program as the standard library sees it: an
// independent witness of where functions start and end.
type text struct {
	off  int // in the file
	addr uint64
	size int
	syms *gosym.Table
	ids  [][2]int // where build ids lie
}

func textOf(t testing.TB, b []byte) (x text) {
	t.Helper()
	var pcln []byte
	section := func(data []byte, err error) []byte {
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	switch {
	case bytes.HasPrefix(b, []byte("\x7fELF")):
		f, err := elf.NewFile(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		s := f.Section(".text")
		x = text{off: int(s.Offset), addr: s.Addr, size: int(s.Size)}
		pcln = section(f.Section(".gopclntab").Data())
		for _, name := range []string{".note.go.buildid", ".note.gnu.build-id"} {
			if n := f.Section(name); n != nil {
				x.ids = append(x.ids, [2]int{int(n.Offset), int(n.Offset + n.Size)})
			}
		}
	case bytes.HasPrefix(b, []byte("MZ")):
		f, err := pe.NewFile(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		s := f.Section(".text")
		x = text{off: int(s.Offset), addr: 0x140000000 + uint64(s.VirtualAddress), size: int(s.VirtualSize)}
		data := section(f.Section(".rdata").Data())
		pcln = data[bytes.Index(data, []byte{0xf1, 0xff, 0xff, 0xff, 0, 0, 1, 8}):]
	default:
		f, err := macho.NewFile(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		s := f.Section("__text")
		x = text{off: int(s.Offset), addr: s.Addr, size: int(s.Size)}
		pcln = section(f.Section("__gopclntab").Data())
	}
	if i := bytes.Index(b, []byte("\xff Go build ID: \"")); i >= 0 && i < x.off+256 {
		x.ids = append(x.ids, [2]int{i, i + 16 + 83})
	}
	syms, err := gosym.NewTable(nil, gosym.NewLineTable(pcln, x.addr))
	if err != nil {
		t.Fatal(err)
	}
	x.syms = syms
	return x
}

// function returns the function that holds an offset of the file.
func (x *text) function(off int) *gosym.Func {
	return x.syms.PCToFunc(x.addr + uint64(off-x.off))
}

func (x *text) isID(off int) bool {
	return slices.ContainsFunc(x.ids, func(r [2]int) bool { return off >= r[0] && off < r[1] })
}

// same asks for the verdict on a pair of files that differ in a few bytes.
func sound(t *testing.T, a, b []byte, what string) bin.Result {
	t.Helper()
	r, err := bin.Compare(context.Background(), file(a, "a"), file(b, "b"), bin.Options{Workers: 1})
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if r.Explained || r.Rung == bin.RungBytes || r.Counts.Residue == 0 {
		t.Fatalf("%s: explained %v, rung %q, residue %d, by %+v", what, r.Explained, r.Rung, r.Counts.Residue, r.Causes)
	}
	return r
}

// TestTwoBytesOfCode changes one or two bytes of a function: a constant, an
// opcode, a target. It is never explained, and that function is named, alone.
func TestTwoBytesOfCode(t *testing.T) {
	for _, p := range platforms {
		t.Run(p.os+"/"+p.arch, func(t *testing.T) {
			a := build(t, p.with("-s -w", "-trimpath"))
			x := textOf(t, a)
			rnd := rand.New(rand.NewPCG(1, uint64(len(p.os+p.arch))))
			for n := 0; n < pairs(); {
				off := x.off + rnd.IntN(x.size-1)
				f := x.function(off)
				if f == nil || x.isID(off) || x.function(off+1) != f {
					continue
				}
				n++
				b := bytes.Clone(a)
				b[off] ^= byte(1 + rnd.IntN(255))
				if rnd.IntN(2) == 0 {
					b[off+1] ^= byte(1 + rnd.IntN(255))
				}
				r := sound(t, a, b, f.Name)
				if len(r.Functions) != 1 || r.Functions[0].Name != f.Name || r.Functions[0].Kind != "changed" {
					t.Fatalf("byte %#x of %s: %+v", off, f.Name, r.Functions)
				}
			}
		})
	}
}

// TestCallTarget lets a call go to another function.
func TestCallTarget(t *testing.T) {
	for _, p := range platforms {
		t.Run(p.os+"/"+p.arch, func(t *testing.T) {
			a := build(t, p.with("-s -w", "-trimpath"))
			x := textOf(t, a)
			rnd := rand.New(rand.NewPCG(2, uint64(len(p.os+p.arch))))
			for n := 0; n < pairs()/4; {
				off := x.off + rnd.IntN(x.size-8)
				if p.arch == "arm64" {
					off &^= 3
				}
				f := x.function(off)
				to := x.syms.Funcs[rnd.IntN(len(x.syms.Funcs))].Entry
				b := bytes.Clone(a)
				if f == nil || x.isID(off) || !retarget(p.arch, b[off:], int64(to)-int64(x.addr+uint64(off-x.off)), &x, off) {
					continue
				}
				n++
				r := sound(t, a, b, f.Name)
				if len(r.Functions) != 1 || r.Functions[0].Name != f.Name {
					t.Fatalf("a call in %s: %+v", f.Name, r.Functions)
				}
				if len(r.Hunks) == 0 || len(r.Hunks[0].Lines) == 0 {
					t.Fatalf("a call in %s: no hunk", f.Name)
				}
			}
		})
	}
}

// retarget changes a call to a function, if one is there.
func retarget(arch string, b []byte, delta int64, x *text, off int) bool {
	if arch == "arm64" {
		w := binary.LittleEndian.Uint32(b)
		if w>>26 != 0x25 || delta%4 != 0 {
			return false
		}
		v := 0x94000000 | uint32(delta>>2)&0x3ffffff
		binary.LittleEndian.PutUint32(b, v)
		return v != w
	}
	if b[0] != 0xe8 {
		return false
	}
	old := int32(binary.LittleEndian.Uint32(b[1:]))
	target := x.syms.PCToFunc(x.addr + uint64(off-x.off) + 5 + uint64(int64(old)))
	if target == nil || target.Entry != x.addr+uint64(off-x.off)+5+uint64(int64(old)) || int32(delta-5) == old {
		return false // not a call
	}
	binary.LittleEndian.PutUint32(b[1:], uint32(delta-5))
	return true
}

// TestTwoBytesOfData changes bytes outside of code, anywhere: headers, strings,
// tables, pclntab, padding. The place is named, and it is explained only where
// a build id lies.
func TestTwoBytesOfData(t *testing.T) {
	for _, p := range platforms {
		t.Run(p.os+"/"+p.arch, func(t *testing.T) {
			a := build(t, p.with("-s -w", "-trimpath"))
			x := textOf(t, a)
			rnd := rand.New(rand.NewPCG(3, uint64(len(p.os+p.arch))))
			for n := 0; n < pairs(); n++ {
				off := rnd.IntN(len(a) - 1)
				if n%8 == 0 {
					off = rnd.IntN(4096) // headers
				}
				if off >= x.off && off < x.off+x.size || x.isID(off) || x.isID(off+1) {
					continue
				}
				b := bytes.Clone(a)
				b[off] ^= byte(1 + rnd.IntN(255))
				b[off+1] ^= byte(rnd.IntN(256))
				for _, pair := range [][2][]byte{{a, b}, {b, a}} {
					r, err := bin.Compare(context.Background(), file(pair[0], "a"), file(pair[1], "b"), bin.Options{Workers: 1})
					if errors.Is(err, bin.ErrFormat) {
						continue
					} else if err != nil {
						t.Fatal(err)
					}
					if r.Explained && !allowed(p, r, off) {
						t.Fatalf("byte %#x: explained by %+v", off, r.Causes)
					}
					if !named(r, int64(off)) {
						t.Fatalf("byte %#x is not named: %+v", off, r.Sections)
					}
				}
			}
		})
	}
}

// allowed reports whether a changed byte may be explained: times in the header
// of a PE file, and settings in the build information.
func allowed(p variant, r bin.Result, off int) bool {
	for _, c := range r.Causes {
		switch c.Name {
		case bin.CauseTimestamp:
			return p.os == "windows"
		case bin.CauseBuildInfo, bin.CauseSections:
			return true
		}
	}
	return false
}

func named(r bin.Result, off int64) bool {
	return slices.ContainsFunc(r.Sections, func(s bin.Section) bool {
		return s.A >= 0 && off+1 >= s.AOff && off <= s.AOff+s.A || s.B >= 0 && off+1 >= s.BOff && off <= s.BOff+s.B
	})
}

// pairs is how many pairs a property is held against, for each platform;
// VITRINE_PAIRS says another number. The race detector, for which few are enough,
// takes ten times as long.
func pairs() int {
	if n, err := strconv.Atoi(os.Getenv("VITRINE_PAIRS")); err == nil {
		return n
	}
	if raceDetector {
		return 16
	}
	return 160
}
