package statement

import (
	"fmt"
	"time"

	"vitrine.example/digest"
	"vitrine.example/key"
)

// Predicate types of a circle (docs/spec/circle.md).
const (
	CircleType  = Prefix + "circle/v1"
	ConsentType = Prefix + "consent/v1"
	LeaveType   = Prefix + "leave/v1"
)

// Circle is a version of the list of organisations of a programme. The subject
// of its statement is the list before, or for the first version the programme.
type Circle struct {
	Name      string         `json:"name"`
	Version   int64          `json:"version"`           // from 1
	Previous  *digest.Digest `json:"previous,omitzero"` // statement of Version-1; absent only where Version is 1
	Published time.Time      `json:"published"`         // UTC, whole seconds, RFC 3339
	Rule      Rule           `json:"rule"`
	Members   []Member       `json:"members"`
	Revoked   []Revocation   `json:"revoked,omitzero"`
}

// Rule says what the next version and the members' checkpoints need.
type Rule struct {
	Consents  int64 `json:"consents,omitzero"`  // for the next version; absent: more than half of the confirmed members
	Witnesses int64 `json:"witnesses,omitzero"` // other members that must cosign a member's checkpoint
}

// Member is one organisation.
type Member struct {
	Name      string      `json:"name"`
	Origin    string      `json:"origin"` // of its log: the host of URL
	URL       string      `json:"url"`
	Country   string      `json:"country"`   // ISO 3166-1 alpha-2
	Continent string      `json:"continent"` // that of Country: AF AN AS EU NA OC SA
	Roles     []string    `json:"roles"`
	Statement []MemberKey `json:"statement"`
	Log       []MemberKey `json:"log"`
	Witness   []MemberKey `json:"witness,omitzero"`
	Mirror    []MemberKey `json:"mirror,omitzero"`
}

// MemberKey is a key of a member: PEM for statements, else a vkey.
type MemberKey struct {
	Key   string    `json:"key"`
	From  time.Time `json:"from,omitzero"`  // first second of use; absent: always
	Until time.Time `json:"until,omitzero"` // first second after use; absent: for ever
}

// Revocation says that a key is not to be trusted.
type Revocation struct {
	Key    digest.Digest `json:"key"` // see [MemberKey.ID]
	Since  time.Time     `json:"since"`
	Reason string        `json:"reason"`
}

// PredicateType returns [CircleType].
func (c *Circle) PredicateType() string { return CircleType }

// Subjects returns the subjects that a statement of c must have.
func (c *Circle) Subjects() []Subject {
	if c.Previous != nil {
		return []Subject{NewSubject(c.Name, *c.Previous)}
	}
	return []Subject{NewSubject(c.Name, digest.Of([]byte(c.Name)))}
}

// Circle decodes a circle/v1 predicate; what it returns is valid.
func (s *Statement) Circle() (*Circle, error) { return decodeAs[*Circle](s, CircleType) }

// Consent says that a member agrees with a version of a circle. The subject of
// its statement is the circle's.
type Consent struct {
	Circle  string    `json:"circle"`
	Version int64     `json:"version"`
	Origin  string    `json:"origin"` // of the member
	At      time.Time `json:"at"`     // what the member says; nothing depends on it
}

// PredicateType returns [ConsentType].
func (c *Consent) PredicateType() string { return ConsentType }

// Consent decodes a consent/v1 predicate; what it returns is valid.
func (s *Statement) Consent() (*Consent, error) { return decodeAs[*Consent](s, ConsentType) }

// Leave says that a member belongs no more, from a version of a circle on.
type Leave struct {
	Circle  string    `json:"circle"`
	Version int64     `json:"version"`
	Origin  string    `json:"origin"`
	At      time.Time `json:"at"`
	Reason  string    `json:"reason,omitzero"`
}

// PredicateType returns [LeaveType].
func (l *Leave) PredicateType() string { return LeaveType }

// Leave decodes a leave/v1 predicate; what it returns is valid.
func (s *Statement) Leave() (*Leave, error) { return decodeAs[*Leave](s, LeaveType) }

// decodeAs decodes the predicate of a statement that must be of type t.
func decodeAs[T Predicate](s *Statement, t string) (T, error) {
	var none T
	if s.PredicateType != t {
		return none, fmt.Errorf("statement: predicateType %.200q, want %q", s.PredicateType, t)
	}
	p, err := s.decode()
	if err != nil {
		return none, fmt.Errorf("statement: %w", err)
	}
	return p.(T), nil
}

// ID is how a revocation names the key: of a statement key its ID, of another
// the SHA-256 of its vkey.
func (k MemberKey) ID() digest.Digest {
	if p, err := key.ParsePublic([]byte(k.Key)); err == nil {
		return p.ID()
	}
	return digest.Of([]byte(k.Key))
}

// Valid reports whether the key is in use at t.
func (k MemberKey) Valid(t time.Time) bool {
	return !t.Before(k.From) && (k.Until.IsZero() || t.Before(k.Until))
}

// Keys returns all keys of a member: statement, log, witness, mirror.
func (m *Member) Keys() []MemberKey {
	var all []MemberKey
	for _, list := range [][]MemberKey{m.Statement, m.Log, m.Witness, m.Mirror} {
		all = append(all, list...)
	}
	return all
}
