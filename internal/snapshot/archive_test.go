package snapshot_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vitrine.example/internal/snapshot"
)

// pack writes a tar: a regular file where a header says nothing else.
func pack(t testing.TB, headers ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		if h.Typeflag == tar.TypeReg {
			h.Size = 5
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			if _, err := io.WriteString(w, "12345"); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zipped(t testing.TB, b []byte) []byte {
	t.Helper()
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return z.Bytes()
}

func reg(name string) tar.Header { return tar.Header{Name: name} }

func link(name, target string) tar.Header {
	return tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target}
}

func dir(name string) tar.Header { return tar.Header{Typeflag: tar.TypeDir, Name: name} }

// save writes an archive to a file.
func save(t testing.TB, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "src.tar")
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestArchive: what is safe is taken byte for byte.
func TestArchive(t *testing.T) {
	long := strings.Repeat("long/", 60) + "name"
	good := pack(t,
		tar.Header{Typeflag: tar.TypeXGlobalHeader, Name: "pax_global_header", PAXRecords: map[string]string{"comment": "x"}},
		dir("./"), dir("p/"), reg("./p/a"), reg("p/ü"), reg(long), link("p/l", "../p/a"),
		tar.Header{Typeflag: tar.TypeLink, Name: "p/hard", Linkname: "p/a"}, reg("p/a.b/c"))
	for name, b := range map[string][]byte{
		"tar": good, "tar.gz": zipped(t, good),
		"padded":      append(bytes.Clone(good), make([]byte, 10240)...),
		"two members": append(zipped(t, good[:700]), zipped(t, good[700:])...),
		"snapshot":    take(t, "", tree(t, t.TempDir(), golden)),
	} {
		t.Run(name, func(t *testing.T) {
			if got := take(t, snapshot.Archive, save(t, b)); !bytes.Equal(got, b) {
				t.Errorf("%d bytes, of %d", len(got), len(b))
			}
		})
	}
	if _, sum, err := write(t, "", save(t, good), snapshot.Limits{}); err != nil || sum.Entries != 8 || sum.Bytes != 20 {
		t.Errorf("%+v, %v", sum, err)
	}
}

// TestBadArchive: what is broken, too large or not safe to unpack is refused.
func TestBadArchive(t *testing.T) {
	good := pack(t, reg("a"), reg("b"), reg("c"))
	flip := func(b []byte, at int) []byte {
		b = bytes.Clone(b)
		b[at] ^= 1
		return b
	}
	z := zipped(t, good)
	for name, c := range map[string]struct {
		b    []byte
		want error
		word string
	}{
		"empty":              {nil, nil, ""},
		"text":               {[]byte("hello"), nil, "neither"},
		"long text":          {bytes.Repeat([]byte("hello\n"), 1000), nil, "neither"},
		"zip":                {append([]byte("PK\x03\x04"), make([]byte, 2000)...), nil, "neither"},
		"end alone":          {make([]byte, 1024), snapshot.ErrRefused, "no files"},
		"cut in a header":    {good[:1300], nil, "after"},
		"cut in content":     {good[:1026], nil, "after"},
		"cut after an entry": {good[:1024], snapshot.ErrRefused, "cut off"},
		"cut in padding":     {good[:1024+512+7], snapshot.ErrRefused, "cut off"},
		"cut before the end": {good[:len(good)-1024], snapshot.ErrRefused, "cut off"},
		"cut in the end":     {good[:len(good)-512], snapshot.ErrRefused, "cut off"},
		"cut, then gzipped":  {zipped(t, good[:2048]), snapshot.ErrRefused, "cut off"},
		"bad checksum":       {flip(good, 1024+10), nil, "after 1"},
		"gzip cut":           {z[:len(z)-3], nil, ""},
		"gzip checksum":      {flip(z, len(z)-5), nil, ""},
		"gzip header alone":  {z[:5], nil, "gzip"},
		"gzip then text":     {append(bytes.Clone(z), "hidden"...), nil, ""},
		"bytes after end":    {append(bytes.Clone(good), append(make([]byte, 512), "hidden"...)...), snapshot.ErrRefused, "after the end"},
		"bytes in gzip":      {zipped(t, append(bytes.Clone(good), "hidden"...)), snapshot.ErrRefused, "after the end"},
		"parent":             {pack(t, reg("a"), reg("../b")), snapshot.ErrRefused, `"../b"`},
		"parent within":      {pack(t, reg("a/../../b")), snapshot.ErrRefused, `"../b"`},
		"absolute":           {pack(t, reg("/etc/passwd")), snapshot.ErrRefused, `"/etc/passwd"`},
		"git directory":      {pack(t, reg("p/.git/hooks/x")), snapshot.ErrRefused, ".git"},
		"link out":           {pack(t, link("p/l", "../../x")), snapshot.ErrRefused, `"p/l"`},
		"absolute link":      {pack(t, link("l", "/etc")), snapshot.ErrRefused, `"l"`},
		"below a link":       {pack(t, dir("d"), link("d/l", "../d"), reg("d/l/x")), snapshot.ErrRefused, `"d/l/x"`},
		"link on directory":  {pack(t, reg("d/x"), link("d", "e"), reg("d/y")), snapshot.ErrRefused, `"d"`},
		"hard link out":      {pack(t, tar.Header{Typeflag: tar.TypeLink, Name: "h", Linkname: "../x"}), snapshot.ErrRefused, `"../x"`},
		"pipe":               {pack(t, tar.Header{Typeflag: tar.TypeFifo, Name: "p"}), snapshot.ErrRefused, `"p"`},
		"device":             {pack(t, tar.Header{Typeflag: tar.TypeChar, Name: "n"}), snapshot.ErrRefused, `"n"`},
		"too many":           {pack(t, reg("1"), reg("2"), reg("3"), reg("4"), reg("5"), reg("6"), reg("7")), snapshot.ErrTooLarge, ""},
		"too large":          {append(pack(t, reg("1")), make([]byte, 30_000)...), snapshot.ErrTooLarge, ""},
		"bomb":               {zipped(t, append(pack(t, reg("1")), make([]byte, 1<<20)...)), snapshot.ErrTooLarge, "unpacked"},
	} {
		t.Run(name, func(t *testing.T) {
			path := save(t, c.b)
			_, _, err := write(t, snapshot.Archive, path, snapshot.Limits{Entries: 6, Bytes: 20_000})
			if err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.word) {
				t.Errorf("error %v, want %v and %q", err, c.want, c.word)
			}
		})
	}
}

