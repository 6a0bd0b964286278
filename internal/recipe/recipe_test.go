package recipe_test

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"vitrine.example/digest"
	"vitrine.example/internal/recipe"
)

// example returns the block of docs/spec/recipe.md that is marked ```<lang> <name>.
func example(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/spec/recipe.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?ms)^```[a-z]+ "+name+"\n(.*?)^```$").FindAllSubmatch(text, -1)
	if len(blocks) != 1 {
		t.Fatalf("recipe.md has %d examples %q", len(blocks), name)
	}
	return string(blocks[0][1])
}

var exampleSource = recipe.Content{SHA256: digest.Of([]byte("example source")), Size: 10_240}

func mustParse(t testing.TB, text string) *recipe.Recipe {
	t.Helper()
	r, err := recipe.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// The example of the specification gives the job and the digest that it shows,
// and the job is read back.
func TestGoldenJob(t *testing.T) {
	r := mustParse(t, example(t, "recipe"))
	j, err := r.Job(exampleSource)
	if err != nil {
		t.Fatal(err)
	}
	b, err := j.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if string(b) != strings.TrimSuffix(example(t, "job"), "\n") {
		t.Errorf("recipe.md shows another job:\n%s", b)
	}
	d, err := j.Digest()
	if err != nil || d.String() != strings.TrimSpace(example(t, "jobdigest")) || d != digest.Of(b) {
		t.Errorf("recipe.md shows another job digest: %s, %v", d, err)
	}
	if text, err := os.ReadFile("../../docs/spec/recipe.md"); err != nil || !strings.Contains(string(text), exampleSource.SHA256.String()) {
		t.Errorf("recipe.md names another source than %s: %v", exampleSource.SHA256, err)
	}
	again, err := recipe.ParseJob(b)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := again.Encode(); err != nil || !bytes.Equal(b, c) {
		t.Errorf("read back as %s, %v", c, err)
	}
	if needs := j.Needs(); len(needs) != 2 || needs[1] != exampleSource {
		t.Errorf("it needs %v", needs)
	}
}

// What decides a build changes the job digest; names, places and limits do not.
func TestWhatAJobDigestStandsFor(t *testing.T) {
	text := example(t, "recipe")
	first := jobDigest(t, text)
	for _, x := range []struct {
		old, new string
		same     bool
	}{
		{"12:00:00Z", "12:00:01Z", false},
		{"uid = 1000", "uid = 1001", false},
		{"cpus = 2", "cpus = 3", false},
		{"cpus = 2", "cpus = 2\nhostname = \"other\"", false},
		{"CGO_ENABLED=0", "CGO_ENABLED=1", false},
		{"38461905", "38461906", false},
		{"go-toolchain\"", "zip\"\nstrip = 2", false},
		{`at = "/src"`, `at = "/source"`, false},
		{`"-trimpath", `, ``, false},
		{`at = "/out/"`, `at = "/out/x"`, false},
		{`path = "/out/app"`, `path = "/out/other"`, false},
		{"Go 1.26.0", "a compiler", true},
		{"goproxy:golang.org", "https://mirror.example", true},
		{"[[file]]", "[limits]\nmemory = \"1GiB\"\n\n[[file]]", true},
		{`"PATH=/usr/local/go/bin", "CGO_ENABLED=0"`, `"CGO_ENABLED=0", "PATH=/usr/local/go/bin"`, true},
		{"12:00:00Z", "13:00:00+01:00", true},
	} {
		if strings.Count(text, x.old) < 1 {
			t.Fatalf("no %q in the example", x.old)
		}
		if got := jobDigest(t, strings.Replace(text, x.old, x.new, 1)); (got == first) != x.same {
			t.Errorf("%q for %q: the same digest: %t, want %t", x.new, x.old, got == first, x.same)
		}
	}
}

func jobDigest(t *testing.T, text string) digest.Digest {
	t.Helper()
	j, err := mustParse(t, text).Job(exampleSource)
	if err != nil {
		t.Fatal(err)
	}
	d, err := j.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// What is wrong is refused with its line, its key and what to do.
func TestRefusedWithTheLine(t *testing.T) {
	text := example(t, "recipe")
	for _, x := range []struct{ old, new, says string }{
		{"version = 1", "version = 2", "line 1: version: 2, want 1"},
		{"clock = ", "Clock = ", `line 2: "Clock": no such key`},
		{"clock = 2026-03-01T12:00:00Z\n", "", "clock: missing"},
		{"12:00:00Z", "12:00:00.5Z", "line 2: clock"},
		{"uid = 1000", "uid = -1", "line 3: uid"},
		{"cpus = 2", "cpus = 1000", "line 5: cpus"},
		{"cpus = 2", "cpus = \"2\"", "line 5"},
		{`"PATH=`, `"=`, "line 6: env"},
		{"CGO_ENABLED=0", "SOURCE_DATE_EPOCH=0", "set from clock"},
		{"CGO_ENABLED=0", "PATH=/bin", "twice"},
		{`name = "Go 1.26.0"`, `name = "source"`, "line 17: input.1.name"},
		{`name = "Go 1.26.0"`, `nmae = "Go 1.26.0"`, `line 9: "input.nmae": no such key`},
		{"goproxy:golang", "proxy:golang", "line 10: input.0.from"},
		{"goproxy:golang.org", "goproxy:../golang.org", "clean path"},
		{"goproxy:golang.org", "https://user@mirror.example", "without user"},
		{`sha256 = "3846`, `sha256 = "A846`, "line 11"},
		{`sha256 = "38461905b98c59173672814302e222ab43b652274bc0c95817b08b71ab66b705"` + "\n", "", "line 8: input.0.sha256: missing: nothing goes in without a digest"},
		{"size = 71537021", "size = -1", "line 12: input.0.size"},
		{`at = "/usr/local/go"`, `at = "usr/local/go"`, "line 13: input.0.at"},
		{`at = "/usr/local/go"`, `at = "/proc/go"`, "outside /proc"},
		{"go-toolchain", "cab", "line 14: input.0.unpack"},
		{"source = true", "source = true\nfrom = [\"npm:x\"]", "leave the others out"},
		{"source = true\n", "", "input.1.from: missing"},
		{"source = true", "source = true\nsha256 = \"" + digest.Of(nil).String() + "\"", "come together"},
		{`at = "/out/"`, `at = "/out/"` + "\ntext = \"x\"", "line 23: file.0.at: a directory"},
		{`at = "/out/"`, `at = "/out"` + "\ntext = \"x\"\nlink = \"y\"", "beside text"},
		{`"/usr/local/go/bin/go", "build"`, `"go", "build"`, "line 26: step.0.run"},
		{`dir = "/src"`, `dir = "src"`, "line 27: step.0.dir"},
		{`artifact = "app"`, `artifact = "a/b"`, "line 31: output.0.artifact"},
		{`artifact = "app"`, `artifact = "app"` + "\nmember = \"../x\"", "line 32: output.0.member"},
		{`path = "/out/app"`, `path = "out/app"`, "line 30: output.0.path"},
		{"[[output]]", "[[output]]\npath = \"/out/app\"\nartifact = \"app\"\n\n[[output]]", "artifact of two outputs"},
		{"[[file]]", "[limits]\nmemory = \"1000GiB\"\n\n[[file]]", "line 23: limits.memory"},
		{"[[file]]", "[limits]\nmemory = \"lots\"\n\n[[file]]", "512MiB"},
		{"[[file]]", "[limits]\ntime = \"1ms\"\n\n[[file]]", "whole seconds"},
		{"[[file]]", "[limit]\n\n[[file]]", `line 22: "limit": no such key`},
		{"[[file]]\nat = \"/out/\"", "", ""},
		{"cpus = 2", "cpus = 2\nfile = [{at = \"/out/\"}]", ""},
	} {
		_, err := recipe.Parse([]byte(strings.Replace(text, x.old, x.new, 1)))
		if x.says == "" && strings.Contains(x.new, "file = [") {
			x.says = "" // also declared as a table: TOML itself refuses it
			if err == nil {
				t.Errorf("%q is accepted", x.new)
			}
			continue
		}
		if x.says == "" {
			if err != nil {
				t.Errorf("%q for %q: %v", x.new, x.old, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), x.says) {
			t.Errorf("%q for %q: %v, want %q", x.new, x.old, err, x.says)
		}
	}
}

// Tables that are written inline would escape the check of their keys.
func TestInlineTablesAreRefused(t *testing.T) {
	text := strings.Replace(example(t, "recipe"), "[[file]]\nat = \"/out/\"", "", 1)
	_, err := recipe.Parse([]byte(strings.Replace(text, "cpus = 2", `file = [{AT = "/out/"}]`, 1)))
	if err == nil || !strings.Contains(err.Error(), "as a table of its own") {
		t.Error(err)
	}
}

// A recipe for another version of the source is refused.
func TestJobNeedsItsSource(t *testing.T) {
	text := example(t, "recipe")
	if _, err := mustParse(t, text).Job(recipe.Content{}); err == nil {
		t.Error("a job without a source")
	}
	pinned := mustParse(t, strings.Replace(text, "source = true", fmt.Sprintf("source = true\nsha256 = %q\nsize = 10240", exampleSource.SHA256), 1))
	if _, err := pinned.Job(recipe.Content{}); err != nil {
		t.Error(err)
	}
	other := recipe.Content{SHA256: digest.Of([]byte("other")), Size: 10_240}
	if _, err := pinned.Job(other); err == nil || !strings.Contains(err.Error(), "another version") {
		t.Error(err)
	}
}

// A single step runs as it is; several run one after the other in a shell.
func TestCommand(t *testing.T) {
	text := example(t, "recipe")
	j, err := mustParse(t, strings.Replace(text, "dir = \"/src\"", "dir = \"/src\"\nenv = [\"PATH=/bin\"]", 1)).Job(exampleSource)
	if err != nil {
		t.Fatal(err)
	}
	argv, env, dir := j.Command()
	if argv[0] != "/usr/local/go/bin/go" || strings.Join(env, " ") != "CGO_ENABLED=0 PATH=/bin" || dir != "/src" {
		t.Errorf("%v %v %s", argv, env, dir)
	}
	j, err = mustParse(t, text+"\n[[step]]\nrun = [\"/bin/echo\", \"it's\"]\nenv = [\"A=b c\"]\n").Job(exampleSource)
	if err != nil {
		t.Fatal(err)
	}
	argv, _, dir = j.Command()
	want := "echo 'vitrine: step 2 of 2' >&2\n(\ncd '/'\nexport A='b c'\nexec '/bin/echo' 'it'\\''s'\n)\n"
	if len(argv) != 4 || argv[0] != "/bin/sh" || argv[1] != "-e" || dir != "/" || !strings.HasSuffix(argv[3], want) {
		t.Errorf("%q %s", argv, dir)
	}
}

// What is written is read again, and says the same.
func TestMarshal(t *testing.T) {
	text := example(t, "recipe") + "\n[[step]]\nrun = [\"/bin/echo\", \"it's \\\"\\\\ \\t\\u0001\"]\n\n[[file]]\nat = \"/x\"\ntext = \"\"\"\na \\\\ \\\"\\\"\\\" b\n\nc\"\"\"\n"
	text = strings.Replace(text, "[[file]]", "[limits]\nmemory = \"3GiB\"\ntime = \"1m30s\"\nprocesses = 7\n\n[[file]]", 1)
	r := mustParse(t, text)
	b, err := r.Marshal("head\nof it", map[string]string{"clock": "when", "input.1": "which"})
	if err != nil {
		t.Fatal(err)
	}
	if jobDigest(t, string(b)) != jobDigest(t, text) {
		t.Errorf("another job after writing:\n%s", b)
	}
	if again := mustParse(t, string(b)); again.Limits != r.Limits || again.Inputs[0].From[0] != r.Inputs[0].From[0] || again.Outputs[0] != r.Outputs[0] {
		t.Errorf("another recipe after writing:\n%s", b)
	}
	for _, want := range []string{"# head\n# of it\n", "# when\nclock", "# which\n[[input]]"} {
		if !strings.Contains(string(b), want) {
			t.Errorf("no %q in\n%s", want, b)
		}
	}
}

// What Parse accepts makes a job that is read back, and is written as a recipe
// that gives the same job.
func FuzzParse(f *testing.F) {
	f.Add([]byte(example(f, "recipe")))
	f.Add([]byte("version = 1\nclock = 2026-03-01T12:00:00Z\n[[step]]\nrun=['/a']\n[[output]]\npath='/o'\nartifact='o'\nmember='a/b'\n"))
	f.Add([]byte("version = 1\nlimits.memory = \"1GiB\"\n[[input]]\nprivate=\"x\"\nname=\"y\"\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := recipe.Parse(b)
		if err != nil {
			return
		}
		j, err := r.Job(exampleSource)
		if err != nil {
			return // pinned to another source
		}
		enc, err := j.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := recipe.ParseJob(enc); err != nil {
			t.Fatalf("%v\n%s", err, enc)
		}
		again, err := r.Marshal("", nil)
		if err != nil {
			t.Fatal(err)
		}
		j2, err := mustParse(t, string(again)).Job(exampleSource)
		if err != nil {
			t.Fatal(err)
		}
		if enc2, err := j2.Encode(); err != nil || !bytes.Equal(enc, enc2) {
			t.Fatalf("%s\nafter writing\n%s\n%v", enc, enc2, err)
		}
	})
}

// What ParseJob accepts has one form.
func FuzzParseJob(f *testing.F) {
	f.Add([]byte(strings.TrimSpace(example(f, "job"))))
	f.Fuzz(func(t *testing.T, b []byte) {
		j, err := recipe.ParseJob(b)
		if err != nil {
			return
		}
		if again, err := j.Encode(); err != nil || !bytes.Equal(again, b) {
			t.Fatalf("a second form: %s, %v", again, err)
		}
	})
}
