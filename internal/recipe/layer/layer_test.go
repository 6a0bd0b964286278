package layer_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"vitrine.example/internal/recipe/layer"
)

var clock = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const max = 1 << 20

// unpack adds one archive and lists what came of it: mode, size or link, time, name.
func unpack(t testing.TB, form string, b []byte, at string, strip int) ([]string, error) {
	t.Helper()
	var out bytes.Buffer
	w := layer.New(context.Background(), &out, clock, max)
	if err := w.Add(form, bytes.NewReader(b), int64(len(b)), at, strip); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return list(t, out.Bytes()), nil
}

func list(t testing.TB, b []byte) []string {
	t.Helper()
	var lines []string
	for tr := tar.NewReader(bytes.NewReader(b)); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return lines
		} else if err != nil {
			t.Fatal(err)
		}
		if h.Uid != 0 || h.Gid != 0 || h.Uname != "" || strings.HasPrefix(h.Name, "/") {
			t.Errorf("%+v", h)
		}
		what := fmt.Sprint(h.Size)
		if h.Linkname != "" {
			what = "->" + h.Linkname
		}
		lines = append(lines, fmt.Sprintf("%c %04o %s %d %s", h.Typeflag, h.Mode, what, h.ModTime.Unix()-clock.Unix(), h.Name))
	}
}

