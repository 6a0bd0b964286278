package verdict_test

import (
	"slices"
	"strings"
	"testing"

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
