package binary

import (
	"bytes"
	"crypto"
	"encoding/binary"
	"fmt"
)

var (
	leOrder binary.ByteOrder = binary.LittleEndian
	beOrder binary.ByteOrder = binary.BigEndian
)

// machoUUID replaces the UUID that linkers compute from the content.
func (p *prover) machoUUID() {
	x, y := p.a.macho.uuid, p.b.macho.uuid
	if x == 0 || x != y {
		return
	}
	va, vb := view{b: p.a.file, o: leOrder}, view{b: p.b.file, o: leOrder}
	ida, idb := va.bytes(x+8, 16), vb.bytes(y+8, 16)
	if va.u32(x+4) != 24 || vb.u32(y+4) != 24 || va.bad || vb.bad || bytes.Equal(ida, idb) {
		return
	}
	p.cause(CauseUUID, "LC_UUID", true, versus(hexText(ida), hexText(idb)), extent{int64(x + 8), 16})
	p.edit(int64(x+8), ida)
}

// codeSignature puts the shipped code signature on the rebuilt file, in place of
// its own if it has one (Apple, cs_blobs.h). It must be well-formed, be about what
// it is put on, and give no rights that the rebuilt file's does not give.
func (p *prover) codeSignature() {
	a, b := p.a, p.b
	ha, hb := a.macho, b.macho
	if ha.codeSig == 0 && hb.codeSig == 0 {
		return
	}
	sigA, ok1 := a.signature()
	sigB, ok2 := b.signature()
	if ok1 && ok2 && ha.sigOff == hb.sigOff && bytes.Equal(sigA, sigB) {
		return
	}
	detail := fmt.Sprintf("%d bytes, rebuilt %d", len(sigA), len(sigB))
	fail := func(why string) {
		p.cause(CauseCodeSign, "LC_CODE_SIGNATURE", false, detail+"; "+why)
	}
	if ha.codeSig == 0 {
		fail("a signature is attached, never taken away")
		return
	}
	if !ok1 || !ok2 || ha.is64 != hb.is64 || ha.linkedit == 0 || ha.linkedit != hb.linkedit {
		fail("it does not lie at the end of the file")
		return
	}
	out, why := attachSignature(a, b, sigA, sigB)
	if why != "" {
		fail(why)
		return
	}
	rights, err := checkSignature(sigA, out[:ha.sigOff])
	if err != nil {
		fail(err.Error())
		return
	}
	if own, err := checkSignature(sigB, b.file[:len(b.file)-len(sigB)]); len(rights) > 0 && (err != nil || !bytes.Equal(rights, own)) {
		fail("it grants entitlements, which the rebuilt file has not")
		return
	}
	detail += "; it signs this content (by whom is not judged)"
	covers := []extent{{16, 8}, {int64(ha.linkedit), 72}, {int64(ha.codeSig), 16}, {int64(ha.sigOff), int64(ha.sigSize)}}
	p.cause(CauseCodeSign, "LC_CODE_SIGNATURE", p.replace(out), detail, covers...)
}

// signature returns the code signature, which must be the end of the file.
func (m *image) signature() ([]byte, bool) {
	h := m.macho
	if h.codeSig == 0 {
		return nil, true
	}
	if uint64(h.sigOff)+uint64(h.sigSize) != uint64(len(m.file)) {
		return nil, false
	}
	return m.file[h.sigOff:], true
}

// attachSignature makes b into what signing makes of it: the signature at the
// end, its load command, and the new size of __LINKEDIT.
func attachSignature(a, b *image, sigA, sigB []byte) (out []byte, why string) {
	ha, hb := a.macho, b.macho
	out = bytes.Clone(b.file[:len(b.file)-len(sigB)])
	pad := len(a.file) - len(sigA) - len(out)
	switch {
	case pad < 0 && pad > -16 && zeros(out[len(out)+pad:]):
		out = out[:len(out)+pad]
	case pad < 0 || pad > 15:
		return nil, "it lies elsewhere"
	default:
		out = append(out, make([]byte, pad)...)
	}
	const size = 16 // of the load command
	switch {
	case ha.codeSig == hb.codeSig:
		copy(out[ha.codeSig+8:ha.codeSig+size], a.file[ha.codeSig+8:ha.codeSig+size])
	case hb.codeSig == 0 && ha.codeSig == hb.first+uint64(hb.cmdBytes) && ha.codeSig+size <= uint64(len(out)) && zeros(out[ha.codeSig:ha.codeSig+size]):
		copy(out[ha.codeSig:], a.file[ha.codeSig:ha.codeSig+size])
		setCommands(out, hb.ncmds+1, hb.cmdBytes+size)
	default:
		return nil, "its load command lies elsewhere"
	}
	out = append(out, sigA...)
	return out, setLinkedit(out, a)
}

