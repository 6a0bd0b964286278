package tlog

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// vkey is the verifier key of a name and type, the same in each test.
func vkey(t testing.TB, name string, typ KeyType) string {
	return newSigner(t, name, typ).Verifier().String()
}

// expand replaces <name:type> by the vkey of that name and type (1, 4 or 6) and
// <name:type=other> by the same public key under another name or type.
func expand(t testing.TB, text string) string {
	t.Helper()
	for strings.Contains(text, "<") {
		before, rest, _ := strings.Cut(text, "<")
		tag, after, ok := strings.Cut(rest, ">")
		if !ok {
			t.Fatalf("no > in %q", text)
		}
		tag, as, renamed := strings.Cut(tag, "=")
		name, typ := splitTag(t, tag)
		v := newSigner(t, name, typ).Verifier()
		if renamed {
			var err error
			name, typ = splitTag(t, as)
			if v, err = NewVerifier(name, typ, v.PublicKey()); err != nil {
				t.Fatal(err)
			}
		}
		text = before + v.String() + after
	}
	return text
}

func splitTag(t testing.TB, tag string) (string, KeyType) {
	t.Helper()
	i := strings.LastIndex(tag, ":")
	if i < 0 {
		t.Fatalf("no type in %q", tag)
	}
	return tag[:i], KeyType(tag[i+1] - '0')
}

