package archive_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	kgzip "github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"vitrine.example/internal/artifact/archive"
)

// small are bounds that a fuzzed file reaches quickly.
var small = archive.Limits{Members: 64, Frame: 16 << 10, Inflate: 1 << 20, Ratio: 100}

// fine fails on errors that are neither of the format nor of a bound.
func fine(t *testing.T, err error) {
	t.Helper()
	if err != nil && !errors.Is(err, archive.ErrFormat) && !errors.Is(err, archive.ErrBound) && !errors.Is(err, archive.ErrPacked) {
		t.Fatalf("an error of neither format nor bound: %v", err)
	}
}

func section(b []byte) *io.SectionReader {
	return io.NewSectionReader(bytes.NewReader(b), 0, int64(len(b)))
}

// laws hold for every index that was read: it stays in its bounds, it equals
// itself, and settling it with itself finds nothing.
func laws(t *testing.T, x *archive.Index, size int64) {
	t.Helper()
	if len(x.Entries) > small.Members {
		t.Fatalf("%d members", len(x.Entries))
	}
	for _, e := range x.Entries {
		if e.Off < 0 || e.Size < 0 || e.Off+e.Size > size {
			t.Fatalf("%q lies at %d, %d of %d", e.Name, e.Off, e.Size, size)
		}
	}
	m := archive.Match(x, x)
	if !m.Equal() {
		t.Fatal("an archive is not equal to itself")
	}
	s := m.Settle(archive.Policy{}, func(archive.Pair) bool { return false })
	if len(s.Differences)+len(s.Causes) > 0 || !s.Proved {
		t.Fatalf("an archive differs from itself: %+v", s)
	}
}

// pair cuts a fuzzed input into two archives of one kind: no pair of different
// bytes may be equal, and what is proved must patch to the very bytes.
func unequal(t *testing.T, x, y *archive.Index, a, b []byte) {
	t.Helper()
	if m := archive.Match(x, y); m.Equal() != bytes.Equal(a, b) {
		t.Fatalf("equal is %v, and the bytes say otherwise", m.Equal())
	}
}

func tarSeed(names ...string) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i, n := range names {
		h := &tar.Header{Name: n, Mode: 0o644, Size: int64(i), Typeflag: tar.TypeReg}
		if i == 1 {
			h.PAXRecords = map[string]string{"VENDOR.key": "value"}
		}
		w.WriteHeader(h)
		w.Write(make([]byte, i))
	}
	w.Close()
	return b.Bytes()
}

func FuzzTar(f *testing.F) {
	a, b := tarSeed("a", "b", "c"), tarSeed("a", "c")
	f.Add(a, b)
	f.Add(a, a[:len(a)-512])
	f.Add(append(bytes.Clone(a), "hidden"...), b)
	f.Fuzz(func(t *testing.T, a, b []byte) {
		x, err := archive.ReadTar(context.Background(), bytes.NewReader(a), small, nil)
		fine(t, err)
		y, err2 := archive.ReadTar(context.Background(), bytes.NewReader(b), small, nil)
		fine(t, err2)
		if err == nil {
			laws(t, x, int64(len(a)))
			if err2 == nil {
				unequal(t, x, y, a, b)
			}
		}
	})
}

func zipSeed(names ...string) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i, n := range names {
		m, err := w.CreateHeader(&zip.FileHeader{Name: n, Method: uint16(i%2) * zip.Deflate})
		if err == nil {
			fmt.Fprint(m, n, n, n)
		}
	}
	w.SetComment("comment")
	w.Close()
	return b.Bytes()
}

func FuzzZip(f *testing.F) {
	a, b := zipSeed("a", "b", "c"), zipSeed("a", "c")
	f.Add(a, b)
	f.Add(a, append([]byte("prefix"), a...))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		x, err := archive.ReadZip(context.Background(), section(a), small)
		fine(t, err)
		y, err2 := archive.ReadZip(context.Background(), section(b), small)
		fine(t, err2)
		if err != nil {
			return
		}
		laws(t, x, int64(len(a)))
		for i := range x.Entries {
			r, err := x.Content(context.Background(), section(a), &x.Entries[i], small)
			if err == nil {
				var n int64
				n, err = io.Copy(io.Discard, r)
				if n > small.Inflate+64<<10 {
					t.Fatalf("%d bytes out of a member", n)
				}
			}
			fine(t, err)
		}
		if err2 == nil {
			unequal(t, x, y, a, b)
		}
	})
}

func FuzzAr(f *testing.F) {
	head := func(name string, size int) string {
		return fmt.Sprintf("%-16s%-12d%-6d%-6d%-8s%-10d`\n", name, 0, 0, 0, "644", size)
	}
	one := []byte("!<arch>\n" + head("debian-binary", 4) + "2.0\n" + head("b", 3) + "abc\n")
	f.Add(one, one[:len(one)-1])
	f.Fuzz(func(t *testing.T, a, b []byte) {
		x, err := archive.ReadAr(context.Background(), section(a), small)
		fine(t, err)
		y, err2 := archive.ReadAr(context.Background(), section(b), small)
		fine(t, err2)
		if err == nil {
			laws(t, x, int64(len(a)))
			if err2 == nil {
				unequal(t, x, y, a, b)
			}
		}
	})
}

