package archive

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"
)

// zipForm knows which fields of a zip may be set.
type zipForm struct{}

// zipParts is a frame in its parts.
type zipParts struct {
	local, descr, central []byte
	rest                  []byte // bytes that belong to no member: an oddity
}

func zipPartsOf(e *Entry) zipParts {
	tail := e.tail.bytes()
	p := zipParts{local: e.frame.bytes(), descr: tail[1 : 1+int(tail[0])]}
	c := tail[1+int(tail[0]):]
	n := centralLen + int(le.Uint16(c[28:])) + int(le.Uint16(c[30:])) + int(le.Uint16(c[32:]))
	p.central, p.rest = c[:n], c[n:]
	return p
}

func (p zipParts) localExtra() []byte { return p.local[localLen+int(le.Uint16(p.local[26:])):] }

func (p zipParts) centralExtra() []byte {
	at := centralLen + int(le.Uint16(p.central[28:]))
	return p.central[at : at+int(le.Uint16(p.central[30:]))]
}

func (p zipParts) comment() []byte {
	return p.central[len(p.central)-int(le.Uint16(p.central[32:])):]
}

// dosTime writes the two fields of MS-DOS for people.
func dosTime(h []byte) string {
	t, d := int(le.Uint16(h)), int(le.Uint16(h[2:]))
	return time.Date(1980+d>>9, time.Month(d>>5&15), d&31, t>>11, t>>5&63, t&31*2, 0, time.UTC).Format("2006-01-02 15:04:05")
}

// hint are the bits of the flags that say how hard the encoder tried (4.4.4).
const hint = 0x6

func (zipForm) compare(a, b *Entry) ([]Delta, error) {
	x, y := zipPartsOf(a), zipPartsOf(b)
	ck, cm := zipKind(x.central, a.Name)
	rk, rm := zipKind(y.central, b.Name)
	var d deltas
	d.text("type", string(ck), string(rk), "")
	d.mode(cm, rm)
	d.text("made by", madeBy(x.central), madeBy(y.central), "")
	d.text("attributes", attributes(x.central), attributes(y.central), "")
	d.text("method", num(x.central[10:]), num(y.central[10:]), "")
	fa, fb := le.Uint16(x.central[8:]), le.Uint16(y.central[8:])
	d.text("flags", fmt.Sprintf("%#x", fa&^hint), fmt.Sprintf("%#x", fb&^hint), "")
	if fa&^hint == fb&^hint {
		d.text("level hint", fmt.Sprintf("level hint %d", fa&hint>>1), fmt.Sprintf("level hint %d", fb&hint>>1), CauseEncoder)
	}
	d.text("version needed", num(x.central[6:]), num(y.central[6:]), "")
	d.text("mtime", dosTime(x.central[12:]), dosTime(y.central[12:]), CauseTime)
	d.extras("extra fields", x.localExtra(), y.localExtra())
	d.extras("extra fields in the directory", x.centralExtra(), y.centralExtra())
	d.text("comment", quoteSome(string(x.comment())), quoteSome(string(y.comment())), "")
	d.text("checksum", hex.EncodeToString(x.central[16:20]), hex.EncodeToString(y.central[16:20]), causeContent)
	d.text("sizes", hex.EncodeToString(x.central[20:28]), hex.EncodeToString(y.central[20:28]), causeContent)
	if !bytes.Equal(x.rest, y.rest) {
		d.text("bytes behind it", fmt.Sprintf("%d", len(x.rest)), fmt.Sprintf("%d", len(y.rest)), "")
	}
	return d, nil
}

func num(b []byte) string { return fmt.Sprint(le.Uint16(b)) }

func madeBy(c []byte) string { return fmt.Sprintf("%d.%d on system %d", c[4]/10, c[4]%10, c[5]) }

// attributes are those bits that the type and the permissions do not show.
func attributes(c []byte) string {
	ext := le.Uint32(c[38:])
	if c[5] == 3 || c[5] == 19 {
		ext &= 0xf000ffff
	}
	return fmt.Sprintf("%#x, internal %#x", ext, le.Uint16(c[36:]))
}

// harmlessExtra says which cause a field belongs to.
func harmlessExtra(id uint16) Cause {
	switch id {
	case 0x5455, 0x000a, 0x5855: // times of Info-ZIP and NTFS
		return CauseTime
	case 0x7875, 0x7855: // owners of Info-ZIP, by number
		return CauseOwner
	case 0x0001: // sizes in 64 bits
		return causeContent
	}
	return ""
}

