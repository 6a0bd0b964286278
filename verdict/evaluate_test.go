package verdict_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"vitrine.example/digest"
	"vitrine.example/internal/fixture"
	"vitrine.example/key"
	"vitrine.example/proof"
	"vitrine.example/statement"
	"vitrine.example/tlog"
	"vitrine.example/verdict"
)

var update = flag.Bool("update", false, "write the golden files")

var app = fixture.File{Name: "app-linux-amd64", Data: []byte("the program\n")}

// scene is a policy and what it is applied to; tests change one thing.
type scene struct {
	world  *fixture.World
	policy *verdict.Policy
	input  verdict.Input
}

// newScene is accepted: a release of app in a log that three witnesses
// cosigned, two of whom the policy asks for.
func newScene(alg key.Algorithm) *scene {
	w := fixture.New("scene", alg, "ams", "fra", "sin")
	w.Fill(20)
	s := &scene{world: w, policy: policyOf(w, 2)}
	s.policy.Channel, s.policy.Versions = "stable", []string{"1.2.0"}
	s.policy.Operators = map[string]verdict.Operator{"ams": {Organisation: "Example Audit", Country: "NL", Continent: "Europe"}}
	s.input = verdict.Input{
		File: "downloads/" + app.Name, Size: int64(len(app.Data)), Digest: app.Digest(),
		Bundle: &proof.Bundle{Statements: []proof.Logged{s.release(w.Vendor, "1.2.0")}},
		Now:    fixture.Epoch.Add(time.Hour),
	}
	return s
}

// release publishes a release of app and a manual.
func (s *scene) release(by *key.Signer, version string) proof.Logged {
	return s.publish(fixture.Release(by, product, version, "stable", app, fixture.File{Name: "manual.pdf", Data: []byte("manual " + version)}), by)
}

func (s *scene) publish(env *statement.Envelope, by *key.Signer, cosigners ...*fixture.Witness) proof.Logged {
	if cosigners == nil {
		cosigners = s.world.Witnesses
	}
	i := s.world.Publish(env, by, 7)
	return proof.Logged{Envelope: env, Proof: s.world.Prove(i, cosigners...)}
}

// only makes the one statement in the bundle.
func (s *scene) only(l ...proof.Logged) { s.input.Bundle = &proof.Bundle{Statements: l} }

// checkpoint replaces the checkpoint of the one statement by a changed copy.
func (s *scene) checkpoint(change func(c *tlog.SignedCheckpoint)) {
	l := s.input.Bundle.Statements[0]
	p, c := *l.Proof, *l.Proof.Checkpoint
	c.Signatures = slices.Clone(c.Signatures)
	change(&c)
	p.Checkpoint = &c
	s.only(proof.Logged{Envelope: l.Envelope, Proof: &p})
}

// cosignedBy keeps the log's signature and those of these witnesses.
func (s *scene) cosignedBy(names ...string) {
	s.checkpoint(func(c *tlog.SignedCheckpoint) {
		c.Signatures = slices.DeleteFunc(c.Signatures, func(sig tlog.Signature) bool {
			return sig.Name != s.world.Origin && !slices.Contains(names, strings.TrimSuffix(sig.Name, ".example/witness"))
		})
	})
}

// dated has the witnesses cosign again at these times after the epoch.
func (s *scene) dated(at ...time.Duration) {
	for i, d := range at {
		s.world.Witnesses[i].Time = fixture.Epoch.Add(d)
	}
	c := s.input.Bundle.Statements[0].Proof.Checkpoint.Checkpoint
	signed := s.world.Signed(c, s.world.Witnesses[:len(at)]...)
	s.checkpoint(func(c *tlog.SignedCheckpoint) { *c = *signed })
}

func (s *scene) breakSignature(name string) {
	s.checkpoint(func(c *tlog.SignedCheckpoint) {
		for i := range c.Signatures {
			if strings.HasPrefix(c.Signatures[i].Name, name) {
				b := slices.Clone(c.Signatures[i].Bytes)
				b[len(b)/2] ^= 1
				c.Signatures[i].Bytes = b
			}
		}
	})
}

