package tlog

import (
	"crypto"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"filippo.io/mldsa"
)

// KeyType is the signature type byte of signed-note.
type KeyType byte

// The signature types that are read.
const (
	Ed25519            KeyType = 0x01 // a log's plain signature (signed-note)
	Ed25519Cosignature KeyType = 0x04 // a timestamped cosignature (tlog-cosignature)
	MLDSA44Cosignature KeyType = 0x06 // the same, safe against quantum computers
)

// String names the type and gives its byte.
func (t KeyType) String() string {
	switch t {
	case Ed25519:
		return "Ed25519 signature (0x01)"
	case Ed25519Cosignature:
		return "Ed25519 cosignature (0x04)"
	case MLDSA44Cosignature:
		return "ML-DSA-44 cosignature (0x06)"
	}
	return fmt.Sprintf("type %#02x", byte(t))
}

// Verifier is a verifier key ("vkey"): who signs notes under which name. The
// zero value verifies nothing. Compare with [Verifier.Equal].
type Verifier struct {
	_     [0]func() // not comparable: ml is a pointer
	name  string
	keyID uint32
	typ   KeyType
	pub   string           // raw public key
	ml    *mldsa.PublicKey // of pub, for MLDSA44Cosignature
}

// NewVerifier makes a verifier key from an ed25519.PublicKey or
// *mldsa.PublicKey. The name has 1 to [MaxName] bytes of UTF-8 without spaces,
// plus signs and control characters. Ed25519 keys that are not the canonical
// encoding of a point of the curve, or of a small order, are refused.
func NewVerifier(name string, typ KeyType, pub crypto.PublicKey) (Verifier, error) {
	if err := checkName(name); err != nil {
		return Verifier{}, err
	}
	if len(name) > MaxName {
		// tlog-cosignature: "opaque cosigner_name<1..2^8-1>".
		return Verifier{}, fmt.Errorf("key name %.40q… has %d bytes, want at most %d", name, len(name), MaxName)
	}
	v := Verifier{name: name, typ: typ}
	switch k := pub.(type) {
	case ed25519.PublicKey:
		if typ != Ed25519 && typ != Ed25519Cosignature {
			return Verifier{}, fmt.Errorf("key %s: an Ed25519 key makes no %s", name, typ)
		}
		if err := checkEd25519(k); err != nil {
			return Verifier{}, fmt.Errorf("key %s: %w", name, err)
		}
		v.pub = string(k)
	case *mldsa.PublicKey:
		if k == nil || *k == (mldsa.PublicKey{}) || k.Parameters() != mldsa.MLDSA44() {
			return Verifier{}, fmt.Errorf("key %s: not an ML-DSA-44 key", name)
		}
		if typ != MLDSA44Cosignature {
			return Verifier{}, fmt.Errorf("key %s: an ML-DSA-44 key makes no %s", name, typ)
		}
		v.pub, v.ml = string(k.Bytes()), k
	default:
		return Verifier{}, fmt.Errorf("key %s: %T is neither an Ed25519 nor an ML-DSA key", name, pub)
	}
	v.keyID = keyID(name, typ, v.pub)
	return v, nil
}

// keyID is SHA-256(key name || 0x0A || signature type || public key)[:4], which
// signed-note recommends and tlog-cosignature demands.
func keyID(name string, typ KeyType, pub string) uint32 {
	h := sha256.Sum256([]byte(name + "\n" + string([]byte{byte(typ)}) + pub))
	return binary.BigEndian.Uint32(h[:])
}

// ParseVerifier reads "<name>+<hash>+<key>" (signed-note, section "Verifier
// keys"), strictly: lower-case hexadecimal, canonical base64, the hash that
// belongs to the key, a type of [KeyType].
func ParseVerifier(vkey string) (Verifier, error) {
	v, err := parseVerifier(vkey)
	if err != nil {
		return Verifier{}, fmt.Errorf("verifier key %.60q: %w", vkey, err)
	}
	return v, nil
}

func parseVerifier(vkey string) (Verifier, error) {
	const max = MaxName + 10 + (1+mldsa.MLDSA44PublicKeySize+2)/3*4
	if len(vkey) > max {
		return Verifier{}, fmt.Errorf("%d bytes, want at most %d", len(vkey), max)
	}
	name, rest, ok := strings.Cut(vkey, "+")
	hash, key, ok2 := strings.Cut(rest, "+")
	if !ok || !ok2 {
		return Verifier{}, errors.New("want <name>+<hash>+<key>")
	}
	raw, err := decodeBase64(key)
	if err != nil {
		return Verifier{}, err
	}
	if len(raw) == 0 {
		return Verifier{}, errors.New("no key")
	}
	typ, material := KeyType(raw[0]), raw[1:]
	pub, err := publicKey(typ, material)
	if err != nil {
		return Verifier{}, err
	}
	v, err := NewVerifier(name, typ, pub)
	if err != nil {
		return Verifier{}, err
	}
	if want := fmt.Sprintf("%08x", v.keyID); hash != want {
		return Verifier{}, fmt.Errorf("hash %.20q does not belong to the key, want %s", hash, want)
	}
	return v, nil
}

func publicKey(typ KeyType, material []byte) (crypto.PublicKey, error) {
	switch typ {
	case Ed25519, Ed25519Cosignature:
		return ed25519.PublicKey(material), nil
	case MLDSA44Cosignature:
		pub, err := mldsa.NewPublicKey(mldsa.MLDSA44(), material)
		if err != nil {
			return nil, fmt.Errorf("ML-DSA-44 key of %d bytes: %w", len(material), err)
		}
		return pub, nil
	}
	return nil, fmt.Errorf("signature %s is not read, want 0x01, 0x04 or 0x06", typ)
}

// String returns the vkey, and "" for the zero value.
func (v Verifier) String() string {
	if v.IsZero() {
		return ""
	}
	return fmt.Sprintf("%s+%08x+%s", v.name, v.keyID, encodeBase64([]byte(string([]byte{byte(v.typ)})+v.pub)))
}

// Name returns the key name.
func (v Verifier) Name() string { return v.name }

// KeyID returns the key ID.
func (v Verifier) KeyID() uint32 { return v.keyID }

// Type returns the signature type.
func (v Verifier) Type() KeyType { return v.typ }

// PublicKey returns the ed25519.PublicKey or *mldsa.PublicKey, and nil for the
// zero value.
func (v Verifier) PublicKey() crypto.PublicKey {
	switch {
	case v.ml != nil:
		return v.ml
	case v.pub != "":
		return ed25519.PublicKey(v.pub)
	}
	return nil
}

// IsZero reports whether v is no key at all.
func (v Verifier) IsZero() bool { return v.pub == "" }

// Equal reports whether both are the same vkey: name, type and public key.
func (v Verifier) Equal(w Verifier) bool {
	return v.name == w.name && v.typ == w.typ && v.pub == w.pub
}

// SameKey reports whether both wrap the same public key, whatever their names
// and types (tlog-policy calls such keys duplicate). The zero value is the same
// as no key.
func (v Verifier) SameKey(w Verifier) bool { return !v.IsZero() && v.pub == w.pub }
