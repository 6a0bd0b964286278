package source_test

import (
	"bytes"
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"vitrine.example/internal/source"
	"vitrine.example/tlog"
)

// TestBothKinds: a directory and a server that serves it give the same, within
// bounds, and nothing from outside.
func TestBothKinds(t *testing.T) {
	dir := t.TempDir()
	put := func(name string, b []byte) {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, b, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	put("checkpoint", []byte("a checkpoint"))
	put("tile/0/000", bytes.Repeat([]byte{7}, 8192))
	put("tile/0/001", bytes.Repeat([]byte{7}, 8193))
	put("envelope/3", []byte("{}"))
	if err := os.Symlink("/etc/hostname", filepath.Join(dir, "envelope/4")); err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(http.FileServerFS(os.DirFS(dir)))
	defer srv.Close()
	for _, where := range []string{dir, srv.URL} {
		l, err := source.Open(where, "test")
		if err != nil {
			t.Fatal(err)
		}
		if b, err := l.Checkpoint(t.Context()); err != nil || string(b) != "a checkpoint" {
			t.Errorf("%s: checkpoint %q, %v", where, b, err)
		}
		if b, err := l.Tile(t.Context(), tlog.Tile{Width: 5}); err != nil || len(b) != 8192 {
			t.Errorf("%s: the full tile for a partial one: %d bytes, %v", where, len(b), err)
		}
		if _, err := l.Tile(t.Context(), tlog.Tile{Index: 1, Width: 256}); err == nil {
			t.Errorf("%s: a tile that is too large was read", where)
		}
		if _, err := l.Tile(t.Context(), tlog.Tile{Index: 2, Width: 256}); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: a tile that is not there: %v", where, err)
		}
		if b, err := l.Statement(t.Context(), 3); err != nil || string(b) != "{}" {
			t.Errorf("%s: statement %q, %v", where, b, err)
		}
	}
	if l, err := source.Open(dir, "test"); err != nil {
		t.Fatal(err)
	} else if b, err := l.Statement(t.Context(), 4); err == nil {
		t.Errorf("a link out of the directory gave %q", b)
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, where := range []string{"http://log.example/", "https://u:p@log.example/", "https://log.example/?q", "https://", "/no/such/directory", os.Args[0]} {
		if _, err := source.Open(where, "test"); err == nil {
			t.Errorf("%s was opened", where)
		}
	}
}
