package proof_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"vitrine.example/internal/fixture"
	"vitrine.example/key"
	"vitrine.example/proof"
	"vitrine.example/statement"
	"vitrine.example/tlog"
)

const product = "pkg:generic/vitrine"

// sample is a bundle of two releases of one vendor in a cosigned log.
func sample(t testing.TB, alg key.Algorithm) (*fixture.World, *proof.Bundle, []byte) {
	t.Helper()
	w := fixture.New(t.Name(), alg, "ams", "fra")
	w.Fill(3)
	b := &proof.Bundle{Statements: []proof.Logged{
		w.Logged(product, "1.0.0", "", fixture.File{Name: "app", Data: []byte("one")}),
		w.Logged(product, "1.1.0", "", fixture.File{Name: "app", Data: []byte("two")}),
	}}
	return w, b, marshal(t, b)
}

func marshal(t testing.TB, b *proof.Bundle) []byte {
	t.Helper()
	text, err := b.Marshal()
	if err != nil {
		t.Fatalf("Marshal: %v", err)
	}
	return text
}

func TestRoundTrip(t *testing.T) {
	for _, alg := range []key.Algorithm{key.P256, key.Ed25519} {
		w, b, text := sample(t, alg)
		if !bytes.HasPrefix(text, []byte(`{"mediaType":"application/vnd.vitrine.bundle+json","statements":[{"envelope":{`)) ||
			!bytes.HasSuffix(text, []byte("\"version\":1}\n")) {
			t.Errorf("%s: encoding is\n%s", alg, text)
		}
		got, err := proof.Parse(text)
		if err != nil {
			t.Fatalf("%s: Parse: %v", alg, err)
		}
		if again := marshal(t, got); !bytes.Equal(again, text) {
			t.Errorf("%s: second encoding differs:\n%s\n%s", alg, text, again)
		}
		if len(got.Statements) != len(b.Statements) {
			t.Fatalf("%s: %d statements, want %d", alg, len(got.Statements), len(b.Statements))
		}
		for i := range got.Statements {
			if err := got.Statements[i].Verify(w.Vendor.Public()); err != nil {
				t.Errorf("%s: statement %d: %v", alg, i, err)
			}
			if got.Statements[i].Envelope.Digest() != b.Statements[i].Envelope.Digest() {
				t.Errorf("%s: statement %d is another", alg, i)
			}
		}
	}
}

