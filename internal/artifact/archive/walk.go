package archive

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// The walks hold the outline of a file against its size before anything is
// decoded: it is one stream, and no byte stands before, between or behind its
// blocks. The decoders of the field pass over more.

func readAt(file *io.SectionReader, at int64, n int) ([]byte, error) {
	if at < 0 || at+int64(n) > file.Size() {
		return nil, malformed("it ends in the middle")
	}
	b := make([]byte, n)
	if _, err := file.ReadAt(b, at); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return b, nil
}

// walkXZ goes from the footer through the index back to the header (The .xz File
// Format 1.2.1, section 2).
func walkXZ(file *io.SectionReader) (check byte, blocks []xzBlock, err error) {
	head, err := readAt(file, 0, 12)
	if err != nil {
		return 0, nil, err
	}
	foot, err := readAt(file, file.Size()-12, 12)
	if err != nil {
		return 0, nil, err
	}
	if string(head[:6]) != "\xfd7zXZ\x00" || string(foot[10:]) != "YZ" || !bytes.Equal(head[6:8], foot[8:10]) {
		return 0, nil, malformed("header and footer do not belong together, or other bytes follow")
	}
	back := (int64(binary.LittleEndian.Uint32(foot[4:])) + 1) * 4
	if back > 16<<20 {
		return 0, nil, bound("index of %d bytes", back)
	}
	index, err := readAt(file, file.Size()-12-back, int(back))
	if err != nil {
		return 0, nil, err
	}
	blocks, stored, err := xzIndex(index)
	if err != nil {
		return 0, nil, err
	}
	if 12+stored+back+12 != file.Size() {
		return 0, nil, malformed("it is more than one stream, or bytes stand between its blocks")
	}
	if head[6] != 0 || head[7] > 15 || binary.LittleEndian.Uint32(foot) != crc32.ChecksumIEEE(foot[4:10]) {
		return 0, nil, malformed("header or footer")
	}
	return head[7], blocks, nil
}

// xzIndex reads the index (section 4): the blocks, and their length with padding.
func xzIndex(b []byte) (blocks []xzBlock, stored int64, err error) {
	if len(b) < 8 || b[0] != 0 || binary.LittleEndian.Uint32(b[len(b)-4:]) != crc32.ChecksumIEEE(b[:len(b)-4]) {
		return nil, 0, malformed("index")
	}
	rest := b[1 : len(b)-4]
	number := func() uint64 {
		v, n := binary.Uvarint(rest)
		if n <= 0 {
			err = malformed("index")
			return 0
		}
		rest = rest[n:]
		return v
	}
	count := number()
	if count > uint64(len(b)) {
		return nil, 0, malformed("index of %d blocks", count)
	}
	for range count {
		packed, size := number(), number()
		if err != nil || packed > 1<<60 || size > 1<<60 || stored > 1<<60 {
			return nil, 0, malformed("index")
		}
		blocks = append(blocks, xzBlock{int64(packed), int64(size)})
		stored += int64((packed + 3) &^ 3)
	}
	if err == nil && !(zero(rest) && len(rest) < 4) {
		err = malformed("index")
	}
	return blocks, stored, err
}

// walkZstd goes over the blocks of the one frame (RFC 8878, section 3.1.1).
func walkZstd(file *io.SectionReader) (facts string, err error) {
	b, err := readAt(file, 0, int(min(18, file.Size())))
	if err != nil {
		return "", err
	}
	if len(b) < 6 || binary.LittleEndian.Uint32(b) != 0xfd2fb528 {
		return "", malformed("it begins with a frame to skip, or is no zstd")
	}
	d := b[4]
	sized, one, sum := d>>6, d&0x20 != 0, d&4 != 0
	if d&8 != 0 || d&3 != 0 {
		return "", malformed("reserved bit, or a dictionary that is not here")
	}
	at := int64(5)
	if !one {
		at++
	}
	switch {
	case sized > 0:
		at += 1 << sized
	case one:
		at++
	}
	blocks := 0
	for last := false; !last; blocks++ {
		h, err := readAt(file, at, 3)
		if err != nil {
			return "", err
		}
		n := uint32(h[0]) | uint32(h[1])<<8 | uint32(h[2])<<16
		last = n&1 != 0
		at += 3
		switch size := int64(n >> 3); n >> 1 & 3 {
		case 0, 2:
			at += size
		case 1:
			at++
		default:
			return "", malformed("reserved type of a block")
		}
	}
	if sum {
		at += 4
	}
	if at != file.Size() {
		return "", malformed("it is more than one frame, or other bytes follow")
	}
	return fmt.Sprintf("descriptor %#02x, %d blocks", d, blocks), nil
}

// walkBzip2 looks for a second stream, which decoders join silently. It can only
// begin on a whole byte, with a header and the mark of a block or of the end.
func walkBzip2(file *io.SectionReader) (facts string, err error) {
	head, err := readAt(file, 0, 4)
	if err != nil {
		return "", err
	}
	if string(head[:3]) != "BZh" || head[3] < '1' || head[3] > '9' {
		return "", malformed("no header of bzip2")
	}
	const chunk, overlap = 256 << 10, 10
	buf := make([]byte, chunk+overlap)
	for at := int64(4); at < file.Size(); at += chunk {
		n, err := file.ReadAt(buf, at)
		if err != nil && !errors.Is(err, io.EOF) {
			return "", err
		}
		for got := buf[:n]; ; {
			i := bytes.Index(got, []byte("BZh"))
			if i < 0 || len(got)-i < 10 {
				break
			}
			got = got[i+3:]
			mark := string(got[1:7])
			if got[0] >= '1' && got[0] <= '9' && (mark == "1AY&SY" || mark == "\x17\x72\x45\x38\x50\x90") {
				return "", malformed("a second stream at about offset %d", at)
			}
		}
	}
	return "level " + string(head[3:]), nil
}
