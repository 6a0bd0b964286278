package statement

import (
	"fmt"
	"strings"
	"time"

	"vitrine.example/digest"
)

// ForkAcceptedType is the predicate type of [ForkAccepted] (docs/spec/fork.md).
const ForkAcceptedType = Prefix + "fork-accepted/v1"

// maxLogOrigin is how many bytes the origin of a log may have: an ML-DSA-44
// cosignature holds no more.
const maxLogOrigin = 255

// ForkAccepted says that the operator of a node has seen evidence that a log
// signed two histories, and why the node goes on with that log. The first subject of
// its statement is the evidence.
type ForkAccepted struct {
	Log    string    `json:"log"` // origin
	Reason string    `json:"reason"`
	At     time.Time `json:"at"` // what the operator says; nothing depends on it
}

// PredicateType returns [ForkAcceptedType].
func (f *ForkAccepted) PredicateType() string { return ForkAcceptedType }

// Subjects returns the subjects that a statement of f about evidence with this
// digest (tlog.Fork.Digest) must have. The two checkpoints that contradict each
// other (tlog.Fork.Sides) may be named too: then a node that has lost its database
// knows the lie again when it is shown by another pair.
func (f *ForkAccepted) Subjects(evidence digest.Digest, sides ...digest.Digest) []Subject {
	out := []Subject{NewSubject(f.Log, evidence)}
	for i, d := range sides {
		out = append(out, NewSubject(fmt.Sprintf("%s %c", f.Log, 'A'+i), d))
	}
	return out
}

// ForkAccepted decodes a fork-accepted/v1 predicate; what it returns is valid.
func (s *Statement) ForkAccepted() (*ForkAccepted, error) {
	return decodeAs[*ForkAccepted](s, ForkAcceptedType)
}

// Validate checks f against the subjects of its statement.
func (f *ForkAccepted) Validate(subject []Subject) error {
	if !isFileText(f.Log) || strings.Trim(f.Log, " ") != f.Log || len(f.Log) > maxLogOrigin {
		return fmt.Errorf("log: %.80q, want 1 to %d bytes of printable characters, no space at either end", f.Log, maxLogOrigin)
	}
	if err := checkTitle(f.Reason); err != nil {
		return fmt.Errorf("reason: %w", err)
	}
	if err := checkTime(f.At); err != nil {
		return fmt.Errorf("at: %w", err)
	}
	if len(subject) != 1 && len(subject) != 3 {
		return fmt.Errorf("%d subjects, want one: the evidence, or three: and its two checkpoints", len(subject))
	}
	var all []digest.Digest
	for _, s := range subject {
		all = append(all, s.SHA256())
	}
	return sameSubjects(subject, f.Subjects(all[0], all[1:]...))
}
