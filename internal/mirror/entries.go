package mirror

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"

	xtlog "golang.org/x/mod/sumdb/tlog"

	"vitrine.example/tlog"
)

// head is what an add-entries request begins with (tlog-mirror, section "Request
// Body").
type head struct {
	origin     string
	start, end int64
	ticket     []byte
}

// errBeyond is returned where a request names entries that no log can have.
var errBeyond = errors.New("an index is above 2^62")

func readHead(r io.Reader) (h head, err error) {
	origin, err := readString(r)
	if err != nil {
		return h, fmt.Errorf("reading log_origin: %w", err)
	}
	var n [16]byte
	if _, err := io.ReadFull(r, n[:]); err != nil {
		return h, fmt.Errorf("reading upload_start and upload_end: %w", err)
	}
	if h.ticket, err = readString(r); err != nil {
		return h, fmt.Errorf("reading the ticket: %w", err)
	}
	h.origin = string(origin)
	start, end := binary.BigEndian.Uint64(n[:]), binary.BigEndian.Uint64(n[8:])
	if start > end {
		return h, fmt.Errorf("upload_start %d is above upload_end %d", start, end)
	}
	if end > tlog.MaxSize {
		h.start, h.end = int64(min(start, tlog.MaxSize)), tlog.MaxSize
		return h, errBeyond
	}
	h.start, h.end = int64(start), int64(end)
	return h, nil
}

func readString(r io.Reader) ([]byte, error) {
	var n [2]byte
	if _, err := io.ReadFull(r, n[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint16(n[:]))
	_, err := io.ReadFull(r, b)
	return b, err
}

// marshal writes what readHead reads. Origin and ticket are below 64 KiB.
func (h head) marshal() []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(len(h.origin)))
	b = append(b, h.origin...)
	b = binary.BigEndian.AppendUint64(b, uint64(h.start))
	b = binary.BigEndian.AppendUint64(b, uint64(h.end))
	b = binary.BigEndian.AppendUint16(b, uint16(len(h.ticket)))
	return append(b, h.ticket...)
}

// pack is an entry package: the entries from start up to but not including end.
type pack struct {
	start, end int64
	raw        []byte      // the entries, each with its length in front
	ends       []int       // where each ends in raw
	hashes     []tlog.Hash // leaf hashes
	proof      []tlog.Hash
}

// nextPack returns the place of the package that holds an index of the
// canonical sequence.
func nextPack(start, end int64) (from, to int64) {
	return start, min(end, start/tlog.TileWidth*tlog.TileWidth+tlog.TileWidth)
}

// readPack reads a package. Where it fails nothing of it is of use.
func readPack(r io.Reader, start, end int64) (*pack, error) {
	p := &pack{start: start, end: end}
	var n [2]byte
	for range end - start {
		if _, err := io.ReadFull(r, n[:]); err != nil {
			return nil, err
		}
		at := len(p.raw)
		size := int(binary.BigEndian.Uint16(n[:]))
		p.raw = append(p.raw, n[:]...)
		p.raw = append(p.raw, make([]byte, size)...)
		if _, err := io.ReadFull(r, p.raw[at+2:]); err != nil {
			return nil, err
		}
		p.ends = append(p.ends, len(p.raw))
		p.hashes = append(p.hashes, tlog.LeafHash(p.raw[at+2:]))
	}
	if _, err := io.ReadFull(r, n[:1]); err != nil {
		return nil, err
	}
	if n[0] > tlog.MaxPath {
		return nil, fmt.Errorf("%w: num_hashes is %d, want at most %d", errBadPack, n[0], tlog.MaxPath)
	}
	p.proof = make([]tlog.Hash, n[0])
	for i := range p.proof {
		if _, err := io.ReadFull(r, p.proof[i][:]); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// errBadPack is the reason of answers 422.
var errBadPack = errors.New("entry package")

// marshal writes what readPack reads.
func (p *pack) marshal() []byte {
	b := append([]byte(nil), p.raw...)
	b = append(b, byte(len(p.proof)))
	for _, h := range p.proof {
		b = append(b, h[:]...)
	}
	return b
}

// verify checks that the package is a part of the tree of a checkpoint. before
// are the leaf hashes of the bundle that the package does not have, because they
// are in the copy.
func (p *pack) verify(before []tlog.Hash, cp tlog.Checkpoint) error {
	all := append(append(make([]tlog.Hash, 0, tlog.TileWidth), before...), p.hashes...)
	sub := tlog.Subtree{Start: p.start - int64(len(before)), End: p.end, Hash: rootOf(all)}
	if err := sub.Verify(cp.Size, cp.Root, p.proof); err != nil {
		return fmt.Errorf("%w: %w", errBadPack, err)
	}
	return nil
}

// rootOf returns the Merkle tree hash of leaf hashes (RFC 6962 section 2.1).
func rootOf(hashes []tlog.Hash) tlog.Hash {
	if len(hashes) == 1 {
		return hashes[0]
	}
	k := 1 << (bits.Len(uint(len(hashes)-1)) - 1)
	return xtlog.NodeHash(rootOf(hashes[:k]), rootOf(hashes[k:]))
}
