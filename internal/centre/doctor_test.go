package centre

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func finding(all []Finding, check string) Finding {
	for _, f := range all {
		if f.Check == check && !f.OK {
			return f
		}
	}
	for _, f := range all {
		if f.Check == check {
			return f
		}
	}
	return Finding{Check: check, Detail: "no such check"}
}

// TestDoctor: a sound node has no bad findings, served or not; each kind of
// damage is found under its name and has a remedy; nothing is changed by it.
func TestDoctor(t *testing.T) {
	dir := newNode(t, InitOptions{})
	h := connect(t, dir)
	p := publish(t, h, "1.0.0", "one")
	check(t, h.Close(within(t)))
	for _, f := range Doctor(within(t), dir) {
		if !f.OK {
			t.Errorf("a sound node: %+v", f)
		}
	}
	_, stop := serve(t, dir)
	for _, f := range Doctor(within(t), dir) {
		if !f.OK {
			t.Errorf("a sound node that is served: %+v", f)
		}
	}
	stop()
	hex := p.Envelope.Digest().String()
	for _, c := range []struct {
		check, want string
		harm        func(dir string) error
	}{
		{"directory", "no such file", func(d string) error { return os.RemoveAll(d) }},
		{"directory", "others can look into it", func(d string) error { return os.Chmod(d, 0o755) }},
		{"configuration", "no such key", func(d string) error { return appendTo(filepath.Join(d, ConfigFile), "x = 1\n") }},
		{"keys", "log.pem", func(d string) error { return os.Remove(filepath.Join(d, logKeyFile)) }},
		{"keys", "witness.pem", func(d string) error { return os.Chmod(filepath.Join(d, witnessKeyFile), 0o644) }},
		{"keys", "statement.pem", func(d string) error { return os.WriteFile(filepath.Join(d, statementKeyFile), []byte("x"), 0o600) }},
		{"clock", "is missing", func(d string) error { return os.Remove(filepath.Join(d, clockFile)) }},
		{"database", "vitrine.db", func(d string) error { return os.Remove(filepath.Join(d, "vitrine.db")) }},
		{"database", "not an SQLite database", func(d string) error {
			return os.WriteFile(filepath.Join(d, "vitrine.db"), []byte(strings.Repeat("no database ", 1000)), 0o600)
		}},
		{"log", "checkpoint", func(d string) error { return os.Remove(filepath.Join(d, logDir, "checkpoint")) }},
		{"log", "", func(d string) error { return os.WriteFile(filepath.Join(d, logDir, "checkpoint"), []byte("x"), 0o600) }},
		{"log", "", func(d string) error { return os.RemoveAll(filepath.Join(d, logDir, "tile")) }},
		{"content", "does not match", func(d string) error {
			f := filepath.Join(d, contentDir, "public", hex[:2], hex)
			return errors.Join(os.Chmod(f, 0o600), os.WriteFile(f, []byte("x"), 0o600))
		}},
		{"content", "no such file", func(d string) error { return os.RemoveAll(filepath.Join(d, contentDir)) }},
	} {
		sick := filepath.Join(t.TempDir(), "node")
		check(t, os.CopyFS(sick, os.DirFS(dir)))
		check(t, os.Chmod(sick, 0o700))
		check(t, chmodKeys(sick))
		check(t, c.harm(sick))
		f := finding(Doctor(within(t), sick), c.check)
		if f.OK || !strings.Contains(f.Detail, c.want) || f.Remedy == "" {
			t.Errorf("%s %q: %+v", c.check, c.want, f)
		}
	}
}

func appendTo(path, s string) error {
	b, err := os.ReadFile(path)
	return errors.Join(err, os.WriteFile(path, append(b, s...), 0o600))
}

// chmodKeys gives copied keys their mode again.
func chmodKeys(dir string) error {
	all, err := filepath.Glob(filepath.Join(dir, keysDir, "*"))
	for _, k := range all {
		err = errors.Join(err, os.Chmod(k, 0o600))
	}
	return err
}