func mustPolicy(t testing.TB, text string) *Policy {
	t.Helper()
	p, err := ParsePolicy([]byte(expand(t, text)))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// twoLevels is the example of tlog-policy.
const twoLevels = `
# an example
log <log:1>

witness X1 <x1:4>
witness X2 <x2:4>
	witness   X3	<x3:6>  https://x3.example/witness  
group X-witnesses 2 X1 X2 X3

witness Y1 <y1:4>
witness Y2 <y2:4>
witness Y3 <y3:4>
group Y-witnesses any Y1 Y2 Y3

group X-and-Y all X-witnesses Y-witnesses
quorum X-and-Y
`

func TestPolicyNormalForm(t *testing.T) {
	p := mustPolicy(t, twoLevels)
	want := expand(t, `log <log:1>
witness X1 <x1:4>
witness X2 <x2:4>
witness X3 <x3:6> https://x3.example/witness
witness Y1 <y1:4>
witness Y2 <y2:4>
witness Y3 <y3:4>
group X-witnesses 2 X1 X2 X3
group Y-witnesses any Y1 Y2 Y3
group X-and-Y all X-witnesses Y-witnesses
quorum X-and-Y
`)
	if got := string(p.Marshal()); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	q, err := ParsePolicy(p.Marshal())
	if err != nil || !reflect.DeepEqual(p, q) {
		t.Errorf("the normal form reads as %v, %v", q, err)
	}
}

func TestPolicyAccepted(t *testing.T) {
	for _, text := range []string{
		"quorum none\n",
		"log <a:1>\nquorum none\n",
		"quorum none\nlog <a:1>\n",            // logs in any order
		"quorum none\nwitness W <w:4>\n",      // witnesses too
		"log <a:1>\nlog <a:6>\nquorum none\n", // two keys of one log
		"witness any <w:4>\nquorum any\n",     // keywords are names like others
		"witness 2 <w:4>\ngroup all all 2\nquorum all\n",
		"witness \xff\xfe <w:4>\nquorum \xff\xfe\n", // opaque octets
		"witness K <w:4>\nwitness \u212a <v:4>\nquorum K\n",
		"witness W <w:4>\ngroup G 1 W\nquorum W\n", // the group is not used
		"# \xff\n \t\n\t#x\nquorum none\n",
		"log <a:1> sigsum+https://a.example\nquorum none\n",
	} {
		p, err := ParsePolicy([]byte(expand(t, text)))
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if q, err := ParsePolicy(p.Marshal()); err != nil || !reflect.DeepEqual(p, q) {
			t.Errorf("%q: normal form reads as %v, %v", text, q, err)
		}
	}
}

func TestPolicyRefused(t *testing.T) {
	for _, c := range []struct{ text, reason string }{
		{"", "no quorum line"},
		{"# nothing\n", "no quorum line"},
		{"quorum none", "line 1: the line does not end in a newline"},
		{"\nquorum none\r\n", "line 2: control character 0x0d"},
		{"# \x00\nquorum none\n", "line 1: control character 0x00"},
		{"# \x7f\nquorum none\n", "line 1: control character 0x7f"},
		{"quorum none\nquorum none\n", "line 2: quorum: a second quorum line"},
		{"quorum none none\n", "line 1: 3 fields"},
		{"quorum\n", "line 1: 1 fields"},
		{"quorum none # of them\n", "line 1: 5 fields"},
		{"Quorum none\n", `line 1: "Quorum" is neither`},
		{"quorum\u00a0none\n", "is neither"},
		{"quorum W\nwitness W <w:4>\n", `line 1: quorum: "W" is not defined before`},
		{"log\n", "1 fields"},
		{"log <a:1> https://a.example more\n", "4 fields"},
		{"log <a:1> #main\n", "a comment needs a line of its own"},
		{"log <a:1> a.example\n", "is not an URL"},
		{"log <a:1> 1a:b\n", "is not an URL"},
		{"log <a:4>\n", "a log has"},
		{"log a+00000000+AQ==\n", "line 1: log: verifier key"},
		{"log <a:1>\nlog <a:1>\n", "line 2: log: the same public key as log a"},
		{"log <a:1>\nlog <a:1=b:1>\n", "line 2: log: the same public key as log a"},
		{"witness W <w:1>\n", "a witness has"},
		{"witness W\n", "2 fields"},
		{"witness W <w:4> https://w.example more\n", "5 fields"},
		{"witness W <w:4> #comment\n", "a comment needs a line of its own"},
		{"witness none <w:4>\n", `the name "none" is taken`},
		{"witness W <w:4>\nwitness W <v:4>\n", `line 2: witness: the name "W" is taken`},
		{"witness W <w:4>\nwitness V <w:4>\n", "line 2: witness: the same public key as witness W"},
		{"witness W <w:4>\nwitness V <w:4=v:4>\n", "line 2: witness: the same public key as witness W"},
		{"witness W <w:6>\nwitness V <w:6=v:6>\n", "line 2: witness: the same public key as witness W"},
		{"log <a:1>\nwitness W <a:1=w:4>\n", "line 2: witness: the same public key as log a"},
		{"log <a:6>\nwitness W <a:6>\n", "line 2: witness: the same public key as log a"},
		{"witness W <w:4>\ngroup W any W\n", `line 2: group: the name "W" is taken`},
		{"witness W <w:4>\ngroup none any W\n", `the name "none" is taken`},
		{"group G any G\n", `member "G" is not defined before`},
		{"group G any W\nwitness W <w:4>\n", `line 1: group: member "W" is not defined before`},
		{"group G any none\n", `"none" is no member`},
		{"group G any\n", "want: group <name> all|any|<k> and"},
		{"witness W <w:4>\ngroup G any W W\n", `member "W" is one already, of group "G"`},
		{"witness W <w:4>\ngroup G any W\ngroup H any W\n", `line 3: group: member "W" is one already, of group "G"`},
		{"witness W <w:4>\nwitness V <v:4>\ngroup G any W\ngroup H all G V W\n", `line 4: group: member "W" is one already`},
		{"witness W <w:4>\ngroup G 0 W\n", "threshold 0"},
		{"witness W <w:4>\ngroup G 2 W\n", "threshold 2 is not within 1 and 1"},
		{"witness W <w:4>\ngroup G 18446744073709551617 W\n", "above 2^63-1"},
		{"witness W <w:4>\ngroup G 4294967297 W\n", "threshold 4294967297 is not"},
		{"witness W <w:4>\ngroup G 01 W\n", "leading zero"},
		{"witness W <w:4>\ngroup G +1 W\n", "not a digit"},
		{"witness W <w:4>\ngroup G -1 W\n", "not a digit"},
		{"witness W <w:4>\ngroup G ALL W\n", "not a digit"},
		{"witness W <w:4>\ngroup G any W #\n", `member "#" is not defined before`},
	} {
		_, err := ParsePolicy([]byte(expand(t, c.text)))
		var s *SyntaxError
		if !errors.As(err, &s) || !strings.Contains(err.Error(), c.reason) {
			t.Errorf("%q: %v, want an error with %q", c.text, err, c.reason)
		}
	}
}

// Two keys of one name and key ID cannot be told apart in a signature line.
func TestPolicyCollidingKeyID(t *testing.T) {
	a, b := collidingKeys(t)
	_, err := ParsePolicy([]byte("witness A " + a.String() + "\nwitness B " + b.String() + "\nquorum none\n"))
	if err == nil || !strings.Contains(err.Error(), "the same key name and key ID as witness A") {
		t.Errorf("got %v", err)
	}
}

func TestPolicyLimits(t *testing.T) {
	policy := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "log %s\n", vkey(t, fmt.Sprint("log", i), MLDSA44Cosignature))
			fmt.Fprintf(&b, "witness w%d %s\n", i, vkey(t, fmt.Sprint("w", i), MLDSA44Cosignature))
			fmt.Fprintf(&b, "group g%d any w%d\n", i, i)
		}
		return b.String() + "quorum none\n"
	}
	if _, err := ParsePolicy([]byte(policy(MaxPolicyLines))); err != nil {
		t.Errorf("%d of each: %v", MaxPolicyLines, err)
	}
	_, err := ParsePolicy([]byte(policy(MaxPolicyLines + 1)))
	if err == nil || !strings.Contains(err.Error(), "more than 128 logs") {
		t.Errorf("one more: %v", err)
	}
	_, err = ParsePolicy([]byte(strings.Repeat("#\n", MaxPolicy)))
	if err == nil || !strings.Contains(err.Error(), "want at most") {
		t.Errorf("too long: %v", err)
	}
}

