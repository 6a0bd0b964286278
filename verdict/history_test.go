package verdict_test

import (
	"slices"
	"strings"
	"testing"

	"vitrine.example/digest"
	"vitrine.example/internal/fixture"
	"vitrine.example/key"
	"vitrine.example/proof"
	"vitrine.example/statement"
	"vitrine.example/tlog"
	"vitrine.example/verdict"
)

// histories are two bundles about one file from one log: b is from a second
// history, of more entries where more is positive, and h from the first, later.
func histories(more int) (p *verdict.Policy, file fixture.File, a, b, h *proof.Bundle) {
	file = fixture.File{Name: "app.tar.gz", Data: []byte("app\n")}
	one, two := fixture.New("history", key.P256), fixture.New("history", key.P256)
	pack := func(l proof.Logged) *proof.Bundle { return &proof.Bundle{Statements: []proof.Logged{l}} }
	a = pack(one.Logged("pkg:generic/app", "1.0", "stable", file))
	later := one.Logged("pkg:generic/app", "1.1", "stable", file)
	h = pack(later)
	l := two.Logged("pkg:generic/app", "6.6", "stable", file)
	for range more {
		two.Logged("pkg:generic/app", "6.7", "stable", file)
	}
	b = pack(proof.Logged{Envelope: l.Envelope, Proof: two.Prove(l.Proof.Index)})
	p = &verdict.Policy{
		Signers: []verdict.Signer{{Name: "vendor", Key: one.Vendor.Public(), May: []string{statement.ReleaseType}}},
		Log:     tlog.Policy{Logs: []tlog.PolicyLog{{Key: one.Log.Verifier()}}, Quorum: "none"},
	}
	return p, file, a, b, h
}

func TestTwoHistoriesAreRefused(t *testing.T) {
	for more, kind := range []tlog.ForkKind{tlog.ForkSize, tlog.ForkEntry} {
		p, file, a, b, h := histories(more)
		in := verdict.Input{File: file.Name, Size: int64(len(file.Data)), Digest: file.Digest(), Bundle: a, Now: fixture.Epoch}
		if v := verdict.Evaluate(p, in); !v.Accepted {
			t.Fatalf("alone: %s", v)
		}
		in.Others = []*proof.Bundle{h}
		if v := verdict.Evaluate(p, in); !v.Accepted {
			t.Errorf("beside a later bundle of the same history: %s", v)
		}
		in.Others = []*proof.Bundle{b}
		v := verdict.Evaluate(p, in)
		unmet := v.Unmet()
		if v.Accepted || len(unmet) != 1 || unmet[0].ID != verdict.IDHistory {
			t.Errorf("%s: beside another history: %s", kind, v)
		}
		f := verdict.Fork(p, in)
		if f == nil || f.Kind != kind || f.Verify(p.Log.Logs[0].Key) != nil {
			t.Fatalf("%s: evidence %+v", kind, f)
		}
		in.Bundle, in.Others = b, []*proof.Bundle{a}
		if g := verdict.Fork(p, in); g == nil || string(g.Marshal()) != string(f.Marshal()) {
			t.Errorf("%s: the order of the bundles changes the evidence", kind)
		}
		in.Bundle, in.Others, in.Forks = h, nil, []*tlog.Fork{f}
		if v := verdict.Evaluate(p, in); v.Accepted || !strings.Contains(v.String(), "two histories") {
			t.Errorf("%s: given the evidence: %s", kind, v)
		}
		forged := *f
		side := *f.A
		side.Signatures = slices.Clone(side.Signatures)
		side.Signatures[0].Bytes = slices.Clone(side.Signatures[0].Bytes)
		side.Signatures[0].Bytes[7] ^= 1
		forged.A = &side
		in.Forks = []*tlog.Fork{&forged, nil}
		if v := verdict.Evaluate(p, in); !v.Accepted {
			t.Errorf("%s: forged evidence is believed: %s", kind, v)
		}
	}
}

// A policy accepts forks by name: these refuse nothing, and any other does.
func TestAnAcceptedForkRefusesNothing(t *testing.T) {
	for more, kind := range []tlog.ForkKind{tlog.ForkSize, tlog.ForkEntry} {
		p, file, a, b, h := histories(more)
		in := verdict.Input{File: file.Name, Size: int64(len(file.Data)), Digest: file.Digest(), Bundle: a, Others: []*proof.Bundle{b}, Now: fixture.Epoch}
		f := verdict.Fork(p, in)
		p.AcceptForks = []digest.Digest{digest.Of([]byte("another fork"))}
		if v := verdict.Evaluate(p, in); v.Accepted {
			t.Errorf("%s: accepting another fork is enough: %s", kind, v)
		}
		p.AcceptForks = append(p.AcceptForks, f.Digest())
		v := verdict.Evaluate(p, in)
		last := v.Requirements[len(v.Requirements)-1]
		if !v.Accepted || last.ID != verdict.IDHistory || !last.Met || !strings.Contains(v.String(), digest.Digest(f.Digest()).String()) {
			t.Errorf("%s: accepted by name: %s", kind, v)
		}
		if g := verdict.Fork(p, in); g != nil {
			t.Errorf("%s: still evidence: %+v", kind, g)
		}
		in.Bundle, in.Others, in.Forks = h, nil, []*tlog.Fork{f}
		if v := verdict.Evaluate(p, in); !v.Accepted {
			t.Errorf("%s: given as evidence: %s", kind, v)
		}
		if words := strings.Join(p.Words(), " "); !strings.Contains(words, "sha256:"+digest.Digest(f.Digest()).String()) {
			t.Errorf("words: %s", words)
		}
		text, err := p.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		q, err := verdict.ParsePolicy(text)
		if err != nil || !slices.Equal(q.AcceptForks, p.AcceptForks) {
			t.Errorf("%v, %v", q, err)
		}
	}
}

func TestAcceptForksIsReadStrictly(t *testing.T) {
	p, _, _, _, _ := histories(0)
	text, err := p.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	hex := digest.Of([]byte("x")).String()
	good := "sha256:" + hex
	for name, list := range map[string]string{
		"empty": `[]`, "no prefix": `["` + hex + `"]`, "another prefix": `["sha512:` + hex + `"]`, "short": `["` + good[:70] + `"]`,
		"capitals": `["` + strings.ToUpper(good) + `"]`, "twice": `["` + good + `", "` + good + `"]`, "a number": `[1]`, "a text": `"` + good + `"`,
		"zero": `["sha256:` + strings.Repeat("0", 64) + `"]`, "a space": `["` + good + ` "]`,
	} {
		_, err := verdict.ParsePolicy([]byte(strings.Replace(string(text), "version = 1\n", "version = 1\naccept-forks = "+list+"\n", 1)))
		if err == nil || !strings.Contains(err.Error(), "accept-forks") || !strings.Contains(err.Error(), "line ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	many := make([]string, verdict.MaxList+1)
	for i := range many {
		many[i] = `"sha256:` + digest.Of([]byte{byte(i)}).String() + `"`
	}
	for n, ok := range map[int]bool{verdict.MaxList: true, verdict.MaxList + 1: false} {
		_, err := verdict.ParsePolicy([]byte(strings.Replace(string(text), "version = 1\n", "version = 1\naccept-forks = ["+strings.Join(many[:n], ",")+"]\n", 1)))
		if (err == nil) != ok {
			t.Errorf("%d: %v", n, err)
		}
	}
}
