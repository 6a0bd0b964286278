package binary_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	bin "vitrine.example/internal/artifact/binary"
)

// run runs a tool in a directory.
func run(t testing.TB, dir, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v: %s", name, args, err, out)
	}
}

func write(t testing.TB, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o700); err != nil {
		t.Fatal(err)
	}
}

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestAuthenticode signs with osslsigncode, which knows nothing of us.
func TestAuthenticode(t *testing.T) {
	plain := build(t, platforms[2].with("-s -w", "-trimpath"))
	dir := t.TempDir()
	write(t, filepath.Join(dir, "plain.exe"), plain)
	run(t, dir, "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "k.pem", "-out", "c.pem",
		"-subj", "/CN=Vendor", "-addext", "extendedKeyUsage=codeSigning")
	for name, hash := range map[string]string{"one.exe": "sha256", "two.exe": "sha384"} {
		run(t, dir, "osslsigncode", "sign", "-certs", "c.pem", "-key", "k.pem", "-h", hash, "-in", "plain.exe", "-out", name)
	}
	one, two := readFile(t, filepath.Join(dir, "one.exe")), readFile(t, filepath.Join(dir, "two.exe"))
	for name, pair := range map[string][2][]byte{"signed": {one, plain}, "signed again": {one, two}} {
		r := compare(t, pair[0], pair[1], bin.Options{})
		if !r.Explained || !slices.Equal(causes(r), []string{bin.CauseAuthenticod}) {
			t.Errorf("%s: explained %v by %+v", name, r.Explained, r.Causes)
		}
	}
	x := textOf(t, plain)
	other := bytes.Clone(plain)
	other[x.off+x.size/2] ^= 1
	hidden := append(bytes.Clone(one), "payload!"...)
	binary.LittleEndian.PutUint32(hidden[len(one)-certSize(one):], uint32(certSize(one)+8))
	dirEntry := bytes.Index(one[:1024], binary.LittleEndian.AppendUint32(nil, uint32(len(plain)+7)&^7))
	binary.LittleEndian.PutUint32(hidden[dirEntry+4:], uint32(certSize(one)+8))
	for name, pair := range map[string][2][]byte{
		"a signature of other code":     {one, other},
		"trailing bytes":                {append(bytes.Clone(one), 0), plain},
		"no signature":                  {plain, one},
		"something behind a signature":  {hidden, plain},
		"a signature that is not there": {append(bytes.Clone(plain), make([]byte, 64)...), plain},
	} {
		if r := compare(t, pair[0], pair[1], bin.Options{}); r.Explained || r.Counts.Residue == 0 {
			t.Errorf("%s: explained by %+v", name, r.Causes)
		}
	}
}

// certSize is the size of the certificate table at the end of a file.
func certSize(b []byte) int {
	pe := binary.LittleEndian.Uint32(b[0x3c:])
	return int(binary.LittleEndian.Uint32(b[pe+24+112+4*8+4:]))
}

// directory is a code directory (Apple, cs_blobs.h) over code, by an own writer.
func directory(code []byte, ident string, more ...[]byte) []byte {
	be := binary.BigEndian
	blob := make([]byte, 44)
	slots := (len(code) + 4095) / 4096
	ident += "\x00"
	be.PutUint32(blob, 0xfade0c02)
	be.PutUint32(blob[8:], 0x20001)
	be.PutUint32(blob[16:], uint32(len(blob)+len(ident)))
	be.PutUint32(blob[20:], uint32(len(blob)))
	be.PutUint32(blob[28:], uint32(slots))
	be.PutUint32(blob[32:], uint32(len(code)))
	blob[36], blob[37], blob[39] = 32, 2, 12
	blob = append(blob, ident...)
	for i := 0; i < len(code); i += 4096 {
		sum := sha256.Sum256(code[i:min(i+4096, len(code))])
		blob = append(blob, sum[:]...)
	}
	be.PutUint32(blob[4:], uint32(len(blob)))
	blobs := append([][]byte{blob}, more...)
	super := make([]byte, 12+8*len(blobs))
	for i, b := range blobs {
		be.PutUint32(super[12+8*i:], uint32(i))
		be.PutUint32(super[16+8*i:], uint32(len(super)))
		super = append(super, b...)
	}
	be.PutUint32(super, 0xfade0cc0)
	be.PutUint32(super[4:], uint32(len(super)))
	be.PutUint32(super[8:], uint32(len(blobs)))
	return super
}

func blobOf(magic uint32, text string) []byte {
	b := binary.BigEndian.AppendUint32(nil, magic)
	return append(binary.BigEndian.AppendUint32(b, uint32(8+len(text))), text...)
}