func tarOf(t testing.TB, headers ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		if h.Typeflag == tar.TypeReg {
			h.Size = 1
		}
		if h.ModTime.IsZero() {
			h.ModTime = clock.Add(-time.Second)
		}
		h.Uid, h.Uname = 7, "seven"
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			if _, err := w.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func sample(t testing.TB) []byte {
	return tarOf(t,
		tar.Header{Name: "./", Typeflag: tar.TypeDir, Mode: 0o755},
		tar.Header{Name: "./top/", Typeflag: tar.TypeDir, Mode: 0o1777},
		tar.Header{Name: "top/run", Typeflag: tar.TypeReg, Mode: 0o4755},
		tar.Header{Name: "top/link", Typeflag: tar.TypeSymlink, Linkname: "../../anywhere", Mode: 0o777},
		tar.Header{Name: "top/hard", Typeflag: tar.TypeLink, Linkname: "top/run"},
	)
}

// Plain and under every compression a tar gives the same.
func TestTar(t *testing.T) {
	plain := sample(t)
	for name, b := range map[string][]byte{"plain": plain, "gzip": under(t, plain, "gzip"), "xz": under(t, plain, "xz"), "zstd": under(t, plain, "zstd"), "bzip2": under(t, plain, "bzip2")} {
		got, err := unpack(t, layer.Tar, b, "/usr", 1)
		want := []string{"0 4755 1 -1 usr/run", "2 0777 ->../../anywhere -1 usr/link", "1 0000 ->usr/run -1 usr/hard"}
		if err != nil || strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("%s: %v\n%s\nwant\n%s", name, err, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

func under(t testing.TB, b []byte, how string) []byte {
	t.Helper()
	var out bytes.Buffer
	var w io.WriteCloser
	var err error
	switch how {
	case "gzip":
		w = gzip.NewWriter(&out)
	case "xz":
		w, err = xz.NewWriter(&out)
	case "zstd":
		w, err = zstd.NewWriter(&out)
	case "bzip2":
		cmd := exec.Command("bzip2", "-c")
		cmd.Stdin = bytes.NewReader(b)
		packed, err := cmd.Output()
		if err != nil {
			t.Fatalf("bzip2 is missing; install it: apt-get install bzip2: %v", err)
		}
		return packed
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// deb makes a Debian package as dpkg-deb does.
func deb(members ...[2]string) []byte {
	var b bytes.Buffer
	b.WriteString("!<arch>\n")
	for _, m := range members {
		fmt.Fprintf(&b, "%-16s%-12d%-6d%-6d%-8s%-10d`\n%s", m[0], 0, 0, 0, "100644", len(m[1]), m[1])
		if len(m[1])%2 == 1 {
			b.WriteByte('\n')
		}
	}
	return b.Bytes()
}

func TestDeb(t *testing.T) {
	data := string(under(t, sample(t), "xz"))
	b := deb([2]string{"debian-binary", "2.0\n"}, [2]string{"control.tar.xz", "odd"}, [2]string{"data.tar.xz", data})
	if got, err := unpack(t, layer.Deb, b, "/", 0); err != nil || len(got) != 4 || !strings.HasSuffix(got[1], " top/run") {
		t.Errorf("%v, %v", got, err)
	}
	for name, bad := range map[string][]byte{
		"no ar":     []byte("PK\x03\x04"),
		"empty":     nil,
		"no binary": deb([2]string{"data.tar.xz", data}),
		"no data":   deb([2]string{"debian-binary", "2.0\n"}, [2]string{"control.tar.xz", "odd"}),
		"cut":       b[:120],
		"cut data":  b[:len(b)-100],
	} {
		if got, err := unpack(t, layer.Deb, bad, "/", 0); err == nil {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func zipOf(t testing.TB, names ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, name := range names {
		f, err := w.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte("x")); err != nil && !strings.HasSuffix(name, "/") {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestZip(t *testing.T) {
	got, err := unpack(t, layer.Zip, zipOf(t, "m@v1.0.0/a", "m@v1.0.0/d/b"), "/m", 1)
	if want := "0 0644 1 0 m/a\n0 0644 1 0 m/d/b"; err != nil || strings.Join(got, "\n") != want {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := unpack(t, layer.Zip, zipOf(t, "a", "a"), "/", 0); err == nil || !strings.Contains(err.Error(), "twice") {
		t.Error(err)
	}
}

// A toolchain is unpacked as the go command does it.
func TestGoToolchain(t *testing.T) {
	const top = "golang.org/toolchain@v0.0.1-go1.26.0.linux-amd64/"
	got, err := unpack(t, layer.GoToolchain, zipOf(t, top+"bin/go", top+"pkg/tool/linux_amd64/link", top+"src/_go.mod", top+"src/go.x", top+"lib/wasm/go_js_wasm_exec"), "/usr/local/go", 0)
	want := "0 0755 1 0 usr/local/go/bin/go\n0 0755 1 0 usr/local/go/pkg/tool/linux_amd64/link\n0 0644 1 0 usr/local/go/src/go.mod\n0 0644 1 0 usr/local/go/src/go.x\n0 0755 1 0 usr/local/go/lib/wasm/go_js_wasm_exec"
	if err != nil || strings.Join(got, "\n") != want {
		t.Errorf("%v\n%s", err, strings.Join(got, "\n"))
	}
}

// The recipe's own files.
func TestFile(t *testing.T) {
	var out bytes.Buffer
	w := layer.New(context.Background(), &out, clock, max)
	for _, err := range []error{
		w.File("/d/", "", "", false), w.File("/e", "text", "", true), w.File("/empty", "", "", false), w.File("/l", "", "usr/l", false), w.Close(),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	want := "5 0755 0 0 d/\n0 0755 4 0 e\n0 0644 0 0 empty\n2 0777 ->usr/l 0 l"
	if got := strings.Join(list(t, out.Bytes()), "\n"); got != want {
		t.Errorf("%s", got)
	}
}

// What leads out, or is no file, or is more than allowed, is refused by name.
func TestHostile(t *testing.T) {
	reg := func(name string) []byte { return tarOf(t, tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644}) }
	for name, x := range map[string]struct {
		form  string
		b     []byte
		strip int
		says  string
	}{
		"up":              {layer.Tar, reg("../x"), 0, "not a local path"},
		"up inside":       {layer.Tar, reg("a/../../x"), 0, "not a local path"},
		"absolute":        {layer.Tar, reg("/x"), 0, "not a local path"},
		"up in a zip":     {layer.Zip, zipOf(t, "../x"), 0, "not a local path"},
		"link up":         {layer.Tar, tarOf(t, tar.Header{Name: "x", Typeflag: tar.TypeLink, Linkname: "../y"}), 0, "not a local path"},
		"a device":        {layer.Tar, tarOf(t, tar.Header{Name: "x", Typeflag: tar.TypeBlock}), 0, "only files"},
		"a pipe":          {layer.Tar, tarOf(t, tar.Header{Name: "x", Typeflag: tar.TypeFifo}), 0, "only files"},
		"nothing left":    {layer.Tar, reg("x"), 1, "fewer elements"},
		"the root":        {layer.Tar, reg("."), 0, "not a local path"},
		"no tar":          {layer.Tar, []byte(strings.Repeat("no tar ", 200)), 0, "not a tar"},
		"empty":           {layer.Tar, nil, 0, "reading an archive"},
		"no zip":          {layer.Zip, []byte("no zip"), 0, "not a zip"},
		"a cut tar":       {layer.Tar, sample(t)[:1400], 0, ""},
		"a cut gzip":      {layer.Tar, under(t, sample(t), "gzip")[:60], 0, ""},
		"a bomb":          {layer.Tar, under(t, append(tarHead(t, 1<<30), make([]byte, 1<<20)...), "gzip"), 0, "larger than allowed"},
		"no such form":    {"cab", reg("x"), 0, "no such form"},
		"a long name":     {layer.Tar, reg(strings.Repeat("x/", 3000) + "x"), 0, "not a local path"},
		"a zero in a zip": {layer.Zip, zipOf(t, "a\x00b"), 0, "not a local path"},
	} {
		got, err := unpack(t, x.form, x.b, "/", x.strip)
		if err == nil || !strings.Contains(err.Error(), x.says) {
			t.Errorf("%s: %v, %v; want %q", name, got, err, x.says)
		}
	}
}

// tarHead is the head of a file that is said to have n bytes.
func tarHead(t testing.TB, n int64) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := tar.NewWriter(&b).WriteHeader(&tar.Header{Name: "big", Typeflag: tar.TypeReg, Size: n}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// A caller that gives up is obeyed.
func TestCancelled(t *testing.T) {
	ctx, stop := context.WithCancel(context.Background())
	stop()
	b := sample(t)
	w := layer.New(ctx, io.Discard, clock, max)
	if err := w.Add(layer.Tar, bytes.NewReader(b), int64(len(b)), "/", 0); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// Whatever it is given, it ends within its bounds, and what it writes is a tar
// of local names.
func FuzzAdd(f *testing.F) {
	f.Add(layer.Tar, sample(f), 1)
	f.Add(layer.Tar, under(f, sample(f), "gzip"), 0)
	f.Add(layer.Tar, under(f, sample(f), "xz"), 0)
	f.Add(layer.Tar, under(f, sample(f), "zstd"), 0)
	f.Add(layer.Zip, zipOf(f, "a/b", "c/"), 0)
	f.Add(layer.GoToolchain, zipOf(f, "a/b/bin/go"), 0)
	f.Add(layer.Deb, deb([2]string{"debian-binary", "2.0\n"}, [2]string{"data.tar", string(sample(f))}), 0)
	f.Fuzz(func(t *testing.T, form string, b []byte, strip int) {
		if strip < 0 || strip > 16 {
			return
		}
		var out bytes.Buffer
		w := layer.New(context.Background(), &out, clock, max)
		if w.Add(form, bytes.NewReader(b), int64(len(b)), "/x", strip) != nil || w.Close() != nil {
			return
		}
		for _, line := range list(t, out.Bytes()) {
			name := line[strings.LastIndexByte(line, ' ')+1:]
			if strings.Contains("/"+name+"/", "/../") {
				t.Fatal(line)
			}
		}
	})
}
