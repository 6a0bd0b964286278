package tlog

import (
	"bytes"
	"crypto/ed25519"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write golden files anew")

const differencesFile = "../docs/spec/differences.md"

// A difference is a class of inputs on which implementations differ, with one
// input of it.
type difference struct {
	id       string // what fuzz targets call it
	what     string
	example  string // for the eye
	decided  string // the line of the specification, or what else decides
	accepted []string
	input    func(t *testing.T) string
}

// A section is what is read, by whom.
type section struct {
	title, text string
	by          func(t *testing.T) map[string]accepting
	rows        []difference
}

// In each section, this text of a checkpoint is what most inputs vary.
const (
	sample     = "log\n3\n" + sampleRoot + "\n"
	sampleRoot = "lPvQ3YNvUDAWkubQ6t5yjuGexSv/8WBu2AfIV11aqhk="
)

func TestSampleIsReal(t *testing.T) {
	if got := string(newTree(t, 3).signed(t, "log", 3).Text()); got != sample {
		t.Errorf("got %q", got)
	}
}

// logLine is the plain signature line of log:1 on any text.
func logLine(t *testing.T, text string) string {
	t.Helper()
	key := privateKey(t, Ed25519, fmt.Sprint("log", Ed25519)).(ed25519.PrivateKey)
	v := newSigner(t, "log", Ed25519).Verifier()
	return string(Signature{"log", v.KeyID(), ed25519.Sign(key, []byte(text))}.Marshal())
}

// logSigned is a note with the signature of log:1, whatever its text.
func logSigned(t *testing.T, text string) string { return text + "\n" + logLine(t, text) }

// proofText is the proof of entry 1 in sample, signed by log:1 and cosigned by w:4.
func proofText(t *testing.T) string {
	m := newTree(t, 3)
	return string(m.proof(t, m.signed(t, "log", 3, newSigner(t, "log", 1), newSigner(t, "w", 4)), 1).Marshal())
}

// replaced is a proof with the first old replaced, which has to be there.
func replaced(old, new string) func(*testing.T) string {
	return func(t *testing.T) string {
		text := proofText(t)
		if !strings.Contains(text, old) {
			t.Fatalf("%q is not in %s", old, text)
		}
		return strings.Replace(text, old, new, 1)
	}
}

// pathLine is the first hash of proofText.
func pathLine(t *testing.T) string { return strings.Split(proofText(t), "\n")[2] }

// spoil sets an unused bit in base64 that ends with padding.
func spoil(t testing.TB, b64 string) string {
	t.Helper()
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	i := len(strings.TrimRight(b64, "=")) - 1
	n := strings.IndexByte(alphabet, b64[i])
	if i == len(b64)-1 || n&1 == 1 {
		t.Fatalf("%q has no unused bit that is zero", b64)
	}
	return b64[:i] + string(alphabet[n|1]) + b64[i+1:]
}

func text(s string) func(*testing.T) string {
	return func(t *testing.T) string { return expand(t, s) }
}

// rawVkey is the vkey of any type and key material, with the hash that belongs to it.
func rawVkey(name string, typ byte, material []byte) string {
	return fmt.Sprintf("%s+%08x+%s", name, keyID(name, KeyType(typ), string(material)), encodeBase64(append([]byte{typ}, material...)))
}

// cosigned is a vkey of a name and type, and under it a note with its cosignature.
func cosigned(t *testing.T, name string, typ KeyType, at uint64, c Checkpoint) string {
	t.Helper()
	key := privateKey(t, typ, "cosigner")
	var material []byte
	v, err := NewVerifier("x", typ, key.Public())
	if err != nil {
		t.Fatal(err)
	}
	material = []byte(v.pub)
	sig := Signature{name, keyID(name, typ, v.pub), cosign(t, key, name, typ, at, c)}
	return rawVkey(name, byte(typ), material) + "\n" + string(c.Text()) + "\n" + string(sig.Marshal())
}

var sampleCheckpoint = Checkpoint{Origin: "log", Size: 3, Root: mustHash(sampleRoot)}

func mustHash(s string) Hash {
	h, err := parseHash(s)
	if err != nil {
		panic(err)
	}
	return h
}

// The patterns that come back.
var (
	others       = []string{"formats", "torchwood"}
	onlyF        = []string{"formats"}
	onlyT        = []string{"torchwood"}
	onlyX        = []string{"x/mod"}
	ours         = []string{"vitrine"}
	notFormats   = []string{"torchwood", "vitrine"}
	notTorchwood = []string{"formats", "vitrine"}
)

// TestDifferences runs every implementation on the input of every row and
// wants exactly the row's pattern; and that the table says the same.
func TestDifferences(t *testing.T) {
	var doc bytes.Buffer
	doc.WriteString(differencesHead)
	ids := map[string]bool{}
	for _, s := range sections() {
		peers := s.by(t)
		fmt.Fprintf(&doc, "\n## %s\n\n%s\n\n", s.title, s.text)
		doc.WriteString("| class | input | example | accepted by | refused by | decided by |\n|---|---|---|---|---|---|\n")
		for _, d := range s.rows {
			if ids[d.id] {
				t.Errorf("two rows %s", d.id)
			}
			ids[d.id] = true
			var yes, no []string
			in := d.input(t)
			for name, accepts := range peers {
				err := accepts(in)
				if err == nil {
					yes = append(yes, name)
				} else {
					no = append(no, name)
				}
				if want := slices.Contains(d.accepted, name); want != (err == nil) {
					t.Errorf("%s: %s: %v, want accepted: %v\n%.300q", d.id, name, err, want, in)
				}
			}
			slices.Sort(yes)
			slices.Sort(no)
			fmt.Fprintf(&doc, "| %s | %s | `%s` | %s | %s | %s |\n", d.id, d.what, d.example, orNobody(yes), orNobody(no), d.decided)
		}
	}
	for _, c := range slices.Concat(proofClasses, policyClasses, tileClasses) {
		if !ids[c.id] {
			t.Errorf("fuzz targets know a class %s, which has no row", c.id)
		}
	}
	for _, c := range peerClasses {
		if !ids[c.id] {
			t.Errorf("fuzz targets know a class %s, which has no row", c.id)
		}
	}
	if *update {
		if err := os.WriteFile(differencesFile, doc.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(differencesFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(doc.Bytes(), want) {
		t.Errorf("%s is not what this test would write: go test ./tlog -run TestDifferences -update", differencesFile)
	}
}

func orNobody(names []string) string {
	if len(names) == 0 {
		return "nobody"
	}
	return strings.Join(names, ", ")
}
