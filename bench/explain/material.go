package main

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// prose writes lines of words that compress to about a third, the same for a seed.
type prose struct {
	r     *rand.Rand
	words []string
}

func newProse(seed uint64) *prose {
	p := &prose{r: rand.New(rand.NewPCG(seed, 1))}
	for range 6000 {
		var w strings.Builder
		for range 2 + p.r.IntN(8) {
			w.WriteByte(byte('a' + p.r.IntN(26)))
		}
		p.words = append(p.words, w.String())
	}
	return p
}

func (p *prose) text(size int) []byte {
	out := make([]byte, 0, size+100)
	for len(out) < size {
		for range 4 + p.r.IntN(10) {
			out = append(append(out, p.words[p.r.IntN(len(p.words))]...), ' ')
		}
		out[len(out)-1] = '\n'
	}
	return out
}

// changed replaces one line in the middle.
func changed(b []byte) []byte {
	half := len(b) / 2
	at := half + strings.IndexByte(string(b[half:]), '\n') + 1
	return []byte(string(b[:at]) + "this line was changed\n" + string(b[at:]))
}

func material(dir string, small bool, only string) ([]*pair, error) {
	scale := 1
	if small {
		scale = 10
	}
	var all []*pair
	for _, m := range []struct {
		name, title string
		make        func(dir string, scale int) (*pair, error)
	}{
		{"tgz", "a compressed tar of 43 MB, one file changed", compressedTar},
		{"deb", "a Debian package of 20 MB unpacked, one file changed", func(dir string, scale int) (*pair, error) { return debian(dir, int64(20<<20/scale)) }},
		{"small", "a Debian package of 1 MB unpacked, one file changed", func(dir string, _ int) (*pair, error) { return debian(dir, 1<<20) }},
		{"tree", "10,000 files, 1 % changed", tree},
	} {
		if only != "" && only != m.name {
			continue
		}
		sub := filepath.Join(dir, m.name)
		if err := os.Mkdir(sub, 0o755); err != nil {
			return nil, err
		}
		p, err := m.make(sub, scale)
		if err != nil {
			return nil, err
		}
		p.name = m.title
		all = append(all, p)
	}
	return all, nil
}

// real lists files of the Go tree that this was built with, source code and
// programs, up to a number of bytes.
func real(limit int64, dirs ...string) (root string, names []string, err error) {
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return "", nil, fmt.Errorf("go env GOROOT: %w", err)
	}
	root = strings.TrimSpace(string(out))
	for _, dir := range dirs {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, d os.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			info, err := d.Info()
			if err != nil || info.Size() > limit {
				return err
			}
			limit -= info.Size()
			name, err := filepath.Rel(root, path)
			names = append(names, filepath.ToSlash(name))
			return err
		})
		if err != nil {
			return "", nil, err
		}
	}
	return root, names, nil
}

// inTheMiddle is the text next to the middle of a list.
func inTheMiddle(names []string) string {
	for _, n := range names[len(names)/2:] {
		if strings.HasSuffix(n, ".go") {
			return n
		}
	}
	return names[0]
}

// compressedTar takes files of the Go tree, about 43 MB compressed.
func compressedTar(dir string, scale int) (*pair, error) {
	p := &pair{a: filepath.Join(dir, "shipped.tar.gz"), b: filepath.Join(dir, "rebuilt.tar.gz")}
	root, names, err := real(int64(160<<20/scale), "bin", "src", "pkg/tool")
	if err != nil {
		return nil, err
	}
	for _, path := range []string{p.a, p.b} {
		if err := writeTar(path, root, names, path == p.b); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func writeTar(path, root string, names []string, change bool) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	buf := bufio.NewWriterSize(f, 1<<20)
	z := gzip.NewWriter(buf)
	w := tar.NewWriter(z)
	for _, name := range names {
		body, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			return err
		}
		if change && name == inTheMiddle(names) {
			body = changed(body)
		}
		h := &tar.Header{Name: "app-1.0/" + name, Mode: 0o644, Size: int64(len(body)), ModTime: time.Unix(1e9, 0)}
		if err := w.WriteHeader(h); err != nil {
			return err
		}
		if _, err := w.Write(body); err != nil {
			return err
		}
	}
	return errors.Join(w.Close(), z.Close(), buf.Flush())
}

// debian makes a package of source code with dpkg-deb.
func debian(dir string, size int64) (*pair, error) {
	p := &pair{a: filepath.Join(dir, "shipped.deb"), b: filepath.Join(dir, "rebuilt.deb")}
	from, names, err := real(size, "src/cmd/compile", "src/net", "src/crypto")
	if err != nil {
		return nil, err
	}
	for _, path := range []string{p.a, p.b} {
		root := path + ".root"
		for _, name := range names {
			body, err := os.ReadFile(filepath.Join(from, name))
			if err != nil {
				return nil, err
			}
			if path == p.b && name == inTheMiddle(names) {
				body = changed(body)
			}
			if err := put(filepath.Join(root, "usr/share/app", name), body); err != nil {
				return nil, err
			}
		}
		control := "Package: app\nVersion: 1\nArchitecture: all\nMaintainer: nobody <nobody@vendor.example>\nDescription: app\n"
		if err := put(filepath.Join(root, "DEBIAN/control"), []byte(control)); err != nil {
			return nil, err
		}
		cmd := exec.Command("dpkg-deb", "--root-owner-group", "-b", root, path)
		cmd.Env = append(os.Environ(), "SOURCE_DATE_EPOCH=1000000000")
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("dpkg-deb: %w\n%s", err, out)
		}
	}
	return p, nil
}

// tree makes 10,000 files of 1 to 16 KB.
func tree(dir string, scale int) (*pair, error) {
	p := &pair{a: filepath.Join(dir, "shipped"), b: filepath.Join(dir, "rebuilt")}
	for _, root := range []string{p.a, p.b} {
		text := newProse(9)
		for i := range 10_000 / scale {
			body := text.text(1<<10 + text.r.IntN(15<<10))
			if root == p.b && i%100 == 0 {
				body = changed(body)
			}
			if err := put(filepath.Join(root, fmt.Sprintf("d%02d/f%05d.txt", i%100, i)), body); err != nil {
				return nil, err
			}
		}
	}
	return p, nil
}

// put writes a file whose time is the same in both.
func put(path string, body []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = f.Write(body)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	when := time.Unix(1e9, 0)
	return os.Chtimes(path, when, when)
}
