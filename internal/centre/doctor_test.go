package centre

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"vitrine.example/digest"
	"vitrine.example/internal/store"
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
		check(t, os.Chmod(filepath.Join(sick, "vitrine.db"), 0o600))
		check(t, c.harm(sick))
		f := finding(Doctor(within(t), sick), c.check)
		if f.OK || !strings.Contains(f.Detail, c.want) || f.Remedy == "" {
			t.Errorf("%s %q: %+v", c.check, c.want, f)
		}
	}
}

// TestDoctorChangesNothing: not what a crash left, not modes, not tables that an
// older program made.
func TestDoctorChangesNothing(t *testing.T) {
	dir := newNode(t, InitOptions{})
	h := connect(t, dir)
	publish(t, h, "1.0.0", "one")
	check(t, h.Close(within(t)))
	path := filepath.Join(dir, "vitrine.db")
	db, err := store.Open(within(t), path)
	check(t, err)
	check(t, db.Update(within(t), func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.ExecContext(ctx, "DELETE FROM vitrine_schema WHERE version_id = (SELECT MAX(version_id) FROM vitrine_schema)")
		return err
	}))
	check(t, db.Close())
	check(t, os.Chmod(path, 0o644))
	check(t, os.WriteFile(filepath.Join(dir, contentDir, "tmp", "put-00112233445566778899aabbccddeeff"), []byte("half"), 0o600))
	check(t, os.Remove(filepath.Join(dir, contentDir, "circle")))
	before := states(t, dir)
	found := Doctor(within(t), dir)
	after := states(t, dir)
	for name, state := range before {
		if after[name] != state {
			t.Errorf("%s was %s, is %s", name, state, after[name])
		}
	}
	for name := range after {
		if before[name] == "" {
			t.Errorf("%s was made", name)
		}
	}
	if f := finding(found, "database"); f.OK || !strings.Contains(f.Detail, "mode 0644") {
		t.Errorf("the mode of the database: %+v", f)
	}
	if f := finding(found, "content"); f.OK || !strings.Contains(f.Detail, "circle") {
		t.Errorf("the missing directory: %+v", f)
	}
	if !slices.ContainsFunc(found, func(f Finding) bool { return f.OK && strings.Contains(f.Detail, "the next start applies: 1") }) {
		t.Errorf("the pending migration is not told: %+v", found)
	}
	if f := finding(found, "log"); !f.OK {
		t.Errorf("the log: %+v", f)
	}
}

// states describes every file below dir.
func states(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	check(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		all[path] = fmt.Sprint(fi.Mode(), " ", fi.ModTime())
		if fi.Mode().IsRegular() {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			all[path] += " " + digest.Of(b).String()
		} else if fi.IsDir() {
			all[path] = fi.Mode().String() // files beside an open database come and go
		}
		return nil
	}))
	return all
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
