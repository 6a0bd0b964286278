package statement

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"

	"vitrine.example/digest"
	"vitrine.example/internal/strictjson"
	"vitrine.example/key"
)

// Leaf is a log entry, read back. Unauthenticated: a log may hold anything.
type Leaf struct {
	Kind       LeafKind
	PAEDigest  []byte     // of a statement: SHA-256 (P-256) or SHA-512 (Ed25519) of the PAE
	Signature  []byte     // of a statement
	Key        key.Public // of a statement
	Commitment digest.Digest
}

// LeafKind tells entries apart.
type LeafKind int

// Kinds of log entries.
const (
	LeafStatement LeafKind = iota + 1
	LeafCommitment
)

// MaxLeaf bounds a log entry in bytes; the longest that is written is shorter.
const MaxLeaf = 1024

// commitmentHead begins an entry of kind [LeafCommitment].
const commitmentHead = "vitrine/commitment/v1\n"

// The entry of kind hashedrekord 0.0.2 (rekor-tiles v2, pkg/types/hashedrekord).
type (
	rekord struct {
		APIVersion string     `json:"apiVersion"`
		Kind       string     `json:"kind"`
		Spec       rekordSpec `json:"spec"`
	}
	rekordSpec struct {
		V002 rekordV002 `json:"hashedRekordV002"`
	}
	rekordV002 struct {
		Data      rekordData      `json:"data"`
		Signature rekordSignature `json:"signature"`
	}
	rekordData struct {
		Algorithm string `json:"algorithm"`
		Digest    []byte `json:"digest"`
	}
	rekordSignature struct {
		Content  []byte         `json:"content"`
		Verifier rekordVerifier `json:"verifier"`
	}
	rekordVerifier struct {
		KeyDetails string       `json:"keyDetails"`
		PublicKey  rekordPublic `json:"publicKey"`
	}
	rekordPublic struct {
		RawBytes []byte `json:"rawBytes"`
	}
)

// rekordKind returns the names that go with a kind of key, and the digest of pae.
func rekordKind(alg key.Algorithm, pae []byte) (keyDetails, algorithm string, sum []byte, err error) {
	switch alg {
	case key.P256:
		h := sha256.Sum256(pae)
		return "PKIX_ECDSA_P256_SHA_256", "SHA2_256", h[:], nil
	case key.Ed25519:
		// The signature is pure Ed25519 over the PAE; the names are those under
		// which Rekor v2 and cosign enter such a signature.
		h := sha512.Sum512(pae)
		return "PKIX_ED25519_PH", "SHA2_512", h[:], nil
	}
	return "", "", nil, fmt.Errorf("a key of kind %.40q has no log entry", alg)
}

// Leaf returns what the log holds of the statement: the hashedrekord 0.0.2
// entry of Rekor v2 in RFC 8785 form. k must be the key that Verify accepts;
// Leaf checks no more than that the envelope names it.
func (e *Envelope) Leaf(k key.Public) ([]byte, error) {
	leaf, err := e.leaf(k, k.ID(), PAE(PayloadType, e.payload))
	if err != nil {
		return nil, fmt.Errorf("leaf: %w", err)
	}
	return leaf, nil
}

// leaf is Leaf with the key's ID and what it signed.
func (e *Envelope) leaf(k key.Public, id digest.Digest, pae []byte) ([]byte, error) {
	if k.IsZero() || id != e.keyID {
		return nil, fmt.Errorf("the statement names key %s, not %s", e.keyID, id)
	}
	if err := k.CheckSignature(e.sig); err != nil {
		return nil, err
	}
	details, algorithm, sum, err := rekordKind(k.Algorithm(), pae)
	if err != nil {
		return nil, err
	}
	return encodeRekord(details, algorithm, sum, e.sig, k), nil
}

// VerifyLeaf reports whether v signed the envelope and leaf is what a log holds
// of that: [Envelope.Verify] and [Envelope.Leaf] at once, for who checks many.
func (e *Envelope) VerifyLeaf(v *key.Verifier, leaf []byte) error {
	pae := PAE(PayloadType, e.payload)
	want, err := e.leaf(v.Key(), v.ID(), pae)
	if err != nil {
		return fmt.Errorf("leaf: %w", err)
	}
	if !bytes.Equal(leaf, want) {
		return errors.New("leaf: of another statement, or another signature")
	}
	if err := v.Verify(pae, e.sig); err != nil {
		return fmt.Errorf("statement: %w", err)
	}
	return nil
}

