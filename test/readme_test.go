package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestReadmeSession runs the first session of README.md as it stands there, in
// a directory with nothing but what the text names, and wants what it shows.
func TestReadmeSession(t *testing.T) {
	bin, dir := buildVitrine(t), t.TempDir()
	putFile(t, filepath.Join(dir, "app"), "the bytes of app\n")
	putFile(t, filepath.Join(dir, "src", "main.c"), "int main(void) { return 0; }\n")
	_, session, ok := strings.Cut(readText(t, "../README.md"), "```console\n")
	session, _, ended := strings.Cut(session, "```\n")
	steps := strings.Split("\n"+session, "\n$ ")[1:]
	if !ok || !ended || len(steps) < 4 {
		t.Fatalf("README.md has no session of at least 4 commands, but %q", steps)
	}
	for _, step := range steps {
		line, shown, _ := strings.Cut(step, "\n")
		out, code := shell(t, dir, bin, line)
		if code != 0 {
			t.Fatalf("$ %s\nexits %d:\n%s", line, code, out)
		}
		for want := range strings.Lines(shown) {
			if want = strings.TrimSpace(want); want != "" && want != "…" && !strings.Contains("\n"+out, "\n"+want+"\n") {
				t.Errorf("$ %s\ndoes not say %q, but:\n%s", line, want, out)
			}
		}
	}
	// What the text says of it: one changed bit, and it is not accepted.
	last, _, _ := strings.Cut(steps[len(steps)-1], "\n")
	for name, want := range map[string]int{"app": 1, "app.vitrine": -1} {
		path := filepath.Join(dir, name)
		whole := readText(t, path)
		b := []byte(whole)
		b[len(b)/2] ^= 1
		putFile(t, path, string(b))
		if out, code := shell(t, dir, bin, last); code == 0 || want > 0 && code != want {
			t.Errorf("%s changed: exit %d:\n%s", name, code, out)
		}
		putFile(t, path, whole)
	}
	if out, code := shell(t, dir, bin, last); code != 0 {
		t.Errorf("put back: exit %d:\n%s", code, out)
	}
}

// TestReadmeNamesWhatIsThere: every command in the text exists, and every make
// target and every file that it links to.
func TestReadmeNamesWhatIsThere(t *testing.T) {
	bin, text := buildVitrine(t), readText(t, "../README.md")
	commands := regexp.MustCompile("`vitrine ([a-z]+(?: [a-z]+)?)[^`]*`").FindAllStringSubmatch(text, -1)
	if len(commands) < 5 {
		t.Errorf("only %d commands were found", len(commands))
	}
	for _, c := range commands {
		words := strings.Fields(c[1])
		if words[0] == "completion" {
			words = words[:1]
		}
		out, err := exec.Command(bin, append(words, "--help")...).CombinedOutput()
		if err != nil || !strings.Contains(string(out), "vitrine "+strings.Join(words, " ")) {
			t.Errorf("%s: %v\n%s", c[0], err, out)
		}
	}
	makefile := readText(t, "../Makefile")
	targets := regexp.MustCompile("(?m)(?:`|^\\$ )make ([a-z]+)").FindAllStringSubmatch(text, -1)
	if len(targets) < 4 {
		t.Errorf("only %d make targets were found", len(targets))
	}
	for _, m := range targets {
		if !strings.Contains(makefile, "\n"+m[1]+":") {
			t.Errorf("there is no make %s", m[1])
		}
	}
	links := regexp.MustCompile(`\]\(([^)#]+)\)`).FindAllStringSubmatch(text, -1)
	if len(links) < 8 {
		t.Errorf("only %d links were found", len(links))
	}
	for _, l := range links {
		if strings.HasPrefix(l[1], "https://") {
			continue
		}
		if _, err := os.Stat(filepath.Join("..", l[1])); err != nil {
			t.Errorf("broken link: %v", err)
		}
	}
}

// buildVitrine builds the program as `make build` does.
func buildVitrine(t *testing.T) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "vitrine")
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-buildid=", "-o", bin, "./cmd/vitrine")
	cmd.Dir = ".."
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building vitrine: %v\n%s", err, out)
	}
	return bin
}

// shell types a line in dir, where vitrine is on the PATH.
func shell(t *testing.T, dir, bin, line string) (out string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", line)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(bin)+":"+os.Getenv("PATH"), "XDG_CONFIG_HOME="+filepath.Join(dir, "config"))
	b, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return string(b), cmd.ProcessState.ExitCode()
}

func readText(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func putFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