func TestParseRefuses(t *testing.T) {
	_, b, good := sample(t, key.Ed25519)
	_, other, _ := sample(t, key.P256)
	replace := func(old, new string) []byte {
		if !bytes.Contains(good, []byte(old)) {
			t.Fatalf("the sample has no %q", old)
		}
		return bytes.Replace(good, []byte(old), []byte(new), 1)
	}
	element := string(good[bytes.Index(good, []byte(`{"envelope"`)):bytes.LastIndex(good, []byte(`],"version"`))])
	first := element[:strings.Index(element, `},{"envelope"`)+1]
	frame := func(elements string) []byte {
		return []byte(`{"mediaType":"` + proof.MediaType + `","statements":[` + elements + `],"version":1}` + "\n")
	}
	if _, err := proof.Parse(frame(first)); err != nil {
		t.Fatalf("frame around the first statement: %v", err)
	}
	text := string(b.Statements[0].Proof.Marshal())
	withExtra := strings.Replace(first, `@v1\nindex`, `@v1\nextra AAAA\nindex`, 1)
	tests := map[string]struct {
		in   []byte
		want error
		says string
	}{
		"empty":               {nil, proof.ErrMalformed, "newline"},
		"newline alone":       {[]byte("\n"), proof.ErrMalformed, ""},
		"no final newline":    {bytes.TrimSuffix(good, []byte("\n")), proof.ErrMalformed, "cut short"},
		"two final newlines":  {append(bytes.Clone(good), '\n'), proof.ErrMalformed, ""},
		"carriage return":     {replace("}\n", "}\r\n"), proof.ErrMalformed, ""},
		"byte order mark":     {append([]byte("\uFEFF"), good...), proof.ErrMalformed, ""},
		"cut short":           {append(bytes.Clone(good[:len(good)/2]), '\n'), proof.ErrMalformed, ""},
		"second value":        {append(bytes.Clone(good[:len(good)-1]), "{}\n"...), proof.ErrMalformed, ""},
		"leading space":       {append([]byte(" "), good...), proof.ErrMalformed, ""},
		"space after a colon": {replace(`"version":1`, `"version": 1`), proof.ErrMalformed, ""},
		"names out of order":  {replace(`"mediaType":"`+proof.MediaType+`",`, ``), proof.ErrVersion, ""},
		"unknown name":        {replace(`"version":1}`, `"version":1,"zeal":1}`), proof.ErrMalformed, "zeal"},
		"name twice":          {replace(`"version":1}`, `"version":1,"version":1}`), proof.ErrMalformed, ""},
		"name in capitals":    {replace(`"version":1}`, `"Version":1}`), proof.ErrMalformed, ""},
		"escaped letter":      {replace(`"version":1}`, `"versio\u006e":1}`), proof.ErrMalformed, ""},
		"number as 1.0":       {replace(`"version":1}`, `"version":1.0}`), proof.ErrMalformed, ""},
		"number as text":      {replace(`"version":1}`, `"version":"1"}`), proof.ErrMalformed, ""},
		"version 2":           {replace(`"version":1}`, `"version":2}`), proof.ErrVersion, "version 2"},
		"another media type":  {replace(proof.MediaType, "application/json"), proof.ErrVersion, "application/json"},
		"null statements":     {[]byte(`{"mediaType":"` + proof.MediaType + `","statements":null,"version":1}` + "\n"), nil, ""},
		"no statements":       {frame(""), proof.ErrEmpty, ""},
		"statement twice":     {frame(first + "," + first), proof.ErrDuplicate, "statement 2"},
		"proof with extra":    {frame(withExtra), proof.ErrExtra, "statement 1"},
		"proof cut short":     {frame(strings.Replace(first, `index`, `inde`, 1)), proof.ErrStatement, "proof"},
		"proof with CR":       {frame(strings.Replace(first, `@v1\nindex`, `@v1\r\nindex`, 1)), proof.ErrStatement, "proof"},
		"no proof":            {frame(`{"envelope":{},"proof":""}`), proof.ErrStatement, ""},
		"empty envelope":      {frame(`{"envelope":{},"proof":` + fmt.Sprintf("%q", text) + `}`), proof.ErrStatement, "envelope"},
		"envelope is text":    {frame(`{"envelope":"x","proof":""}`), proof.ErrStatement, "envelope"},
		"too deep":            {frame(strings.Repeat("[", 100) + strings.Repeat("]", 100)), proof.ErrMalformed, ""},
		"too large":           {bytes.Repeat([]byte(" "), proof.MaxSize+1), proof.ErrTooLarge, "bytes"},
		"too many":            {frame(strings.TrimSuffix(strings.Repeat(first+",", proof.MaxStatements+1), ",")), proof.ErrTooLarge, "statements"},
		"not UTF-8":           {replace(proof.MediaType, "application/\xff"), proof.ErrMalformed, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := proof.Parse(tt.in)
			if err == nil {
				t.Fatalf("accepted %.200s", tt.in)
			}
			if got != nil {
				t.Error("a bundle is returned with the error")
			}
			if tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("error %q, want one of kind %q", err, tt.want)
			}
			if !strings.Contains(err.Error(), tt.says) {
				t.Errorf("error %q does not say %q", err, tt.says)
			}
		})
	}
	// The same statement in two logs is two places, not a duplicate.
	both := &proof.Bundle{Statements: []proof.Logged{b.Statements[0], {Envelope: b.Statements[0].Envelope, Proof: elsewhere(b.Statements[0].Proof)}, other.Statements[0]}}
	if _, err := proof.Parse(marshal(t, both)); err != nil {
		t.Errorf("one statement in two logs: %v", err)
	}
}

// elsewhere returns the proof with another origin; its signatures no longer verify.
func elsewhere(p *tlog.Proof) *tlog.Proof {
	c := *p.Checkpoint
	c.Origin = "other.example"
	q := *p
	q.Checkpoint = &c
	return &q
}

func TestMarshalRefuses(t *testing.T) {
	_, b, _ := sample(t, key.Ed25519)
	l := b.Statements[0]
	extra := *l.Proof
	extra.Extra = []byte("x")
	tests := map[string]struct {
		in   []proof.Logged
		want error
	}{
		"none":          {nil, proof.ErrEmpty},
		"no envelope":   {[]proof.Logged{{Proof: l.Proof}}, proof.ErrStatement},
		"no proof":      {[]proof.Logged{{Envelope: l.Envelope}}, proof.ErrStatement},
		"no checkpoint": {[]proof.Logged{{Envelope: l.Envelope, Proof: &tlog.Proof{}}}, proof.ErrStatement},
		"twice":         {[]proof.Logged{l, l}, proof.ErrDuplicate},
		"extra":         {[]proof.Logged{{Envelope: l.Envelope, Proof: &extra}}, proof.ErrExtra},
		"too many":      {make([]proof.Logged, proof.MaxStatements+1), proof.ErrTooLarge},
	}
	for name, tt := range tests {
		if _, err := (&proof.Bundle{Statements: tt.in}).Marshal(); !errors.Is(err, tt.want) {
			t.Errorf("%s: error %v, want %v", name, err, tt.want)
		}
	}
}

