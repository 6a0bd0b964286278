package centre

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vitrine.example/internal/mirror"
	"vitrine.example/tlog"
)

// zipped is a file of a zip.
type zipped struct {
	name string
	data []byte
}

func unzip(t testing.TB, path string) (out []zipped) {
	t.Helper()
	z, err := zip.OpenReader(path)
	check(t, err)
	defer z.Close()
	for _, f := range z.File {
		r, err := f.Open()
		check(t, err)
		b, err := io.ReadAll(r)
		check(t, errors.Join(err, r.Close()))
		out = append(out, zipped{f.Name, b})
	}
	return out
}

func zipOf(t testing.TB, files ...zipped) string {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, f := range files {
		w, err := z.Create(f.name)
		check(t, err)
		_, err = w.Write(f.data)
		check(t, err)
	}
	check(t, z.Close())
	path := filepath.Join(t.TempDir(), "log.zip")
	check(t, os.WriteFile(path, b.Bytes(), 0o600))
	return path
}

// TestArchive: an archive is verified as a whole without its node, statements
// too; archives that follow one another bring a log to a mirror that has no
// network.
func TestArchive(t *testing.T) {
	dir := newNode(t, InitOptions{URL: "https://vendor.example"})
	h := connect(t, dir)
	publish(t, h, "1.0", "first")
	publish(t, h, "1.1", "second")
	vkey := h.Info().Log[0]
	v, err := tlog.ParseVerifier(vkey)
	check(t, err)
	place := t.TempDir()
	first, all, rest := filepath.Join(place, "first.zip"), filepath.Join(place, "all.zip"), filepath.Join(place, "rest.zip")
	_, err = ExportLog(within(t), dir, first, ExportOptions{})
	check(t, err)
	for i := range 3 {
		publish(t, h, fmt.Sprintf("2.%d", i), "more")
	}
	_, err = ExportLog(within(t), dir, all, ExportOptions{Content: true})
	check(t, err)
	_, err = ExportLog(within(t), dir, rest, ExportOptions{Since: 2})
	check(t, err)
	check(t, h.Close(within(t)))
	wantArchive(t, rename(t, all), 5)
	wantLeft(t, place, "all.zip", "first.zip", "rest.zip")

	a, err := VerifyArchive(within(t), all, v, nil, nil)
	if err != nil || a.Size != 5 || a.Statements != 5 || a.Since != 0 || a.Origin != "vendor.example" {
		t.Fatalf("%+v, %v", a, err)
	}
	one, err := VerifyArchive(within(t), first, v, nil, nil)
	check(t, err)
	two, err := VerifyArchive(within(t), rest, v, nil, nil)
	if err != nil || two.Since != 2 || two.SinceRoot != one.Root || two.Root != a.Root {
		t.Errorf("%+v, %v; the first had the root %s", two, err, one.Root)
	}
	stranger, err := tlog.ParseVerifier(connect(t, newNode(t, InitOptions{URL: "https://vendor.example"})).Info().Log[0])
	check(t, err)
	if _, err := VerifyArchive(within(t), all, stranger, nil, nil); err == nil {
		t.Error("accepted under the key of a stranger")
	}
	wantPolicy(t, all, v)

	// The mirror of a node without a network.
	c := connect(t, newNode(t, InitOptions{URL: "https://centre.example"}))
	if _, err := c.Mirror(within(t), MirrorAsk{Do: "import", URL: first}); !errors.Is(err, mirror.ErrUnknown) {
		t.Errorf("importing an unknown log: %v", err)
	}
	_, err = c.Mirror(within(t), MirrorAsk{Do: "add", Origin: "vendor.example", Keys: []string{vkey}})
	check(t, err)
	if _, err := c.Mirror(within(t), MirrorAsk{Do: "import", URL: rest}); !errors.Is(err, ErrMirror) {
		t.Errorf("importing what follows first: %v", err)
	}
	for _, step := range []struct {
		path string
		size int64
	}{{first, 2}, {first, 2}, {rest, 5}, {all, 5}} {
		m, err := c.Mirror(within(t), MirrorAsk{Do: "import", URL: step.path})
		if err != nil || len(m.Logs) != 1 || m.Logs[0].Size != step.size {
			t.Fatalf("importing %s: %+v, %v", filepath.Base(step.path), m, err)
		}
	}
	if _, err := c.Mirror(within(t), MirrorAsk{Do: "import", URL: first}); err == nil {
		t.Error("the mirror went back")
	}
	if m, err := c.Mirror(within(t), MirrorAsk{Do: "check", Origin: "vendor.example"}); err != nil || m.Logs[0].Size != 5 || m.Logs[0].Problem != "" {
		t.Errorf("the copy: %+v, %v", m, err)
	}
}

