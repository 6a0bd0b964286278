package centre

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vitrine.example/key"
	"vitrine.example/tlog"
)

func TestInit(t *testing.T) {
	dir := newNode(t, InitOptions{Name: "A \"quoted\" näme", MLDSA: true, Algorithm: string(key.Ed25519)})
	cfg, err := LoadConfig(dir)
	check(t, err)
	if cfg.Name != "A \"quoted\" näme" || cfg.Origin() != "log.example.org" || cfg.LogMLDSAKey == "" {
		t.Errorf("configuration: %+v", cfg)
	}
	fi, err := os.Stat(dir)
	check(t, err)
	if fi.Mode().Perm() != 0o700 {
		t.Errorf("mode %v", fi.Mode())
	}
	for _, k := range []string{logKeyFile, logMLDSAKeyFile, statementKeyFile, witnessKeyFile, witnessMLDSAFile, mirrorKeyFile} {
		fi, err := os.Stat(filepath.Join(dir, k))
		check(t, err)
		if fi.Mode() != 0o600 {
			t.Errorf("%s has mode %v", k, fi.Mode())
		}
		if _, err := key.ReadPrivateFile(filepath.Join(dir, k)); err != nil {
			t.Error(err)
		}
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(dir), ".*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	// The empty log has a checkpoint that both keys sign.
	raw, err := os.ReadFile(filepath.Join(dir, logDir, "checkpoint"))
	check(t, err)
	c, err := tlog.ParseCheckpoint(raw)
	check(t, err)
	info := connect(t, dir).Info()
	for _, vkey := range info.Log {
		v, err := tlog.ParseVerifier(vkey)
		check(t, err)
		if _, err := v.Verify(c); err != nil {
			t.Errorf("%v: %v", v.Type(), err)
		}
	}
	if len(info.Log) != 2 || c.Size != 0 || c.Origin != "log.example.org" {
		t.Errorf("%d keys, checkpoint of %s at %d", len(info.Log), c.Origin, c.Size)
	}
}

func TestInitRefuses(t *testing.T) {
	good := InitOptions{URL: "https://log.example.org", Listen: "127.0.0.1:0"}
	for name, c := range map[string]struct {
		o    InitOptions
		make func(dir string) error
		want string
	}{
		"a path in the URL":    {InitOptions{URL: "https://example.org/log"}, nil, "has a path"},
		"a bad address":        {InitOptions{URL: good.URL, Listen: "nowhere"}, nil, "listen"},
		"a bad name":           {InitOptions{URL: good.URL, Name: "a\nb"}, nil, "name"},
		"an unknown algorithm": {InitOptions{URL: good.URL, Algorithm: "rsa"}, nil, "rsa"},
		"a directory in use": {good, func(d string) error {
			return errors.Join(os.Mkdir(d, 0o700), os.WriteFile(filepath.Join(d, "x"), nil, 0o600))
		}, "not empty (x)"},
		"a node":                  {good, func(d string) error { return Init(context.Background(), d, good) }, "there is one already"},
		"a file":                  {good, func(d string) error { return os.WriteFile(d, nil, 0o600) }, "not a directory"},
		"a broken link":           {good, func(d string) error { return os.Symlink("nowhere", d) }, ""},
		"a parent that is no dir": {good, func(d string) error { return os.WriteFile(filepath.Dir(d), nil, 0o600) }, "not a directory"},
	} {
		t.Run(name, func(t *testing.T) {
			parent := filepath.Join(t.TempDir(), "parent")
			dir := filepath.Join(parent, "node")
			if c.make != nil {
				if name != "a parent that is no dir" {
					check(t, os.Mkdir(parent, 0o700))
				}
				check(t, c.make(dir))
			}
			before := tree(t, filepath.Dir(parent))
			err := Init(t.Context(), dir, c.o)
			if c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%v, want %q", err, c.want)
			}
			if after := tree(t, filepath.Dir(parent)); err != nil && after != before && after != before+"parent\n" {
				t.Errorf("something was left:\n%s\nbefore:\n%s", after, before)
			}
		})
	}
}

// tree lists the names below a directory.
func tree(t testing.TB, dir string) string {
	t.Helper()
	var b strings.Builder
	check(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && path != dir && !strings.Contains(path, "node/") {
			rel, _ := filepath.Rel(dir, path)
			b.WriteString(rel + "\n")
		}
		return err
	}))
	return b.String()
}
