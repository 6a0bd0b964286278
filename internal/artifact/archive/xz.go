package archive

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"io"
	"sync"
)

// xzBlock is what the index says of a block.
type xzBlock struct {
	stored int64 // without padding
	size   int64 // of the content
}

// xzReader decodes the blocks of one .xz stream (The .xz File Format 1.2.1),
// of which [walkXZ] has read the outline. Each block must be as long as the
// index says, packed and unpacked, and must have the right checksum.
type xzReader struct {
	in     *bufio.Reader
	n      int64 // bytes taken
	check  byte
	blocks []xzBlock

	sum   hash.Hash
	left  int64 // content of the block that has not come out
	start int64 // of the block
	open  bool

	z       lzma
	win     []byte
	at, out int // where the next byte goes; what was given out
	floor   int // what the dictionary reaches back to
	begun   uint64
	dict    int64
	fresh   bool // no dictionary yet
	modeled bool // properties are known
	started bool // the stream's header was read
	chunk   []byte
}

var crc64Table = sync.OnceValue(func() *crc64.Table { return crc64.MakeTable(crc64.ECMA) })

// Read gives the content of all blocks.
func (x *xzReader) Read(b []byte) (int, error) {
	for x.out == x.at {
		if err := x.step(); err != nil {
			return 0, err
		}
	}
	n := copy(b, x.win[x.out:x.at])
	x.out += n
	return n, nil
}

// step goes on to the next content: a chunk, the end of a block, a new block.
func (x *xzReader) step() error {
	switch {
	case !x.started:
		x.started = true
		head, err := x.take(12)
		if err == nil && (head[6] != 0 || head[7] != x.check || binary.LittleEndian.Uint32(head[8:]) != crc32.ChecksumIEEE(head[6:8])) {
			err = malformed("header of the stream")
		}
		return err
	case x.open:
		return x.next()
	case len(x.blocks) == 0:
		return io.EOF
	}
	return x.block()
}

func (x *xzReader) take(n int) ([]byte, error) {
	b := make([]byte, n)
	return b, x.full(b)
}

func (x *xzReader) full(b []byte) error {
	n, err := io.ReadFull(x.in, b)
	x.n += int64(n)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return malformed("it ends in the middle")
	}
	return err
}

// block reads the header of a block (section 3.1).
func (x *xzReader) block() error {
	x.start = x.n
	size, err := x.take(1)
	if err != nil {
		return err
	}
	if size[0] == 0 {
		return malformed("fewer blocks than its index says")
	}
	rest, err := x.take((int(size[0])+1)*4 - 1)
	if err != nil {
		return err
	}
	head := append(size, rest...)
	body := head[:len(head)-4]
	if binary.LittleEndian.Uint32(head[len(body):]) != crc32.ChecksumIEEE(body) {
		return malformed("checksum of the header of a block")
	}
	if x.dict, err = xzFilters(body[1:], x.blocks[0]); err != nil {
		return err
	}
	window := min(x.dict, x.blocks[0].size)
	if window > maxWindow {
		return bound("a dictionary of %d bytes", x.dict)
	}
	// Room for the dictionary and two chunks; no more than the content is.
	room := int(min(x.blocks[0].size, window+2*maxXZChunk))
	if cap(x.win) < room {
		x.win = make([]byte, room)
	}
	x.win = x.win[:room]
	x.at, x.out, x.floor, x.begun = 0, 0, 0, 0
	x.left, x.fresh, x.modeled, x.open = x.blocks[0].size, true, false, true
	switch x.check {
	case 1:
		x.sum = crc32.NewIEEE()
	case 4:
		x.sum = crc64.New(crc64Table())
	case 10:
		x.sum = sha256.New()
	default:
		x.sum = nil
	}
	return nil
}

// xzFilters reads the rest of the header: LZMA2 alone is read here.
func xzFilters(b []byte, want xzBlock) (dict int64, err error) {
	flags := b[0]
	b = b[1:]
	number := func() uint64 {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			err = malformed("header of a block")
			return 0
		}
		b = b[n:]
		return v
	}
	if flags&0x3f != 0 {
		return 0, malformed("filters that are not read here, flags %#02x", flags)
	}
	if flags&0x40 != 0 {
		number() // the index says it too, with what surrounds it
	}
	if flags&0x80 != 0 && number() != uint64(want.size) {
		return 0, malformed("header of a block and index disagree")
	}
	if id, n := number(), number(); err != nil || id != 0x21 || n != 1 || len(b) == 0 || b[0] > 40 || !zero(b[1:]) {
		return 0, malformed("a filter that is not read here")
	}
	if b[0] == 40 {
		return 1<<32 - 1, nil
	}
	return int64(2|b[0]&1) << (b[0]/2 + 11), nil
}

