package archive

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// tarHead is what a header says, with its extended headers applied.
type tarHead struct {
	name, link  string
	kind        Kind
	flag        byte
	mode        int64
	uid, gid    int64
	user, group string
	time        string
	size        int64  // of the content
	claimed     int64  // as written
	magic, dev  string // dialect; device numbers
	records     []record
	blocks      []metaBlock // extended headers before the block
	block       []byte      // the header itself
	rest        []byte      // the map of a sparse file
}

// metaBlock is an extended header: its block, and the padded data behind it.
type metaBlock struct {
	kind  byte
	block []byte
	data  []byte // padded
	size  int64
}

// record is one line of an extended header.
type record struct{ key, value string }

// paxRecords reads "length key=value\n" lines (POSIX.1-2017 pax, "pax Header
// Block"), each exactly as long as it says.
func paxRecords(data []byte) ([]record, error) {
	var all []record
	for len(data) > 0 {
		digits, _, ok := bytes.Cut(data, []byte(" "))
		n, err := strconv.ParseUint(string(digits), 10, 31)
		if !ok || err != nil || digits[0] == '0' || digits[0] == '+' || int(n) > len(data) || int(n) < len(digits)+4 {
			return nil, malformed("extended header: bad length of a record")
		}
		line := data[len(digits)+1 : n]
		key, value, ok := strings.Cut(string(line[:len(line)-1]), "=")
		if !ok || key == "" || line[len(line)-1] != '\n' {
			return nil, malformed("extended header: a record is not key=value")
		}
		all = append(all, record{key, value})
		data = data[n:]
	}
	return all, nil
}

// parseTar reads the frame of a member, which [tarReader] has cut.
func parseTar(frame []byte) (*tarHead, error) {
	h := &tarHead{}
	for frame[tarTypeAt] == 'x' || frame[tarTypeAt] == 'L' || frame[tarTypeAt] == 'K' {
		size, err := tarSize.number(frame)
		if err != nil {
			return nil, err
		}
		end := tarBlock + int(padded(size))
		if size < 0 || end > len(frame)-tarBlock {
			return nil, malformed("extended header of %d bytes", size)
		}
		h.blocks = append(h.blocks, metaBlock{frame[tarTypeAt], frame[:tarBlock], frame[tarBlock:end], size})
		frame = frame[end:]
	}
	h.block, h.rest = frame[:tarBlock], frame[tarBlock:]
	if err := h.plain(); err != nil {
		return nil, err
	}
	if err := h.extend(); err != nil {
		return nil, err
	}
	h.claimed = h.size
	switch h.kind {
	case Global:
		if h.size < 0 || h.size > int64(len(h.rest)) {
			return nil, malformed("global extended header of %d bytes", h.size)
		}
		records, err := paxRecords(h.rest[:h.size])
		if err != nil {
			return nil, err
		}
		h.records, h.size = records, 0
	case Hardlink, Symlink, CharDev, BlockDev, Directory, Fifo:
		h.size = 0
	}
	if h.size < 0 || h.size > 1<<60 {
		return nil, malformed("size of %d bytes", h.size)
	}
	return h, nil
}

// plain reads the header itself.
func (h *tarHead) plain() (err error) {
	b := h.block
	h.flag = b[tarTypeAt]
	h.name, h.link, h.magic = tarName.text(b), tarLink.text(b), string(tarMagic.of(b))
	h.user, h.group, h.dev = tarUser.text(b), tarGroup.text(b), string(tarDev.of(b))
	// GNU ("ustar  \0") keeps times where POSIX has the prefix.
	if h.magic == "ustar\x0000" {
		if p := tarPrefix.text(b); p != "" {
			h.name = p + "/" + h.name
		}
	}
	var t int64
	for _, f := range []struct {
		to *int64
		f  tarField
	}{{&h.mode, tarMode}, {&h.uid, tarUID}, {&h.gid, tarGID}, {&h.size, tarSize}, {&t, tarTime}} {
		if *f.to, err = f.f.number(b); err != nil {
			return err
		}
	}
	h.time = strconv.FormatInt(t, 10)
	h.kind = tarKind(h.flag, h.name)
	return nil
}

func tarKind(flag byte, name string) Kind {
	switch flag {
	case '0', 0, '7':
		if flag == 0 && strings.HasSuffix(name, "/") {
			return Directory // before POSIX
		}
		return File
	case '1':
		return Hardlink
	case '2':
		return Symlink
	case '3':
		return CharDev
	case '4':
		return BlockDev
	case '5':
		return Directory
	case '6':
		return Fifo
	case 'S':
		return Sparse
	case 'g':
		return Global
	}
	return Other
}

// extend applies the extended headers.
func (h *tarHead) extend() error {
	for _, m := range h.blocks {
		data := m.data[:m.size]
		if m.kind != 'x' {
			s, _, _ := bytes.Cut(data, []byte{0})
			if m.kind == 'L' {
				h.name = string(s)
			} else {
				h.link = string(s)
			}
			continue
		}
		records, err := paxRecords(data)
		if err != nil {
			return err
		}
		for _, r := range records {
			if err := h.override(r); err != nil {
				return err
			}
		}
		h.records = append(h.records, records...)
	}
	return nil
}

func (h *tarHead) override(r record) (err error) {
	switch r.key {
	case "path":
		h.name = r.value
	case "linkpath":
		h.link = r.value
	case "uname":
		h.user = r.value
	case "gname":
		h.group = r.value
	case "mtime":
		h.time = r.value
	case "size":
		h.size, err = strconv.ParseInt(r.value, 10, 64)
	case "uid":
		h.uid, err = strconv.ParseInt(r.value, 10, 64)
	case "gid":
		h.gid, err = strconv.ParseInt(r.value, 10, 64)
	default:
		if strings.HasPrefix(r.key, "GNU.sparse.") {
			h.kind = Sparse
		}
	}
	if err != nil {
		return malformed("extended header: %s=%q is not a number", r.key, r.value)
	}
	return nil
}

// harmlessRecord says which cause an extended record belongs to.
func harmlessRecord(key string) Cause {
	switch key {
	case "mtime", "atime", "ctime":
		return CauseTime
	case "uid", "gid", "uname", "gname":
		return CauseOwner
	}
	return ""
}

// grave are the records that no cause stands for.
func (h *tarHead) grave() (out []string) {
	for _, r := range h.records {
		if harmlessRecord(r.key) == "" {
			out = append(out, r.key+"="+r.value)
		}
	}
	return out
}

func (h *tarHead) timeRecords() (out []string) {
	for _, r := range h.records {
		if harmlessRecord(r.key) == CauseTime && r.key != "mtime" {
			out = append(out, r.key+"="+r.value)
		}
	}
	return out
}

func (h *tarHead) owner() string {
	return fmt.Sprintf("%d/%d %s/%s", h.uid, h.gid, h.user, h.group)
}

func (h *tarHead) paxNames() (out []string) {
	for _, m := range h.blocks {
		if m.kind == 'x' {
			out = append(out, tarName.text(m.block))
		}
	}
	return out
}

// modeText writes permissions as ls does not: octal, nothing hidden.
func modeText(m int64) string { return fmt.Sprintf("%04o", m) }

func sameStrings(a, b []string) bool { return slices.Equal(a, b) }
