// Package verdict decides: a policy and proofs in, accepted or refused out, with reasons.
//
// [ParsePolicy] reads a policy file (docs/spec/policy.md), [Evaluate] applies
// it to a file's digest and a bundle. A refusal names every requirement that is
// not met and what would meet it. [Verdict.String] says it to people,
// [Verdict.JSON] to programs (docs/spec/verdict.md).
//
// Promises: no network, no files, no processes, no clock; nothing is read but
// the arguments, so the same arguments give the same verdict anywhere. A
// statement counts only when one signature, one place in a trusted log, the
// cosignatures and the age asked for are all its own; nothing that a statement
// says is looked at before its signature has verified. Not promised: that what
// a trusted key said is true.
package verdict

import (
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/strictjson"
	"vitrine.example/proof"
	"vitrine.example/tlog"
)

// Schema names the JSON form of a [Verdict] (docs/spec/verdict.schema.json).
const Schema = "https://vitrine.example/verdict/v1"

// Skew is how far a cosignature's time may lie after [Input.Now] and still
// count as a time. Clocks of honest parties differ by less.
const Skew = 5 * time.Minute

// Input is what is decided on.
type Input struct {
	File   string        // name, for words only
	Size   int64         // bytes of the file
	Digest digest.Digest // of the file
	Bundle *proof.Bundle
	Others []*proof.Bundle // compared with Bundle, not decided on: do they show one history?
	Forks  []*tlog.Fork    // evidence about logs; what does not verify counts for nothing
	Now    time.Time
}

// Verdict is the decision. Its JSON form is specified in docs/spec/verdict.md.
type Verdict struct {
	Schema   string        `json:"schema"` // [Schema]
	Accepted bool          `json:"accepted"`
	File     string        `json:"file"`
	Size     int64         `json:"size"` // bytes
	Digest   digest.Digest `json:"sha256"`
	Decided  time.Time     `json:"decided"` // Input.Now, in UTC and whole seconds

	// What the statement that was decided on says; absent where no statement
	// of a trusted key is in the bundle.
	Product string `json:"product,omitempty"`
	Version string `json:"version,omitempty"`
	Channel string `json:"channel,omitempty"`

	Requirements []Requirement `json:"requirements"`

	// Ignored says of every other statement in the bundle why it was not the
	// one decided on, at most [MaxIgnored] lines.
	Ignored []string `json:"ignored,omitempty"`
}

// MaxIgnored bounds [Verdict.Ignored].
const MaxIgnored = 20

// The requirements, in the order in which they are checked and listed. A policy
// that does not ask for something has no such requirement.
const (
	IDSigned    = "signed"    // by a trusted key that may say so
	IDLogged    = "logged"    // in a trusted log, whose signature and inclusion verify
	IDWitnessed = "witnessed" // by the quorum of witnesses
	IDFresh     = "fresh"     // the quorum saw the log recently enough
	IDProduct   = "product"   // is the one asked for
	IDChannel   = "channel"   // is the one asked for
	IDVersion   = "version"   // is one of those allowed
	IDFile      = "file"      // is an artifact of the release, by SHA-256 and size
	IDRebuilt   = "rebuilt"   // by enough others, with the outcome asked for
	IDHistory   = "history"   // only where a log of the policy has signed two histories; met where the policy accepts that
	IDUsable    = "policy"    // only where the policy itself cannot be used
)

// Requirement is one thing asked, and what became of it.
type Requirement struct {
	ID       string   `json:"id"`   // stable: one of the constants above
	Text     string   `json:"text"` // what is asked
	Met      bool     `json:"met"`
	Evidence []string `json:"evidence,omitempty"` // what met it
	Missing  string   `json:"missing,omitempty"`  // why it is not met
	Remedy   string   `json:"remedy,omitempty"`   // what would meet it
}

// JSON returns the verdict in RFC 8785 canonical JSON with a final newline.
func (v *Verdict) JSON() ([]byte, error) {
	b, err := strictjson.Canonical(v)
	if err != nil {
		return nil, err
	}
	return append(b, '\n'), nil
}

// Unmet returns the requirements that are not met.
func (v *Verdict) Unmet() []Requirement {
	var u []Requirement
	for _, r := range v.Requirements {
		if !r.Met {
			u = append(u, r)
		}
	}
	return u
}
