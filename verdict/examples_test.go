package verdict_test

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/fixture"
	"vitrine.example/key"
	"vitrine.example/proof"
	"vitrine.example/verdict"
)

const spec = "../docs/spec/"

// The files in docs/spec/examples belong together and are what this version
// writes: whoever writes another implementation starts from them.
func TestSpecExamples(t *testing.T) {
	f := fixture.File{Name: "app.txt", Data: []byte("the program\n")}
	w := fixture.New("example", key.Ed25519, "ams", "fra")
	w.Fill(3)
	l := w.Logged(product, "1.2.0", "stable", f)
	p := policyOf(w, 2)
	p.Operators = map[string]verdict.Operator{"ams": {Organisation: "Example Audit", Country: "NL", Continent: "Europe"}}
	policy, err := p.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	bundle, err := (&proof.Bundle{Statements: []proof.Logged{l}}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	e := w.ExportLogged(l, w.Vendor.Public(), f)
	decide := func(policy, bundle, file []byte) *verdict.Verdict {
		p, err := verdict.ParsePolicy(policy)
		if err != nil {
			t.Fatal(err)
		}
		b, err := proof.Parse(bundle)
		if err != nil {
			t.Fatal(err)
		}
		return verdict.Evaluate(p, verdict.Input{
			File: f.Name, Size: int64(len(file)), Digest: digest.Of(file), Bundle: b, Now: fixture.Epoch.Add(time.Hour),
		})
	}
	v := decide(policy, bundle, f.Data)
	said, err := v.JSON()
	if err != nil {
		t.Fatal(err)
	}
	files := []struct {
		name string
		data []byte
	}{
		{"app.txt", f.Data}, {"app.txt.vitrine", bundle}, {"policy.toml", policy},
		{"verdict.json", said}, {"verdict.txt", []byte(v.String())},
		{"app.txt.sigstore.json", e.Bundle}, {"trusted_root.json", e.Root}, {"vendor.pem", e.Key},
	}
	onDisk := make(map[string][]byte)
	for _, x := range files {
		path := spec + "examples/" + x.name
		if *update {
			if err := os.MkdirAll(spec+"examples", 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, x.data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		onDisk[x.name] = got
		if !bytes.Equal(got, x.data) {
			t.Errorf("%s is not what is written today (go test ./verdict -update)", path)
		}
	}
	if v := decide(onDisk["policy.toml"], onDisk["app.txt.vitrine"], onDisk["app.txt"]); !v.Accepted {
		t.Errorf("the examples are refused:\n%s", v)
	}
}

// The policy in the specification's text is one.
func TestSpecPolicy(t *testing.T) {
	text, err := os.ReadFile(spec + "policy.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(text), "```toml\n")
	example, _, ok2 := strings.Cut(rest, "```\n")
	if !ok || !ok2 {
		t.Fatal("policy.md has no example")
	}
	p, err := verdict.ParsePolicy([]byte(example))
	if err != nil {
		t.Fatal(err)
	}
	if words := strings.Join(p.Words(), "\n"); !strings.Contains(words, "3 days") || !strings.Contains(words, "Example Audit") {
		t.Errorf("words of the example:\n%s", words)
	}
	// Every key and table that the reader knows is in the text, and the other way round.
	for _, k := range regexp.MustCompile("(?m)^\\| `([a-z.-]+)` ").FindAllStringSubmatch(string(text), -1) {
		table, name, nested := strings.Cut(k[1], ".")
		line := table + " = 1\n"
		if nested {
			line = name + " = 1\n"
			if table == "witnesses" {
				line = "[witnesses]\n" + line
			} else {
				line = "[[" + table + "]]\n" + line
			}
		}
		if _, err := verdict.ParsePolicy([]byte(line)); err == nil || strings.Contains(err.Error(), "no such") {
			t.Errorf("policy.md names the key %s, which the reader does not know: %v", k[1], err)
		}
	}
	_, err = verdict.ParsePolicy([]byte("version = 1\nx = 1\n"))
	for _, k := range strings.Split(strings.TrimSpace(err.Error()[strings.Index(err.Error(), "known here:")+11:]), ", ") {
		if !strings.Contains(string(text), "`"+k+"`") {
			t.Errorf("policy.md does not explain %q", k)
		}
	}
}
