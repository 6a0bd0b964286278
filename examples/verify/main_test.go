package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const dir = "../../docs/spec/examples/"

func TestDecide(t *testing.T) {
	at := time.Date(2030, 5, 1, 13, 0, 0, 0, time.UTC)
	v, err := decide(dir+"app.txt", dir+"app.txt.vitrine", dir+"policy.toml", at)
	if err != nil || !v.Accepted {
		t.Fatalf("%v\n%v", v, err)
	}
	other := filepath.Join(t.TempDir(), "app.txt")
	if err := os.WriteFile(other, []byte("another"), 0o600); err != nil {
		t.Fatal(err)
	}
	if v, err := decide(other, dir+"app.txt.vitrine", dir+"policy.toml", at); err != nil || v.Accepted {
		t.Errorf("another file: %v\n%v", v, err)
	}
	for name, files := range map[string][3]string{
		"gone":        {dir + "none", dir + "app.txt.vitrine", dir + "policy.toml"},
		"no bundle":   {dir + "app.txt", dir + "policy.toml", dir + "policy.toml"},
		"no policy":   {dir + "app.txt", dir + "app.txt.vitrine", dir + "app.txt"},
		"no file too": {dir + "app.txt", dir + "app.txt.vitrine", dir + "none"},
	} {
		if v, err := decide(files[0], files[1], files[2], at); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, %v", name, v, err)
		}
	}
}