// scenes are the cases of the golden file and of the table: what is changed,
// and which requirements are then not met.
var scenes = []struct {
	name  string
	alter func(s *scene)
	unmet []string
}{
	{"accepted", func(s *scene) {}, nil},
	{"accepted with two of three witnesses", func(s *scene) { s.cosignedBy("fra", "sin") }, nil},
	{"accepted without witnesses", func(s *scene) {
		p := policyOf(s.world, 0)
		p.Log.Witnesses = nil
		s.policy = p
		s.cosignedBy()
	}, nil},
	{"accepted among others", func(s *scene) {
		stranger := fixture.StatementKey("stranger", key.Ed25519)
		s.only(s.release(s.world.Vendor, "1.1.0"), s.release(stranger, "1.2.0"), s.release(s.world.Vendor, "1.2.0"),
			s.publish(fixture.Release(s.world.Vendor, "pkg:generic/other", "1.2.0", "stable", app), s.world.Vendor))
	}, nil},
	{"changed file", func(s *scene) { s.input.Digest = digest.Of([]byte("another program")) }, []string{verdict.IDFile}},
	{"file of another release", func(s *scene) {
		s.input.File, s.input.Digest, s.input.Size = "other", digest.Of([]byte("other")), 5
	}, []string{verdict.IDFile}},
	{"changed size", func(s *scene) { s.input.Size++ }, []string{verdict.IDFile}},
	{"another product", func(s *scene) { s.policy.Product = "pkg:generic/other" }, []string{verdict.IDProduct}},
	{"another channel", func(s *scene) { s.policy.Channel = "nightly" }, []string{verdict.IDChannel}},
	{"no channel", func(s *scene) {
		s.only(s.publish(fixture.Release(s.world.Vendor, product, "1.2.0", "", app), s.world.Vendor))
	}, []string{verdict.IDChannel}},
	{"another version", func(s *scene) { s.policy.Versions = []string{"1.3.0", "1.3.1"} }, []string{verdict.IDVersion}},
	{"stale", func(s *scene) { s.input.Now = fixture.Epoch.Add(100 * time.Hour) }, []string{verdict.IDFresh}},
	{"cosigned in the future", func(s *scene) { s.input.Now = fixture.Epoch.Add(-6 * time.Minute) }, []string{verdict.IDFresh}},
	{"one fresh witness is not the quorum", func(s *scene) {
		s.dated(200*time.Hour, 0, 0)
		s.input.Now = fixture.Epoch.Add(201 * time.Hour)
	}, []string{verdict.IDFresh}},
	{"one of two cosignatures", func(s *scene) { s.cosignedBy("fra") }, []string{verdict.IDWitnessed, verdict.IDFresh}},
	{"no cosignatures", func(s *scene) { s.cosignedBy() }, []string{verdict.IDWitnessed, verdict.IDFresh}},
	{"cosignature not valid", func(s *scene) { s.breakSignature("sin") }, []string{verdict.IDWitnessed, verdict.IDFresh}},
	{"log's signature not valid", func(s *scene) { s.breakSignature("vendor.example") },
		[]string{verdict.IDLogged, verdict.IDWitnessed, verdict.IDFresh}},
	{"not signed by the log", func(s *scene) {
		s.checkpoint(func(c *tlog.SignedCheckpoint) { c.Signatures = c.Signatures[1:] })
	}, []string{verdict.IDLogged, verdict.IDWitnessed, verdict.IDFresh}},
	{"another log", func(s *scene) {
		s.policy.Log.Logs[0].Key = fixture.New("other", key.P256).Log.Verifier()
	}, []string{verdict.IDLogged, verdict.IDWitnessed, verdict.IDFresh}},
	{"another root", func(s *scene) {
		s.checkpoint(func(c *tlog.SignedCheckpoint) { c.Root[0] ^= 1 })
	}, []string{verdict.IDLogged, verdict.IDWitnessed, verdict.IDFresh}},
	{"proof of another entry", func(s *scene) {
		s.only(proof.Logged{Envelope: s.input.Bundle.Statements[0].Envelope, Proof: s.world.Prove(3, s.world.Witnesses...)})
	}, []string{verdict.IDLogged, verdict.IDWitnessed, verdict.IDFresh}},
	{"unknown key", func(s *scene) { s.only(s.release(fixture.StatementKey("stranger", key.P256), "1.2.0")) }, allIDs},
	{"statement changed", func(s *scene) {
		l := s.input.Bundle.Statements[0]
		m := s.release(s.world.Vendor, "1.2.1")
		env, err := swapPayload(l.Envelope, m.Envelope)
		if err != nil {
			panic(err)
		}
		s.only(proof.Logged{Envelope: env, Proof: l.Proof})
	}, allIDs},
	{"policy that asks for the impossible", func(s *scene) { s.policy.Log.Groups[0].K = 4 }, []string{verdict.IDUsable}},
	{"no bundle", func(s *scene) { s.input.Bundle = nil }, []string{verdict.IDUsable}},
	{"no file", func(s *scene) { s.input.Digest = digest.Digest{} }, []string{verdict.IDUsable}},
	{"no policy", func(s *scene) { s.policy = nil }, []string{verdict.IDUsable}},
}

var allIDs = []string{
	verdict.IDSigned, verdict.IDLogged, verdict.IDWitnessed, verdict.IDFresh,
	verdict.IDProduct, verdict.IDChannel, verdict.IDVersion, verdict.IDFile,
}

