package verdict

import (
	"fmt"
	"slices"

	"vitrine.example/digest"
	"vitrine.example/key"
	"vitrine.example/proof"
	"vitrine.example/tlog"
)

// Fork returns the evidence that makes a verdict refuse: that a log of the
// policy has signed two histories, as shown by the bundles of in or by in.Forks,
// and the policy does not accept it. It is nil where nothing shows it; evidence
// that does not verify, or is about other logs, shows nothing.
func Fork(p *Policy, in Input) *tlog.Fork { return fork(p, in, p.AcceptForks) }

// fork returns evidence other than that with the digests of but.
func fork(p *Policy, in Input, but []digest.Digest) *tlog.Fork {
	logs := make([]tlog.Verifier, len(p.Log.Logs))
	for i, l := range p.Log.Logs {
		logs[i] = l.Key
	}
	var first *tlog.Fork
	for _, f := range in.Forks {
		if f != nil && f.Verify(logs...) == nil && !slices.Contains(but, digest.Digest(f.Digest())) && (first == nil || before(f, first)) {
			first = f
		}
	}
	if first != nil {
		return first
	}
	signers := make([]key.Public, len(p.Signers))
	for i, s := range p.Signers {
		signers[i] = s.Key
	}
	return proof.FindOtherFork(but, logs, signers, append([]*proof.Bundle{in.Bundle}, in.Others...)...)
}

func before(f, g *tlog.Fork) bool {
	a, b := f.Digest(), g.Digest()
	return string(a[:]) < string(b[:])
}

// history refuses where a log of the policy has signed two histories that the
// policy does not accept. It is the one requirement that is listed only where
// there is such a fork: that nobody was shown another history cannot be shown.
func (v *Verdict) history(p *Policy, in Input) {
	r := Requirement{ID: IDHistory, Text: "one history of each log"}
	if f := Fork(p, in); f != nil {
		v.Accepted = false
		r.Missing = twoHistories(f)
		r.Remedy = "trust nothing that this log alone shows; send the evidence to the publisher and to the other members, and keep it"
		v.Requirements = append(v.Requirements, r)
		return
	}
	if len(p.AcceptForks) == 0 {
		return
	}
	if f := fork(p, in, nil); f != nil {
		r.Text, r.Met = "one history of each log, but for forks that the policy accepts", true
		r.Evidence = []string{"accepted by the policy: " + twoHistories(f)}
		v.Requirements = append(v.Requirements, r)
	}
}

func twoHistories(f *tlog.Fork) string {
	return fmt.Sprintf("%s has signed two histories: %s and %s entries cannot both be true (evidence %s)",
		clean(f.Origin()), grouped(f.A.Size), grouped(f.B.Size), digest.Digest(f.Digest()))
}
