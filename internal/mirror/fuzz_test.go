package mirror

import (
	"bytes"
	"testing"

	"vitrine.example/tlog"
)

// What readHead and readPack accept, marshal gives back byte for byte.
func FuzzAddEntries(f *testing.F) {
	h := head{origin: "log.example", start: 3, end: 5, ticket: []byte("t")}
	f.Add(append(h.marshal(), (&pack{raw: []byte{0, 1, 'a', 0, 0}, proof: make([]tlog.Hash, 2)}).marshal()...))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		h, err := readHead(r)
		if err != nil {
			return
		}
		if h.start > h.end || h.start < 0 || !bytes.HasPrefix(b, h.marshal()) {
			t.Fatalf("head %+v of %x", h, b)
		}
		for at := h.start; at < h.end; {
			from, to := nextPack(at, h.end)
			before := b[len(b)-r.Len():]
			p, err := readPack(r, from, to)
			if err != nil {
				return
			}
			if from != at || to <= from || to-from > tlog.TileWidth || !bytes.HasPrefix(before, p.marshal()) {
				t.Fatalf("package [%d, %d) of %x", from, to, before)
			}
			if len(p.ends) != int(to-from) || len(p.hashes) != len(p.ends) {
				t.Fatalf("%d ends, %d hashes", len(p.ends), len(p.hashes))
			}
			at = to
		}
	})
}

// What parseInfo accepts, marshal gives back byte for byte.
func FuzzInfo(f *testing.F) {
	f.Add([]byte("10\n2\ndGlja2V0\n"))
	f.Add([]byte("0\n0\n\n"))
	f.Add([]byte("01\n+1\n=\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if i, err := parseInfo(b); err == nil && !bytes.Equal(i.marshal(), b) {
			t.Fatalf("%q is read as %+v", b, i)
		}
	})
}
