package sigstore

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/signature"

	"vitrine.example/internal/fixture"
	"vitrine.example/key"
)

// material trusts one statement key and the logs of a trusted root.
type material struct {
	root.TrustedMaterial
	key root.TrustedMaterial
}

func (m *material) PublicKeyVerifier(hint string) (root.TimeConstrainedVerifier, error) {
	return m.key.PublicKeyVerifier(hint)
}

// check verifies e as its receiver would: the log's entry is required, and no
// time, as a key has none.
func check(e fixture.Export) error {
	trusted, err := root.NewTrustedRootFromJSON(e.Root)
	if err != nil {
		return fmt.Errorf("reading the trusted root: %w", err)
	}
	block, _ := pem.Decode(e.Key)
	if block == nil {
		return errors.New("reading the key: no PEM")
	}
	pub, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return fmt.Errorf("reading the key: %w", err)
	}
	v, err := signature.LoadVerifier(pub, crypto.SHA256)
	if err != nil {
		return fmt.Errorf("reading the key: %w", err)
	}
	expiring := root.NewExpiringKey(v, time.Time{}, time.Time{})
	m := &material{TrustedMaterial: trusted, key: root.NewTrustedPublicKeyMaterial(
		func(string) (root.TimeConstrainedVerifier, error) { return expiring, nil })}
	verifier, err := verify.NewVerifier(m, verify.WithTransparencyLog(1), verify.WithNoObserverTimestamps())
	if err != nil {
		return fmt.Errorf("making a verifier: %w", err)
	}
	b := &bundle.Bundle{}
	if err := b.UnmarshalJSON(e.Bundle); err != nil {
		return fmt.Errorf("reading the bundle: %w", err)
	}
	result, err := verifier.Verify(b, verify.NewPolicy(verify.WithArtifact(bytes.NewReader(e.File)), verify.WithKey()))
	if err != nil {
		return fmt.Errorf("verifying: %w", err)
	}
	if result.Statement == nil || result.Statement.PredicateType != e.Type {
		return errors.New("verifying: another predicate type")
	}
	return nil
}

func TestAccepted(t *testing.T) {
	for _, alg := range []key.Algorithm{key.P256, key.Ed25519} {
		good, other := fixture.Exports(alg)
		for name, e := range map[string]fixture.Export{"good": good, "another release": other} {
			if err := check(e); err != nil {
				t.Errorf("%s, %s: %v", alg, name, err)
			}
		}
	}
}

func TestMutationsRefused(t *testing.T) {
	for _, alg := range []key.Algorithm{key.P256, key.Ed25519} {
		good, _ := fixture.Exports(alg)
		mutations := fixture.Mutations(alg)
		if len(mutations) < 15 {
			t.Fatalf("only %d kinds of mutation", len(mutations))
		}
		for _, m := range mutations {
			t.Run(string(alg)+"/"+m.Name, func(t *testing.T) {
				err := check(m.Apply(good))
				if err == nil {
					t.Error("accepted")
				}
				t.Log(err)
			})
		}
	}
}

// The fields that docs/spec/sigstore.md calls unsigned: if a newer library
// checks one of them, this fails, and the document is to be mended.
func TestUnsignedFields(t *testing.T) {
	for _, alg := range []key.Algorithm{key.P256, key.Ed25519} {
		good, _ := fixture.Exports(alg)
		for _, m := range fixture.Unsigned() {
			if err := check(m.Apply(good)); err != nil {
				t.Errorf("%s, %s: %v", alg, m.Name, err)
			}
		}
	}
}

// The trusted root knows one log and nobody else, and the bundle proves by
// inclusion alone, without a log's promise.
func TestShape(t *testing.T) {
	good, _ := fixture.Exports(key.P256)
	trusted, err := root.NewTrustedRootFromJSON(good.Root)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(trusted.RekorLogs()); n != 1 {
		t.Errorf("the trusted root knows %d logs, want 1", n)
	}
	if n := len(trusted.FulcioCertificateAuthorities()) + len(trusted.CTLogs()) + len(trusted.TimestampingAuthorities()); n != 0 {
		t.Errorf("the trusted root trusts %d others", n)
	}
	b := &bundle.Bundle{}
	if err := b.UnmarshalJSON(good.Bundle); err != nil {
		t.Fatal(err)
	}
	if !b.HasInclusionProof() || b.HasInclusionPromise() || !b.MinVersion("v0.3") {
		t.Error("the bundle is not of version 0.3 with an inclusion proof alone")
	}
}
