package archive

import (
	"bufio"
	"bytes"
	"compress/flate"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	kflate "github.com/klauspost/compress/flate"
)

// encoder is a DEFLATE encoder at one of its levels.
type encoder struct {
	name string
	open func(io.Writer) (io.WriteCloser, error)
}

// encoders are those that can be had: the standard library's, which is Go's up to
// 1.26 where that toolchain built this program; klauspost/compress, from which
// Go's of 1.27 was taken and whose output is the same at each level but the
// default, which there is 6; zlib and GNU gzip. The likely ones come first.
var encoders = sync.OnceValue(func() []encoder {
	var all []encoder
	for _, level := range []int{6, 9, 1, 5, 8, 7, 4, 3, 2, 0, -2} {
		if level > 0 {
			for _, gnu := range []bool{false, true} {
				name := levelName("zlib", level)
				if gnu {
					name = levelName("GNU gzip", level)
				}
				all = append(all, encoder{name, func(w io.Writer) (io.WriteCloser, error) { return newZEncoder(w, level, gnu), nil }})
			}
		}
		if !sameAsNew() {
			all = append(all, encoder{levelName("Go up to 1.26", level), func(w io.Writer) (io.WriteCloser, error) { return flate.NewWriter(w, level) }})
		}
		all = append(all, encoder{levelName("Go from 1.27", level), func(w io.Writer) (io.WriteCloser, error) { return kflate.NewWriter(w, level) }})
	}
	return all
})

func levelName(who string, level int) string {
	if level == -2 {
		return who + ", Huffman only"
	}
	return fmt.Sprintf("%s, level %d", who, level)
}

// sameAsNew reports whether the standard library that this program was built
// with has the newer encoder.
func sameAsNew() bool {
	sample := bytes.Repeat([]byte("who may say what: keys, signers, verifiers\n"), 8)
	var a, b bytes.Buffer
	w, err := flate.NewWriter(&a, 0)
	if err != nil {
		return false
	}
	v, err := kflate.NewWriter(&b, 0)
	if err != nil {
		return false
	}
	for _, x := range []io.WriteCloser{w, v} {
		if _, err := x.Write(sample); err != nil || x.Close() != nil {
			return false
		}
	}
	return bytes.Equal(a.Bytes(), b.Bytes())
}

// trial is how much of a content is encoded to see whether an encoder fits.
const trial = 128 << 10

// Finder finds encoders. It tries the one that was found last before the others,
// and gives up on archives whose encoder it does not know.
type Finder struct {
	mu     sync.Mutex
	last   int
	misses int
	hits   int
}

// giveUp is after how many contents without any success nothing more is tried.
const giveUp = 16

func (f *Finder) order() (all []int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.hits == 0 && f.misses >= giveUp {
		return nil
	}
	all = append(all, f.last)
	for i := range encoders() {
		if i != f.last {
			all = append(all, i)
		}
	}
	return all
}

func (f *Finder) found(i int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if i < 0 {
		f.misses++
		return
	}
	f.hits++
	f.last = i
}

// Find names the encoder that makes the deflate stream in stored out of the
// content that open gives, or says nothing.
func (f *Finder) Find(ctx context.Context, open func() (io.Reader, func(), error), stored *io.SectionReader) (string, error) {
	order := f.order()
	if len(order) == 0 {
		return "", nil
	}
	head, whole, err := trialOf(open)
	if err != nil {
		return "", err
	}
	for _, i := range order {
		e := encoders()[i]
		if err := ctx.Err(); err != nil {
			return "", err
		}
		fits, err := e.makes(ctx, bytes.NewReader(head), stored, whole)
		if err == nil && fits && !whole {
			fits, err = e.makesAll(ctx, open, stored)
		}
		if err != nil {
			return "", err
		}
		if fits {
			f.found(i)
			return e.name, nil
		}
	}
	f.found(-1)
	return "", nil
}

func trialOf(open func() (io.Reader, func(), error)) (head []byte, whole bool, err error) {
	r, done, err := open()
	if err != nil {
		return nil, false, err
	}
	defer done()
	head = make([]byte, trial)
	n, err := io.ReadFull(r, head)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return head[:n], true, nil
	}
	return head[:n], false, err
}

func (e encoder) makesAll(ctx context.Context, open func() (io.Reader, func(), error), stored *io.SectionReader) (bool, error) {
	r, done, err := open()
	if err != nil {
		return false, err
	}
	defer done()
	return e.makes(ctx, r, stored, true)
}

var errOther = errors.New("another byte")

// makes reports whether the encoder makes stored, or the beginning of it.
func (e encoder) makes(ctx context.Context, content io.Reader, stored *io.SectionReader, whole bool) (bool, error) {
	c := &comparing{want: bufio.NewReaderSize(io.NewSectionReader(stored, 0, stored.Size()), 64<<10)}
	w, err := e.open(c)
	if err != nil {
		return false, err
	}
	var n int64
	_, err = io.CopyBuffer(onlyWriter{w}, onlyReader{&counted{r: content, n: &n, ctx: ctx}}, make([]byte, 64<<10))
	if err == nil && whole {
		err = w.Close()
	}
	switch {
	case errors.Is(err, errOther):
		return false, nil
	case err != nil:
		return false, err
	}
	return !whole || c.n == stored.Size(), nil
}

// comparing takes bytes and holds them against others.
type comparing struct {
	want *bufio.Reader
	n    int64
	buf  [4096]byte
}

func (c *comparing) Write(p []byte) (int, error) {
	for done := 0; done < len(p); {
		k, err := io.ReadFull(c.want, c.buf[:min(len(p)-done, len(c.buf))])
		if err != nil || !bytes.Equal(c.buf[:k], p[done:done+k]) {
			return 0, errOther
		}
		done += k
		c.n += int64(k)
	}
	return len(p), nil
}
