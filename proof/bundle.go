package proof

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"

	"vitrine.example/digest"
	"vitrine.example/internal/strictjson"
	"vitrine.example/statement"
	"vitrine.example/tlog"
)

// Errors that callers tell apart. Everything that [Parse] returns wraps one of them.
var (
	ErrMalformed = errors.New("malformed bundle")             // not the one encoding
	ErrTooLarge  = errors.New("bundle too large")             // over a bound of this package
	ErrVersion   = errors.New("unknown kind of bundle")       // mediaType or version is another
	ErrEmpty     = errors.New("bundle without statements")    // nothing to decide on
	ErrDuplicate = errors.New("statement twice in one log")   // the same statement twice in the same log
	ErrExtra     = errors.New("proof with extra data")        // an unauthenticated field
	ErrStatement = errors.New("malformed statement or proof") // inside an element
)

var errIncomplete = fmt.Errorf("%w: envelope or proof missing", ErrStatement)

// maxDepth is what the format needs: bundle, statements, element, envelope,
// signatures, signature. Payloads are base64 and bounded by package statement.
const maxDepth = 6

// wire is the JSON object of docs/spec/bundle.md.
type wire struct {
	MediaType  string        `json:"mediaType"`
	Statements []wireElement `json:"statements"`
	Version    int           `json:"version"`
}

type wireElement struct {
	Envelope jsontext.Value `json:"envelope"`
	Proof    string         `json:"proof"`
}

// Parse reads the one encoding of a bundle, strictly, and every statement and
// proof in it. It checks no signature.
func Parse(b []byte) (*Bundle, error) {
	if len(b) > MaxSize {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(b), MaxSize)
	}
	text, ok := bytes.CutSuffix(b, []byte("\n"))
	if !ok {
		return nil, fmt.Errorf("%w: no final newline; the file may be cut short", ErrMalformed)
	}
	var w wire
	if err := strictjson.UnmarshalCanonical(text, &w, strictjson.Limits{Size: MaxSize, Depth: maxDepth}); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if w.MediaType != MediaType || w.Version != Version {
		return nil, fmt.Errorf("%w: %.80q version %d, want %q version %d", ErrVersion, w.MediaType, w.Version, MediaType, Version)
	}
	bundle := &Bundle{Statements: make([]Logged, 0, min(len(w.Statements), MaxStatements))}
	for i, e := range w.Statements {
		if i == MaxStatements {
			return nil, fmt.Errorf("%w: %d statements, at most %d", ErrTooLarge, len(w.Statements), MaxStatements)
		}
		l, err := parseElement(e)
		if err != nil {
			return nil, fmt.Errorf("statement %d of %d: %w", i+1, len(w.Statements), err)
		}
		bundle.Statements = append(bundle.Statements, l)
	}
	if err := bundle.check(); err != nil {
		return nil, err
	}
	return bundle, nil
}

func parseElement(e wireElement) (Logged, error) {
	env, err := statement.Parse(e.Envelope)
	if err != nil {
		return Logged{}, fmt.Errorf("%w: envelope: %w", ErrStatement, err)
	}
	p, err := tlog.ParseProof([]byte(e.Proof))
	if err != nil {
		return Logged{}, fmt.Errorf("%w: proof: %w", ErrStatement, err)
	}
	return Logged{Envelope: env, Proof: p}, nil
}

// check refuses what the format cannot hold.
func (b *Bundle) check() error {
	if len(b.Statements) == 0 {
		return ErrEmpty
	}
	if len(b.Statements) > MaxStatements {
		return fmt.Errorf("%w: %d statements, at most %d", ErrTooLarge, len(b.Statements), MaxStatements)
	}
	type place struct {
		statement digest.Digest
		origin    string
	}
	seen := make(map[place]int, len(b.Statements))
	for i := range b.Statements {
		l := &b.Statements[i]
		if err := l.complete(); err != nil {
			return fmt.Errorf("statement %d: %w", i+1, err)
		}
		// tlog-proof: the extra line is "not authenticated", so whoever carries
		// a bundle could put anything there.
		if l.Proof.Extra != nil {
			return fmt.Errorf("statement %d: %w, which nobody signed; remove the line", i+1, ErrExtra)
		}
		p := place{l.Envelope.Digest(), l.Proof.Checkpoint.Origin}
		if first, ok := seen[p]; ok {
			return fmt.Errorf("statement %d: %w: it is statement %d again, in %s", i+1, ErrDuplicate, first, p.origin)
		}
		seen[p] = i + 1
	}
	return nil
}

// Marshal returns the one encoding of a bundle, or why there is none.
func (b *Bundle) Marshal() ([]byte, error) {
	if err := b.check(); err != nil {
		return nil, err
	}
	w := wire{MediaType: MediaType, Version: Version, Statements: make([]wireElement, len(b.Statements))}
	for i, l := range b.Statements {
		w.Statements[i] = wireElement{Envelope: l.Envelope.Bytes(), Proof: string(l.Proof.Marshal())}
	}
	text, err := strictjson.Canonical(w)
	if err != nil {
		return nil, fmt.Errorf("encoding a bundle: %w", err)
	}
	text = append(text, '\n')
	// What is written is read, so that nothing leaves that would not come back.
	if _, err := Parse(text); err != nil {
		return nil, fmt.Errorf("encoding a bundle: %w", err)
	}
	return text, nil
}
