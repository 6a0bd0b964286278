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
// signed two histories, and why the node goes on with that log. The subject of
// its statement is the evidence.
type ForkAccepted struct {
	Log    string    `json:"log"` // origin
	Reason string    `json:"reason"`
	At     time.Time `json:"at"` // what the operator says; nothing depends on it
}

// PredicateType returns [ForkAcceptedType].
func (f *ForkAccepted) PredicateType() string { return ForkAcceptedType }

// Subjects returns the subjects that a statement of f about evidence with this
// digest (tlog.Fork.Digest) must have.
func (f *ForkAccepted) Subjects(evidence digest.Digest) []Subject {
	return []Subject{NewSubject(f.Log, evidence)}
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
	if len(subject) != 1 {
		return fmt.Errorf("%d subjects, want one: the evidence", len(subject))
	}
	return sameSubjects(subject, f.Subjects(subject[0].SHA256()))
}