// sign replaces the signature of Go's linker by another, as codesign does it.
func sign(t testing.TB, b []byte, ident string, pad int, more ...[]byte) []byte {
	t.Helper()
	le := binary.LittleEndian
	b = bytes.Clone(b)
	var linkedit, sig int
	for at, n := 32, int(le.Uint32(b[16:])); n > 0; n-- {
		switch cmd := le.Uint32(b[at:]); {
		case cmd == 0x1d:
			sig = at
		case cmd == 0x19 && strings.HasPrefix(string(b[at+8:]), "__LINKEDIT"):
			linkedit = at
		}
		at += int(le.Uint32(b[at+4:]))
	}
	off := int(le.Uint32(b[sig+8:]))
	size := len(directory(b[:off], ident, more...)) + pad
	le.PutUint32(b[sig+12:], uint32(size))
	n := uint64(off+size) - le.Uint64(b[linkedit+40:])
	le.PutUint64(b[linkedit+48:], n)
	le.PutUint64(b[linkedit+32:], (n+0x3fff)&^0x3fff)
	return append(append(b[:off:off], directory(b[:off], ident, more...)...), make([]byte, pad)...)
}

// TestMachOSignature: Go's linker signs for arm64 by itself; vendors sign again.
func TestMachOSignature(t *testing.T) {
	linker := build(t, platforms[3].with("-s -w", "-trimpath"))
	requirements, cms := blobOf(0xfade0c01, "\x00\x00\x00\x00"), blobOf(0xfade0b01, strings.Repeat("a vendor's signature", 200))
	vendor := sign(t, linker, "com.example.prog", 4096, requirements, cms)
	for name, pair := range map[string][2][]byte{"vendor": {vendor, linker}, "linker": {linker, vendor}} {
		r := compare(t, pair[0], pair[1], bin.Options{})
		if !r.Explained || !slices.Equal(causes(r), []string{bin.CauseCodeSign}) {
			t.Errorf("%s: explained %v by %+v: %+v", name, r.Explained, r.Causes, r.Sections)
		}
	}
	x := textOf(t, linker)
	other := bytes.Clone(linker)
	other[x.off+x.size/2] ^= 1
	rights := sign(t, linker, "com.example.prog", 0, blobOf(0xfade7171, "<plist>get-task-allow</plist>"))
	garbage := bytes.Clone(vendor)
	garbage[len(garbage)-9] = 1
	for name, pair := range map[string][2][]byte{
		"a signature of other code":   {vendor, other},
		"entitlements":                {rights, linker},
		"something behind the blobs":  {garbage, linker},
		"a blob of unknown kind":      {sign(t, linker, "prog", 0, blobOf(0xfade1234, "payload")), linker},
		"trailing bytes":              {append(bytes.Clone(vendor), 0), linker},
		"signed after it was changed": {sign(t, other, "prog", 0), linker},
	} {
		if r := compare(t, pair[0], pair[1], bin.Options{}); r.Explained || r.Counts.Residue == 0 {
			t.Errorf("%s: explained by %+v", name, r.Causes)
		}
	}
}

// fat joins Mach-O files as lipo does.
func fat(slices ...[]byte) []byte {
	be := binary.BigEndian
	out := be.AppendUint32(be.AppendUint32(nil, 0xcafebabe), uint32(len(slices)))
	var body []byte
	at := 1 << 14
	for _, s := range slices {
		out = append(out, s[7], s[6], s[5], s[4], s[11], s[10], s[9], s[8])
		for _, n := range []int{at, len(s), 14} {
			out = be.AppendUint32(out, uint32(n))
		}
		body = append(append(body, make([]byte, at-1<<14-len(body))...), s...)
		at = (at + len(s) + 1<<14 - 1) &^ (1<<14 - 1)
	}
	return append(append(out, make([]byte, 1<<14-len(out))...), body...)
}

// TestFat compares slice by slice, and puts what was explained together again.
func TestFat(t *testing.T) {
	intel, arm := build(t, platforms[4].with("-s -w", "-trimpath")), build(t, platforms[3].with("-s -w", "-trimpath"))
	vendor := sign(t, arm, "com.example.prog", 64)
	a, b := fat(intel, vendor), fat(intel, arm)
	r := compare(t, a, b, bin.Options{})
	if !r.Explained || r.Counts.Residue != 0 || r.Format != "mach-o fat" || !slices.Equal(causes(r), []string{bin.CauseCodeSign}) {
		t.Errorf("explained %v, residue %d by %+v %v", r.Explained, r.Counts.Residue, r.Causes, r.Notes)
	}
	x := textOf(t, intel)
	f := x.function(x.off + x.size/2)
	other := bytes.Clone(intel)
	other[x.off+x.size/2] ^= 0x55
	r = compare(t, fat(other, vendor), b, bin.Options{})
	if got := changed(r); r.Explained || len(got) != 1 || got[0] != "amd64 "+f.Name {
		t.Errorf("explained %v, %v; want %s", r.Explained, got, f.Name)
	}
	gap := bytes.Clone(a)
	gap[1<<14-1] = 1
	for name, c := range map[string][]byte{"padding": gap, "trailing bytes": append(bytes.Clone(a), 0), "a slice less": fat(vendor)} {
		if r := compare(t, c, b, bin.Options{}); r.Explained {
			t.Errorf("%s: explained by %+v", name, r.Causes)
		}
	}
}
