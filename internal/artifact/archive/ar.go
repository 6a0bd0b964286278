package archive

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// arHead is the length of a header: name 16, time 12, user 6, group 6, mode 8,
// size 10, end 2 (ar(5)).
const arHead = 60

// ReadAr reads an ar: a Debian package or a static library.
func ReadAr(ctx context.Context, file *io.SectionReader, lim Limits) (*Index, error) {
	lim = lim.Complete()
	out := &Index{Format: Ar, form: arForm{}}
	magic, err := readAt(file, 0, 8)
	if err != nil || string(magic) != "!<arch>\n" {
		return nil, fmt.Errorf("ar: %w", malformed("it does not begin as one"))
	}
	for at := int64(8); at < file.Size(); {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if len(out.Entries) >= lim.Members {
			return nil, fmt.Errorf("ar: %w", bound("more than %d members", lim.Members))
		}
		head, err := readAt(file, at, arHead)
		if err != nil {
			return nil, fmt.Errorf("ar: at offset %d: %w", at, err)
		}
		e, err := arEntry(head, at, file.Size())
		if err != nil {
			return nil, fmt.Errorf("ar: at offset %d: %w", at, err)
		}
		if e.Sum, err = sumOf(ctx, file, e.Off, e.Size); err != nil {
			return nil, fmt.Errorf("ar: %w", err)
		}
		at = e.Off + e.Size
		if at%2 == 1 && at < file.Size() {
			pad, err := readAt(file, at, 1)
			if err != nil {
				return nil, err
			}
			if pad[0] != '\n' {
				out.Odd = append(out.Odd, fmt.Sprintf("byte %#02x in the padding of %s", pad[0], quote(e.Name)))
			}
			e.tail = pack(pad)
			at++
		}
		out.Entries = append(out.Entries, e)
	}
	return out, nil
}

func arEntry(head []byte, at, size int64) (Entry, error) {
	if string(head[58:]) != "`\n" {
		return Entry{}, malformed("no header of a member")
	}
	n, err := strconv.ParseUint(strings.TrimRight(string(head[48:58]), " "), 10, 62)
	if err != nil || int64(n) > size-at-arHead {
		return Entry{}, malformed("size %s of a member", quote(string(head[48:58])))
	}
	name := strings.TrimRight(string(head[:16]), " ")
	if name != "/" && name != "//" {
		name = strings.TrimSuffix(name, "/")
	}
	mode, err := strconv.ParseUint(strings.TrimRight(string(head[40:48]), " ")+"", 8, 32)
	if err != nil && strings.TrimRight(string(head[40:48]), " ") != "" {
		return Entry{}, malformed("mode %s of a member", quote(string(head[40:48])))
	}
	return Entry{Name: name, Kind: File, Exec: mode&0o111 != 0, Off: at + arHead, Size: int64(n), frame: pack(head)}, nil
}

// arForm knows which fields of an ar may be set.
type arForm struct{}

func (arForm) compare(a, b *Entry) ([]Delta, error) {
	x, y := a.frame.bytes(), b.frame.bytes()
	field := func(h []byte, from, to int) string { return strings.TrimRight(string(h[from:to]), " ") }
	var d deltas
	d.text("mtime", stamp(field(x, 16, 28)), stamp(field(y, 16, 28)), CauseTime)
	d.text("owner", field(x, 28, 34)+"/"+field(x, 34, 40), field(y, 28, 34)+"/"+field(y, 34, 40), CauseOwner)
	d.text("mode", field(x, 40, 48), field(y, 40, 48), "")
	d.text("size", field(x, 48, 58), field(y, 48, 58), causeContent)
	if a.tail != b.tail && a.Size%2 == b.Size%2 {
		d.text("padding", quote(string(a.tail.bytes())), quote(string(b.tail.bytes())), "")
	}
	return d, nil
}

// patch copies time and owner, and size and padding with the content.
func (arForm) patch(a, b *Entry, set map[Cause]bool) (frame, tail []byte, err error) {
	x, out := a.frame.bytes(), bytes.Clone(b.frame.bytes())
	tail = b.tail.bytes()
	if set[CauseTime] {
		copy(out[16:28], x[16:])
	}
	if set[CauseOwner] {
		copy(out[28:40], x[28:])
	}
	if set[causeContent] {
		copy(out[48:58], x[48:])
		if a.Size%2 != b.Size%2 { // padding follows from the size; the last member may do without
			tail = nil
			if a.tail == pack([]byte("\n")) {
				tail = []byte("\n")
			}
		}
	}
	return out, tail, nil
}
