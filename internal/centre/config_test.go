package centre

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "write the files that are generated")

// TestConfigurationDocument keeps docs/configuration.md equal to the program.
func TestConfigurationDocument(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "configuration.md")
	if *update {
		check(t, os.WriteFile(path, []byte(ConfigMarkdown()), 0o644))
	}
	b, err := os.ReadFile(path)
	check(t, err)
	if string(b) != ConfigMarkdown() {
		t.Errorf("%s is out of date: go test ./internal/centre -run ConfigurationDocument -update", path)
	}
}

// TestEveryKeyIsDocumentedOnce: the table and the struct have the same keys.
func TestEveryKeyIsDocumentedOnce(t *testing.T) {
	tags := map[string]bool{}
	typ := reflect.TypeFor[Config]()
	for i := range typ.NumField() {
		if tag := typ.Field(i).Tag.Get("toml"); tag != "" {
			tags[tag] = true
		}
	}
	seen := map[string]bool{}
	for _, k := range configKeys {
		if seen[k.name] || !tags[k.name] || k.doc == "" || (k.initial == nil) == (k.example == nil) {
			t.Errorf("key %q is documented wrongly", k.name)
		}
		seen[k.name] = true
	}
	if len(seen) != len(tags) {
		t.Errorf("%d keys are documented, there are %d", len(seen), len(tags))
	}
}

// TestReferenceIsAConfiguration: what is printed can be used, commented or not,
// and the defaults in it are the defaults.
func TestReferenceIsAConfiguration(t *testing.T) {
	short, err := parseConfig([]byte(ConfigReference()))
	check(t, err)
	var all strings.Builder
	for line := range strings.Lines(ConfigReference()) {
		if strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "# ") {
			line = line[1:]
		}
		all.WriteString(line)
	}
	long, err := parseConfig([]byte(all.String()))
	if err != nil {
		t.Fatalf("%v\n%s", err, all.String())
	}
	if !reflect.DeepEqual(short, long) {
		t.Errorf("defaults differ:\n%+v\n%+v", short, long)
	}
}

const least = "name = \"Example Ltd\"\nurl = \"https://log.example.org\"\n"

// TestRefusedConfigurations: each is refused with its line and key.
func TestRefusedConfigurations(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", "url: "},
		{"name = \"x\"\n", "url: "},
		{"url = \"https://a.example\"\n", "name: want 1 to 200"},
		{least + "colour = \"red\"\n", "line 3: colour: no such key"},
		{least + "Listen = \"127.0.0.1:1\"\n", "line 3: Listen: no such key"},
		{least + "[server]\nlisten = \"x\"\n", "line 3: server: no such key"},
		{least + "name = \"twice\"\n", "line 3"},
		{least + "listen = 8080\n", "line 3, column 10: listen"},
		{least + "requests-per-second = \"many\"\n", "line 3, column 23: requests-per-second"},
		{least + "requests-per-second = -1\n", "line 3: requests-per-second: -1 is not between"},
		{least + "request-burst = 0\n", "line 3: request-burst: 0 is not between"},
		{least + "listen = \"\n", "line 3"},
		{least + "\n\nlisten = \"localhost\"\n", "line 5: listen: \"localhost\" is not host:port"},
		{least + "listen = \"\"\n", "line 3: listen: "},
		{least + "listen = \"127.0.0.1:99999\"\n", "line 3: listen: "},
		{least + "add-listen = \"0.0.0.0:1\"\n", "line 3: add-listen: \"0.0.0.0:1\" is not a loopback address"},
		{least + "add-listen = \":1\"\n", "line 3: add-listen: \":1\" is not a loopback address"},
		{least + "add-listen = \"example.org:1\"\n", "line 3: add-listen: \"example.org:1\" is not a loopback address"},
		{least + "checkpoint-interval = \"1\"\n", "line 3: checkpoint-interval: \"1\" is not a time"},
		{least + "checkpoint-interval = \"1ms\"\n", "line 3: checkpoint-interval: 1ms is not between"},
		{least + "trusted-proxies = [\"10.0.0.0/33\"]\n", "line 3: trusted-proxies: \"10.0.0.0/33\" is neither"},
		{least + "trusted-proxies = \"10.0.0.1\"\n", "line 3"},
		{least + "log-level = \"loud\"\n", "line 3: log-level: "},
		{least + "log-format = \"xml\"\n", "line 3: log-format: \"xml\" is neither text nor json"},
		{least + "database = \"mysql://host/name\"\n", "line 3: database: want a file name or postgres://"},
		{least + "database = \"postgres:///name\"\n", "line 3: database: not a URL"},
		{least + "statement-key = \"\"\n", "line 3: statement-key: want a path"},
		{least + "statement-key = \"ssh-agent:\"\n", "line 3: statement-key: want a path"},
		{"name = \"a\\u0007b\"\nurl = \"https://a.example\"\n", "line 1: name: '\\a' cannot be printed"},
		{"name = \" x\"\nurl = \"https://a.example\"\n", "line 1: name: "},
		{least + "\xff", "not UTF-8"},
	} {
		cfg, err := parseConfig([]byte(c.text))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v (%+v), want %q", c.text, err, cfg, c.want)
		}
	}
	dir := t.TempDir()
	check(t, os.WriteFile(filepath.Join(dir, ConfigFile), []byte(least+"#"+strings.Repeat("x", maxConfig)), 0o600))
	if _, err := LoadConfig(dir); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("a huge file: %v", err)
	}
	if _, err := LoadConfig(t.TempDir()); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "vitrine init") {
		t.Errorf("no file: %v", err)
	}
}

