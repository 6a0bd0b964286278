package binary

import "encoding/binary"

// inst is what the comparison needs to know of an instruction: its length, and
// where it holds what may be an address.
type inst struct {
	n      int // bytes; 0: unknown
	rel    int // offset of the field that is relative to the next instruction; 0: none
	relLen int // 1 or 4
	imm    int // offset of an immediate of 4 or 8 bytes; 0: none
	immLen int
	disp   int // offset of an absolute displacement of 4 bytes; 0: none
	nop    bool
}

// target returns the address that the relative field names.
func (i *inst) target(code []byte, pc uint64) uint64 {
	next := pc + uint64(i.n)
	if i.relLen == 1 {
		return next + uint64(int64(int8(code[i.rel])))
	}
	return next + uint64(int64(int32(binary.LittleEndian.Uint32(code[i.rel:]))))
}

// What follows an opcode (Intel SDM volume 2, appendix A).
const (
	opNone = iota
	opM    // ModRM
	opMB   // ModRM, 1 byte
	opMZ   // ModRM, 2 or 4 bytes
	opB    // 1 byte
	opZ    // 2 or 4 bytes
	opW    // 2 bytes
	opJB   // relative, 1 byte
	opJZ   // relative, 4 bytes
	opBad
)

// x86Map1 is the map of opcodes of one byte in 64-bit mode, a letter each:
// m ModRM, i ModRM+1, z ModRM+4, b 1, d 4, w 2, j rel8, J rel32, . none, x bad or treated apart.
const x86Map1 = "mmmmbdxxmmmmbdxx" + "mmmmbdxxmmmmbdxx" + "mmmmbdxxmmmmbdxx" + "mmmmbdxxmmmmbdxx" +
	"xxxxxxxxxxxxxxxx" + "................" + "xxxmxxxxdzbi...." + "jjjjjjjjjjjjjjjj" +
	"izximmmmmmmmmmmm" + "..........x....." + "xxxx....bd......" + "bbbbbbbbxxxxxxxx" +
	"iiw.xxizx.w..bx." + "mmmmxxx.mmmmmmmm" + "jjjjbbbbJJxj...." + "x.xx..xx......mm"

// x86Map2 is the map behind 0F.
const x86Map2 = "mmmmx.....x.xm.i" + "mmmmmmmmmmmmmmmm" + "mmmmxxxxmmmmmmmm" + "........xxxxxxxx" +
	"mmmmmmmmmmmmmmmm" + "mmmmmmmmmmmmmmmm" + "mmmmmmmmmmmmmmmm" + "iiiimmm.mmmmmmmm" +
	"JJJJJJJJJJJJJJJJ" + "mmmmmmmmmmmmmmmm" + "...mimmm...mimmm" + "mmmmmmmmmmimmmmm" +
	"mmimiiim........" + "mmmmmmmmmmmmmmmm" + "mmmmmmmmmmmmmmmm" + "mmmmmmmmmmmmmmmm"

func x86Class(letter byte) int {
	switch letter {
	case '.':
		return opNone
	case 'm':
		return opM
	case 'i':
		return opMB
	case 'z':
		return opMZ
	case 'b':
		return opB
	case 'd':
		return opZ
	case 'w':
		return opW
	case 'j':
		return opJB
	case 'J':
		return opJZ
	}
	return opBad
}

// decodeX86 finds the length of an instruction in 64-bit mode and its fields.
func decodeX86(b []byte) (i inst) {
	if len(b) > 15 {
		b = b[:15]
	}
	p, rexW, op16 := 0, false, false
prefixes:
	for ; p < len(b); p++ {
		switch b[p] {
		case 0x66:
			op16 = true
		case 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x67, 0xf0, 0xf2, 0xf3:
		default:
			break prefixes
		}
	}
	if p < len(b) && b[p]&0xf0 == 0x40 {
		rexW = b[p]&8 != 0
		p++
	}
	if p >= len(b) {
		return i
	}
	op := b[p]
	p++
	z := 4
	if op16 && !rexW {
		z = 2
	}
	switch {
	case op == 0x0f:
		return x86Escape(b, p, z)
	case op == 0xc5 || op == 0xc4 || op == 0x62:
		return x86Vector(b, p, op)
	case op >= 0xa0 && op <= 0xa3:
		return x86Fields(b, p, 8, opNone, z)
	case op >= 0xb8 && op <= 0xbf:
		n := z
		if rexW {
			n = 8
		}
		return x86Fields(b, p, n, opNone, z)
	case op == 0xc8:
		return x86Fields(b, p, 3, opNone, z)
	case op == 0xf6 || op == 0xf7:
		class := opM
		if p < len(b) && b[p]&0x30 == 0 {
			class = opMB
			if op == 0xf7 {
				class = opMZ
			}
		}
		return x86Fields(b, p, 0, class, z)
	}
	i = x86Fields(b, p, 0, x86Class(x86Map1[op]), z)
	i.nop = op == 0x90 && b[0] != 0xf3 || op == 0xcc
	return i
}

// x86Escape decodes what follows 0F.
func x86Escape(b []byte, p, z int) (i inst) {
	if p >= len(b) {
		return i
	}
	op := b[p]
	p++
	switch op {
	case 0x38:
		return x86Fields(b, p+1, 0, opM, z)
	case 0x3a:
		return x86Fields(b, p+1, 0, opMB, z)
	}
	i = x86Fields(b, p, 0, x86Class(x86Map2[op]), z)
	i.nop = op == 0x1f
	return i
}

// x86Vector decodes VEX (C5, C4) and EVEX (62) encodings.
func x86Vector(b []byte, p int, lead byte) (i inst) {
	if p+4 >= len(b)+1 {
		return i
	}
	m := 1
	switch lead {
	case 0xc5:
		p++
	case 0xc4:
		m = int(b[p] & 0x1f)
		p += 2
	default:
		m = int(b[p] & 7)
		p += 3
	}
	if p >= len(b) {
		return i
	}
	op := b[p]
	class := opM
	switch {
	case m == 3, m == 1 && (op >= 0x70 && op <= 0x73 || op == 0xc2 || op >= 0xc4 && op <= 0xc6):
		class = opMB
	case m == 1 && op == 0x77 && lead != 0x62:
		class = opNone
	case m == 0 || m == 4 || m > 6:
		return i
	}
	return x86Fields(b, p+1, 0, class, 4)
}

// x86Fields walks over ModRM, SIB, displacement and immediate.
func x86Fields(b []byte, p, imm, class, z int) (i inst) {
	if class == opBad {
		return i
	}
	if class == opM || class == opMB || class == opMZ {
		if p >= len(b) {
			return i
		}
		mod, rm := b[p]>>6, b[p]&7
		p++
		sib := byte(0)
		if mod != 3 && rm == 4 {
			if p >= len(b) {
				return i
			}
			sib = b[p]
			p++
		}
		switch {
		case mod == 0 && rm == 5:
			i.rel, i.relLen = p, 4
			p += 4
		case mod == 0 && rm == 4 && sib&7 == 5, mod == 2:
			i.disp = p
			p += 4
		case mod == 1:
			p++
		}
	}
	switch class {
	case opMB, opB:
		imm = 1
	case opMZ, opZ:
		imm = z
	case opW:
		imm = 2
	case opJB:
		i.rel, i.relLen = p, 1
		imm = 1
	case opJZ:
		i.rel, i.relLen = p, 4
		imm = 4
	}
	if (imm == 4 || imm == 8) && class != opJZ {
		i.imm, i.immLen = p, imm
	}
	if p += imm; p > len(b) {
		return inst{}
	}
	i.n = p
	return i
}
