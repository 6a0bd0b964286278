package digest

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/iotest"
)

// TestOfReader compares with the standard library in one piece, for sizes
// around the borders of blocks and for readers that give little at a time.
func TestOfReader(t *testing.T) {
	data := make([]byte, 6*blockSize+3)
	for i := range data {
		data[i] = byte(i * 7 >> 3)
	}
	readers := map[string]func(io.Reader) io.Reader{
		"plain": func(r io.Reader) io.Reader { return r },
		"half":  iotest.HalfReader,
		"eof":   iotest.DataErrReader,
	}
	for _, size := range []int{0, 1, small - 1, small, small + 1, blockSize - 1, blockSize, blockSize + 1, 2 * blockSize, 5*blockSize - 1, len(data)} {
		for name, wrap := range readers {
			t.Run(fmt.Sprintf("%d %s", size, name), func(t *testing.T) {
				var last int64
				d, n, err := OfReader(wrap(bytes.NewReader(data[:size])), func(n int64) {
					if n <= last {
						t.Errorf("progress went from %d to %d", last, n)
					}
					last = n
				})
				if err != nil || n != int64(size) || last != n || d != sha256.Sum256(data[:size]) {
					t.Errorf("got %s, %d bytes, progress %d, error %v", d, n, last, err)
				}
			})
		}
	}
}

// TestOfReaderBytes: a reader that gives one byte at a time.
func TestOfReaderBytes(t *testing.T) {
	d, n, err := OfReader(iotest.OneByteReader(bytes.NewReader([]byte("abc"))), nil)
	// FIPS 180-4, the example "abc".
	if want := "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"; err != nil || n != 3 || d.String() != want {
		t.Errorf("got %s, %d, %v", d, n, err)
	}
}

func TestOfReaderError(t *testing.T) {
	broken := errors.New("cable cut")
	if _, _, err := OfReader(iotest.ErrReader(io.ErrUnexpectedEOF), nil); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a reader that broke off gave %v", err)
	}
	for _, size := range []int64{0, 5, small, blockSize, 3*blockSize + 1, 20 * blockSize} {
		r := io.MultiReader(io.LimitReader(zeros{}, size), iotest.ErrReader(broken))
		d, n, err := OfReader(r, nil)
		if !errors.Is(err, broken) || n != size || !d.IsZero() {
			t.Errorf("after %d bytes: got %s, %d, %v", size, d, n, err)
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func BenchmarkOfReader(b *testing.B) {
	for _, size := range []int64{1 << 10, 1 << 20, 64 << 20} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			b.SetBytes(size)
			for b.Loop() {
				if _, _, err := OfReader(io.LimitReader(zeros{}, size), nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