// maxXZChunk is how much comes out of one chunk.
const maxXZChunk = 2 << 20

// next decodes one chunk of LZMA2, or ends the block.
func (x *xzReader) next() error {
	control, err := x.in.ReadByte()
	if err != nil {
		return malformed("it ends in the middle")
	}
	x.n++
	switch {
	case control == 0:
		return x.done()
	case control >= 0x80:
		return x.packed(control)
	case control > 2:
		return malformed("chunk of kind %#02x", control)
	}
	head, err := x.take(2)
	if err != nil {
		return err
	}
	if x.fresh && control != 1 {
		return malformed("a chunk without a dictionary")
	}
	if control == 1 {
		x.anew()
	}
	n := int(be.Uint16(head)) + 1
	if err := x.room(n); err != nil {
		return err
	}
	if err := x.full(x.win[x.at : x.at+n]); err != nil {
		return err
	}
	x.came(n)
	return nil
}

// anew forgets the dictionary.
func (x *xzReader) anew() { x.fresh, x.floor, x.begun = false, x.at, 0 }

// room makes room for n bytes of content: what the dictionary cannot reach goes.
func (x *xzReader) room(n int) error {
	if int64(n) > x.left {
		return malformed("more comes out of a block than its index says")
	}
	if x.at+n <= len(x.win) {
		return nil
	}
	keep := min(x.at-x.floor, int(min(x.dict, int64(len(x.win)-n))))
	copy(x.win, x.win[x.at-keep:x.at])
	x.at, x.out, x.floor = keep, keep, 0
	return nil
}

// came counts what a chunk gave.
func (x *xzReader) came(n int) {
	if x.sum != nil {
		x.sum.Write(x.win[x.at : x.at+n])
	}
	x.at, x.left, x.begun = x.at+n, x.left-int64(n), x.begun+uint64(n)
}

// packed decodes a chunk of LZMA.
func (x *xzReader) packed(control byte) error {
	head, err := x.take(4)
	if err != nil {
		return err
	}
	size := int(control&0x1f)<<16 + int(be.Uint16(head)) + 1
	stored := int(be.Uint16(head[2:])) + 1
	reset := control >> 5 & 3
	if reset == 3 {
		x.anew()
	}
	if x.fresh || reset < 2 && !x.modeled {
		return malformed("a chunk without a dictionary or properties")
	}
	if reset >= 2 {
		props, err := x.take(1)
		if err != nil {
			return err
		}
		if !x.z.properties(props[0]) {
			return malformed("properties %#02x of a chunk", props[0])
		}
		x.modeled = true
	}
	if reset > 0 {
		x.z.reset()
	}
	if cap(x.chunk) < stored {
		x.chunk = make([]byte, 64<<10)
	}
	x.chunk = x.chunk[:stored]
	if err := x.full(x.chunk); err != nil {
		return err
	}
	if err := x.room(size); err != nil {
		return err
	}
	if !x.z.begin(x.chunk) || !x.z.decode(x.win, x.floor, x.at, x.at+size, x.begun) || x.z.pos != stored || x.z.code != 0 {
		return malformed("a chunk does not decode")
	}
	x.came(size)
	return nil
}

// done holds the end of a block against the index.
func (x *xzReader) done() error {
	b := x.blocks[0]
	if x.left != 0 {
		return malformed("less comes out of a block than its index says")
	}
	pad, err := x.take(int(-(x.n - x.start) & 3))
	if err != nil {
		return err
	}
	sum, err := x.take(xzCheckSize(x.check))
	if err != nil {
		return err
	}
	switch {
	case !zero(pad) || x.n-x.start-int64(len(pad)) != b.stored:
		return malformed("a block is not as long as its index says")
	case x.sum != nil && !sameSum(x.sum.Sum(nil), sum, x.check):
		return malformed("checksum of a block")
	}
	x.open, x.blocks = false, x.blocks[1:]
	return nil
}

// xzCheckSize is the length of a checksum by its kind (section 2.1.1.2).
func xzCheckSize(check byte) int {
	return [16]int{0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64}[check&15]
}

// sameSum compares checksums; those of cyclic codes stand the other way round.
func sameSum(got, want []byte, check byte) bool {
	for i := range want {
		j := i
		if check != 10 {
			j = len(want) - 1 - i
		}
		if got[j] != want[i] {
			return false
		}
	}
	return true
}
