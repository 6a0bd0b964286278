//go:build linux

package sandbox_test

import (
	"archive/tar"
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vitrine.example/internal/sandbox"
)

// TestLayersThatAreRefused has layers that try to write elsewhere, or more
// than they may. The engine says which entry, and nothing runs.
func TestLayersThatAreRefused(t *testing.T) {
	big := strings.Repeat("0", 1<<20)
	var many []tar.Header
	for _, n := range []string{"a", "b", "c", "d"} {
		many = append(many, file(n, big, 0o644))
	}
	for _, n := range []string{"e", "f", "g", "h", "i", "j", "k", "l"} {
		many = append(many, file(n, "a page each", 0o644))
	}
	long := strings.Repeat("d/", 2500)
	for name, c := range map[string]struct {
		entries []tar.Header
		says    string
	}{
		"up":            {[]tar.Header{file("../x", "", 0o644)}, "not local"},
		"up inside":     {[]tar.Header{file("a/../../x", "", 0o644)}, "not local"},
		"absolute":      {[]tar.Header{file("/etc/x", "", 0o644)}, "not local"},
		"link up":       {[]tar.Header{entry(tar.TypeLink, "x", "../etc/shadow", 0o644)}, "not local"},
		"char device":   {[]tar.Header{entry(tar.TypeChar, "mem", "", 0o666)}, "only files, directories and links"},
		"block device":  {[]tar.Header{entry(tar.TypeBlock, "sda", "", 0o666)}, "only files, directories and links"},
		"pipe":          {[]tar.Header{entry(tar.TypeFifo, "pipe", "", 0o666)}, "only files, directories and links"},
		"in /proc":      {[]tar.Header{file("proc/x", "", 0o644)}, "sandbox's own files"},
		"in /dev":       {[]tar.Header{file("dev/null", "", 0o644)}, "sandbox's own files"},
		"over /dev":     {[]tar.Header{entry(tar.TypeSymlink, "dev", "etc", 0o777)}, "sandbox's own files"},
		"over the root": {[]tar.Header{file(".", "", 0o644)}, "must be a directory"},
		"too large":     {many, "no space left on device: layers and inputs may take 4227072 bytes"},
		"too long":      {[]tar.Header{file(long+"x", "", 0o644)}, "name too long"},
		"below a file":  {[]tar.Header{file("a", "", 0o644), file("a/b", "", 0o644)}, "not a directory"},
		"cyclic":        {[]tar.Header{entry(tar.TypeSymlink, "a", "b", 0o777), entry(tar.TypeSymlink, "b", "a", 0o777), file("a/x", "", 0o644)}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			job := attack(t, "out-missing")
			job.Root = []sandbox.Layer{{Tar: layer(t, c.entries...)}}
			job.Inputs = nil
			job.Limits.Root = 4<<20 + 1<<15 // the file fits, but not with the sandbox's own
			_, err := engines()[0].run(t, job)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error is %v, want %q in it", err, c.says)
			}
		})
	}
}

// TestLinksInLayersStayInside writes through links of a lower layer: they lead
// to places in the sandbox.
func TestLinksInLayersStayInside(t *testing.T) {
	victim := filepath.Join(openDir(t), "victim")
	if err := os.WriteFile(victim, []byte("good"), 0o666); err != nil {
		t.Fatal(err)
	}
	os.Chmod(filepath.Dir(victim), 0o777)
	os.Chmod(victim, 0o666)
	dir := filepath.Dir(victim)
	up := strings.Repeat("../", 40) + strings.TrimPrefix(dir, "/")
	for _, link := range []string{dir, up, "/proc/self/cwd", "/proc/self/root" + dir, "/proc/1/root" + dir, "/proc/self/fd/3", "/proc/self/fd/5"} {
		for _, e := range engines() {
			job := attack(t, "out-missing")
			job.Root = []sandbox.Layer{{Tar: layer(t, entry(tar.TypeSymlink, "l", link, 0o777), file("l/victim", "bad", 0o644))}}
			_, err := e.run(t, job) // some are refused, some lead to a place inside
			if s := read(t, victim); s != "good" {
				t.Fatalf("%s, link to %s: the victim is now %q (%v)", e.name, link, s, err)
			}
		}
	}
}

// TestBrokenLayers cuts and spoils a tar file: the job is refused or runs, and
// the engine lives.
func TestBrokenLayers(t *testing.T) {
	good, err := os.ReadFile(layer(t, file("a", "some text", 0o644), entry(tar.TypeDir, "d", "", 0o755)))
	if err != nil {
		t.Fatal(err)
	}
	spoiled := bytes.Clone(good)
	spoiled[124] = '9' // not an octal size
	endless := bytes.Clone(good)
	copy(endless[124:136], "77777777777\x00")
	for name, b := range map[string][]byte{"cut": good[:700], "spoiled": spoiled, "lying size": endless, "text": []byte(strings.Repeat("no tar ", 200))} {
		path := filepath.Join(openDir(t), "layer.tar")
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
		job := attack(t, "out-missing")
		job.Root = []sandbox.Layer{{Tar: path}}
		if _, err := engines()[0].run(t, job); err == nil || !strings.Contains(err.Error(), "layer.tar") {
			t.Errorf("%s: error is %v", name, err)
		}
	}
}

// TestDirectoryLayers shows directories of the host, which a job can change
// for itself only.
func TestDirectoryLayers(t *testing.T) {
	dir := openDir(t)
	for name, body := range map[string]string{"fill0": "good", "sub/x": "good"} {
		os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o777)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(body), 0o666); err != nil {
			t.Fatal(err)
		}
		os.Chmod(filepath.Join(dir, name), 0o666)
	}
	os.Chmod(dir, 0o777)
	each(t, func(t *testing.T, e engine) {
		job := attack(t, "spoil", "/fill0", "/new", "/opt/fill0", "/opt/new")
		job.Root = []sandbox.Layer{{Dir: dir}, {Dir: dir, At: "/opt"}}
		job.Outputs = []string{"/new"}
		o := e.must(t, job)
		if !o.OK() || !strings.Contains(o.log, "got /fill0") || !strings.Contains(o.log, "blocked /opt/new") || strings.Contains(o.log, "got /opt") {
			t.Errorf("%+v\n%s", o.Result, o.log)
		}
		if read(t, filepath.Join(dir, "fill0")) != "good" || read(t, filepath.Join(dir, "sub/x")) != "good" {
			t.Error("the directory of the host was changed")
		}
		if names, _ := filepath.Glob(filepath.Join(dir, "*")); len(names) != 2 {
			t.Errorf("the directory of the host has %v", names)
		}
	})
}
