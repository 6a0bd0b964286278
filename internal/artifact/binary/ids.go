package binary

import (
	"bytes"
	"cmp"
	"slices"
)

func sortExtents(e []extent) {
	slices.SortFunc(e, func(x, y extent) int { return cmp.Compare(x.off, y.off) })
}

// gnuBuildID and goBuildID replace an id by one of the same length.
func (p *prover) gnuBuildID() { p.noteID(CauseGNUBuildID, ".note.gnu.build-id", "GNU", 3) }

func (p *prover) goBuildID() {
	p.noteID(CauseGoBuildID, ".note.go.buildid", "Go", 4)
	p.textID()
}

func (p *prover) noteID(cause, section, owner string, typ uint32) {
	x, y := p.sameSpot(section)
	if x == nil || bytes.Equal(p.a.data(x), p.b.data(y)) {
		return
	}
	find := func(m *image, r *region) (at int, id []byte) {
		n := 0
		elfNotes(m.data(r), m.order, func(name string, t uint32, off int, desc []byte) {
			if name == owner && t == typ {
				at, id = off, desc
			}
			n++
		})
		if n != 1 {
			return 0, nil
		}
		return at, id
	}
	ax, ida := find(p.a, x)
	by, idb := find(p.b, y)
	if ida == nil || ax != by || len(ida) != len(idb) {
		return
	}
	if cause == CauseGoBuildID && !goID(ida) {
		return
	}
	e := extent{x.off + int64(ax), int64(len(ida))}
	if cause == CauseGNUBuildID {
		p.cause(cause, section, true, versus(hexText(ida), hexText(idb)), e)
	} else {
		p.cause(cause, section, true, versus(string(ida), string(idb)), e)
	}
	p.edit(e.off, ida)
}

func hexText(b []byte) string {
	const digits = "0123456789abcdef"
	out := make([]byte, 0, 2*len(b))
	for _, c := range b {
		out = append(out, digits[c>>4], digits[c&15])
	}
	return string(out)
}

// goID reports what looks like an id of Go's linker: parts of base64url hashes
// between slashes.
func goID(b []byte) bool {
	for _, c := range b {
		if (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') && c != '-' && c != '_' && c != '/' {
			return false
		}
	}
	return len(b) > 0 && len(b) <= 256
}

// Go writes its id at the start of the code where there are no notes
// (cmd/link/internal/ld/data.go, textbuildid).
var goIDStart, goIDEnd = []byte("\xff Go build ID: \""), []byte("\"\n \xff")

func (p *prover) textID() {
	for _, name := range []string{".text", "__TEXT,__text"} {
		x, y := p.sameSpot(name)
		if x == nil {
			continue
		}
		ida, ok1 := textID(p.a.data(x))
		idb, ok2 := textID(p.b.data(y))
		if ok1 && ok2 && len(ida) == len(idb) && !bytes.Equal(ida, idb) {
			e := extent{x.off + int64(len(goIDStart)), int64(len(ida))}
			p.cause(CauseGoBuildID, name, true, versus(string(ida), string(idb)), e)
			p.edit(e.off, ida)
		}
	}
}

func textID(b []byte) ([]byte, bool) {
	if !bytes.HasPrefix(b, goIDStart) {
		return nil, false
	}
	b = b[len(goIDStart):]
	end := bytes.Index(b[:min(len(b), 512)], goIDEnd)
	if end < 0 || !goID(b[:end]) {
		return nil, false
	}
	return b[:end], true
}
