package sandbox

import (
	"context"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"
)

// try runs a command that does nothing, to see whether all walls can be put up.
func try(ctx context.Context, e Engine) error {
	f, err := os.CreateTemp("", "vitrine-trial-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(nothing())
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	l := DefaultLimits()
	l.Time = time.Minute
	res, err := e.Run(ctx, &Job{
		Inputs: []Input{{At: "/nothing", File: f.Name(), Executable: true}},
		Argv:   []string{"/nothing"}, Dir: "/", Hostname: "trial", CPUs: 1, Limits: l, Clock: time.Unix(0, 0),
	}, io.Discard, "")
	if err == nil && !res.OK() {
		err = fmt.Errorf("sandbox %s: a command that does nothing ended with status %d (%s %s)", e.Name(), res.Exit, res.Reason, res.Detail)
	}
	return err
}

// code is exit(0) in machine code, by architecture.
var code = map[string]struct {
	machine elf.Machine
	text    []byte
}{
	"amd64": {elf.EM_X86_64, []byte{0xb8, 60, 0, 0, 0, 0x31, 0xff, 0x0f, 0x05}},                               // mov $60, %eax; xor %edi, %edi; syscall
	"arm64": {elf.EM_AARCH64, []byte{0xa8, 0x0b, 0x80, 0xd2, 0x00, 0x00, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4}}, // mov x8, #93; mov x0, #0; svc #0
}

// nothing is the smallest program: one segment that ends at once.
func nothing() []byte {
	const base, headers = 0x400000, 64 + 56
	c := code[runtime.GOARCH]
	h := elf.Header64{
		Ident:     [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
		Type:      uint16(elf.ET_EXEC),
		Machine:   uint16(c.machine),
		Version:   uint32(elf.EV_CURRENT),
		Entry:     base + headers,
		Phoff:     64,
		Ehsize:    64,
		Phentsize: 56,
		Phnum:     1,
	}
	size := uint64(headers + len(c.text))
	p := elf.Prog64{Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_X), Vaddr: base, Paddr: base, Filesz: size, Memsz: size, Align: 0x1000}
	b, _ := binary.Append(nil, binary.LittleEndian, h)
	b, _ = binary.Append(b, binary.LittleEndian, p)
	return append(b, c.text...)
}
