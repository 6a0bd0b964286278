package main

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/spf13/cobra"
)

func lookVitrine() (string, error) { return exec.LookPath("vitrine") }

func runIn(dir, bin string, args ...string) (string, error) {
	cmd := exec.Command(bin, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "XDG_CONFIG_HOME="+filepath.Join(dir, "config"))
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// modes gives files the permissions of their models: CopyFS does not.
func modes(to, from string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == from {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil || !info.Mode().IsRegular() && !info.IsDir() {
			return err
		}
		return os.Chmod(filepath.Join(to, rel), info.Mode().Perm())
	})
}

// commands returns every command that people see.
func commands(c *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{c}
	for _, sub := range c.Commands() {
		if !sub.Hidden {
			all = append(all, commands(sub)...)
		}
	}
	return all
}

func silent() *console { return &console{out: new(bytes.Buffer), err: new(bytes.Buffer)} }

func TestEveryHelpFitsAScreen(t *testing.T) {
	for _, cmd := range commands(newRoot(silent())) {
		var out bytes.Buffer
		args := append(strings.Fields(cmd.CommandPath())[1:], "--help")
		if code := run(args, &out, &out); code != 0 {
			t.Errorf("%s --help exits %d: %s", cmd.CommandPath(), code, &out)
			continue
		}
		lines := strings.Split(strings.TrimRight(out.String(), "\n"), "\n")
		if len(lines) > 40 {
			t.Errorf("%s --help has %d lines, at most 40", cmd.CommandPath(), len(lines))
		}
		for _, l := range lines {
			if len([]rune(l)) > 100 && !strings.HasPrefix(l, "  vitrine ") {
				t.Errorf("%s --help: line of %d characters: %s", cmd.CommandPath(), len([]rune(l)), l)
			}
		}
		if last := lines[len(lines)-1]; !strings.HasPrefix(last, "  vitrine ") {
			t.Errorf("%s --help ends with %q, not with an example", cmd.CommandPath(), last)
		}
	}
}

// TestEveryExampleRuns runs each example of each help, as it stands, beside a
// node that has published app.tar.gz.
func TestEveryExampleRuns(t *testing.T) {
	bin, err := lookVitrine()
	if err != nil {
		t.Fatal(err)
	}
	base.Do(func() { base.dir, base.err = makeBase() })
	if base.err != nil {
		t.Fatal(base.err)
	}
	for _, cmd := range commands(newRoot(silent())) {
		if !cmd.HasParent() {
			continue // the session of the root makes its own node
		}
		for line := range strings.Lines(cmd.Example) {
			t.Run(strings.TrimSpace(line), func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				exampleRoom(t, bin, dir)
				if strings.Contains(line, "vitrine fork ") && !strings.Contains(line, "fork add") {
					keepFork(t, bin, dir)
				}
				rotated(t, bin, dir, line)
				if strings.Contains(line, "vitrine job ") {
					exampleJob(t, bin, dir, line)
				}
				runExample(t, dir, bin, line)
			})
		}
	}
}

