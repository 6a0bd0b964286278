package archive

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// The parts of a package (rpm-software-management/rpm, docs/manual/format_v4.md):
// a lead, the header of signatures, the header, the compressed payload.
const (
	rpmLead     = 96
	rpmIntro    = 16
	rpmEntry    = 16
	maxRPMIndex = 64 << 10
	maxRPMStore = 32 << 20
)

// RPMPackage is a package in its parts.
type RPMPackage struct {
	Lead            []byte
	Signature, Head *RPMHeader
	Payload         int64 // where it begins; it reaches to the end
}

// RPMHeader is one of the two headers.
type RPMHeader struct {
	Raw  []byte
	Tags []RPMTag // in the order of the index
}

// RPMTag is one value of a header.
type RPMTag struct {
	ID, Type, Count uint32
	Value           []byte
	at              uint32 // in the store
}

var be = binary.BigEndian

// ReadRPM reads everything but the payload.
func ReadRPM(file *io.SectionReader) (*RPMPackage, error) {
	r := &RPMPackage{}
	var err error
	if r.Lead, err = readAt(file, 0, rpmLead); err != nil {
		return nil, fmt.Errorf("rpm: %w", err)
	}
	if be.Uint32(r.Lead) != 0xedabeedb {
		return nil, fmt.Errorf("rpm: %w", malformed("it does not begin as one"))
	}
	at := int64(rpmLead)
	if r.Signature, err = readRPMHeader(file, at); err != nil {
		return nil, fmt.Errorf("rpm: header of signatures: %w", err)
	}
	at += int64(len(r.Signature.Raw))
	pad, err := readAt(file, at, int(-at&7))
	if err != nil || !zero(pad) {
		return nil, fmt.Errorf("rpm: %w", malformed("bytes between its headers"))
	}
	at += int64(len(pad))
	if r.Head, err = readRPMHeader(file, at); err != nil {
		return nil, fmt.Errorf("rpm: header: %w", err)
	}
	r.Payload = at + int64(len(r.Head.Raw))
	return r, nil
}

func readRPMHeader(file *io.SectionReader, at int64) (*RPMHeader, error) {
	intro, err := readAt(file, at, rpmIntro)
	if err != nil {
		return nil, err
	}
	n, size := be.Uint32(intro[8:]), be.Uint32(intro[12:])
	switch {
	case !bytes.Equal(intro[:8], []byte{0x8e, 0xad, 0xe8, 1, 0, 0, 0, 0}):
		return nil, malformed("no header")
	case n > maxRPMIndex || size > maxRPMStore:
		return nil, bound("%d values in %d bytes", n, size)
	}
	h := &RPMHeader{}
	if h.Raw, err = readAt(file, at, rpmIntro+int(n)*rpmEntry+int(size)); err != nil {
		return nil, err
	}
	store := h.Raw[rpmIntro+int(n)*rpmEntry:]
	for i := range int(n) {
		e := h.Raw[rpmIntro+i*rpmEntry:]
		t := RPMTag{ID: be.Uint32(e), Type: be.Uint32(e[4:]), at: be.Uint32(e[8:]), Count: be.Uint32(e[12:])}
		if t.Value, err = t.value(store); err != nil {
			return nil, err
		}
		h.Tags = append(h.Tags, t)
	}
	if !bytes.Equal(h.write(), h.Raw) {
		return nil, malformed("its store holds more than its index names, or in another order")
	}
	return h, nil
}

// width is the size of one value of a type, 0 of those that end with a NUL.
func (t RPMTag) width() (int, error) {
	switch t.Type {
	case 0, 1, 2, 7:
		return 1, nil
	case 3:
		return 2, nil
	case 4:
		return 4, nil
	case 5:
		return 8, nil
	case 6, 8, 9:
		return 0, nil
	}
	return 0, malformed("value %d of type %d", t.ID, t.Type)
}

func (t RPMTag) value(store []byte) ([]byte, error) {
	w, err := t.width()
	if err != nil {
		return nil, err
	}
	if int64(t.at) > int64(len(store)) || int64(t.Count) > int64(len(store)) || int64(t.Count)*int64(w) > int64(len(store))-int64(t.at) {
		return nil, malformed("value %d lies outside of the store", t.ID)
	}
	rest := store[t.at:]
	if w > 0 {
		return rest[:int(t.Count)*w], nil
	}
	n := 0
	for range t.Count {
		i := bytes.IndexByte(rest[n:], 0)
		if i < 0 {
			return nil, malformed("value %d does not end", t.ID)
		}
		n += i + 1
	}
	return rest[:n], nil
}

// write lays the header out again: values in the order of the store, each where
// its type may stand, zeros between.
func (h *RPMHeader) write() []byte {
	order := make([]int, len(h.Tags))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(h.Tags[i].at, h.Tags[j].at) })
	at := make([]uint32, len(h.Tags))
	var store []byte
	for _, i := range order {
		w, _ := h.Tags[i].width() // was asked when it was read
		for w > 1 && len(store)%w != 0 {
			store = append(store, 0)
		}
		at[i] = uint32(len(store))
		store = append(store, h.Tags[i].Value...)
	}
	out := []byte{0x8e, 0xad, 0xe8, 1, 0, 0, 0, 0}
	out = be.AppendUint32(out, uint32(len(h.Tags)))
	out = be.AppendUint32(out, uint32(len(store)))
	for i, t := range h.Tags {
		for _, v := range []uint32{t.ID, t.Type, at[i], t.Count} {
			out = be.AppendUint32(out, v)
		}
	}
	return append(out, store...)
}

