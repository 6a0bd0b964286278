// Command alter does what somebody would who changes a program after it was
// built: it changes two bytes of examples/verify, an ELF file for x86-64, so that
// a refused file ends with 0 like an accepted one. The demo has it found out.
//
//	go run ./scripts/alter verify
package main

import (
	"bytes"
	"debug/elf"
	"fmt"
	"os"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: alter FILE")
		os.Exit(2)
	}
	if err := alter(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "alter: error:", err)
		os.Exit(1)
	}
}

// alter changes the operand of "MOVL $1, AX; CALL" (the status that os.Exit is
// given) of main.main, and that of one "MOVL $2, AX; CALL", to 0.
func alter(path string) error {
	f, err := elf.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	symbols, err := f.Symbols()
	if err != nil {
		return err
	}
	text := f.Section(".text")
	for _, s := range symbols {
		if s.Name != "main.main" || text == nil {
			continue
		}
		code := make([]byte, s.Size)
		if _, err := text.ReadAt(code, int64(s.Value-text.Addr)); err != nil {
			return err
		}
		start := int64(text.Offset + s.Value - text.Addr)
		for _, status := range []byte{1, 2} {
			i := bytes.Index(code, []byte{0xb8, status, 0, 0, 0, 0xe8})
			if i < 0 {
				return fmt.Errorf("main.main nowhere ends with %d", status)
			}
			if err := write(path, start+int64(i)+1, 0); err != nil {
				return err
			}
		}
		return nil
	}
	return fmt.Errorf("%s has no function main.main", path)
}

func write(path string, at int64, b byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	if _, err := f.WriteAt([]byte{b}, at); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
