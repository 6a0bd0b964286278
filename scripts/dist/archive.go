package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"time"
)

// file is one member of an archive.
type file struct {
	name string // in the archive
	path string // on disk
	mode int64
}

// epoch is the time of every member; archives of a release know no other.
var epoch = time.Unix(0, 0).UTC()

// writeTarGz writes files below the directory root, in the given order.
func writeTarGz(to, root string, files []file) error {
	var b bytes.Buffer
	if err := tarGz(&b, root+"/", files); err != nil {
		return err
	}
	return os.WriteFile(to, b.Bytes(), 0o644)
}

func tarGz(w io.Writer, prefix string, files []file) error {
	gz, err := gzip.NewWriterLevel(w, gzip.BestCompression)
	if err != nil {
		return err
	}
	tw := tar.NewWriter(gz)
	for _, dir := range directories(prefix, files) {
		h := &tar.Header{Typeflag: tar.TypeDir, Name: dir, Mode: 0o755, ModTime: epoch, Format: tar.FormatUSTAR}
		if err := tw.WriteHeader(h); err != nil {
			return err
		}
	}
	for _, f := range files {
		b, err := os.ReadFile(f.path)
		if err != nil {
			return err
		}
		if err := writeMember(tw, prefix+f.name, b, f.mode); err != nil {
			return err
		}
	}
	if err := tw.Close(); err != nil {
		return err
	}
	return gz.Close()
}

func writeMember(tw *tar.Writer, name string, b []byte, mode int64) error {
	h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: int64(len(b)), ModTime: epoch, Format: tar.FormatUSTAR}
	if err := tw.WriteHeader(h); err != nil {
		return err
	}
	_, err := tw.Write(b)
	return err
}

// directories returns every directory that files need, parents first.
func directories(prefix string, files []file) []string {
	var dirs []string
	for _, f := range files {
		for d := path.Dir(prefix + f.name); d != "." && d != "/"; d = path.Dir(d) {
			if !slices.Contains(dirs, d+"/") {
				dirs = append(dirs, d+"/")
			}
		}
	}
	slices.Sort(dirs)
	return dirs
}

// writeDeb writes a Debian binary package, format 2.0 (deb(5)): an ar archive
// of debian-binary, control.tar.gz and data.tar.gz.
func writeDeb(to, version, goarch string, files []file) error {
	var data, control bytes.Buffer
	if err := tarGz(&data, "./usr/", files); err != nil {
		return err
	}
	var size int64
	var sums strings.Builder
	for _, f := range files {
		b, err := os.ReadFile(f.path)
		if err != nil {
			return err
		}
		size += int64(len(b))
		sum := md5.Sum(b) // what deb's md5sums file is; no security rests on it
		fmt.Fprintf(&sums, "%s  usr/%s\n", hex.EncodeToString(sum[:]), f.name)
	}
	if err := controlTarGz(&control, controlFile(version, goarch, size), sums.String()); err != nil {
		return err
	}
	var ar bytes.Buffer
	ar.WriteString("!<arch>\n")
	arMember(&ar, "debian-binary", []byte("2.0\n"))
	arMember(&ar, "control.tar.gz", control.Bytes())
	arMember(&ar, "data.tar.gz", data.Bytes())
	return os.WriteFile(to, ar.Bytes(), 0o644)
}

func controlFile(version, goarch string, size int64) string {
	arch := goarch
	if goarch == "arm" {
		arch = "armhf"
	} else if goarch == "386" {
		arch = "i386"
	}
	return fmt.Sprintf(`Package: vitrine
Version: %s
Architecture: %s
Maintainer: vitrine maintainers <maintainers@vitrine.example>
Installed-Size: %d
Section: utils
Priority: optional
Description: transparency centre in one binary
 Releases, reviews and certificates as signed statements in an append-only,
 witnessed log; a customer checks the whole chain offline.
`, strings.ReplaceAll(version, "-", "~"), arch, (size+1023)/1024)
}

func controlTarGz(w io.Writer, control, sums string) error {
	gz, err := gzip.NewWriterLevel(w, gzip.BestCompression)
	if err != nil {
		return err
	}
	tw := tar.NewWriter(gz)
	for _, m := range []struct{ name, text string }{{"./control", control}, {"./md5sums", sums}} {
		if err := writeMember(tw, m.name, []byte(m.text), 0o644); err != nil {
			return err
		}
	}
	if err := tw.Close(); err != nil {
		return err
	}
	return gz.Close()
}

// arMember appends one member of the common ar format, padded to even length.
func arMember(b *bytes.Buffer, name string, data []byte) {
	fmt.Fprintf(b, "%-16s%-12d%-6d%-6d%-8s%-10d`\n", name, 0, 0, 0, "100644", len(data))
	b.Write(data)
	if len(data)%2 == 1 {
		b.WriteByte('\n')
	}
}
