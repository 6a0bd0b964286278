package archive

import (
	"bufio"
	"compress/bzip2"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// Member is one of the members of a compressed file; most have one.
type Member struct {
	Off      int64  // of its header
	Header   []byte // as it stands (gzip only)
	StoredAt int64  // of the bare deflate stream in the file (gzip only)
	Stored   int64  // its length
	Facts    string // what the frame says of the encoder (all but gzip)
}

var errTrailing = errors.New("bytes that belong to no member")

// decoder is what each compression has.
type decoder interface {
	io.Reader
	next() error // to the next member: io.EOF where there is none, errTrailing where other bytes follow
	member() Member
	rest() int64 // bytes that were not consumed
}

// Stream decodes a compressed file strictly: every byte of the file belongs to a
// member, or is counted in Trailing.
type Stream struct {
	// Trailing is how many bytes stand behind the last member.
	Trailing int64

	format Format
	d      decoder
	src    *meterReader
	lim    Limits
	out    int64
	ended  bool
}

// meterReader reads a file from its start and counts.
type meterReader struct {
	ctx  context.Context
	r    io.Reader
	n    int64
	size int64
}

func (m *meterReader) Read(b []byte) (int, error) {
	if err := m.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := m.r.Read(b)
	m.n += int64(n)
	return n, err
}

// OpenStream begins to decode file. Call Next before the first Read.
func OpenStream(ctx context.Context, f Format, file *io.SectionReader, lim Limits) (*Stream, error) {
	src := &meterReader{ctx: ctx, r: io.NewSectionReader(file, 0, file.Size()), size: file.Size()}
	s := &Stream{format: f, src: src, lim: lim.Complete()}
	var err error
	switch f {
	case Gzip:
		s.d = newGunzip(src)
	case XZ:
		s.d, err = newXZ(file, src)
	case Zstd:
		s.d, err = newZstd(file, src)
	case Bzip2:
		s.d, err = newBzip2(file, src)
	default:
		err = malformed("%s is not compressed", f)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f, err)
	}
	return s, nil
}

// Close gives back what the decoder holds.
func (s *Stream) Close() {
	if c, ok := s.d.(interface{ close() }); ok {
		c.close()
	}
}

// Next goes to the next member; io.EOF says that there is none.
func (s *Stream) Next() error {
	err := s.d.next()
	switch {
	case errors.Is(err, errTrailing):
		s.Trailing = s.d.rest()
		return io.EOF
	case err == nil, errors.Is(err, io.EOF):
		s.ended = false
		return err
	}
	return fmt.Errorf("%s: %w", s.format, err)
}

// Read reads the decoded bytes of the member to its end.
func (s *Stream) Read(b []byte) (int, error) {
	if s.ended {
		return 0, io.EOF
	}
	n, err := s.d.Read(b)
	s.out += int64(n)
	if s.out > s.lim.Inflate {
		return n, fmt.Errorf("%s: %w", s.format, bound("more than %d bytes come out of it", s.lim.Inflate))
	}
	if s.out > freeRatio && s.out-freeRatio > s.lim.Ratio*s.src.n {
		return n, fmt.Errorf("%s: %w", s.format, bound("it grows more than %d times", s.lim.Ratio))
	}
	if errors.Is(err, io.EOF) {
		s.ended = true
	} else if err != nil {
		err = fmt.Errorf("%s: %w", s.format, err)
	}
	return n, err
}

// Member describes the member that was read to its end.
func (s *Stream) Member() Member { return s.d.member() }

// single is a decoder of a file that was found to be one member.
type single struct {
	io.Reader
	begun bool
	facts string
	done  func()
}

func (s *single) next() error {
	if s.begun {
		return io.EOF
	}
	s.begun = true
	return nil
}

func (s *single) Read(b []byte) (int, error) {
	n, err := s.Reader.Read(b)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, ErrFormat) && !errors.Is(err, ErrBound) && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		err = malformed("%v", err)
	}
	return n, err
}

func (s *single) member() Member { return Member{Facts: s.facts} }
func (s *single) rest() int64    { return 0 }

func (s *single) close() {
	if s.done != nil {
		s.done()
	}
}

// maxWindow is how much memory one decoder may take for what lies behind it.
const maxWindow = 64 << 20

func newXZ(file *io.SectionReader, src *meterReader) (decoder, error) {
	check, blocks, err := walkXZ(file)
	if err != nil {
		return nil, err
	}
	facts := fmt.Sprintf("check %d, %d blocks", check, len(blocks))
	return &single{Reader: &xzReader{in: bufio.NewReaderSize(src, 64<<10), check: check, blocks: blocks}, facts: facts}, nil
}

func newZstd(file *io.SectionReader, src *meterReader) (decoder, error) {
	facts, err := walkZstd(file)
	if err != nil {
		return nil, err
	}
	r, err := zstd.NewReader(src, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return nil, malformed("%v", err)
	}
	return &single{Reader: r, facts: facts, done: r.Close}, nil
}

func newBzip2(file *io.SectionReader, src *meterReader) (decoder, error) {
	facts, err := walkBzip2(file)
	if err != nil {
		return nil, err
	}
	return &single{Reader: bzip2.NewReader(bufio.NewReaderSize(src, 64<<10)), facts: facts}, nil
}
