package artifact

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"unicode/utf8"

	"vitrine.example/internal/artifact/archive"
)

// The formats beside those of package archive.
const (
	text       archive.Format = "text"
	elf        archive.Format = "elf"
	pe         archive.Format = "pe"
	macho      archive.Format = "mach-o"
	plainBytes                = archive.Plain
)

// detect says what a file is, by its content alone.
func detect(b blob) archive.Format {
	head := make([]byte, 8<<10)
	n, err := b.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return plainBytes
	}
	head = head[:n]
	if f := compressed(head); f != "" {
		return f
	}
	switch {
	case bytes.HasPrefix(head, []byte("!<arch>\n")):
		return archive.Ar
	case bytes.HasPrefix(head, []byte{0xed, 0xab, 0xee, 0xdb}):
		return archive.RPM
	case archive.IsCpio(head):
		return archive.Cpio
	case archive.IsTar(head):
		return archive.Tar
	case archive.IsZip(b.SectionReader) || bytes.HasPrefix(head, []byte("PK\x03\x04")):
		return archive.Zip
	case bytes.HasPrefix(head, []byte("\x7fELF")):
		return elf
	case bytes.HasPrefix(head, []byte("MZ")) && len(head) > 64:
		return pe
	case isMacho(head):
		return macho
	case isText(head):
		return text
	}
	return plainBytes
}

// compressed says which compression a stream has.
func compressed(head []byte) archive.Format {
	for _, m := range []struct {
		magic string
		f     archive.Format
	}{
		{"\x1f\x8b\x08", archive.Gzip}, {"\xfd7zXZ\x00", archive.XZ},
		{"\x28\xb5\x2f\xfd", archive.Zstd}, {"BZh", archive.Bzip2},
	} {
		if bytes.HasPrefix(head, []byte(m.magic)) {
			return m.f
		}
	}
	return ""
}

func isMacho(head []byte) bool {
	if len(head) < 8 {
		return false
	}
	switch binary.BigEndian.Uint32(head) {
	case 0xfeedface, 0xfeedfacf, 0xcefaedfe, 0xcffaedfe:
		return true
	case 0xcafebabe: // a class of Java has its version where a fat file has a count
		n := binary.BigEndian.Uint32(head[4:])
		return n > 0 && n < 40
	}
	return false
}

// isText reports whether the head of a file is UTF-8 without control characters
// but those of lines.
func isText(head []byte) bool {
	for len(head) > 0 {
		r, n := utf8.DecodeRune(head)
		if r == utf8.RuneError && n == 1 {
			return len(head) < utf8.UTFMax && !utf8.FullRune(head)
		}
		if r < ' ' && r != '\n' && r != '\t' && r != '\r' && r != '\f' && r != '\x1b' && r != '\b' {
			return false
		}
		head = head[n:]
	}
	return true
}
