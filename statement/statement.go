// Package statement makes, signs, reads and checks everything that can be said.
//
// A statement is an in-toto Statement v1 in a DSSE envelope with exactly one
// signature. [Sign] writes one, [Parse] reads one without trusting it, and
// [Envelope.Verify] says whether a key signed it. What a log holds of it is its
// [Envelope.Leaf]. docs/spec/statement.md and docs/spec/leaf.md specify both.
//
// Promises: an envelope has one encoding (RFC 8785) and therefore one digest;
// duplicate, unknown and misspelt names, loose base64, a second signature and
// anything over [MaxSize] are refused. What is not promised: that what was said
// is true, or that the key's owner may say it; that is for a policy (package verdict).
package statement

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"vitrine.example/internal/strictjson"
)

// Constants of the formats.
const (
	Type        = "https://in-toto.io/Statement/v1"
	PayloadType = "application/vnd.in-toto+json"
	Prefix      = "https://vitrine.example/" // of predicate types that are ours
	MaxSize     = 1 << 20                    // bytes of an envelope
	MaxDepth    = 32                         // nested objects and arrays in a payload
	MaxSubjects = 1024
)

// Statement is an in-toto Statement v1.
type Statement struct {
	Type          string          `json:"_type"`
	Subject       []Subject       `json:"subject"`
	PredicateType string          `json:"predicateType"`
	Predicate     json.RawMessage `json:"predicate"`
}

// New makes a statement of p about subject, validated.
func New(subject []Subject, p Predicate) (*Statement, error) {
	raw, err := strictjson.Canonical(p)
	if err != nil {
		return nil, fmt.Errorf("statement: predicate: %w", err)
	}
	s := &Statement{Type: Type, Subject: cloneSubjects(subject), PredicateType: p.PredicateType(), Predicate: raw}
	if err := p.Validate(s.Subject); err != nil {
		return nil, fmt.Errorf("statement: predicate %s: %w", s.PredicateType, err)
	}
	if _, err := s.encode(); err != nil {
		return nil, fmt.Errorf("statement: %w", err)
	}
	return s, nil
}

// encode returns the payload in canonical form, checked as [Parse] checks it.
func (s *Statement) encode() ([]byte, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	payload, err := strictjson.Canonical(s)
	if err != nil {
		return nil, err
	}
	if _, _, err := parsePayload(payload); err != nil {
		return nil, err
	}
	return payload, nil
}

// parsePayload reads a payload. Where the predicate is ours, it is returned as
// well, and there is one way to write it; the bytes of others' are left as they
// were signed.
func parsePayload(payload []byte) (*Statement, Predicate, error) {
	if s, ok := plainPayload(payload); ok && s.check() == nil {
		if !s.isOurs() {
			return s, nil, nil
		}
		if p, err := s.decode(); err == nil {
			// All but the predicate has been read by its one form.
			if want, err := strictjson.Canonical(p); err == nil && bytes.Equal(want, s.Predicate) {
				return s, p, nil
			}
		}
	}
	return parseAnyPayload(payload)
}

// parseAnyPayload is parsePayload for any form of JSON.
func parseAnyPayload(payload []byte) (*Statement, Predicate, error) {
	s := new(Statement)
	if err := strictjson.Unmarshal(payload, s, strictjson.Limits{Size: MaxSize, Depth: MaxDepth}); err != nil {
		return nil, nil, err
	}
	if err := s.check(); err != nil {
		return nil, nil, err
	}
	if !s.isOurs() {
		return s, nil, nil
	}
	p, err := s.decode()
	if err != nil {
		return nil, nil, err
	}
	// Encoding again what was understood shows every second way of saying it:
	// white space, escapes, other spellings of a time, empty for absent.
	want, err := strictjson.Canonical(understood{s.Type, s.Subject, s.PredicateType, p})
	if err != nil {
		return nil, nil, err
	}
	return s, p, strictjson.Same(payload, want)
}

// isOurs reports whether the predicate is of a type that this package knows or
// a newer one will.
func (s *Statement) isOurs() bool { return strings.HasPrefix(s.PredicateType, Prefix) }

// understood is a [Statement] with its predicate decoded.
type understood struct {
	Type          string    `json:"_type"`
	Subject       []Subject `json:"subject"`
	PredicateType string    `json:"predicateType"`
	Predicate     Predicate `json:"predicate"`
}

// check checks everything but the predicate's inside.
func (s *Statement) check() error {
	if s.Type != Type {
		return fmt.Errorf("_type: %.80q, want %q", s.Type, Type)
	}
	if err := checkPredicateType(s.PredicateType); err != nil {
		return fmt.Errorf("predicateType: %w", err)
	}
	if err := checkSubjects(s.Subject); err != nil {
		return err
	}
	if p := bytes.TrimLeft(s.Predicate, " \t\r\n"); len(p) == 0 {
		return errors.New("predicate: missing")
	} else if p[0] != '{' {
		return errors.New("predicate: not an object")
	}
	return nil
}