// FuzzArchive: whatever is accepted is what the file holds, and no name or
// target in it leads out, as the standard library sees it.
func FuzzArchive(f *testing.F) {
	good := pack(f, dir("p/"), reg("p/a"), link("p/l", "../p/a"), reg("x"))
	f.Add(good)
	f.Add(zipped(f, good))
	f.Add(pack(f, reg(strings.Repeat("long/", 60)+"name"), link("l", strings.Repeat("t/", 90))))
	f.Add(pack(f, link("a", "b"), reg("a/x")))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, _, err := write(t, snapshot.Archive, save(t, b), snapshot.Limits{Entries: 100, Bytes: 1 << 20})
		if err != nil {
			return
		}
		if !bytes.Equal(got, b) {
			t.Fatalf("%d bytes, of %d", len(got), len(b))
		}
		if bytes.HasPrefix(b, []byte{0x1f, 0x8b}) {
			return
		}
		for r := tar.NewReader(bytes.NewReader(b)); ; {
			h, err := r.Next()
			if err != nil {
				return
			}
			if h.Typeflag == tar.TypeXGlobalHeader {
				continue
			}
			if !filepath.IsLocal(h.Name) || h.Typeflag == tar.TypeLink && !filepath.IsLocal(h.Linkname) {
				t.Errorf("accepted %q, linked to %q", h.Name, h.Linkname)
			}
			if h.Typeflag == tar.TypeSymlink && !filepath.IsLocal(filepath.Join(filepath.Dir(h.Name), h.Linkname)) {
				t.Errorf("accepted %q, which leads to %q", h.Name, h.Linkname)
			}
		}
	})
}