// exampleRoom is a directory with what examples name.
func exampleRoom(t *testing.T, bin, dir string) {
	t.Helper()
	if err := os.CopyFS(dir, os.DirFS(base.dir)); err != nil {
		t.Fatal(err)
	}
	if err := modes(dir, base.dir); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "logs.txt"), []byte("logs/v0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	loseLog(t, dir)
	if err := makeRecipe(dir); err != nil {
		t.Fatal(err)
	}
	if out, err := runIn(dir, bin, "bundle", "export", "--sigstore", "app.tar.gz.vitrine", "--policy", "vitrine-policy.toml", "-o", "app.sigstore.json", "--key-out", "vendor.pem"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if out, err := runIn(dir, bin, "backup", "node", "-o", "node.backup"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := os.Rename(filepath.Join(dir, "node.backup"), filepath.Join(dir, "kept.backup")); err != nil {
		t.Fatal(err)
	}
	archives(t, bin, dir)
	explainPair(t, dir)
	evidence, vkey := forkEvidence()
	for name, data := range map[string][]byte{"evidence.fork": evidence, "log.vkey": vkey} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := runIn(dir, bin, "witness", "add", "node", "--vkey", string(vkey)); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// rotated brings the node so far that a step of a rotation can be done.
func rotated(t *testing.T, bin, dir, line string) {
	t.Helper()
	for _, s := range []struct{ before, do string }{{"key use|key retire", "prepare"}, {"key retire", "use"}} {
		for what := range strings.SplitSeq(s.before, "|") {
			if !strings.Contains(line, "vitrine "+what) {
				continue
			}
			if out, err := runIn(dir, bin, "key", s.do, "node", "statement"); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
		}
	}
}

// keepFork has the node keep evidence.fork.
func keepFork(t *testing.T, bin, dir string) {
	t.Helper()
	if out, err := runIn(dir, bin, "fork", "add", "node", "evidence.fork"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// archives makes kept.zip of the node's log, with its key in node.vkey, and
// other.zip of a log that the node mirrors.
func archives(t *testing.T, bin, dir string) {
	t.Helper()
	do := func(args ...string) string {
		out, err := runIn(dir, bin, args...)
		if err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
		return out
	}
	vkey := func(node string) string {
		for line := range strings.Lines(do("status", node)) {
			if k, ok := strings.CutPrefix(line, "log key"); ok {
				return strings.TrimSpace(k)
			}
		}
		t.Fatalf("%s has no log key", node)
		return ""
	}
	do("log", "export", "node", "--zip", "kept.zip")
	if err := os.WriteFile(filepath.Join(dir, "node.vkey"), []byte(vkey("node")), 0o644); err != nil {
		t.Fatal(err)
	}
	do("init", "third", "--url", "https://third.example", "--listen", "127.0.0.1:0")
	do("log", "export", "third", "--zip", "other.zip")
	do("mirror", "add", "--key", vkey("third"), "node", "third.example")
}

// loseLog makes lost, a node whose log lies in mirror alone.
func loseLog(t *testing.T, dir string) {
	t.Helper()
	lost, mirror := filepath.Join(dir, "lost"), filepath.Join(dir, "mirror")
	err := errors.Join(os.CopyFS(lost, os.DirFS(filepath.Join(base.dir, "node"))), modes(lost, filepath.Join(base.dir, "node")))
	if err := errors.Join(err, os.Rename(filepath.Join(lost, "log"), mirror)); err != nil {
		t.Fatal(err)
	}
}

func runExample(t *testing.T, dir, bin, line string) {
	cmd := exec.Command("sh", "-c", strings.TrimSpace(line))
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "XDG_CONFIG_HOME="+filepath.Join(dir, "config"), "XDG_CACHE_HOME="+filepath.Join(dir, "cache"))
	if strings.Contains(line, "vitrine mirror") {
		cmd.Env = append(cmd.Env, mirrorExample(t, dir)...)
	}
	if strings.Contains(line, "bundle fetch") {
		cmd.Env = append(cmd.Env, fetchExample(t, dir)...)
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if strings.Contains(line, "vitrine serve") {
		cmd.Args[2] = "exec " + cmd.Args[2]
		serveExample(t, cmd)
	} else if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
}

// serveExample starts a node, waits until it serves, and stops it.
func serveExample(t *testing.T, cmd *exec.Cmd) {
	cmd.Stderr = nil
	pipe, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var said []byte
	buf := make([]byte, 4096)
	for stopped := false; ; {
		n, err := pipe.Read(buf)
		said = append(said, buf[:n]...)
		if !stopped && bytes.Contains(said, []byte("vitrine: serving ")) {
			stopped = true
			if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
				t.Fatal(err)
			}
		}
		if err != nil {
			break
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
}

// TestTheSessionOfTheRootRuns runs the lines of `vitrine --help` one after the
// other in an empty directory with an artifact.
func TestTheSessionOfTheRootRuns(t *testing.T) {
	bin, err := lookVitrine()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "app.tar.gz"), []byte("the bytes of app\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(newRoot(silent()).Example) {
		runExample(t, dir, bin, line)
	}
}

func TestManualIsReproducibleAndWhole(t *testing.T) {
	write := func() map[string]string {
		dir := t.TempDir()
		var out bytes.Buffer
		if code := run([]string{"man", dir}, &out, &out); code != 0 {
			t.Fatalf("exit %d: %s", code, &out)
		}
		pages := map[string]string{}
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			b, err := os.ReadFile(filepath.Join(dir, e.Name()))
			if err != nil {
				t.Fatal(err)
			}
			pages[e.Name()] = string(b)
		}
		return pages
	}
	a, b := write(), write()
	all := commands(newRoot(silent()))
	if len(a) != len(all) || len(b) != len(all) {
		t.Errorf("%d and %d pages for %d commands", len(a), len(b), len(all))
	}
	for name, page := range a {
		if page != b[name] {
			t.Errorf("%s differs between two runs", name)
		}
		if !strings.HasPrefix(page, ".TH \"VITRINE") {
			t.Errorf("%s: unexpected head: %.80s", name, page)
		}
	}
	for _, cmd := range all {
		if _, ok := a[strings.ReplaceAll(cmd.CommandPath(), " ", "-")+".1"]; !ok {
			t.Errorf("no page for %s", cmd.CommandPath())
		}
	}
}

// TestManualIsWellFormed lets groff read every page; it warns of what it does
// not understand.
func TestManualIsWellFormed(t *testing.T) {
	groff, err := exec.LookPath("groff")
	if err != nil {
		t.Fatal("groff is missing; install it: apt-get install groff-base")
	}
	for _, cmd := range commands(newRoot(silent())) {
		read := exec.Command(groff, "-man", "-Tutf8", "-ww", "-z")
		read.Stdin = bytes.NewReader(manual(cmd))
		if out, err := read.CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%s: %v\n%s", cmd.CommandPath(), err, out)
		}
	}
}