func setCommands(out []byte, n, size uint32) {
	leOrder.PutUint32(out[16:], n)
	leOrder.PutUint32(out[20:], size)
}

// setLinkedit gives __LINKEDIT the size that follows from the file's; its size
// in memory is that, or somewhat more: linkers round it to pages, or do not.
func setLinkedit(out []byte, a *image) (why string) {
	at := a.macho.linkedit
	v := &view{b: out, o: leOrder}
	vm, off, size, w := at+32, at+40, at+48, 8
	if !a.macho.is64 {
		vm, off, size, w = at+28, at+32, at+36, 4
	}
	n := uint64(len(out)) - v.word(off, w)
	shipped := &view{b: a.file, o: leOrder}
	want := shipped.word(vm, w)
	if v.bad || shipped.bad || n > uint64(len(out)) || want < n || want > (n+0xffff)&^0xffff {
		return "__LINKEDIT has another size than follows from it"
	}
	if w == 4 {
		leOrder.PutUint32(out[vm:], uint32(want))
		leOrder.PutUint32(out[size:], uint32(n))
	} else {
		leOrder.PutUint64(out[vm:], want)
		leOrder.PutUint64(out[size:], n)
	}
	return ""
}

// Kinds of blobs in a signature, by their magic.
const (
	csSuper        = 0xfade0cc0
	csDirectory    = 0xfade0c02
	csRequirements = 0xfade0c01
	csEntitlements = 0xfade7171
	csEntitleDER   = 0xfade7172
	csCMS          = 0xfade0b01
)

// checkSignature checks that a signature consists of known blobs and nothing
// else, and that each of its code directories has the hashes of the code. It
// returns the entitlements.
func checkSignature(sig, code []byte) (rights []byte, err error) {
	v := &view{b: sig, o: beOrder}
	length, count := uint64(v.u32(4)), uint64(v.u32(8))
	if v.u32(0) != csSuper || v.bad || count == 0 || count > 16 || length < 12+8*count || length > uint64(len(sig)) || !zeros(sig[length:]) {
		return nil, fmt.Errorf("not a code signature")
	}
	known := []extent{{0, int64(12 + 8*count)}}
	directories := 0
	for i := range count {
		off := uint64(v.u32(16 + 8*i))
		magic, n := v.u32(off), uint64(v.u32(off+4))
		blob := v.bytes(off, n)
		if v.bad || n < 8 || off+n > length {
			return nil, fmt.Errorf("a part of the code signature lies outside of it")
		}
		known = append(known, extent{int64(off), int64(n)})
		switch magic {
		case csDirectory:
			directories++
			if err := checkDirectory(blob, code); err != nil {
				return nil, err
			}
		case csEntitlements, csEntitleDER:
			rights = append(rights, blob...)
		case csRequirements, csCMS:
		default:
			return nil, fmt.Errorf("the code signature has a part of unknown kind %#x", magic)
		}
	}
	if directories == 0 || uncovered(sig[:length], known) >= 0 {
		return nil, fmt.Errorf("the code signature has no code directory, or bytes of no part")
	}
	return rights, nil
}

// checkDirectory compares the hashes of pages in a code directory.
func checkDirectory(blob, code []byte) error {
	v := &view{b: blob, o: beOrder}
	hashes, slots, limit := uint64(v.u32(16)), uint64(v.u32(28)), uint64(v.u32(32))
	size, typ, page := uint64(v.u8(36)), v.u8(37), v.u8(39)
	algorithm, ok := map[uint8]crypto.Hash{1: crypto.SHA1, 2: crypto.SHA256, 3: crypto.SHA256, 4: crypto.SHA384}[typ]
	if v.bad || !ok || page < 10 || page > 16 || limit != uint64(len(code)) || size < 20 || size > uint64(algorithm.Size()) {
		return fmt.Errorf("the code signature is about a file of another size or kind")
	}
	step := uint64(1) << page
	if slots != (limit+step-1)/step {
		return fmt.Errorf("the code signature does not cover all pages")
	}
	for i := range slots {
		h := algorithm.New()
		h.Write(code[i*step : min((i+1)*step, limit)])
		if want := v.bytes(hashes+i*size, size); want == nil || !bytes.Equal(h.Sum(nil)[:size], want) {
			return fmt.Errorf("the code signature is not about this content")
		}
	}
	return nil
}
