package archive

import (
	"crypto/sha256"
	"strings"
)

// packed holds the bytes of a frame with its runs of zeros folded: a header of
// tar is mostly zeros, and a large archive has many.
type packed string

func pack(raw []byte) packed {
	var out strings.Builder
	for i := 0; i < len(raw); {
		if raw[i] != 0 {
			out.WriteByte(raw[i])
			i++
			continue
		}
		n := 1
		for i+n < len(raw) && raw[i+n] == 0 && n < 0xffff {
			n++
		}
		out.Write([]byte{0, byte(n), byte(n >> 8)})
		i += n
	}
	return packed(out.String())
}

// bytes is what was packed.
func (p packed) bytes() []byte {
	out := make([]byte, 0, 2*len(p)+512)
	for i := 0; i < len(p); i++ {
		if p[i] != 0 {
			out = append(out, p[i])
			continue
		}
		n := int(p[i+1]) | int(p[i+2])<<8
		out = append(out, make([]byte, n)...)
		i += 2
	}
	return out
}

func sha(b []byte) []byte {
	sum := sha256.Sum256(b)
	return sum[:]
}
