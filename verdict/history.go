package verdict

import (
	"fmt"

	"vitrine.example/digest"
	"vitrine.example/key"
	"vitrine.example/proof"
	"vitrine.example/tlog"
)

// Fork returns the evidence that makes a verdict refuse: that a log of the
// policy has signed two histories, as shown by the bundles of in or by in.Forks.
// It is nil where nothing shows it; evidence that does not verify, or is about
// other logs, shows nothing.
func Fork(p *Policy, in Input) *tlog.Fork {
	logs := make([]tlog.Verifier, len(p.Log.Logs))
	for i, l := range p.Log.Logs {
		logs[i] = l.Key
	}
	var first *tlog.Fork
	for _, f := range in.Forks {
		if f != nil && f.Verify(logs...) == nil && (first == nil || before(f, first)) {
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
	return proof.FindFork(logs, signers, append([]*proof.Bundle{in.Bundle}, in.Others...)...)
}

func before(f, g *tlog.Fork) bool {
	a, b := f.Digest(), g.Digest()
	return string(a[:]) < string(b[:])
}

// history refuses where a log of the policy has signed two histories. It is the
// one requirement that is listed only where it is not met: that nobody was shown
// another history cannot be shown.
func (v *Verdict) history(f *tlog.Fork) {
	if f == nil {
		return
	}
	v.Accepted = false
	v.Requirements = append(v.Requirements, Requirement{
		ID: IDHistory, Text: "one history of each log",
		Missing: fmt.Sprintf("%s has signed two histories: %s and %s entries cannot both be true (evidence %s)",
			clean(f.Origin()), grouped(f.A.Size), grouped(f.B.Size), digest.Digest(f.Digest())),
		Remedy: "trust nothing that this log alone shows; send the evidence to the publisher and to the other members, and keep it",
	})
}
