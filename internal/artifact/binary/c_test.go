package binary_test

import (
	"bytes"
	"debug/elf"
	"path/filepath"
	"slices"
	"testing"
	"time"

	bin "vitrine.example/internal/artifact/binary"
)

const program = `
#include <stdio.h>
#include <string.h>
static const char *const names[] = {"alpha", "beta", "gamma"};
static int table[] = {1, 2, 3, 5, 8};
__attribute__((noinline)) static int weigh(const char *s) { int n = 0; while (*s) n = n * 31 + *s++; return n; }
__attribute__((noinline)) static int sum(int k) { int n = 0; for (int i = 0; i < 5; i++) n += table[i] * k; return n; }
__attribute__((noinline)) static int allowed(int level) { return level > LEVEL; }
int main(int argc, char **argv) {
	for (int i = 0; i < 3; i++) printf("%s %d\n", names[i], weigh(names[i]));
	printf("%d %d built " __DATE__ "\n", sum(argc), allowed(argc));
	return strlen(argv[0]) == 0;
}
`

// compile builds a C program as Debian does: debugging data apart, a link to
// it, a build id that follows from the content.
func compile(t testing.TB, level string, stripped bool, env ...string) []byte {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "p.c"), []byte(program))
	run(t, dir, "env", append(env, "gcc", "-g", "-O2", "-DLEVEL="+level, "-Wno-builtin-macro-redefined", "-Wl,--build-id=sha1",
		"-ffile-prefix-map="+dir+"=.", "-o", "p", "p.c")...)
	if stripped {
		run(t, dir, "objcopy", "--only-keep-debug", "p", "p.debug")
		run(t, dir, "strip", "p")
		run(t, dir, "objcopy", "--add-gnu-debuglink=p.debug", "p")
	}
	return readFile(t, filepath.Join(dir, "p"))
}

var epoch = "SOURCE_DATE_EPOCH=1700000000"

// relabel changes bytes of a section, as another build would.
func relabel(t testing.TB, b []byte, section string, from int) []byte {
	t.Helper()
	f, err := elf.NewFile(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	s := f.Section(section)
	out := bytes.Clone(b)
	for i := int(s.Offset) + from; i < int(s.Offset+s.Size); i++ {
		out[i] ^= 0x5a
	}
	return out
}

// TestDebian: a stripped program that differs by its build id and its
// debuglink, or by symbols and debugging data.
func TestDebian(t *testing.T) {
	a := compile(t, "2", true, epoch)
	link := relabel(t, a, ".gnu_debuglink", 8) // the CRC
	id := relabel(t, link, ".note.gnu.build-id", 16)
	for name, c := range map[string]struct {
		b    []byte
		want []string
	}{
		"debuglink":              {link, []string{bin.CauseDebugLink}},
		"debuglink and build id": {id, []string{bin.CauseDebugLink, bin.CauseGNUBuildID}},
		"symbols":                {compile(t, "2", false, epoch), []string{bin.CauseDebugLink, bin.CauseDWARF, bin.CauseSections, bin.CauseSymbols}},
	} {
		for _, r := range []bin.Result{compare(t, a, c.b, bin.Options{}), compare(t, c.b, a, bin.Options{})} {
			if !r.Explained || !slices.Equal(causes(r), c.want) || r.Counts.Changed > 0 {
				t.Errorf("%s: explained %v by %v, want %v; %v %v", name, r.Explained, causes(r), c.want, r.Notes, changed(r))
			}
		}
	}
}

// TestStrippedFunction: a constant in one function of a program without symbols.
func TestStrippedFunction(t *testing.T) {
	a, b := compile(t, "2", true, epoch), compile(t, "3", true, epoch)
	r := compare(t, a, b, bin.Options{})
	if r.Explained || len(r.Functions) != 1 || r.Counts.FunctionsA < 5 || len(r.Hunks) == 0 {
		t.Errorf("explained %v, %+v of %d", r.Explained, r.Functions, r.Counts.FunctionsA)
	}
	a, b = compile(t, "2", false, epoch), compile(t, "3", false, epoch)
	if r := compare(t, a, b, bin.Options{}); !slices.Equal(changed(r), []string{"allowed"}) {
		t.Errorf("with symbols: %v", changed(r))
	}
}

// TestOneFunctionMore: one more function in a program without symbols does not
// make all others count.
func TestOneFunctionMore(t *testing.T) {
	a := compile(t, "2", true, epoch)
	b := compile(t, "2; } __attribute__((noinline,used)) static int more(int n) { return n * 7 + 3", true, epoch)
	r := compare(t, a, b, bin.Options{})
	if r.Counts.OnlyB != 1 || r.Counts.OnlyA != 0 || r.Counts.Changed > 1 || r.Explained {
		t.Errorf("%+v: %+v", r.Counts, r.Functions)
	}
}

// TestDate: __DATE__ is a cause only where the clock of the rebuild is known.
func TestDate(t *testing.T) {
	a, b := compile(t, "2", true, "SOURCE_DATE_EPOCH=1600000000"), compile(t, "2", true, epoch)
	known := compare(t, a, b, bin.Options{Built: time.Unix(1700000000, 0)})
	if !known.Explained || !slices.Contains(causes(known), bin.CauseDate) {
		t.Errorf("explained %v by %v: %+v", known.Explained, known.Causes, known.Data)
	}
	for _, r := range []bin.Result{compare(t, a, b, bin.Options{}), compare(t, a, b, bin.Options{Built: time.Unix(1500000000, 0)})} {
		if r.Explained || len(r.Data) == 0 {
			t.Errorf("explained %v by %v", r.Explained, r.Causes)
		}
	}
}

// TestHidden: what no tool writes there is never taken over.
func TestHidden(t *testing.T) {
	a := compile(t, "2", true, epoch)
	dir := t.TempDir()
	write(t, filepath.Join(dir, "p"), a)
	write(t, filepath.Join(dir, "x"), []byte("payload"))
	run(t, dir, "objcopy", "--add-section", ".payload=x", "p", "q")
	f, err := elf.NewFile(bytes.NewReader(a))
	if err != nil {
		t.Fatal(err)
	}
	exec := bytes.Clone(a)
	exec[16] ^= 1 // another type of file
	entry := bytes.Clone(a)
	entry[24]++
	stack := bytes.Clone(a)
	for i, p := range f.Progs {
		if p.Type == elf.PT_GNU_STACK {
			stack[64+56*i+4] |= 1 // executable
		}
	}
	for name, b := range map[string][]byte{
		"a section of no known kind": readFile(t, filepath.Join(dir, "q")), "trailing bytes": append(bytes.Clone(a), "PK"...),
		"another type": exec, "another entry point": entry, "an executable stack": stack,
	} {
		for _, r := range []bin.Result{compare(t, b, a, bin.Options{}), compare(t, a, b, bin.Options{})} {
			if r.Explained || r.Counts.Residue == 0 || len(r.Sections) == 0 {
				t.Errorf("%s: explained by %+v", name, r.Causes)
			}
		}
	}
}
