package backup_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"vitrine.example/internal/backup"
)

var header = backup.Header{Origin: "log.example", Log: "log.example+1+x", At: time.Unix(1900000000, 0).UTC(), Software: "test", Database: "sqlite"}

type file struct{ name, data string }

func write(t testing.TB, files ...file) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := backup.NewWriter(&b, header)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if err := w.Put(t.Context(), f.name, int64(len(f.data)), strings.NewReader(f.data)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func read(b []byte, l backup.Limits) (h backup.Header, files []file, err error) {
	err = backup.Read(context.Background(), bytes.NewReader(b), l,
		func(x backup.Header) error { h = x; return nil },
		func(name string, size int64, r io.Reader) error {
			data, err := io.ReadAll(r)
			if err == nil && int64(len(data)) != size {
				err = fmt.Errorf("%s has %d bytes, and %d were told", name, len(data), size)
			}
			files = append(files, file{name, string(data)})
			return err
		})
	return h, files, err
}

// TestRoundTripLaw: what was written comes back, in order.
func TestRoundTripLaw(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var in []file
		for i := range rapid.IntRange(0, 8).Draw(rt, "files") {
			in = append(in, file{fmt.Sprintf("d%d/%s", i, rapid.StringMatching(`[a-z0-9_-][a-z0-9._-]{0,200}`).Draw(rt, "name")), string(rapid.SliceOfN(rapid.Byte(), 0, 5000).Draw(rt, "data"))})
		}
		h, out, err := read(write(t, in...), backup.Limits{})
		if err != nil || h != header || fmt.Sprint(in) != fmt.Sprint(out) {
			rt.Fatalf("%v: %+v: %q is read as %q", err, h, in, out)
		}
	})
}

// member is one entry of an archive that somebody else has written.
type member struct {
	tar.Header
	data string
}

