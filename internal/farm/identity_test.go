package farm_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"vitrine.example/digest"
	"vitrine.example/internal/farm"
	"vitrine.example/key"
)

func TestIdentityIsMadeOnce(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "key.pem")
	if _, err := farm.ReadIdentity(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("read what is not there: %v", err)
	}
	var mu sync.Mutex
	ids := map[digest.Digest]bool{}
	var wg sync.WaitGroup
	for range 8 { // processes that start together
		wg.Go(func() {
			i, err := farm.OpenIdentity(path)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			ids[i.ID()] = true
		})
	}
	wg.Wait()
	if len(ids) != 1 {
		t.Errorf("%d keys", len(ids))
	}
	fi, err := os.Stat(path)
	check(t, err)
	if left := files(t, dir); fi.Mode().Perm() != 0o600 || len(left) != 1 {
		t.Errorf("mode %o, files %v", fi.Mode().Perm(), left)
	}
	k, err := key.ReadPrivateFile(path)
	check(t, err)
	s, err := key.NewSigner(k)
	check(t, err)
	if !ids[s.Public().ID()] {
		t.Error("the ID is not that of docs/spec/keys.md")
	}
}

func TestRefusedIdentities(t *testing.T) {
	dir := t.TempDir()
	k, err := key.Generate(key.P256, nil)
	check(t, err)
	text, err := key.MarshalPrivate(k)
	check(t, err)
	for name, tt := range map[string]struct {
		text []byte
		mode os.FileMode
		want string
	}{
		"another kind":    {text, 0o600, "must be an Ed25519 key"},
		"no key":          {[]byte("key"), 0o600, "no key.pem"},
		"others can read": {text, 0o644, "0644"},
	} {
		path := filepath.Join(dir, strings.ReplaceAll(name, " ", "-")+".pem")
		check(t, os.WriteFile(path, tt.text, tt.mode))
		if i, err := farm.OpenIdentity(path); err == nil {
			t.Errorf("%s: %s", name, i.ID())
		} else if name != "no key" && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", name, err)
		}
		if b, err := os.ReadFile(path); err != nil || string(b) != string(tt.text) {
			t.Errorf("%s: the file was changed", name)
		}
	}
}
