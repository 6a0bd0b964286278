// Package proof keeps statements together with their place in cosigned logs, in
// one file that can be checked offline: the bundle.
//
// [Parse] reads a bundle (docs/spec/bundle.md) without trusting it;
// [Bundle.Marshal] writes one; [Sigstore] and [TrustedRoot] export one statement
// for other people's tools (docs/spec/sigstore.md). Whether to believe a bundle
// is for a policy (package verdict).
//
// Promises: a bundle has one encoding (RFC 8785 and a final newline), so that
// no bit of it can be changed without it being another bundle. Nothing is read
// but the arguments. Not promised: that what a bundle holds is true, signed or
// logged; [Logged.Verify] and a policy say that.
package proof

import (
	"fmt"

	"vitrine.example/key"
	"vitrine.example/statement"
	"vitrine.example/tlog"
)

// Bounds and names of the format.
const (
	MediaType     = "application/vnd.vitrine.bundle+json"
	Version       = 1
	MaxSize       = 16 << 20 // bytes of a bundle
	MaxStatements = 1024
)

// Logged is a statement with its place in a log. Unauthenticated: do not trust
// before [Logged.Verify] and a policy have accepted it.
type Logged struct {
	Envelope *statement.Envelope
	Proof    *tlog.Proof
}

// Bundle holds the statements and proofs that a verdict needs. Unauthenticated.
type Bundle struct {
	Statements []Logged
}

// Verify checks that k signed the statement, that the envelope names k as its
// key, and that the statement's leaf stands where the proof says (RFC 6962,
// section 2.1.1). It does not check the checkpoint's signatures.
func (l *Logged) Verify(k key.Public) error {
	if err := l.complete(); err != nil {
		return err
	}
	if err := l.VerifySignature(k); err != nil {
		return err
	}
	return l.VerifyInclusion(k)
}

// VerifySignature checks that k signed the statement and that the envelope
// names k as its key.
func (l *Logged) VerifySignature(k key.Public) error {
	if l.Envelope == nil {
		return errIncomplete
	}
	if got, want := l.Envelope.KeyID(), k.ID(); got != want {
		return fmt.Errorf("the envelope names key %s, not %s", got, want)
	}
	return l.Envelope.Verify(k)
}

// VerifyInclusion checks that the leaf of the statement, as signed by k, stands
// where the proof says. It checks no signature at all.
func (l *Logged) VerifyInclusion(k key.Public) error {
	if err := l.complete(); err != nil {
		return err
	}
	leaf, err := l.Envelope.Leaf(k)
	if err != nil {
		return fmt.Errorf("making the log entry: %w", err)
	}
	return l.Proof.VerifyInclusion(tlog.LeafHash(leaf))
}

func (l *Logged) complete() error {
	if l.Envelope == nil || l.Proof == nil || l.Proof.Checkpoint == nil {
		return errIncomplete
	}
	return nil
}