// forge writes an archive as an enemy does: any members, and a manifest that is
// right unless another is given.
func forge(t testing.TB, manifest string, members ...member) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	h, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	all := append([]member{{tar.Header{Name: "vitrine-backup"}, backup.Format + "\n" + string(h) + "\n"}}, members...)
	lines := ""
	for _, m := range all {
		lines += fmt.Sprintf("%x %d %s\n", sha256.Sum256([]byte(m.data)), len(m.data), m.Name)
	}
	if manifest == "" {
		manifest = lines
	}
	for _, m := range append(all, member{tar.Header{Name: "manifest"}, manifest}) {
		m.Size = int64(len(m.data))
		if m.Typeflag == 0 {
			m.Typeflag = tar.TypeReg
		}
		if err := w.WriteHeader(&m.Header); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(m.data)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestRefused(t *testing.T) {
	plain := member{tar.Header{Name: "a"}, "x"}
	if _, files, err := read(forge(t, "", plain), backup.Limits{}); err != nil || len(files) != 1 {
		t.Fatalf("the forger's honest archive: %q, %v", files, err)
	}
	good := write(t, file{"a", "x"}, file{"b", strings.Repeat("y", 3000)})
	for name, b := range map[string][]byte{
		"absolute":        forge(t, "", member{tar.Header{Name: "/etc/passwd"}, "x"}),
		"parent":          forge(t, "", member{tar.Header{Name: "../a"}, "x"}),
		"parent within":   forge(t, "", member{tar.Header{Name: "a/../../b"}, "x"}),
		"not clean":       forge(t, "", member{tar.Header{Name: "a//b"}, "x"}),
		"dot":             forge(t, "", member{tar.Header{Name: "./a"}, "x"}),
		"backslash":       forge(t, "", member{tar.Header{Name: `a\b`}, "x"}),
		"drive":           forge(t, "", member{tar.Header{Name: "c:a"}, "x"}),
		"line feed":       forge(t, "", member{tar.Header{Name: "a\nb"}, "x"}),
		"not ASCII":       forge(t, "", member{tar.Header{Name: "ä"}, "x"}),
		"long name":       forge(t, "", member{tar.Header{Name: strings.Repeat("n", 256)}, "x"}),
		"link":            forge(t, "", member{tar.Header{Name: "a", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}, ""}),
		"hard link":       forge(t, "", member{tar.Header{Name: "a", Typeflag: tar.TypeLink, Linkname: "b"}, ""}),
		"directory":       forge(t, "", member{tar.Header{Name: "a", Typeflag: tar.TypeDir}, ""}),
		"device":          forge(t, "", member{tar.Header{Name: "a", Typeflag: tar.TypeChar}, ""}),
		"second header":   forge(t, "", member{tar.Header{Name: "vitrine-backup"}, "x"}),
		"second manifest": forge(t, "", member{tar.Header{Name: "manifest"}, "x"}),
		"other manifest":  forge(t, strings.Repeat("0", 64)+" 1 a\n", plain),
		"no manifest":     good[:len(good)-40],
		"bytes after it":  append(bytes.Clone(good), 0),
		"two archives":    append(bytes.Clone(good), good...),
		"empty":           nil,
		"no gzip":         []byte("vitrine-backup-v1\n"),
	} {
		_, _, err := read(b, backup.Limits{})
		if !errors.Is(err, backup.ErrFormat) {
			t.Errorf("%s: %v, want ErrFormat", name, err)
		}
	}
	_, files, err := read(good, backup.Limits{})
	want, idle := fmt.Sprint(files), 0
	if err != nil {
		t.Fatal(err)
	}
	for i := range good {
		flipped := bytes.Clone(good)
		flipped[i] ^= 0x10
		// Some bits of gzip say nothing.
		if h, files, err := read(flipped, backup.Limits{}); err == nil && (h != header || fmt.Sprint(files) != want) {
			t.Errorf("byte %d of %d changed: other files are accepted", i, len(good))
		} else if err == nil {
			idle++
		}
		if _, _, err := read(good[:i], backup.Limits{}); !errors.Is(err, backup.ErrFormat) {
			t.Errorf("cut after %d of %d bytes: %v", i, len(good), err)
		}
	}
	if idle > len(good)/10 {
		t.Errorf("%d of %d bytes may change", idle, len(good))
	}
}

func TestBounds(t *testing.T) {
	b := write(t, file{"zeros", strings.Repeat("\x00", 1<<20)}, file{"b", ""})
	for _, l := range []backup.Limits{{Bytes: 1 << 20}, {Members: 3}} {
		if _, _, err := read(b, l); !errors.Is(err, backup.ErrTooLarge) {
			t.Errorf("%+v: %v, want ErrTooLarge", l, err)
		}
	}
	if _, _, err := read(b, backup.Limits{Bytes: 2 << 20, Members: 4}); err != nil {
		t.Errorf("within the bounds: %v", err)
	}
}

// TestPutFails: an error of the reader's own comes through as it is, and so does
// the end of a context.
func TestPutFails(t *testing.T) {
	mine := errors.New("mine")
	b := write(t, file{"a", "x"})
	begin := func(backup.Header) error { return nil }
	err := backup.Read(t.Context(), bytes.NewReader(b), backup.Limits{}, begin, func(string, int64, io.Reader) error { return mine })
	if !errors.Is(err, mine) {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err = backup.Read(ctx, bytes.NewReader(b), backup.Limits{}, func(backup.Header) error { cancel(); return nil },
		func(string, int64, io.Reader) error { return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// TestWriterRefuses: a file that shrinks while it is read ends the archive.
func TestWriterRefuses(t *testing.T) {
	var b bytes.Buffer
	w, err := backup.NewWriter(&b, header)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Put(t.Context(), "../a", 1, strings.NewReader("x")); !errors.Is(err, backup.ErrFormat) {
		t.Errorf("a name that leads out: %v", err)
	}
	if err := w.Put(t.Context(), "a", 10, strings.NewReader("short")); err == nil {
		t.Error("a file that is too short was taken")
	}
	if err := w.Close(); err == nil {
		t.Error("the archive was ended all the same")
	}
}

// FuzzRead: whatever is read, nothing leads out of the directory, the bounds hold,
// and what is accepted is written again with the same files.
func FuzzRead(f *testing.F) {
	f.Add(write(f, file{"a", "x"}, file{"log/tile/0/000", "y"}))
	f.Add(forge(f, "", member{tar.Header{Name: "../a"}, "x"}))
	f.Add(forge(f, "x", member{tar.Header{Name: "a"}, "x"}))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, files, err := read(b, backup.Limits{Bytes: 1 << 20, Members: 100})
		total := 0
		for _, x := range files {
			if strings.HasPrefix(x.name, "/") || strings.HasPrefix(x.name, "..") || strings.Contains(x.name, "/../") {
				t.Errorf("%q leads out", x.name)
			}
			total += len(x.data)
		}
		if total > 1<<20 || len(files) > 100 {
			t.Errorf("%d bytes in %d files", total, len(files))
		}
		if err != nil {
			return
		}
		if _, again, err := read(write(t, files...), backup.Limits{}); err != nil || fmt.Sprint(again) != fmt.Sprint(files) {
			t.Errorf("%v: %q became %q", err, files, again)
		}
	})
}
