package binary_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	bin "vitrine.example/internal/artifact/binary"
)

// TestElevenMegabytes changes two bytes of cmd/go: a constant, a call, anything.
// Never is it explained, and the one function is named.
func TestElevenMegabytes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "go")
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", path, "cmd/go")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOOS=linux", "GOARCH=amd64")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	a := readFile(t, path)
	if len(a) < 8<<20 {
		t.Fatalf("%d bytes", len(a))
	}
	x := textOf(t, a)
	rnd := rand.New(rand.NewPCG(11, 11))
	for n := 0; n < 12; {
		off := x.off + rnd.IntN(x.size-8)
		f := x.function(off)
		b := bytes.Clone(a)
		switch n % 3 {
		case 0:
			b[off] ^= 0x21
			b[off+1] ^= 0x84
		case 1: // MOVL $constant, register
			if b[off]&0xf8 != 0xb8 {
				continue
			}
			binary.LittleEndian.PutUint16(b[off+1:], binary.LittleEndian.Uint16(b[off+1:])+0x0101)
		case 2:
			to := x.syms.Funcs[rnd.IntN(len(x.syms.Funcs))].Entry
			if !retarget("amd64", b[off:], int64(to)-int64(x.addr+uint64(off-x.off)), &x, off) {
				continue
			}
		}
		if f == nil || x.function(off+1) != f {
			continue
		}
		n++
		r := sound(t, a, b, f.Name)
		if got := changed(r); len(got) != 1 || got[0] != f.Name || r.Counts.FunctionsA < 10_000 {
			t.Errorf("%s: %v of %d", f.Name, got, r.Counts.FunctionsA)
		}
	}
}

// TestCutOff: a file that ends too early is an error or different.
func TestCutOff(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 5))
	for _, p := range platforms {
		a := build(t, p.with("-s -w", "-trimpath"))
		for range 24 {
			b := a[:rnd.IntN(len(a))]
			for _, pair := range [][2][]byte{{a, b}, {b, a}} {
				r, err := bin.Compare(context.Background(), file(pair[0], "a"), file(pair[1], "b"), bin.Options{})
				if err != nil && !errors.Is(err, bin.ErrFormat) || err == nil && (r.Explained || r.Rung == bin.RungBytes) {
					t.Fatalf("%s/%s cut to %d: %v, %+v", p.os, p.arch, len(b), err, r.Causes)
				}
			}
		}
	}
}

// TestBounds: what is too large is an error, and so is a context that ended.
func TestBounds(t *testing.T) {
	a := build(t, platforms[0].with("-s -w", "-trimpath"))
	if _, err := bin.Compare(context.Background(), file(a, "a"), file(a, "b"), bin.Options{Memory: 1 << 20}); !errors.Is(err, bin.ErrTooLarge) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	b := bytes.Clone(a)
	b[len(b)/2] ^= 1
	if _, err := bin.Compare(ctx, file(a, "a"), file(b, "b"), bin.Options{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	f := file(a, "short")
	f.Size++
	if _, err := bin.Compare(context.Background(), f, file(a, "b"), bin.Options{}); err == nil {
		t.Error("a file that is shorter than it says")
	}
	if r := compare(t, a, bytes.Clone(a), bin.Options{}); r.Rung != bin.RungBytes || !r.Explained {
		t.Errorf("%+v", r)
	}
}