func TestPolicyValidate(t *testing.T) {
	log, w := newSigner(t, "a", Ed25519).Verifier(), newSigner(t, "w", Ed25519Cosignature).Verifier()
	for reason, p := range map[string]Policy{
		`quorum: "" is not defined`:        {},
		"a log has":                        {Logs: []PolicyLog{{}}, Quorum: "none"},
		"the same public key":              {Logs: []PolicyLog{{Key: log}, {Key: log}}, Quorum: "none"},
		"empty name":                       {Witnesses: []PolicyWitness{{Key: w}}, Quorum: "none"},
		"must not stand in a name":         {Witnesses: []PolicyWitness{{Name: "a b", Key: w}}, Quorum: "none"},
		"white space":                      {Witnesses: []PolicyWitness{{Name: "a", Key: w, URL: "a:\nlog"}}, Quorum: "none"},
		"without members":                  {Groups: []PolicyGroup{{Name: "g", K: 1}}, Quorum: "g"},
		"threshold 0 is not within":        {Witnesses: []PolicyWitness{{Name: "w", Key: w}}, Groups: []PolicyGroup{{"g", 0, []string{"w"}}}, Quorum: "g"},
		`member "g" is not defined before`: {Groups: []PolicyGroup{{"g", 1, []string{"g"}}}, Quorum: "g"},
	} {
		if err := p.Validate(); err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("%v: %v, want an error with %q", p, err, reason)
		}
		if _, err := p.Check(newTree(t, 1).signed(t, "a", 1, newSigner(t, "a", Ed25519))); err == nil {
			t.Errorf("%v: an invalid policy accepts", p)
		}
	}
}

func TestPolicyLaw(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p := drawPolicy(t, rt)
		if err := p.Validate(); err != nil {
			rt.Fatal(err)
		}
		q, err := ParsePolicy(p.Marshal())
		if err != nil || !reflect.DeepEqual(p, q) {
			rt.Fatalf("%s: %v", p.Marshal(), err)
		}
	})
}

// drawPolicy makes a valid policy, with witnesses w0, w1, … and groups g0, g1, …
func drawPolicy(t testing.TB, rt *rapid.T) *Policy {
	p := &Policy{}
	url := rapid.SampledFrom([]string{"", "https://x.example/"})
	for i := range rapid.IntRange(0, 3).Draw(rt, "logs") {
		typ := rapid.SampledFrom([]KeyType{Ed25519, MLDSA44Cosignature}).Draw(rt, "log type")
		p.Logs = append(p.Logs, PolicyLog{newSigner(t, fmt.Sprint("log", i), typ).Verifier(), url.Draw(rt, "URL")})
	}
	var free []string
	for i := range rapid.IntRange(0, 5).Draw(rt, "witnesses") {
		typ := rapid.SampledFrom([]KeyType{Ed25519Cosignature, MLDSA44Cosignature}).Draw(rt, "witness type")
		w := PolicyWitness{fmt.Sprint("w", i), newSigner(t, fmt.Sprint("w", i), typ).Verifier(), url.Draw(rt, "URL")}
		p.Witnesses = append(p.Witnesses, w)
		free = append(free, w.Name)
	}
	p.Quorum = QuorumNone
	for i := 0; len(free) > 0 && rapid.Bool().Draw(rt, "group"); i++ {
		free = rapid.Permutation(free).Draw(rt, "order")
		n := rapid.IntRange(1, len(free)).Draw(rt, "members")
		g := PolicyGroup{Name: fmt.Sprint("g", i), Members: append([]string(nil), free[:n]...)}
		g.K = rapid.IntRange(1, n).Draw(rt, "k")
		p.Groups = append(p.Groups, g)
		free = append(free[n:], g.Name)
	}
	if len(free) > 0 {
		p.Quorum = rapid.SampledFrom(free).Draw(rt, "quorum")
	}
	return p
}
