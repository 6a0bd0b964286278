package binary

import (
	"bytes"
	"context"
	"encoding/binary"
	"testing"
)

// tiny writes small executables as seeds: headers, a few sections, some code, a
// pclntab, build ids. They need not run.
func tinyELF() []byte {
	le := binary.LittleEndian
	text := []byte("\x55\x48\x89\xe5\xe8\x10\x00\x00\x00\x48\x8d\x05\x00\x10\x00\x00\x5d\xc3\xcc\xcc\x31\xc0\xc3\xcc")
	note := []byte("\x04\x00\x00\x00\x08\x00\x00\x00\x03\x00\x00\x00GNU\x00abcdefgh")
	names := "\x00.text\x00.note.gnu.build-id\x00.gopclntab\x00.go.buildinfo\x00.shstrtab\x00.debug_info\x00.gnu_debuglink\x00.eh_frame\x00"
	b := make([]byte, 64+56)
	copy(b, "\x7fELF\x02\x01\x01")
	le.PutUint16(b[16:], 2)
	le.PutUint16(b[18:], 62)
	le.PutUint64(b[32:], 64)
	le.PutUint16(b[52:], 64)
	le.PutUint16(b[54:], 56)
	le.PutUint16(b[56:], 1)
	le.PutUint16(b[58:], 64)
	type section struct {
		name        string
		typ         uint32
		flags, addr uint64
		data        []byte
	}
	info := append([]byte("\xff Go buildinf:\x08\x02"), make([]byte, 16)...)
	info = append(append(info, 4), "go1.\x05x\ty=z"...)
	sections := []section{{}, {".note.gnu.build-id", 7, 2, 0x400100, note}, {".text", 1, 6, 0x401000, text},
		{".gopclntab", 1, 2, 0x402000, tinyTable()}, {".eh_frame", 1, 2, 0x403000, make([]byte, 40)}, {".go.buildinfo", 1, 3, 0x404000, info},
		{".debug_info", 1, 0, 0, []byte("debug")}, {".gnu_debuglink", 1, 0, 0, []byte("x.debug\x00\x00\x00\x00\x00")}, {".shstrtab", 3, 0, 0, []byte(names)}}
	var table []byte
	for _, s := range sections {
		h := make([]byte, 64)
		le.PutUint32(h, uint32(max(bytes.Index([]byte(names), []byte(s.name+"\x00")), 0)))
		le.PutUint32(h[4:], s.typ)
		le.PutUint64(h[8:], s.flags)
		le.PutUint64(h[16:], s.addr)
		le.PutUint64(h[24:], uint64(len(b)))
		le.PutUint64(h[32:], uint64(len(s.data)))
		table = append(table, h...)
		b = append(b, s.data...)
		b = append(b, make([]byte, -len(b)&7)...)
	}
	le.PutUint32(b[64:], 1) // one segment, all of the file
	le.PutUint64(b[64+16:], 0x400000)
	le.PutUint64(b[64+32:], uint64(len(b)))
	le.PutUint64(b[64+40:], uint64(len(b)))
	le.PutUint64(b[40:], uint64(len(b)))
	le.PutUint16(b[60:], uint16(len(sections)))
	le.PutUint16(b[62:], uint16(len(sections)-1))
	return append(b, table...)
}

// tinyTable is a pclntab with two functions.
func tinyTable() []byte {
	le := binary.LittleEndian
	names, files := "main.main\x00main.f\x00", "/src/main.go\x00"
	b := make([]byte, 72)
	le.PutUint32(b, magic120)
	b[6], b[7] = 1, 8
	put := func(i int, n int) { le.PutUint64(b[8+8*i:], uint64(n)) }
	put(0, 2)
	put(1, 1)
	put(2, 0x401000)
	put(3, len(b))
	b = append(b, names...)
	put(4, len(b))
	b = append(b, 0, 0, 0, 0)
	put(5, len(b))
	b = append(b, files...)
	put(6, len(b))
	b = append(b, 0, 2, 18, 0, 2, 10, 2, 8, 0)
	put(7, len(b))
	funcs := []uint32{0, 20, 20, 64, 24}
	for _, n := range funcs {
		b = le.AppendUint32(b, n)
	}
	for i := range 2 {
		for _, n := range []uint32{uint32(20 * i), uint32(10 * i), 0, 0, 1, 1, 4, 0, 0, 10, 0} {
			b = le.AppendUint32(b, n)
		}
	}
	return b
}

func tinyPE() []byte {
	le := binary.LittleEndian
	b := make([]byte, 0x400)
	copy(b, "MZ")
	le.PutUint32(b[0x3c:], 0x40)
	copy(b[0x40:], "PE\x00\x00\x64\x86\x02\x00")
	le.PutUint16(b[0x54:], 240)
	le.PutUint16(b[0x58:], 0x20b)
	le.PutUint64(b[0x58+24:], 0x140000000)
	le.PutUint32(b[0x58+108:], 16)
	for i, name := range []string{".text", ".rdata"} {
		h := b[0x58+240+40*i:]
		copy(h, name)
		le.PutUint32(h[8:], 0x100)
		le.PutUint32(h[12:], uint32(0x1000*(i+1)))
		le.PutUint32(h[16:], 0x200)
		le.PutUint32(h[20:], uint32(0x400+0x200*i))
		le.PutUint32(h[36:], 0x60000020>>(8*uint(i)))
	}
	le.PutUint32(b[0x58+112+6*8:], 0x2000) // debug directory
	le.PutUint32(b[0x58+112+6*8+4:], 28)
	code := make([]byte, 0x200)
	copy(code, "\x55\x48\x89\xe5\xe8\x10\x00\x00\x00\xc3")
	data := make([]byte, 0x200)
	le.PutUint32(data[12:], 2)
	le.PutUint32(data[16:], 40)
	le.PutUint32(data[24:], 0x700)
	copy(data[0x100:], "RSDS0123456789abcdef\x01\x00\x00\x00c:\\p.pdb\x00")
	copy(data[0x140:], tinyTable())
	return append(append(b, code...), data...)
}