// cpioSeed writes the new ASCII format.
func cpioSeed(names ...string) []byte {
	var b bytes.Buffer
	put := func(name, body string) {
		fmt.Fprintf(&b, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X", 1, 0o100644, 0, 0, 1, 0, len(body), 0, 0, 0, 0, len(name)+1, 0)
		b.WriteString(name + "\x00")
		for b.Len()%4 != 0 {
			b.WriteByte(0)
		}
		b.WriteString(body)
		for b.Len()%4 != 0 {
			b.WriteByte(0)
		}
	}
	for _, n := range names {
		put(n, "body of "+n)
	}
	put("TRAILER!!!", "")
	return b.Bytes()
}

func FuzzCpio(f *testing.F) {
	a, b := cpioSeed("a", "b"), cpioSeed("a")
	f.Add(a, b)
	f.Add(a, append(bytes.Clone(a), "hidden"...))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		x, err := archive.ReadCpio(context.Background(), bytes.NewReader(a), small, nil)
		fine(t, err)
		y, err2 := archive.ReadCpio(context.Background(), bytes.NewReader(b), small, nil)
		fine(t, err2)
		if err == nil {
			laws(t, x, int64(len(a)))
			if err2 == nil {
				unequal(t, x, y, a, b)
			}
		}
	})
}

func FuzzStream(f *testing.F) {
	body := bytes.Repeat([]byte("keys, signers, verifiers\n"), 40)
	var g, z, x bytes.Buffer
	gw := kgzip.NewWriter(&g)
	gw.Name = "name"
	zw, err := zstd.NewWriter(&z)
	if err != nil {
		f.Fatal(err)
	}
	xw, err := xz.NewWriter(&x)
	if err != nil {
		f.Fatal(err)
	}
	for _, w := range []io.WriteCloser{gw, zw, xw} {
		if _, err := w.Write(body); err != nil || w.Close() != nil {
			f.Fatal(err)
		}
	}
	for i, b := range [][]byte{g.Bytes(), x.Bytes(), z.Bytes(), []byte("BZh91AY&SY")} {
		f.Add(i, b)
		f.Add(i, append(bytes.Clone(b), b...))
	}
	formats := []archive.Format{archive.Gzip, archive.XZ, archive.Zstd, archive.Bzip2}
	f.Fuzz(func(t *testing.T, which int, b []byte) {
		if which < 0 || which >= len(formats) {
			return
		}
		s, err := archive.OpenStream(context.Background(), formats[which], section(b), small)
		fine(t, err)
		if err != nil {
			return
		}
		defer s.Close()
		var total int64
		for members := 0; ; members++ {
			if err := s.Next(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				fine(t, err)
				return
			}
			n, err := io.Copy(io.Discard, s)
			if total += n; total > small.Inflate+256<<10 {
				t.Fatalf("%d bytes came out", total)
			}
			if err != nil {
				fine(t, err)
				return
			}
			m := s.Member()
			if formats[which] == archive.Gzip {
				if all, ok := archive.GzipHeaders(m.Header, m.Header); len(all) > 0 || !ok {
					t.Fatalf("a header differs from itself: %v", all)
				}
				if m.StoredAt+m.Stored+8 > int64(len(b)) {
					t.Fatalf("a member of %d bytes at %d in %d", m.Stored, m.StoredAt, len(b))
				}
			}
		}
		if s.Trailing < 0 || s.Trailing > int64(len(b)) {
			t.Fatalf("%d bytes behind", s.Trailing)
		}
	})
}

func FuzzRPM(f *testing.F) {
	header := func(values ...string) []byte {
		var index, store bytes.Buffer
		for i, v := range values {
			index.Write([]byte{0, 0, 3, byte(0xe8 + i), 0, 0, 0, 6, 0, 0, 0, byte(store.Len()), 0, 0, 0, 1})
			store.WriteString(v + "\x00")
		}
		out := []byte{0x8e, 0xad, 0xe8, 1, 0, 0, 0, 0, 0, 0, 0, byte(len(values)), 0, 0, 0, byte(store.Len())}
		return append(append(out, index.Bytes()...), store.Bytes()...)
	}
	lead := make([]byte, 96)
	copy(lead, []byte{0xed, 0xab, 0xee, 0xdb, 3})
	sig := header("sig")
	for len(sig)%8 != 0 {
		sig = append(sig, 0)
	}
	f.Add(bytes.Join([][]byte{lead, sig, header("name", "1", "2"), []byte("payload")}, nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := archive.ReadRPM(section(b))
		fine(t, err)
		if err != nil {
			return
		}
		r.SignatureOnly()
		if all, ok := archive.CompareRPM(r.Head, r.Head, true); len(all) > 0 || !ok {
			t.Fatalf("a header differs from itself: %v", all)
		}
		if r.Payload > int64(len(b)) {
			t.Fatal("the payload lies outside")
		}
	})
}