// swapPayload returns an envelope that claims a's key and signature for what b says.
func swapPayload(a, b *statement.Envelope) (*statement.Envelope, error) {
	text := string(b.Bytes())
	sig := func(e *statement.Envelope) string {
		s := string(e.Bytes())
		i := strings.Index(s, `"signatures":`)
		return s[i:]
	}
	return statement.Parse([]byte(strings.Replace(text, sig(b), sig(a), 1)))
}

func TestScenes(t *testing.T) {
	for _, alg := range []key.Algorithm{key.P256, key.Ed25519} {
		for _, tt := range scenes {
			t.Run(string(alg)+"/"+tt.name, func(t *testing.T) {
				s := newScene(alg)
				tt.alter(s)
				v := verdict.Evaluate(s.policy, s.input)
				checkSane(t, v)
				var unmet []string
				for _, r := range v.Unmet() {
					unmet = append(unmet, r.ID)
				}
				if !slices.Equal(unmet, tt.unmet) {
					t.Errorf("not met: %v, want %v\n%s", unmet, tt.unmet, v)
				}
			})
		}
	}
}

type tester interface {
	Helper()
	Errorf(format string, args ...any)
	Error(args ...any)
	Fatal(args ...any)
}

// checkSane asks for what every verdict must keep.
func checkSane(t tester, v *verdict.Verdict) {
	t.Helper()
	if len(v.Requirements) == 0 {
		t.Fatal("no requirements")
	}
	if v.Accepted != (len(v.Unmet()) == 0) {
		t.Errorf("accepted is %v with %d unmet", v.Accepted, len(v.Unmet()))
	}
	seen := make(map[string]bool)
	for _, r := range v.Requirements {
		if seen[r.ID] || r.ID == "" || r.Text == "" {
			t.Errorf("requirement %+v", r)
		}
		seen[r.ID] = true
		if r.Met != (len(r.Evidence) > 0) || r.Met == (r.Missing != "") || (r.Met && r.Remedy != "") {
			t.Errorf("met, evidence, missing and remedy contradict each other: %+v", r)
		}
	}
	text := v.String()
	last := text[strings.LastIndexByte(strings.TrimSuffix(text, "\n"), '\n')+1:]
	if !strings.HasPrefix(last, map[bool]string{true: "accepted:", false: "refused:"}[v.Accepted]) {
		t.Errorf("last line is %q", last)
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r != '\n' && (r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0)) }) || !utf8.ValidString(text) {
		t.Errorf("control characters in %q", text)
	}
	if _, err := v.JSON(); err != nil {
		t.Error(err)
	}
}

// What programs read of a release is what it says, however long.
func TestLongNamesAreWhole(t *testing.T) {
	s := newScene(key.Ed25519)
	product := "pkg:generic/" + strings.Repeat("a", 1000)
	s.policy.Product = product
	s.only(s.publish(fixture.Release(s.world.Vendor, product, "1.2.0", "stable", app), s.world.Vendor))
	v := verdict.Evaluate(s.policy, s.input)
	checkSane(t, v)
	if !v.Accepted || v.Product != product {
		t.Errorf("product %q:\n%s", v.Product, v)
	}
}

func TestWordsGolden(t *testing.T) {
	var b strings.Builder
	for _, tt := range scenes {
		s := newScene(key.Ed25519)
		tt.alter(s)
		text := verdict.Evaluate(s.policy, s.input).String()
		fmt.Fprintf(&b, "== %s ==\n%s\n", tt.name, text)
		if n := strings.Count(text, "\n"); n > 24 {
			t.Errorf("%s: %d lines do not fit a screen", tt.name, n)
		}
		for line := range strings.Lines(text) {
			if utf8.RuneCountInString(line) > 80 {
				t.Errorf("%s: line of %d columns: %s", tt.name, utf8.RuneCountInString(line), line)
			}
		}
	}
	golden(t, "verdicts.txt", b.String())

	b.Reset()
	s := newScene(key.Ed25519)
	grouped := newScene(key.P256)
	grouped.policy.Log.Groups = []tlog.PolicyGroup{
		{Name: "europe", K: 1, Members: []string{"ams", "fra"}}, {Name: "all", K: 2, Members: []string{"europe", "sin"}},
	}
	grouped.policy.Log.Quorum, grouped.policy.Product = "all", ""
	all := newScene(key.Ed25519)
	all.policy.Log.Groups[0].K = 3
	bare := newScene(key.Ed25519)
	bare.policy = policyOf(bare.world, 0)
	bare.policy.Log.Witnesses = nil
	for _, s := range []*scene{s, grouped, all, bare} {
		fmt.Fprintf(&b, "%s\n\n", strings.Join(s.policy.Words(), "\n"))
	}
	golden(t, "policies.txt", b.String())
	text, err := s.policy.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "policy.toml", string(text))
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (go test ./verdict -update writes it):\n%s", path, got)
	}
}