func tinyMachO() []byte {
	le := binary.LittleEndian
	b := make([]byte, 0x400)
	le.PutUint32(b, 0xfeedfacf)
	le.PutUint32(b[4:], 0x0100000c)
	at, n := 32, uint32(0)
	command := func(cmd, size uint32, body func(c []byte)) {
		c := b[at : at+int(size)]
		le.PutUint32(c, cmd)
		le.PutUint32(c[4:], size)
		body(c)
		at, n = at+int(size), n+1
	}
	command(0x19, 72+80, func(c []byte) {
		copy(c[8:], "__TEXT")
		le.PutUint32(c[60:], 5)
		le.PutUint32(c[64:], 1)
		s := c[72:]
		copy(s, "__text")
		copy(s[16:], "__TEXT")
		le.PutUint64(s[32:], 0x100000300)
		le.PutUint64(s[40:], 0x80)
		le.PutUint32(s[48:], 0x300)
		le.PutUint32(s[64:], 0x80000400)
	})
	command(0x19, 72, func(c []byte) {
		copy(c[8:], "__LINKEDIT")
		le.PutUint64(c[32:], 0x1000)
		le.PutUint64(c[40:], 0x400)
	})
	command(0x1b, 24, func(c []byte) { copy(c[8:], "0123456789abcdef") })
	command(0x1d, 16, func(c []byte) {
		le.PutUint32(c[8:], 0x400)
		le.PutUint32(c[12:], 20)
	})
	le.PutUint32(b[16:], n)
	le.PutUint32(b[20:], uint32(at-32))
	for i := 0x300; i < 0x380; i += 8 {
		le.PutUint32(b[i:], 0x90000001)
		le.PutUint32(b[i+4:], 0x91004021)
	}
	sig := []byte("\xfa\xde\x0c\xc0\x00\x00\x00\x14\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x0c")
	return append(b, sig...)
}

func tinyFat() []byte {
	one := tinyMachO()
	out := binary.BigEndian.AppendUint32(nil, fatMagic)
	for _, n := range []uint32{1, 0x0100000c, 0, 64, uint32(len(one)), 6} {
		out = binary.BigEndian.AppendUint32(out, n)
	}
	return append(append(out, make([]byte, 64-len(out))...), one...)
}

// fuzz compares a file with what two numbers make of it. Whatever it is, the
// answer comes, and it is not "explained" unless the causes give the bytes.
func fuzz(f *testing.F, seed []byte) {
	if _, err := Compare(f.Context(), memory(seed), memory(append(seed[:len(seed):len(seed)], 0)), Options{}); err != nil {
		f.Fatal("the seed is not read:", err)
	}
	f.Add(seed, uint32(70), uint32(0x1ff))
	f.Add(seed, uint32(len(seed)-3), uint32(1))
	f.Add(seed[:len(seed)/2], uint32(9), uint32(1))
	f.Fuzz(func(t *testing.T, a []byte, at, with uint32) {
		if len(a) == 0 || len(a) > 1<<16 {
			return
		}
		b := bytes.Clone(a)
		b[int(at)%len(b)] ^= byte(with)
		if with>>8&1 == 1 {
			b = b[:len(b)-int(at)%len(b)]
		}
		for _, pair := range [][2][]byte{{a, b}, {b, a}, {a, a}} {
			r, err := Compare(context.Background(), memory(pair[0]), memory(pair[1]), Options{Workers: 1})
			if err != nil {
				continue
			}
			same := bytes.Equal(pair[0], pair[1])
			if same != (r.Rung == RungBytes) || !same && r.Explained && (len(r.Causes) == 0 || r.Counts.Residue != 0) {
				t.Fatalf("%+v", r)
			}
			if !same && len(r.Sections) == 0 && len(r.Notes) == 0 {
				t.Fatalf("a difference that is not named: %+v", r)
			}
		}
	})
}

func memory(b []byte) File { return File{bytes.NewReader(b), int64(len(b)), "file"} }

func FuzzELF(f *testing.F)   { fuzz(f, tinyELF()) }
func FuzzPE(f *testing.F)    { fuzz(f, tinyPE()) }
func FuzzMachO(f *testing.F) { fuzz(f, tinyMachO()) }
func FuzzFat(f *testing.F)   { fuzz(f, tinyFat()) }

// FuzzInstructions: decoders never go beyond the code, and always go on.
func FuzzInstructions(f *testing.F) {
	f.Add([]byte("\x55\x48\x89\xe5\xe8\x10\x00\x00\x00\xc4\xe2\x7d\x18\x05\x01\x02\x03\x04"), "amd64")
	f.Add([]byte("\x01\x00\x00\x90\x21\x40\x00\x91\xc0\x03\x5f\xd6"), "arm64")
	f.Fuzz(func(t *testing.T, code []byte, arch string) {
		if i := decodeX86(code); i.n > len(code) || i.n > 15 || i.rel+i.relLen > i.n || i.imm+i.immLen > i.n {
			t.Fatalf("%x: %+v", code, i)
		}
		m := &image{arch: arch, order: leOrder, file: code}
		lines, offs := m.list(&fn{addr: 0x1000, code: code, size: uint64(len(code))})
		if len(offs) != len(lines)+1 {
			t.Fatal(lines)
		}
	})
}
