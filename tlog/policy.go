package tlog

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// QuorumNone is the quorum that asks for no witness.
const QuorumNone = "none"

// Policy is a tlog-policy: which logs, and which quorum of witnesses. A
// checkpoint has to be signed by any one of the logs.
type Policy struct {
	Logs      []PolicyLog
	Witnesses []PolicyWitness
	Groups    []PolicyGroup // members stand before the group they are in
	Quorum    string        // name of a witness or group, or QuorumNone
}

// PolicyLog is a log line. The name of the key is the log's origin; a log with
// two keys has two lines, and either will do.
type PolicyLog struct {
	Key Verifier // Ed25519 or MLDSA44Cosignature
	URL string   // or ""; of no meaning here
}

// PolicyWitness is a witness line. The name has a meaning within the policy
// alone; it need not be that of the key.
type PolicyWitness struct {
	Name string
	Key  Verifier // Ed25519Cosignature or MLDSA44Cosignature
	URL  string   // or ""; of no meaning here
}

// PolicyGroup is a group line; K of Members must have witnessed. Members are
// witnesses or groups, and nothing is a member twice in the whole policy.
type PolicyGroup struct {
	Name    string
	K       int
	Members []string
}

// Marshal writes the policy in its normal form: logs, witnesses, groups and
// quorum, single spaces, no comments, "all" before "any" before a number.
// [ParsePolicy] reads the same policy from it where [Policy.Validate] accepts it.
func (p *Policy) Marshal() []byte {
	var b bytes.Buffer
	line := func(fields ...string) {
		b.WriteString(strings.TrimRight(strings.Join(fields, " "), " ") + "\n")
	}
	for _, l := range p.Logs {
		line("log", l.Key.String(), l.URL)
	}
	for _, w := range p.Witnesses {
		line("witness", w.Name, w.Key.String(), w.URL)
	}
	for _, g := range p.Groups {
		line(append([]string{"group", g.Name, g.threshold()}, g.Members...)...)
	}
	line("quorum", p.Quorum)
	return b.Bytes()
}

func (g PolicyGroup) threshold() string {
	switch g.K {
	case len(g.Members):
		return "all"
	case 1:
		return "any"
	}
	return strconv.Itoa(g.K)
}

// Validate checks what [ParsePolicy] checks, for a policy made in memory.
func (p *Policy) Validate() error {
	var q Policy
	b := newPolicyBuilder(&q)
	for i, l := range p.Logs {
		if err := b.log(l); err != nil {
			return fmt.Errorf("policy: log %d: %w", i+1, err)
		}
	}
	for _, w := range p.Witnesses {
		if err := b.witness(w); err != nil {
			return fmt.Errorf("policy: witness %.80q: %w", w.Name, err)
		}
	}
	for _, g := range p.Groups {
		if err := b.group(g); err != nil {
			return fmt.Errorf("policy: group %.80q: %w", g.Name, err)
		}
	}
	if err := b.quorum(p.Quorum); err != nil {
		return fmt.Errorf("policy: quorum: %w", err)
	}
	if n := len(p.Marshal()); n > MaxPolicy {
		return fmt.Errorf("policy: %d bytes, want at most %d", n, MaxPolicy)
	}
	return nil
}
