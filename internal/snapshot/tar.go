package snapshot

import (
	"fmt"
	"io"
	"strconv"
)

const (
	block    = 512
	octalMax = 1<<33 - 1 // eleven octal digits
)

// Types of entries (POSIX.1-2001, ustar interchange format).
const (
	typeFile byte = '0'
	typeLink byte = '2'
	typeDir  byte = '5'
	typePAX  byte = 'x'
)

// entry is a header to be written.
type entry struct {
	typ    byte
	name   string // directories end in a slash
	target string
	exec   bool
	size   int64
}

// tarWriter writes ustar and pax headers in exactly one way. archive/tar is not
// used because its choices may change from one Go version to the next.
type tarWriter struct {
	w     io.Writer
	mtime int64 // seconds since 1970, 0 to octalMax
}

// header writes the header of e, with a pax header before it where needed.
func (t *tarWriter) header(e entry) error {
	if records := paxRecords(e); len(records) > 0 {
		pax := entry{typ: typePAX, name: "pax", size: int64(len(records))}
		if _, err := t.w.Write(t.ustar(pax)); err != nil {
			return err
		}
		if _, err := t.w.Write(append(records, padding(int64(len(records)))...)); err != nil {
			return err
		}
	}
	_, err := t.w.Write(t.ustar(e))
	return err
}

// close writes the end of the archive.
func (t *tarWriter) close() error {
	_, err := t.w.Write(make([]byte, 2*block))
	return err
}

// ustar lays out one header block.
func (t *tarWriter) ustar(e entry) []byte {
	b := make([]byte, block)
	copy(b[0:100], plain(e.name))
	octal(b[100:108], e.mode())
	octal(b[108:116], 0)
	octal(b[116:124], 0)
	if e.size <= octalMax {
		octal(b[124:136], e.size)
	} else {
		octal(b[124:136], 0)
	}
	octal(b[136:148], t.mtime)
	b[156] = e.typ
	copy(b[157:257], plain(e.target))
	copy(b[257:265], "ustar\x0000")
	octal(b[329:337], 0)
	octal(b[337:345], 0)
	checksum(b)
	return b
}

func (e entry) mode() int64 {
	switch {
	case e.typ == typeLink:
		return 0o777
	case e.exec || e.typ == typeDir:
		return 0o755
	}
	return 0o644
}

// checksum fills the sum of all bytes, the field itself counted as spaces: six
// octal digits, NUL, space.
func checksum(b []byte) {
	copy(b[148:156], "        ")
	var sum int64
	for _, c := range b {
		sum += int64(c)
	}
	octal(b[148:155], sum)
}

// octal fills field with digits and a final NUL.
func octal(field []byte, v int64) {
	copy(field, fmt.Sprintf("%0*o\x00", len(field)-1, v))
}

// fits reports whether a ustar field of 100 bytes can hold s unaltered.
func fits(s string) bool { return len(s) <= 100 && plain(s) == s }

// plain gives at most 100 bytes of printable ASCII for readers that ignore pax.
func plain(s string) string {
	b := []byte(s[:min(len(s), 100)])
	for i, c := range b {
		if c < ' ' || c > '~' {
			b[i] = '_'
		}
	}
	if n := len(b); len(s) > n && b[n-1] == '/' {
		b[n-1] = '_'
	}
	return string(b)
}

// paxRecords returns what a ustar header cannot hold, in the order of the keys.
func paxRecords(e entry) []byte {
	var b []byte
	if !fits(e.target) {
		b = append(b, paxRecord("linkpath", e.target)...)
	}
	if !fits(e.name) {
		b = append(b, paxRecord("path", e.name)...)
	}
	if e.size > octalMax {
		b = append(b, paxRecord("size", strconv.FormatInt(e.size, 10))...)
	}
	return b
}

// paxRecord returns "LENGTH KEY=VALUE\n", the length counting itself.
func paxRecord(k, v string) string {
	rest := " " + k + "=" + v + "\n"
	n := len(rest)
	for n != len(strconv.Itoa(n))+len(rest) {
		n = len(strconv.Itoa(n)) + len(rest)
	}
	return strconv.Itoa(n) + rest
}

func padding(size int64) []byte { return make([]byte, (block-size%block)%block) }
