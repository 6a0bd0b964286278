// Package digest names bytes by their SHA-256.
//
// Everything that vitrine stores, logs or compares is known by its digest, so
// the type is shared by every other package. A [Digest] is written as 64
// lower-case hexadecimal digits and in no other way; [Parse] refuses upper
// case, prefixes and other lengths.
package digest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// Size is the length of a digest in bytes.
const Size = sha256.Size

// A Digest is the SHA-256 (FIPS 180-4) of some bytes. The zero value is not
// the digest of anything known and stands for "none".
type Digest [Size]byte

// Of returns the digest of b.
func Of(b []byte) Digest { return sha256.Sum256(b) }

// Parse reads 64 lower-case hexadecimal digits.
func Parse(s string) (Digest, error) {
	var d Digest
	if len(s) != 2*Size {
		return d, fmt.Errorf("digest %.80q: %d characters, want %d hexadecimal digits", s, len(s), 2*Size)
	}
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return d, fmt.Errorf("digest %.80q: %q is not a lower-case hexadecimal digit", s, c)
		}
	}
	if _, err := hex.Decode(d[:], []byte(s)); err != nil {
		return Digest{}, fmt.Errorf("digest %.80q: %w", s, err)
	}
	return d, nil
}

// String returns 64 lower-case hexadecimal digits.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// IsZero reports whether d is the zero value, which stands for "none".
func (d Digest) IsZero() bool { return d == Digest{} }

// MarshalText writes the digest as [Digest.String] does.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what [Parse] reads.
func (d *Digest) UnmarshalText(b []byte) error {
	p, err := Parse(string(b))
	if err == nil {
		*d = p
	}
	return err
}