// extras compares extra fields: all that no cause stands for must be the same.
func (d *deltas) extras(field string, a, b []byte) {
	if bytes.Equal(a, b) {
		return
	}
	x, err := extras(a)
	y, err2 := extras(b)
	if err != nil || err2 != nil {
		d.text(field, fmt.Sprintf("%x", a), fmt.Sprintf("%x", b), "")
		return
	}
	d.text(field, extraText(x, ""), extraText(y, ""), "")
	for _, c := range []Cause{CauseTime, CauseOwner, causeContent} {
		d.text(field, extraText(x, c), extraText(y, c), c)
	}
}

func extraText(all []extraField, c Cause) string {
	var out []string
	for _, f := range all {
		if harmlessExtra(f.id) == c {
			out = append(out, fmt.Sprintf("%04x:%x", f.id, f.data))
		}
	}
	return strings.Join(out, " ")
}

// patch copies times, the level hint and what the content decides.
func (zipForm) patch(a, b *Entry, set map[Cause]bool) (frame, tail []byte, err error) {
	x, y := zipPartsOf(a), zipPartsOf(b)
	local, central, descr := bytes.Clone(y.local[:localLen]), bytes.Clone(y.central[:centralLen]), bytes.Clone(y.descr)
	if set[CauseTime] {
		copy(local[10:14], x.local[10:])
		copy(central[12:16], x.central[12:])
	}
	if set[CauseEncoder] {
		le.PutUint16(local[6:], le.Uint16(local[6:])&^hint|le.Uint16(x.local[6:])&hint)
		le.PutUint16(central[8:], le.Uint16(central[8:])&^hint|le.Uint16(x.central[8:])&hint)
	}
	if set[CauseUmask] && le.Uint32(central[38:])^le.Uint32(x.central[38:]) == 0o20<<16 {
		copy(central[38:42], x.central[38:])
	}
	if set[causeContent] {
		copy(local[14:26], x.local[14:])
		copy(central[16:28], x.central[16:])
		if len(descr) == len(x.descr) {
			copy(descr, x.descr)
		}
	}
	le1, ce := mixExtras(x.localExtra(), y.localExtra(), set), mixExtras(x.centralExtra(), y.centralExtra(), set)
	le.PutUint16(local[28:], uint16(len(le1)))
	le.PutUint16(central[30:], uint16(len(ce)))
	name := y.local[localLen : localLen+int(le.Uint16(y.local[26:]))]
	frame = slices.Concat(local, name, le1)
	cname := y.central[centralLen : centralLen+int(le.Uint16(y.central[28:]))]
	tail = slices.Concat([]byte{byte(len(descr))}, descr, central, cname, ce, y.comment(), y.rest)
	return frame, tail, nil
}

// mixExtras gives a's fields where all that differs is in set, else b's.
func mixExtras(a, b []byte, set map[Cause]bool) []byte {
	x, err := extras(a)
	y, err2 := extras(b)
	if err != nil || err2 != nil {
		return b
	}
	for _, c := range []Cause{"", CauseTime, CauseOwner, causeContent} {
		if !set[c] && extraText(x, c) != extraText(y, c) {
			return b
		}
	}
	return a
}

// The blocks of Android's signing block that this reads (source.android.com,
// "APK Signature Scheme v2" and v3). A program can read any other one at run
// time, so that is a difference.
var signingIDs = map[uint32]string{
	0x7109871a: "v2", 0xf05368c0: "v3", 0x1b93ad61: "v3.1", 0x42726577: "padding",
}

// signing reads Android's signing block, where the bytes are one.
func (z *zipReader) signing(at, n int64) (*part, error) {
	const foot = 24
	if n < 32 {
		return nil, nil
	}
	tail, err := readAt(z.file, at+n-foot, foot)
	if err != nil || string(tail[8:]) != "APK Sig Block 42" || le.Uint64(tail) != uint64(n-8) || n > 16<<20 {
		return nil, err
	}
	raw, err := readAt(z.file, at, int(n))
	if err != nil || le.Uint64(raw) != uint64(n-8) {
		return nil, err
	}
	p := &part{name: "APK signing block", sum: sha256.Sum256(raw), size: n, harmless: CauseSigning}
	var ids []string
	for rest := raw[8 : n-foot]; len(rest) > 0; {
		if len(rest) < 12 || le.Uint64(rest) < 4 || le.Uint64(rest) > uint64(len(rest)-8) {
			return nil, nil
		}
		size, id := le.Uint64(rest), le.Uint32(rest[8:])
		known, ok := signingIDs[id]
		if !ok || id == 0x42726577 && !zero(rest[12:8+size]) {
			p.harmless = ""
			known = fmt.Sprintf("unknown block %#x", id)
		}
		ids = append(ids, known)
		rest = rest[8+size:]
	}
	p.note = strings.Join(ids, ", ")
	return p, nil
}
