package statement_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"vitrine.example/internal/strictjson"
	"vitrine.example/key"
	"vitrine.example/statement"
)

// example returns the block of a specification that is marked ```<lang> <name>.
func example(t *testing.T, file, name string) string {
	t.Helper()
	text, err := os.ReadFile(schemaDir + file)
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?ms)^```[a-z]+ "+name+"\n(.*?)^```$").FindAllSubmatch(text, -1)
	if len(blocks) != 1 {
		t.Fatalf("%s has %d examples %q", file, len(blocks), name)
	}
	return string(blocks[0][1])
}

// line is an example of one line.
func line(t *testing.T, file, name string) string {
	t.Helper()
	return strings.TrimSuffix(example(t, file, name), "\n")
}

// The examples of the specifications are true: the key signs the payload, which
// gives the envelope, its digest, its leaf and the leaf's hash.
func TestExamplesOfTheSpecifications(t *testing.T) {
	private, err := key.ParsePrivate([]byte(example(t, "keys.md", "private")))
	if err != nil {
		t.Fatal(err)
	}
	k, err := key.NewSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	pub, err := key.ParsePublic([]byte(example(t, "keys.md", "public")))
	if err != nil || pub != k.Public() || pub.ID().String() != line(t, "keys.md", "keyid") {
		t.Errorf("keys.md: %v", err)
	}
	var s statement.Statement
	if err := json.Unmarshal([]byte(line(t, "statement.md", "payload")), &s); err != nil {
		t.Fatal(err)
	}
	e, err := statement.Sign(&s, k)
	if err != nil {
		t.Fatal(err)
	}
	if string(e.Payload()) != line(t, "statement.md", "payload") {
		t.Errorf("statement.md: the payload is\n%s", e.Payload())
	}
	if string(e.Bytes()) != line(t, "statement.md", "envelope") {
		t.Errorf("statement.md: the envelope is\n%s", e.Bytes())
	}
	if e.Digest().String() != line(t, "statement.md", "digest") {
		t.Errorf("statement.md: the digest is %s", e.Digest())
	}
	leaf, err := e.Leaf(pub)
	if err != nil || string(leaf) != line(t, "leaf.md", "leaf") {
		t.Errorf("leaf.md: the leaf is\n%s\n%v", leaf, err)
	}
	if hash := tlog.RecordHash(leaf); hex.EncodeToString(hash[:]) != line(t, "leaf.md", "leafhash") {
		t.Errorf("leaf.md: the leaf hash is %x", hash)
	}
}

func TestExampleOfRelease(t *testing.T) {
	payload, err := strictjson.Canonicalize([]byte(example(t, "release-v1.md", "release")), strictjson.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if err := parsePayload(t, payload); err != nil {
		t.Errorf("release-v1.md: %v", err)
	}
	if !bytes.Equal(payload, read(t, "golden", "release-p256", "payload.json")) {
		t.Error("release-v1.md shows another release than the golden one")
	}
}

// What release-v1.md says the schema cannot say is what the test of both knows,
// and the subjects.
func TestDifferencesAreDocumented(t *testing.T) {
	text, err := os.ReadFile(schemaDir + "release-v1.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "## What the schema cannot say\n")
	section, _, _ = strings.Cut(section, "\n## ")
	if rows := strings.Count(section, "\n|") - 2; rows != len(differences)+1 {
		t.Errorf("release-v1.md lists %d rules, the test %d and the subjects", rows, len(differences))
	}
}