// rename gives an archive the name that torchwood looks for, in a directory of
// its own.
func rename(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	check(t, err)
	to := filepath.Join(t.TempDir(), "000.zip")
	check(t, os.WriteFile(to, b, 0o600))
	return to
}

// wantPolicy wants cosignatures that the archive does not have.
func wantPolicy(t *testing.T, file string, v tlog.Verifier) {
	t.Helper()
	h := connect(t, newNode(t, InitOptions{URL: "https://w.example"}))
	p, err := tlog.ParsePolicy(fmt.Appendf(nil, "witness w %s\nquorum w\n", nodeWitnessKeys(t, h)[0]))
	check(t, err)
	if _, err := VerifyArchive(within(t), file, v, p, nil); err == nil || !strings.Contains(err.Error(), "w") {
		t.Errorf("without the cosignature of w: %v", err)
	}
	p, err = tlog.ParsePolicy([]byte("quorum none\n"))
	check(t, err)
	if _, err := VerifyArchive(within(t), file, v, p, nil); err != nil {
		t.Errorf("a policy of nothing: %v", err)
	}
}

// TestArchiveRefused: whatever is changed, added, left out or there twice.
func TestArchiveRefused(t *testing.T) {
	dir := newNode(t, InitOptions{})
	h := connect(t, dir)
	publish(t, h, "1.0", "first")
	publish(t, h, "1.1", "second")
	v, err := tlog.ParseVerifier(h.Info().Log[0])
	check(t, err)
	whole := filepath.Join(t.TempDir(), "whole.zip")
	_, err = ExportLog(within(t), dir, whole, ExportOptions{Content: true})
	check(t, err)
	files := unzip(t, whole)
	if len(files) != 5 {
		t.Fatalf("%d files, want checkpoint, tile, bundle and two statements", len(files))
	}
	if _, err := VerifyArchive(within(t), zipOf(t, files...), v, nil, nil); err != nil {
		t.Fatal(err)
	}
	refuse := func(what string, files ...zipped) {
		t.Helper()
		if r, err := VerifyArchive(within(t), zipOf(t, files...), v, nil, nil); err == nil {
			t.Errorf("%s: accepted: %+v", what, r)
		}
	}
	for i, f := range files {
		without := append(append([]zipped{}, files[:i]...), files[i+1:]...)
		if !strings.HasPrefix(f.name, "envelope/") {
			refuse("without "+f.name, without...)
		}
		bad := bytes.Clone(f.data)
		bad[len(bad)/2] ^= 1
		refuse("changed "+f.name, append(without, zipped{f.name, bad})...)
		refuse("twice "+f.name, append(append([]zipped{}, files...), f)...)
	}
	for _, name := range []string{"../a", "tile/0/001", "tile/1/000.p/1", "tile/0/000", "envelope/2", "envelope/01", "envelope/x", "x", "since", "tile", ".state/treeState"} {
		refuse("with "+name, append(append([]zipped{}, files...), zipped{name, files[1].data})...)
	}
	for _, since := range []string{"0\n", "1", "3\n", "-1\n", "01\n", strings.Repeat("1", 30)} {
		refuse("since "+since, append(append([]zipped{}, files...), zipped{"since", []byte(since)})...)
	}
	swapped := append([]zipped{}, files...)
	for i, f := range swapped {
		switch f.name {
		case "envelope/0":
			swapped[i].name = "envelope/1"
		case "envelope/1":
			swapped[i].name = "envelope/0"
		}
	}
	refuse("statements of each other", swapped...)
	garbage := filepath.Join(t.TempDir(), "garbage")
	check(t, os.WriteFile(garbage, []byte("PK"), 0o600))
	if _, err := VerifyArchive(within(t), garbage, v, nil, nil); err == nil {
		t.Error("garbage was accepted")
	}
}