// What Parse would refuse is not written, however it came about.
func TestMarshalWritesWhatIsRead(t *testing.T) {
	_, b, _ := sample(t, key.Ed25519)
	good := b.Statements[0]
	checkpoint := func(c tlog.SignedCheckpoint) *tlog.Proof { return &tlog.Proof{Checkpoint: &c} }
	for name, l := range map[string]proof.Logged{
		"an envelope of nothing":  {Envelope: &statement.Envelope{}, Proof: good.Proof},
		"a checkpoint of nothing": {Envelope: good.Envelope, Proof: checkpoint(tlog.SignedCheckpoint{})},
		"a negative index":        {Envelope: good.Envelope, Proof: &tlog.Proof{Index: -1, Checkpoint: good.Proof.Checkpoint}},
		"a newline in the origin": {Envelope: good.Envelope, Proof: checkpoint(tlog.SignedCheckpoint{
			Checkpoint: tlog.Checkpoint{Origin: "a\nb"}, Signatures: good.Proof.Checkpoint.Signatures,
		})},
		"too many signatures": {Envelope: good.Envelope, Proof: checkpoint(tlog.SignedCheckpoint{
			Checkpoint: good.Proof.Checkpoint.Checkpoint, Signatures: slices.Repeat(good.Proof.Checkpoint.Signatures, 30),
		})},
		"too long a path": {Envelope: good.Envelope, Proof: &tlog.Proof{Path: make([]tlog.Hash, 64), Checkpoint: good.Proof.Checkpoint}},
	} {
		text, err := (&proof.Bundle{Statements: []proof.Logged{l}}).Marshal()
		if err == nil || text != nil {
			t.Errorf("%s: written as\n%s", name, text)
		}
	}
}

func TestVerifyRefuses(t *testing.T) {
	w, b, _ := sample(t, key.P256)
	vendor := w.Vendor.Public()
	stranger := fixture.StatementKey("stranger", key.P256).Public()
	l, m := b.Statements[0], b.Statements[1]
	index, path, size := *l.Proof, *l.Proof, *l.Proof
	index.Index++
	path.Path = append([]tlog.Hash{{1}}, l.Proof.Path[1:]...)
	c := *l.Proof.Checkpoint
	c.Size *= 1000 // the signature covers the size; the path alone fixes its shape
	size.Checkpoint = &c
	tests := map[string]struct {
		l proof.Logged
		k key.Public
	}{
		"another key":         {l, stranger},
		"no key":              {l, key.Public{}},
		"another's proof":     {proof.Logged{Envelope: l.Envelope, Proof: m.Proof}, vendor},
		"another index":       {proof.Logged{Envelope: l.Envelope, Proof: &index}, vendor},
		"another path":        {proof.Logged{Envelope: l.Envelope, Proof: &path}, vendor},
		"another size":        {proof.Logged{Envelope: l.Envelope, Proof: &size}, vendor},
		"nothing":             {proof.Logged{}, vendor},
		"no proof":            {proof.Logged{Envelope: l.Envelope}, vendor},
		"no checkpoint":       {proof.Logged{Envelope: l.Envelope, Proof: &tlog.Proof{}}, vendor},
		"stranger's envelope": {proof.Logged{Envelope: strangersRelease(), Proof: l.Proof}, vendor},
	}
	for name, tt := range tests {
		if err := tt.l.Verify(tt.k); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if err := l.Verify(vendor); err != nil {
		t.Errorf("good one: %v", err)
	}
}

func strangersRelease() *statement.Envelope {
	return fixture.Release(fixture.StatementKey("stranger", key.P256), product, "1.0.0", "", fixture.File{Name: "app", Data: []byte("one")})
}

// What Parse accepts, Marshal gives back byte for byte: no bundle has a second
// encoding, whatever is changed in it.
func TestOneEncoding(t *testing.T) {
	_, _, good := sample(t, key.P256)
	rapid.Check(t, func(t *rapid.T) {
		b := bytes.Clone(good)
		for range rapid.IntRange(1, 4).Draw(t, "changes") {
			i := rapid.IntRange(0, len(b)-1).Draw(t, "at")
			switch rapid.SampledFrom([]string{"flip", "cut", "insert", "double"}).Draw(t, "how") {
			case "flip":
				b[i] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
			case "cut":
				b = append(b[:i:i], b[min(len(b), i+rapid.IntRange(1, 4).Draw(t, "n")):]...)
			case "insert":
				b = append(b[:i:i], append([]byte{rapid.Byte().Draw(t, "byte")}, b[i:]...)...)
			case "double":
				j := min(len(b), i+rapid.IntRange(1, 100).Draw(t, "n"))
				b = append(b[:j:j], b[i:]...)
			}
			if len(b) == 0 {
				return
			}
		}
		p, err := proof.Parse(b)
		if err != nil {
			return
		}
		again, err := p.Marshal()
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("accepted, but encodes to something else (%v):\n%s\n%s", err, b, again)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, alg := range []key.Algorithm{key.P256, key.Ed25519} {
		_, _, good := sample(f, alg)
		f.Add(good)
	}
	f.Add([]byte(`{"mediaType":"application/vnd.vitrine.bundle+json","statements":[],"version":1}` + "\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := proof.Parse(b)
		if err != nil {
			if p != nil {
				t.Fatal("a bundle is returned with an error")
			}
			return
		}
		again, err := p.Marshal()
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("accepted, but encodes to something else (%v):\n%q\n%q", err, b, again)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	_, _, text := sample(b, key.P256)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := proof.Parse(text); err != nil {
			b.Fatal(err)
		}
	}
}
