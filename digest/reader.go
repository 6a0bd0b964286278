package digest

import (
	"crypto/sha256"
	"errors"
	"io"
)

// How OfReader works ahead: blocks are small enough to stay in a core's cache
// between being read and being hashed.
const (
	blockSize = 256 << 10
	blocks    = 4
	small     = 16 << 10 // input below this is hashed without ado
)

// OfReader returns the digest and the number of the bytes that r gives up to
// io.EOF. Reading and hashing overlap, so a file is hashed at the speed of the
// slower of the two. progress, where not nil, is told the number of bytes
// hashed so far after each block, on the caller's goroutine. An error of r is
// returned as it is, with the number of bytes that came before it and no digest.
func OfReader(r io.Reader, progress func(n int64)) (Digest, int64, error) {
	h := sha256.New()
	var n int64
	add := func(p []byte) {
		h.Write(p)
		n += int64(len(p))
		if progress != nil && len(p) > 0 {
			progress(n)
		}
	}
	p := make([]byte, small)
	m, err := fill(r, p)
	add(p[:m])
	if err == nil {
		err = ahead(r, add)
	}
	if !errors.Is(err, io.EOF) {
		return Digest{}, n, err
	}
	return Digest(h.Sum(nil)), n, nil
}

// block is a part of what was read, and the error that ended it.
type block struct {
	p   []byte
	n   int
	err error
}

// ahead gives what r has to use, block by block, and reads the next blocks
// meanwhile. It returns the error that ended reading, which is never nil.
func ahead(r io.Reader, use func([]byte)) error {
	full := make(chan block, blocks)
	free := make(chan []byte, blocks)
	for range blocks {
		free <- nil // made when needed
	}
	go func() {
		for p := range free {
			if p == nil {
				p = make([]byte, blockSize)
			}
			n, err := fill(r, p)
			full <- block{p, n, err}
			if err != nil {
				return
			}
		}
	}()
	for {
		b := <-full
		use(b.p[:b.n])
		if b.err != nil {
			return b.err
		}
		free <- b.p
	}
}

// fill reads until p is full, which is no error, or until r ends. Unlike
// [io.ReadFull] it hands on the error of r, so that a reader's own
// io.ErrUnexpectedEOF is not taken for the end.
func fill(r io.Reader, p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var m int
		m, err = r.Read(p[n:])
		n += m
	}
	if n == len(p) && errors.Is(err, io.EOF) {
		err = nil // the next call meets it again
	}
	return n, err
}
