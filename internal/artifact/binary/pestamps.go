package binary

import (
	"bytes"
	"fmt"
	"time"
)

// peStamps replaces the times that linkers write into headers, and the
// reference to a file of debugging data.
func (p *prover) peStamps() {
	a, b := p.a, p.b
	stamp := func(where string, x, y uint64) {
		va, vb := view{b: a.file, o: a.order}, view{b: p.b.file, o: a.order}
		ta, tb := va.u32(x), vb.u32(y)
		if va.bad || vb.bad || x != y || ta == tb {
			return
		}
		p.cause(CauseTimestamp, where, true, versus(unixText(ta), unixText(tb)), extent{int64(x), 4})
		p.edit(int64(x), va.bytes(x, 4))
	}
	stamp("COFF header", a.pe.coff+4, b.pe.coff+4)
	if xa, xb := a.rvaOffset(peDirExport, 40), b.rvaOffset(peDirExport, 40); xa > 0 && xb > 0 {
		stamp("export directory", xa+4, xb+4)
	}
	const entry = 28
	_, size := a.dir(peDirDebug)
	for i := uint64(0); i+entry <= uint64(size) && i < 16*entry; i += entry {
		xa, xb := a.rvaOffset(peDirDebug, i+entry), b.rvaOffset(peDirDebug, i+entry)
		if xa == 0 || xa != xb {
			return
		}
		stamp("debug directory", xa+i+4, xb+i+4)
		p.pdb(xa + i)
	}
}

func unixText(t uint32) string {
	return fmt.Sprintf("%d (%s)", t, time.Unix(int64(t), 0).UTC().Format(time.DateOnly))
}

// rvaOffset returns where a data directory of at least n bytes lies in the file; 0: nowhere.
func (m *image) rvaOffset(dir int, n uint64) uint64 {
	at, size := m.dir(dir)
	r := m.at(m.pe.base + uint64(at))
	if at == 0 || uint64(size) < n || r == nil || r.kind == kindHeader {
		return 0
	}
	off := m.pe.base + uint64(at) - r.addr
	if off+n > uint64(r.size) {
		return 0
	}
	return uint64(r.off) + off
}

// pdb replaces a CodeView record, RSDS: GUID, age and a path of the same length.
func (p *prover) pdb(entry uint64) {
	va, vb := view{b: p.a.file, o: p.a.order}, view{b: p.b.file, o: p.a.order}
	size, at := uint64(va.u32(entry+16)), uint64(va.u32(entry+24))
	if va.u32(entry+12) != 2 || !bytes.Equal(va.bytes(entry+12, 16), vb.bytes(entry+12, 16)) || size < 25 || size > 1024 {
		return
	}
	x, y := va.bytes(at, size), vb.bytes(at, size)
	if va.bad || vb.bad || bytes.Equal(x, y) || string(x[:4]) != "RSDS" || string(y[:4]) != "RSDS" {
		return
	}
	pa, ok1 := cstring(x, 24)
	pb, ok2 := cstring(y, 24)
	if !ok1 || !ok2 || !printable(pa) || !zeros(x[24+len(pa):]) {
		return
	}
	p.cause(CausePDB, "debug directory", true, versus(string(pa), string(pb)), extent{int64(at), int64(size)})
	p.edit(int64(at), x)
}
