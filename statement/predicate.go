package statement

import (
	"errors"
	"fmt"
	"strings"

	"vitrine.example/internal/strictjson"
)

// Predicate is implemented by the Go type of each predicate.
type Predicate interface {
	PredicateType() string
	// Validate checks the predicate against the subjects it is said of. Writer and reader both call it.
	Validate(subject []Subject) error
}

// blank returns an empty predicate of one of our types to decode into. This is
// the register: a new predicate is a case here, a file with its Go type, and a
// specification with a schema in docs/spec.
func blank(predicateType string) (Predicate, error) {
	switch predicateType {
	case ReleaseType:
		return new(Release), nil
	case CircleType:
		return new(Circle), nil
	case ConsentType:
		return new(Consent), nil
	case LeaveType:
		return new(Leave), nil
	case ForkAcceptedType:
		return new(ForkAccepted), nil
	case WithheldType:
		return new(Withheld), nil
	case RebuildType:
		return new(Rebuild), nil
	}
	return nil, fmt.Errorf("predicateType: %.200q is not known: a newer version of vitrine may know it", predicateType)
}

// decode reads a predicate of ours into its Go type, and validates it.
func (s *Statement) decode() (Predicate, error) {
	p, err := blank(s.PredicateType)
	if err != nil {
		return nil, err
	}
	if err := strictjson.Unmarshal(s.Predicate, p, strictjson.Limits{Size: MaxSize, Depth: MaxDepth}); err != nil {
		return nil, fmt.Errorf("predicate: %w", err)
	}
	if err := p.Validate(s.Subject); err != nil {
		return nil, fmt.Errorf("predicate: %w", err)
	}
	return p, nil
}

// checkPredicateType asks for an absolute URI, by the grammar in
// docs/spec/statement.md: others' parsers of URIs disagree on what is one.
func checkPredicateType(s string) error {
	if s == "" {
		return errors.New("missing")
	}
	if len(s) > maxURI {
		return fmt.Errorf("%d bytes, at most %d are allowed", len(s), maxURI)
	}
	if !isAbsoluteURI(s) {
		return fmt.Errorf("%.80q is not an absolute URI", s)
	}
	return nil
}

// isURIText reports whether s is of printable ASCII characters that a URI may have.
func isURIText(s string) bool {
	for _, c := range []byte(s) {
		if c <= ' ' || c >= 0x7f || strings.IndexByte("\"<>\\^`{|}", c) >= 0 {
			return false
		}
	}
	return true
}
