package artifact_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	kflate "github.com/klauspost/compress/flate"

	"vitrine.example/internal/artifact"
)

// run runs a program that a test needs; where it is missing the test fails and
// says which package has it.
func run(t *testing.T, dir, pkg string, args ...string) {
	t.Helper()
	if _, err := exec.LookPath(args[0]); err != nil {
		t.Fatalf("%s is missing; install it: apt-get install %s", args[0], pkg)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
}

func write(t *testing.T, path, body string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(body), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// causes are the names of a report's causes, each once.
func causes(r *artifact.Report) string {
	seen := map[string]bool{}
	var all []string
	for _, c := range r.Causes {
		if !seen[c.Name] {
			all = append(all, c.Name)
		}
		seen[c.Name] = true
	}
	return strings.Join(all, " ")
}

// want holds a report against a verdict and what must be named.
func want(t *testing.T, r *artifact.Report, v artifact.Verdict, causeNames string, differences ...string) {
	t.Helper()
	t.Helper()
	if r.Verdict != v {
		t.Errorf("%s, want %s; causes %+v, differences %+v, unread %v", r.Verdict, v, r.Causes, r.Differences, r.Unread)
	}
	for name := range strings.FieldsSeq(causeNames) {
		if !strings.Contains(" "+causes(r)+" ", " "+name+" ") {
			t.Errorf("causes %q, want %q", causes(r), name)
		}
	}
	for _, d := range differences {
		where, what, _ := strings.Cut(d, ": ")
		found := false
		for _, x := range r.Differences {
			found = found || strings.HasSuffix(x.Where, where) && x.What == what
		}
		if !found {
			t.Errorf("no difference %q in %+v", d, r.Differences)
		}
	}
}

// deb builds a Debian package by dpkg-deb.
func deb(t *testing.T, gz []byte, script string, mode os.FileMode, at int64, compression string) []byte {
	t.Helper()
	dir := t.TempDir()
	sums := ""
	root := filepath.Join(dir, "root")
	write(t, filepath.Join(root, "usr/bin/hello"), script, mode)
	write(t, filepath.Join(root, "usr/share/man/man1/hello.1.gz"), string(gz), 0o644)
	cmd := exec.Command("sh", "-c", "md5sum usr/bin/hello usr/share/man/man1/hello.1.gz")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	sums = string(out)
	write(t, filepath.Join(root, "DEBIAN/control"), "Package: hello\nVersion: 1\nArchitecture: all\nMaintainer: nobody <nobody@vendor.example>\nDescription: hello\n", 0o644)
	write(t, filepath.Join(root, "DEBIAN/md5sums"), sums, 0o644)
	when := time.Unix(at, 0)
	if err := filepath.Walk(root, func(p string, _ os.FileInfo, err error) error {
		if err == nil {
			err = os.Chtimes(p, when, when)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	run(t, dir, "dpkg", "dpkg-deb", "--root-owner-group", "-Z"+compression, "-b", "root", "out.deb")
	return read(t, filepath.Join(dir, "out.deb"))
}

func TestDebianPackages(t *testing.T) {
	r := newRoom(t)
	page := []byte(".TH HELLO 1\nhello says hi\n")
	one, two := gzipOf(t, page, 9), gzipOf(t, page, 9)
	two[4] = 7 // the time in its header
	const script = "#!/bin/sh\necho hi\n"
	shipped := deb(t, one, script, 0o755, 1e9, "xz")
	want(t, r.compare(t, shipped, deb(t, two, script, 0o755, 1e9+60, "xz")), artifact.Explained, "mtime gzip-header derived-digest encoder")
	want(t, r.compare(t, shipped, deb(t, one, "#!/bin/sh\necho ho\n", 0o755, 1e9, "xz")), artifact.Different, "",
		"data.tar → ./usr/bin/hello: content", "control.tar → ./md5sums: content")
	want(t, r.compare(t, shipped, deb(t, one, script, 0o644, 1e9, "xz")), artifact.Different, "", "./usr/bin/hello: mode")
	want(t, r.compare(t, shipped, deb(t, one, script, 0o755|os.ModeSetuid, 1e9, "xz")), artifact.Different, "", "./usr/bin/hello: mode")
	want(t, r.compare(t, shipped, deb(t, one, script, 0o755, 1e9, "gzip")), artifact.Different, "", "data.tar.xz: member")
	zst := deb(t, one, script, 0o755, 1e9, "zstd")
	want(t, r.compare(t, zst, deb(t, one, script, 0o755, 2e9, "zstd")), artifact.Explained, "mtime encoder")
	// Owners and all permissions of what root installs count: all to 1000, all to 775.
	owned := deb(t, one, script, 0o755, 1e9, "none")
	for what, b := range map[string][]byte{
		"owner": bytes.ReplaceAll(owned, []byte("0000000\x000000000\x00"), []byte("0001750\x000001750\x00")),
		"mode":  bytes.ReplaceAll(owned, []byte("0000755\x00"), []byte("0000775\x00")),
	} {
		for off := 0; off+512 <= len(b); off++ {
			if bytes.Equal(b[off+257:off+262], []byte("ustar")) {
				tarSum(b, off)
			}
		}
		want(t, r.compare(t, owned, b), artifact.Different, "", "./usr/bin/hello: "+what)
	}
}

func TestStaticLibraries(t *testing.T) {
	r := newRoom(t)
	lib := func(flags string, names ...string) []byte {
		dir := t.TempDir()
		for _, n := range names {
			write(t, filepath.Join(dir, n), "object "+n+"\n", 0o644)
		}
		run(t, dir, "binutils", append([]string{"ar", flags, "lib.a"}, names...)...)
		return read(t, filepath.Join(dir, "lib.a"))
	}
	one := lib("qcD", "a.o", "b.o", "long-name-of-an-object.o")
	want(t, r.compare(t, one, lib("qcU", "a.o", "b.o", "long-name-of-an-object.o")), artifact.Different, "mtime", "a.o: mode") // D writes 644, U what is there
	want(t, r.compare(t, one, lib("qcD", "b.o", "a.o", "long-name-of-an-object.o")), artifact.Different, "", ": order")
	want(t, r.compare(t, one, append(bytes.Clone(one), '\n')), artifact.Different, "")
	stamped := bytes.Replace(one, []byte("0           0     0     644"), []byte("1700000000  1000  1000  644"), 1)
	want(t, r.compare(t, one, stamped), artifact.Explained, "mtime owner")
}

// streamOf compresses by a program of the field.
func streamOf(t *testing.T, body []byte, pkg string, args ...string) []byte {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "in"), string(body), 0o644)
	run(t, dir, pkg, "sh", "-c", strings.Join(args, " ")+" < in > out")
	return read(t, filepath.Join(dir, "out"))
}

func TestOtherStreams(t *testing.T) {
	r := newRoom(t)
	body := []byte(strings.Repeat("who may say what: keys, signers, verifiers\n", 5000))
	for _, c := range []struct{ pkg, one, two string }{
		{"xz-utils", "xz -9", "xz -1 --check=crc32"}, {"zstd", "zstd -19", "zstd -1 --no-check"}, {"bzip2", "bzip2 -9", "bzip2 -1"},
	} {
		one, two := streamOf(t, body, c.pkg, c.one), streamOf(t, body, c.pkg, c.two)
		want(t, r.compare(t, one, two), artifact.Explained, "encoder")
		empty := streamOf(t, nil, c.pkg, c.one)
		for what, bad := range map[string][]byte{
			"second stream": append(bytes.Clone(two), two...), "empty second stream": append(bytes.Clone(two), empty...),
			"bytes behind": append(bytes.Clone(two), "hidden"...), "zeros behind": append(bytes.Clone(two), 0, 0, 0, 0),
			"cut": two[:len(two)-3], "other": streamOf(t, body[1:], c.pkg, c.two),
		} {
			for _, p := range [][2][]byte{{one, bad}, {bad, one}} {
				if rep := r.compare(t, p[0], p[1]); rep.Verdict != artifact.Different || len(rep.Differences) == 0 {
					t.Errorf("%s: %s is %s: %+v", c.one, what, rep.Verdict, rep.Causes)
				}
			}
		}
	}
}

// TestEncodersOfGo: both generations of Go's encoder are found by encoding again.
func TestEncodersOfGo(t *testing.T) {
	r := newRoom(t)
	files := []file{{name: "vendor.example/app@v1.0.0/go.mod", body: "module vendor.example/app\n", mode: 0o644, kind: tar.TypeReg, time: day},
		{name: "vendor.example/app@v1.0.0/app.go", body: strings.Repeat("package app // and what it does\n", 400), mode: 0o644, kind: tar.TypeReg, time: day}}
	older := zipOf(t, files, "")
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	w.RegisterCompressor(zip.Deflate, func(o io.Writer) (io.WriteCloser, error) { return kflate.NewWriter(o, 6) })
	for _, f := range files {
		h := &zip.FileHeader{Name: f.name, Method: zip.Deflate, Modified: f.time}
		h.SetMode(os.FileMode(f.mode))
		m, err := w.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(m, f.body); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	rep := r.compare(t, older, b.Bytes())
	want(t, rep, artifact.Explained, "encoder")
	if len(rep.Facts) != 1 || rep.Facts[0].Shipped != rep.Facts[0].Rebuilt || !strings.HasPrefix(rep.Facts[0].Shipped, "h1:") {
		t.Errorf("facts %+v", rep.Facts)
	}
	if s := fmt.Sprint(rep.Causes); !strings.Contains(s, "Go up to 1.26, level 6") && !strings.Contains(s, "Go up to 1.26, level 5") || !strings.Contains(s, "Go from 1.27, level 6") {
		t.Errorf("causes %s", s)
	}
}

func TestNpmPackages(t *testing.T) {
	r := newRoom(t)
	files := []file{{name: "package/package.json", body: "{}", mode: 0o644, kind: tar.TypeReg, time: day},
		{name: "package/index.js", body: "one()", mode: 0o644, kind: tar.TypeReg, time: day, uid: 501}}
	one := gzipOf(t, tarOf(t, files), 9)
	files[1].uid = 0
	want(t, r.compare(t, one, gzipOf(t, tarOf(t, files), 9)), artifact.Explained, "owner encoder")
	files[1].mode = 0o755
	want(t, r.compare(t, one, gzipOf(t, tarOf(t, files), 9)), artifact.Different, "", "package/index.js: mode")
}

// apk makes a package of Alpine: members of gzip in a row, the last tar alone with
// an end.
func apk(t *testing.T, signed bool, info string, at time.Time) []byte {
	part := func(end bool, f ...file) []byte {
		b := tarOf(t, f)
		if !end {
			b = b[:len(b)-1024]
		}
		return gzipOf(t, b, 9)
	}
	var out []byte
	if signed {
		out = part(false, file{name: ".SIGN.RSA.vendor.rsa.pub", body: "signature", mode: 0o644, kind: tar.TypeReg, time: day})
	}
	data := part(true, file{name: "usr/bin/hello", body: "#!/bin/sh\n", mode: 0o755, kind: tar.TypeReg, time: at})
	info += fmt.Sprintf("datahash = %x\n", sha256sum(data))
	return append(append(out, part(false, file{name: ".PKGINFO", body: info, mode: 0o644, kind: tar.TypeReg, time: day})...), data...)
}

func TestAlpinePackages(t *testing.T) {
	r := newRoom(t)
	const info = "pkgname = hello\nbuilddate = 1700000000\n"
	one := apk(t, true, info, day)
	want(t, r.compare(t, one, apk(t, false, info, day)), artifact.Explained, "signature")
	want(t, r.compare(t, one, apk(t, false, "pkgname = hello\nbuilddate = 1700000777\n", day.Add(time.Hour))), artifact.Explained, "signature embedded-date derived-digest mtime")
	want(t, r.compare(t, one, apk(t, false, "pkgname = hullo\nbuilddate = 1700000000\n", day)), artifact.Different, "", ".PKGINFO: content")
	want(t, r.compare(t, apk(t, false, info, day), one), artifact.Different, "", ": signature")
}