// get is the value of a tag.
func (h *RPMHeader) get(id uint32) *RPMTag {
	for i := range h.Tags {
		if h.Tags[i].ID == id {
			return &h.Tags[i]
		}
	}
	return nil
}

// Hex is a digest that a header gives in hexadecimal.
func (h *RPMHeader) Hex(id uint32) string {
	if t := h.get(id); t != nil && (t.Type == 6 || t.Type == 8) {
		s, _, _ := strings.Cut(string(t.Value), "\x00")
		return s
	}
	return ""
}

// The tags that may be set (rpm's rpmtag.h), and what for.
var rpmHarmless = map[uint32]Cause{
	1006: CauseBuild, 1007: CauseBuild, 1094: CauseBuild, // time, host, cookie
	1034: CauseTime, 1096: CauseInode, 1095: CauseInode, // of files
	1046: causeContent, 5092: causeContent, 5097: causeContent, // size and digests of the payload
}

var rpmNames = map[uint32]string{
	1000: "name", 1001: "version", 1002: "release", 1004: "summary", 1005: "description", 1006: "build time",
	1007: "build host", 1009: "size", 1014: "licence", 1020: "URL", 1022: "architecture", 1023: "script before installation",
	1024: "script after installation", 1025: "script before removal", 1026: "script after removal", 1028: "sizes of files",
	1030: "modes of files", 1034: "mtime of files", 1035: "digests of files", 1036: "targets of links", 1037: "flags of files",
	1039: "owners of files", 1040: "groups of files", 1044: "source package", 1046: "size of the archive", 1047: "provides",
	1049: "requires", 1094: "cookie", 1095: "devices of files", 1096: "inodes of files", 1117: "names of files",
	5010: "capabilities of files", 5092: "digest of the payload", 5097: "digest of the bare payload",
}

// CompareRPM compares two headers of one kind. Where proven, the payload becomes
// the shipped one, and what follows from it is set with it. The proof is the
// rebuilt header with all of that set, laid out again.
func CompareRPM(shipped, rebuilt *RPMHeader, proven bool) (all []Delta, proved bool) {
	out := &RPMHeader{Tags: slices.Clone(rebuilt.Tags)}
	var d deltas
	for _, t := range shipped.Tags {
		u := out.get(t.ID)
		switch {
		case u == nil:
			d.text(t.name(), t.text(), "", "")
		case u.Type == t.Type && u.Count == t.Count && bytes.Equal(u.Value, t.Value):
		default:
			c := rpmHarmless[t.ID]
			if c == causeContent && !proven {
				continue // the payload itself says it
			}
			d = append(d, Delta{t.name(), t.text(), u.text(), c})
			if c != "" && u.Type == t.Type {
				u.Value, u.Count = t.Value, t.Count
			}
		}
	}
	for _, u := range rebuilt.Tags {
		if shipped.get(u.ID) == nil {
			d.text(u.name(), "", u.text(), "")
		}
	}
	return d, bytes.Equal(out.write(), shipped.Raw)
}

// Content reports whether a delta follows from the payload.
func (d Delta) Content() bool { return d.Cause == causeContent }

func (t RPMTag) name() string {
	if n := rpmNames[t.ID]; n != "" {
		return n
	}
	return "tag " + strconv.FormatUint(uint64(t.ID), 10)
}

func (t RPMTag) text() string {
	switch {
	case (t.Type == 6 || t.Type == 8 || t.Type == 9) && len(t.Value) <= 400:
		return quote(strings.Join(strings.Split(strings.TrimSuffix(string(t.Value), "\x00"), "\x00"), ", "))
	case t.Type == 4 && t.Count == 1 && (t.ID == 1006):
		return stamp(fmt.Sprint(be.Uint32(t.Value)))
	case t.Type == 4 && t.Count <= 16:
		var out []string
		for i := range int(t.Count) {
			out = append(out, fmt.Sprint(be.Uint32(t.Value[4*i:])))
		}
		return strings.Join(out, ", ")
	case len(t.Value) <= 64:
		return hex.EncodeToString(t.Value)
	}
	return fmt.Sprintf("%d values in %d bytes, SHA-256 %x", t.Count, len(t.Value), sha(t.Value))
}

// rpmSignatures are the tags that a header of signatures may have: digests, sizes,
// signatures, reserved room. Signatures of files are not among them: a kernel
// reads these.
var rpmSignatures = map[uint32]bool{
	62: true, 267: true, 268: true, 269: true, 270: true, 271: true, 273: true, 278: true,
	1000: true, 1002: true, 1004: true, 1005: true, 1007: true, 1008: true,
}

// SignatureOnly reports whether a header holds nothing but signatures of the
// package, and whether the digest in it that is of the header is right.
func (r *RPMPackage) SignatureOnly() bool {
	for _, t := range r.Signature.Tags {
		if !rpmSignatures[t.ID] || t.ID == 1008 && !zero(t.Value) {
			return false
		}
	}
	want := r.Signature.Hex(273)
	return want == "" || want == hex.EncodeToString(sha(r.Head.Raw))
}
