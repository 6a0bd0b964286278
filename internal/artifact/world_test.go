package artifact_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"pgregory.net/rapid"

	"vitrine.example/internal/artifact"
)

// fataler is what *testing.T and *rapid.T share.
type fataler interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

// room is where pairs are written.
type room struct{ dir string }

func newRoom(t *testing.T) room { return room{t.TempDir()} }

// compare compares two files of these bytes.
func (r room) compare(t fataler, shipped, rebuilt []byte) *artifact.Report {
	t.Helper()
	rep, err := r.try(t, shipped, rebuilt, artifact.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return rep
}

func (r room) try(t fataler, shipped, rebuilt []byte, o artifact.Options) (*artifact.Report, error) {
	t.Helper()
	a, b := filepath.Join(r.dir, "shipped"), filepath.Join(r.dir, "rebuilt")
	for path, data := range map[string][]byte{a: shipped, b: rebuilt} {
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	o.TempDir = r.dir
	return artifact.Compare(context.Background(), a, b, o)
}

// file is a member of a generated archive.
type file struct {
	name, body, link string
	mode             int64
	kind             byte
	time             time.Time
	uid              int
}

var day = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// someFiles draws members with different names.
func someFiles(t *rapid.T) []file {
	n := rapid.IntRange(2, 6).Draw(t, "members")
	var all []file
	for i := range n {
		f := file{name: fmt.Sprintf("dir/f%d", i), mode: 0o644, kind: tar.TypeReg, time: day}
		f.body = rapid.StringMatching(`[a-z \n]{1,600}`).Draw(t, "body")
		if rapid.IntRange(0, 4).Draw(t, "exec") == 0 {
			f.mode = 0o755
		}
		if i > 0 && rapid.IntRange(0, 5).Draw(t, "link") == 0 {
			f = file{name: f.name, kind: tar.TypeSymlink, link: all[0].name, mode: 0o777, time: day}
		}
		if rapid.IntRange(0, 9).Draw(t, "long") == 0 {
			f.name = "dir/" + string(bytes.Repeat([]byte{'x'}, 120)) + fmt.Sprint(i)
		}
		all = append(all, f)
	}
	return all
}

func tarOf(t fataler, all []file) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range all {
		h := &tar.Header{Name: f.name, Mode: f.mode, Typeflag: f.kind, Linkname: f.link, ModTime: f.time, Uid: f.uid, Size: int64(len(f.body))}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, f.body); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func gzipOf(t fataler, b []byte, level int) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, level)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(b); err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func zipOf(t fataler, all []file, comment string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, f := range all {
		h := &zip.FileHeader{Name: f.name, Method: zip.Deflate, Modified: f.time}
		body := f.body
		if f.kind == tar.TypeSymlink {
			h.SetMode(os.ModeSymlink | 0o777)
			body = f.link
		} else {
			h.SetMode(os.FileMode(f.mode))
		}
		m, err := w.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(m, body); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.SetComment(comment); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// tarSum writes the checksum of the header at off again.
func tarSum(b []byte, off int) {
	h := b[off : off+512]
	copy(h[148:156], "        ")
	sum := 0
	for _, c := range h {
		sum += int(c)
	}
	copy(h[148:156], fmt.Sprintf("%06o\x00 ", sum))
}

// headers are the offsets of the headers of a tar that holds plain members.
func headers(b []byte) (all []int) {
	for off := 0; off+512 <= len(b) && b[off] != 0; {
		all = append(all, off)
		var size int
		fmt.Sscanf(string(b[off+124:off+135]), "%o", &size)
		off += 512 + (size+511)/512*512
	}
	return all
}

// plainHeaders are those of the members themselves, without extended headers.
func plainHeaders(b []byte) (all []int) {
	for _, off := range headers(b) {
		if b[off+156] != 'x' {
			all = append(all, off)
		}
	}
	return all
}

func sha256sum(b []byte) [32]byte { return sha256.Sum256(b) }
