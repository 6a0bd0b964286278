package artifact_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"

	"vitrine.example/internal/artifact"
)

// rpmTag is one value of a header; text, or a number.
type rpmTag struct {
	id   uint32
	text string
	n    uint32
}

func rpmHeader(tags ...rpmTag) []byte {
	var index, store []byte
	for _, t := range tags {
		kind := uint32(6)
		if t.text == "" {
			kind = 4
			for len(store)%4 != 0 {
				store = append(store, 0)
			}
		}
		for _, v := range []uint32{t.id, kind, uint32(len(store)), 1} {
			index = binary.BigEndian.AppendUint32(index, v)
		}
		if t.text == "" {
			store = binary.BigEndian.AppendUint32(store, t.n)
		} else {
			store = append(append(store, t.text...), 0)
		}
	}
	out := []byte{0x8e, 0xad, 0xe8, 1, 0, 0, 0, 0}
	out = binary.BigEndian.AppendUint32(out, uint32(len(tags)))
	out = binary.BigEndian.AppendUint32(out, uint32(len(store)))
	return append(append(out, index...), store...)
}

func cpioOf(mode, mtime, uid int, body string) []byte {
	var b bytes.Buffer
	put := func(name, body string) {
		fmt.Fprintf(&b, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X", 1, mode, uid, 0, 1, mtime, len(body), 0, 0, 0, 0, len(name)+1, 0)
		b.WriteString(name + "\x00" + string(make([]byte, (4-(110+len(name)+1)%4)%4)))
		b.WriteString(body + string(make([]byte, (4-len(body)%4)%4)))
	}
	put("./usr/bin/hello", body)
	mode, mtime, uid = 0, 0, 0
	put("TRAILER!!!", "")
	return b.Bytes()
}

// rpm makes a package. The digest of the payload in its header is right.
func rpm(t *testing.T, signature string, payload []byte, tags ...rpmTag) []byte {
	packed := gzipOf(t, payload, 9)
	head := rpmHeader(append(tags, rpmTag{id: 5092, text: fmt.Sprintf("%x", sha256sum(packed))})...)
	sig := rpmHeader(rpmTag{id: 273, text: fmt.Sprintf("%x", sha256sum(head))}, rpmTag{id: 268, text: signature})
	for len(sig)%8 != 0 {
		sig = append(sig, 0)
	}
	lead := make([]byte, 96)
	copy(lead, "\xed\xab\xee\xdb\x03")
	return bytes.Join([][]byte{lead, sig, head, packed}, nil)
}

func TestRPMPackages(t *testing.T) {
	r := newRoom(t)
	name, built := rpmTag{id: 1000, text: "hello"}, func(n uint32) rpmTag { return rpmTag{id: 1006, n: n} }
	host := func(s string) rpmTag { return rpmTag{id: 1007, text: s} }
	script := func(s string) rpmTag { return rpmTag{id: 1023, text: s} }
	one := rpm(t, "signed", cpioOf(0o100755, 1000, 0, "#!/bin/sh\n"), name, built(1), host("a.example"), script("true"))
	want(t, r.compare(t, one, rpm(t, "unsigned", cpioOf(0o100755, 1000, 0, "#!/bin/sh\n"), name, built(2), host("builder.example"), script("true"))),
		artifact.Explained, "build-record signature")
	want(t, r.compare(t, one, rpm(t, "signed", cpioOf(0o100755, 2000, 0, "#!/bin/sh\n"), name, built(1), host("a.example"), script("true"))),
		artifact.Explained, "mtime encoder")
	for what, p := range map[string][]byte{
		"./usr/bin/hello: mode":             rpm(t, "signed", cpioOf(0o100775, 1000, 0, "#!/bin/sh\n"), name, built(1), host("a.example"), script("true")),
		"./usr/bin/hello: type":             rpm(t, "signed", cpioOf(0o120755, 1000, 0, "#!/bin/sh\n"), name, built(1), host("a.example"), script("true")),
		"./usr/bin/hello: owner":            rpm(t, "signed", cpioOf(0o100755, 1000, 7, "#!/bin/sh\n"), name, built(1), host("a.example"), script("true")),
		"./usr/bin/hello: content":          rpm(t, "signed", cpioOf(0o100755, 1000, 0, "#!/bin/s\n"), name, built(1), host("a.example"), script("true")),
		": script before installation":      rpm(t, "signed", cpioOf(0o100755, 1000, 0, "#!/bin/sh\n"), name, built(1), host("a.example"), script("false")),
		": script after removal":            rpm(t, "signed", cpioOf(0o100755, 1000, 0, "#!/bin/sh\n"), name, built(1), host("a.example"), script("true"), rpmTag{id: 1026, text: "rm -r /"}),
		": name":                            rpm(t, "signed", cpioOf(0o100755, 1000, 0, "#!/bin/sh\n"), rpmTag{id: 1000, text: "hullo"}, built(1), host("a.example"), script("true")),
		"payload → payload content: oddity": rpm(t, "signed", append(cpioOf(0o100755, 1000, 0, "#!/bin/sh\n"), "hidden"...), name, built(1), host("a.example"), script("true")),
	} {
		want(t, r.compare(t, one, p), artifact.Different, "", what)
		want(t, r.compare(t, p, one), artifact.Different, "", what)
	}
	// A digest in the shipped header that is not that of its payload.
	lying := bytes.Clone(one)
	i := bytes.LastIndex(lying, []byte(fmt.Sprintf("%x", sha256sum(gzipOf(t, cpioOf(0o100755, 1000, 0, "#!/bin/sh\n"), 9)))))
	lying[i] ^= 1
	want(t, r.compare(t, lying, one), artifact.Different, "")
}
