package binary

import (
	"bytes"
	"debug/buildinfo"
	"debug/elf"
	"debug/gosym"
	"os"
	"testing"

	"golang.org/x/arch/x86/x86asm"
)

// self is the test binary: a Go program of several megabytes.
func self(t testing.TB) []byte {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestLengths holds the lengths of instructions against another decoder's,
// over all code of a program.
func TestLengths(t *testing.T) {
	m, err := parse(self(t))
	if err != nil || m.arch != "amd64" {
		t.Fatal(m.arch, err)
	}
	m.findFuncs()
	n, unknown, differ := 0, 0, 0
	for i := range m.funcs {
		f := &m.funcs[i]
		for p := 0; p < len(f.code); {
			in := decodeX86(f.code[p:])
			other, err := x86asm.Decode(f.code[p:], 64)
			n++
			switch {
			case err != nil || other.Op == 0 || other.Op == x86asm.VZEROUPPER: // it knows fewer, and that one as a prefix
				unknown++
			case in.n != other.Len || other.PCRel > 0 && (in.rel != other.PCRelOff || in.relLen != other.PCRel):
				if differ++; differ < 10 {
					t.Errorf("%s+%#x: % x: %d bytes, %+v; want %d, %v", f.name, p, f.code[p:min(p+15, len(f.code))], in.n, in, other.Len, other)
				}
			}
			p += max(in.n, 1)
		}
	}
	if n < 100_000 || unknown*50 > n {
		t.Errorf("%d instructions, %d unknown to the other", n, unknown)
	}
	t.Logf("%d instructions, %d of them unknown to the other decoder", n, unknown)
}

// TestFunctionsAndLines holds pclntab against debug/gosym.
func TestFunctionsAndLines(t *testing.T) {
	b := self(t)
	m, err := parse(b)
	if err != nil {
		t.Fatal(err)
	}
	m.findFuncs()
	f, err := elf.NewFile(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	data, err := f.Section(".gopclntab").Data()
	if err != nil {
		t.Fatal(err)
	}
	table, err := gosym.NewTable(nil, gosym.NewLineTable(data, f.Section(".text").Addr))
	if err != nil {
		t.Fatal(err)
	}
	if len(table.Funcs) != m.gotab.nfunc {
		t.Fatalf("%d functions, want %d", m.gotab.nfunc, len(table.Funcs))
	}
	compared := 0
	for i := range table.Funcs {
		g := &table.Funcs[i]
		if file, _, _ := table.PCToLine(g.Entry); file == "" {
			continue // C code, of which the race detector is some, has no lines and several names here
		}
		j := m.funcAt(g.Entry)
		if j < 0 || m.funcs[j].addr != g.Entry || m.funcs[j].name != g.Name {
			t.Fatalf("%s at %#x: not found", g.Name, g.Entry)
		}
		if compared++; i%7 > 0 {
			continue
		}
		for off := uint64(0); off < g.End-g.Entry; off += 13 {
			wantFile, wantLine, _ := table.PCToLine(g.Entry + off)
			file, line := m.gotab.line(m.funcs[j].table, m.funcs[j].size, off)
			if file != wantFile || int(line) != wantLine {
				t.Fatalf("%s+%#x: %s:%d, want %s:%d", g.Name, off, file, line, wantFile, wantLine)
			}
		}
	}
	if compared < 1000 {
		t.Errorf("%d functions were compared", compared)
	}
}

// TestBuildInfo holds the build information against debug/buildinfo.
func TestBuildInfo(t *testing.T) {
	b := self(t)
	m, err := parse(b)
	if err != nil {
		t.Fatal(err)
	}
	info, ok := m.goInfo()
	want, err := buildinfo.Read(bytes.NewReader(b))
	if err != nil || !ok || info.version != want.GoVersion {
		t.Fatalf("%v %q: %v", ok, info.version, err)
	}
}

// TestBenignInfo: settings may differ, what went into the program may not.
func TestBenignInfo(t *testing.T) {
	text := func(s string) string { return infoStart + s + infoEnd }
	base := "path\tx/y\nmod\tx\tv1.0.0\t\ndep\tz\tv1.2.3\th1:abc=\nbuild\tCGO_ENABLED=0\nbuild\tvcs.revision=1\n"
	for name, c := range map[string]struct {
		b  string
		ok bool
	}{
		"revision":      {"path\tx/y\nmod\tx\tv1.0.1\t\ndep\tz\tv1.2.3\th1:abc=\nbuild\tCGO_ENABLED=0\nbuild\tvcs.revision=2\n", true},
		"more settings": {base + "build\t-trimpath=true\n", true},
		"a dependency":  {"path\tx/y\nmod\tx\tv1.0.0\t\ndep\tz\tv1.2.4\th1:abc=\nbuild\tCGO_ENABLED=0\nbuild\tvcs.revision=1\n", false},
		"its hash":      {"path\tx/y\nmod\tx\tv1.0.0\t\ndep\tz\tv1.2.3\th1:abd=\nbuild\tCGO_ENABLED=0\nbuild\tvcs.revision=1\n", false},
		"cgo":           {"path\tx/y\nmod\tx\tv1.0.0\t\ndep\tz\tv1.2.3\th1:abc=\nbuild\tCGO_ENABLED=1\nbuild\tvcs.revision=1\n", false},
		"the program":   {"path\tx/z\nmod\tx\tv1.0.0\t\ndep\tz\tv1.2.3\th1:abc=\nbuild\tCGO_ENABLED=0\nbuild\tvcs.revision=1\n", false},
		"compiler":      {base + "build\t-gcflags=-N\n", false},
		"no text":       {base + "build\tvcs.time=\x01\n", false},
	} {
		if _, ok := benignInfo(text(base), text(c.b)); ok != c.ok {
			t.Errorf("%s: benign %v", name, ok)
		}
	}
	if _, ok := benignInfo(base, base); ok {
		t.Error("without its marks")
	}
}

// TestOneDirectory: a path is a cause if all files below it moved, and only they.
func TestOneDirectory(t *testing.T) {
	list := func(names ...string) (out [][]byte) {
		for _, n := range names {
			out = append(out, []byte(n))
		}
		return out
	}
	b := list("/build/one/a.go", "/build/one/sub/b.go", "/usr/lib/go/c.go")
	for name, c := range map[string]struct {
		a  [][]byte
		ok bool
	}{
		"all files":      {list("/build/two/a.go", "/build/two/sub/b.go", "/usr/lib/go/c.go"), true},
		"one of two":     {list("/build/two/a.go", "/build/one/sub/b.go", "/usr/lib/go/c.go"), false},
		"another too":    {list("/build/two/a.go", "/build/two/sub/b.go", "/usr/lib/og/c.go"), false},
		"another name":   {list("/build/two/x.go", "/build/two/sub/b.go", "/usr/lib/go/c.go"), false},
		"no directory":   {list("build/two/a.go", "build/two/sub/b.go", "/usr/lib/go/c.go"), false},
		"one file fewer": {list("/build/two/a.go", "/build/two/sub/b.go"), false},
	} {
		if _, _, ok := oneDirectory(c.a, b); ok != c.ok {
			t.Errorf("%s: %v", name, ok)
		}
	}
}