// encodeRekord writes the canonical form: names in order, no white space, no
// character that needs an escape.
func encodeRekord(details, algorithm string, sum, sig []byte, k key.Public) []byte {
	b := make([]byte, 0, MaxLeaf/2)
	b = append(b, `{"apiVersion":"0.0.2","kind":"hashedrekord","spec":{"hashedRekordV002":{"data":{"algorithm":"`...)
	b = append(b, algorithm...)
	b = append(b, `","digest":"`...)
	b = base64.StdEncoding.AppendEncode(b, sum)
	b = append(b, `"},"signature":{"content":"`...)
	b = base64.StdEncoding.AppendEncode(b, sig)
	b = append(b, `","verifier":{"keyDetails":"`...)
	b = append(b, details...)
	b = append(b, `","publicKey":{"rawBytes":"`...)
	b = base64.StdEncoding.AppendEncode(b, k.DER())
	return append(b, `"}}}}}}`...)
}

// ParseLeaf reads a log entry strictly: what [Envelope.Leaf] or [CommitmentLeaf] writes, nothing else.
func ParseLeaf(b []byte) (Leaf, error) {
	l, err := parseLeaf(b)
	if err != nil {
		return Leaf{}, fmt.Errorf("leaf: %w", err)
	}
	return l, nil
}

func parseLeaf(b []byte) (Leaf, error) {
	if len(b) > MaxLeaf {
		return Leaf{}, fmt.Errorf("%d bytes, at most %d are allowed", len(b), MaxLeaf)
	}
	if rest, ok := bytes.CutPrefix(b, []byte(commitmentHead)); ok {
		return parseCommitment(string(rest))
	}
	var r rekord
	// Depth: as many objects as rekordPublic has around it, and itself.
	if err := strictjson.Unmarshal(b, &r, strictjson.Limits{Size: MaxLeaf, Depth: 6}); err != nil {
		return Leaf{}, err
	}
	if r.APIVersion != "0.0.2" || r.Kind != "hashedrekord" {
		return Leaf{}, fmt.Errorf("kind %.40q version %.40q, want hashedrekord 0.0.2", r.Kind, r.APIVersion)
	}
	return r.Spec.V002.leaf(b)
}

func (r *rekordV002) leaf(b []byte) (Leaf, error) {
	k, err := key.ParsePublicDER(r.Signature.Verifier.PublicKey.RawBytes)
	if err != nil {
		return Leaf{}, err
	}
	details, algorithm, sum, err := rekordKind(k.Algorithm(), nil)
	if err != nil {
		return Leaf{}, err
	}
	switch {
	case r.Signature.Verifier.KeyDetails != details:
		return Leaf{}, fmt.Errorf("keyDetails %.40q, want %s for %s", r.Signature.Verifier.KeyDetails, details, k.Algorithm())
	case r.Data.Algorithm != algorithm:
		return Leaf{}, fmt.Errorf("algorithm %.40q, want %s for %s", r.Data.Algorithm, algorithm, k.Algorithm())
	case len(r.Data.Digest) != len(sum):
		return Leaf{}, fmt.Errorf("digest of %d bytes, want %d", len(r.Data.Digest), len(sum))
	}
	if err := k.CheckSignature(r.Signature.Content); err != nil {
		return Leaf{}, err
	}
	if err := strictjson.Same(b, encodeRekord(details, algorithm, r.Data.Digest, r.Signature.Content, k)); err != nil {
		return Leaf{}, err
	}
	return Leaf{Kind: LeafStatement, PAEDigest: r.Data.Digest, Signature: r.Signature.Content, Key: k}, nil
}

// CommitmentLeaf returns the entry "vitrine/commitment/v1", LF, base64 of d.
func CommitmentLeaf(d digest.Digest) []byte {
	return base64.StdEncoding.AppendEncode([]byte(commitmentHead), d[:])
}

func parseCommitment(s string) (Leaf, error) {
	b, err := strictjson.Base64(s)
	if err != nil {
		return Leaf{}, fmt.Errorf("commitment: %w", err)
	}
	if len(b) != digest.Size {
		return Leaf{}, fmt.Errorf("commitment of %d bytes, want %d", len(b), digest.Size)
	}
	d := digest.Digest(b)
	if d.IsZero() {
		return Leaf{}, errors.New("commitment: to nothing (all bytes are zero)")
	}
	return Leaf{Kind: LeafCommitment, Commitment: d}, nil
}
