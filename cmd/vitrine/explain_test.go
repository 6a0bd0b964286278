package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// explainPair makes shipped.tar.gz and rebuilt.tar.gz, which differ by the time of
// their member and by the encoder.
func explainPair(t *testing.T, dir string) {
	t.Helper()
	for name, level := range map[string]int{"shipped.tar.gz": 9, "rebuilt.tar.gz": 1} {
		var b bytes.Buffer
		z, err := gzip.NewWriterLevel(&b, level)
		if err != nil {
			t.Fatal(err)
		}
		w := tar.NewWriter(z)
		h := &tar.Header{Name: "app", Mode: 0o755, Size: 4, ModTime: time.Unix(int64(1e9+level), 0)}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, "app\n"); err != nil {
			t.Fatal(err)
		}
		if w.Close() != nil || z.Close() != nil {
			t.Fatal("closing the archive")
		}
		if err := os.WriteFile(filepath.Join(dir, name), b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