// TestOrigins: the origin is the host of the URL, exactly.
func TestOrigins(t *testing.T) {
	for _, c := range []struct{ url, origin, refused string }{
		{"https://log.example.org", "log.example.org", ""},
		{"https://log.example.org/", "log.example.org", ""},
		{"http://log.example.org", "log.example.org", ""},
		{"http://localhost:8080", "localhost", ""},
		{"http://127.0.0.1:8080", "127.0.0.1", ""},
		{"http://[::1]:8080/", "::1", ""},
		{"https://xn--bcher-kva.example", "xn--bcher-kva.example", ""},
		{"", "", "is not a URL"},
		{"log.example.org", "", "is not a URL"},
		{"ftp://log.example.org", "", "https://"},
		{"https://", "", "is not a URL"},
		{"https://log.example.org/log", "", "has a path"},
		{"https://log.example.org//", "", "has a path"},
		{"https://log.example.org:8443", "", "has a port"},
		{"https://log.example.org:", "", "empty port"},
		{"https://user@log.example.org", "", "more than scheme and host"},
		{"https://log.example.org?x", "", "more than scheme and host"},
		{"https://log.example.org?", "", "more than scheme and host"},
		{"https://log.example.org#x", "", "more than scheme and host"},
		{"https://Log.example.org", "", "lower-case"},
		{"https://bücher.example", "", "xn--"},
		{"https://log.example.org.", "", "lower-case"},
		{"https://-log.example.org", "", "lower-case"},
		{"https://log example.org", "", "is not a URL"},
		{"https://log+x.example.org", "", "lower-case"},
		{"https://" + strings.Repeat("a.", 200) + "example", "", "lower-case"},
		{"http://[fe80::1%25eth0]:80", "", "zone"},
	} {
		origin, err := originOf(c.url)
		if c.refused == "" && (err != nil || origin != c.origin) {
			t.Errorf("%q: %q, %v, want %q", c.url, origin, err, c.origin)
		}
		if c.refused != "" && (err == nil || !strings.Contains(err.Error(), c.refused)) {
			t.Errorf("%q: %q, %v, want %q", c.url, origin, err, c.refused)
		}
	}
}

// TestNames: whatever a name holds, it comes back from the file that init
// writes, or is refused; it never becomes another key.
func TestNames(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.String().Draw(t, "name")
		cfg, err := parseConfig([]byte(renderConfig(map[string]any{"name": name, "url": "https://log.example.org"})))
		if err == nil && cfg.Name != name {
			t.Errorf("%q became %q", name, cfg.Name)
		}
		if err != nil && checkName(name) == nil {
			t.Errorf("%q: %v", name, err)
		}
	})
}

// TestDamagedConfigurations: a file that was damaged anywhere is a configuration
// or an error, never both and never a panic. (A fuzz target would have the
// whole database engine compiled for it.)
func TestDamagedConfigurations(t *testing.T) {
	whole := []byte(ConfigReference())
	rapid.Check(t, func(t *rapid.T) {
		b := slices.Clone(whole)
		for range rapid.IntRange(1, 4).Draw(t, "cuts") {
			at := rapid.IntRange(0, len(b)).Draw(t, "at")
			to := min(len(b), at+rapid.IntRange(0, 40).Draw(t, "length"))
			b = slices.Replace(b, at, to, rapid.SliceOfN(rapid.SampledFrom([]byte("\"'\n#=[]{}.\\ux0é\x00")), 0, 6).Draw(t, "instead")...)
		}
		c, err := parseConfig(b)
		if (c == nil) == (err == nil) {
			t.Errorf("%v, %v", c, err)
		}
		if err == nil && c.Origin() == "" {
			t.Error("accepted without an origin")
		}
	})
}

// TestPasswordsStayInside: no way of printing shows a database password.
func TestPasswordsStayInside(t *testing.T) {
	for _, d := range []string{
		"postgres://user:hunter2@db.example/name?password=hunter2", "postgresql://:hunter2@db.example/name",
		"postgres://user:hunter2%zz@db.example/name", "postgres://db.example/name?sslpassword=hunter2",
	} {
		var logged strings.Builder
		log := slog.New(slog.NewTextHandler(&logged, nil))
		c := &Config{Database: Database(d)}
		log.Info("x", "database", c.Database, "config", fmt.Sprintf("%v %+v %#v %s %q", c, c, c.Database, c.Database, c.Database))
		_, err := parseConfig([]byte(least + "database = '" + d + "'\nlisten = 3\n"))
		_, err2 := parseConfig([]byte(least + "database = '" + d + "'\n"))
		all := fmt.Sprint(logged.String(), err, err2)
		if strings.Contains(all, "hunter2") {
			t.Errorf("%s", all)
		}
	}
}
