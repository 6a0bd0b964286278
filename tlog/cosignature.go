package tlog

import (
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"filippo.io/mldsa"
	"golang.org/x/mod/sumdb/note"
)

// ErrNotSigned is returned where a checkpoint has no signature line of a verifier.
var ErrNotSigned = errors.New("no signature of this key")

// ErrBadSignature is returned where a signature line of a known key does not
// verify. Such a note is to be refused as a whole, whoever else has signed it.
var ErrBadSignature = errors.New("signature does not verify")

// Verify finds v's signature on c and checks it. The time is that of a
// cosignature; it is zero (time.Time.IsZero) for a plain signature, and for an
// ML-DSA-44 cosignature that makes no statement about time. [ErrNotSigned] says
// that c carries no signature of v; any other error, that one does not verify
// or that there are two.
//
// Verify does not compare names with the origin; [Policy.Check] does.
func (v Verifier) Verify(c *SignedCheckpoint) (time.Time, error) {
	if _, err := v.find(c.Signatures); err != nil {
		return time.Time{}, err
	}
	if err := c.Validate(); err != nil {
		return time.Time{}, err
	}
	return v.verifyValid(c, c.Text())
}

// verifyValid is Verify for a checkpoint that [Checkpoint.Validate] accepts,
// with its text: whoever asks many keys does that work once.
func (v Verifier) verifyValid(c *SignedCheckpoint, text []byte) (time.Time, error) {
	sig, err := v.find(c.Signatures)
	if err != nil {
		return time.Time{}, err
	}
	return v.check(text, c.Checkpoint, sig)
}

// VerifyNote is Verify for any note. A cosignature is only valid on the text of
// a checkpoint.
func (v Verifier) VerifyNote(n *Note) (time.Time, error) {
	sig, err := v.find(n.Signatures)
	if err != nil {
		return time.Time{}, err
	}
	return v.verifyText(n.Text, sig)
}

// NoteVerifier returns v for golang.org/x/mod/sumdb/note.
func (v Verifier) NoteVerifier() note.Verifier { return noteVerifier{v} }

type noteVerifier struct{ v Verifier }

func (n noteVerifier) Name() string    { return n.v.name }
func (n noteVerifier) KeyHash() uint32 { return n.v.keyID }
func (n noteVerifier) Verify(text, sig []byte) bool {
	_, err := n.v.verifyText(text, sig)
	return err == nil
}

// find returns the one signature line of v. "The tuple of key name and key ID
// uniquely identifies the key" (signed-note, section "Signatures").
func (v Verifier) find(sigs []Signature) ([]byte, error) {
	var found []byte
	for _, s := range sigs {
		if v.IsZero() || s.Name != v.name || s.KeyID != v.keyID {
			continue
		}
		if found != nil {
			return nil, fmt.Errorf("key %s+%08x: %w: two signature lines", v.name, v.keyID, ErrBadSignature)
		}
		found = s.Bytes
		if found == nil {
			found = []byte{}
		}
	}
	if found == nil {
		return nil, fmt.Errorf("key %s+%08x: %w", v.name, v.keyID, ErrNotSigned)
	}
	return found, nil
}

func (v Verifier) verifyText(text, sig []byte) (time.Time, error) {
	var c Checkpoint
	if v.typ != Ed25519 {
		var err error
		if c, err = parseCheckpointText(text); err != nil {
			return time.Time{}, fmt.Errorf("key %s+%08x cosigns checkpoints alone: %w", v.name, v.keyID, err)
		}
	}
	return v.check(text, c, sig)
}

// check verifies sig, the bytes after the key ID, on text, which c was read from.
func (v Verifier) check(text []byte, c Checkpoint, sig []byte) (time.Time, error) {
	t, err := v.checkAt(text, c, sig)
	if err != nil {
		return time.Time{}, fmt.Errorf("key %s+%08x: %w: %w", v.name, v.keyID, ErrBadSignature, err)
	}
	if t == 0 {
		return time.Time{}, nil
	}
	return time.Unix(int64(min(t, lastTime)), 0).UTC(), nil
}

// lastTime is the latest POSIX time that a time.Time compares as late: it counts
// seconds from the year 1 in an int64. A later one is reported as this.
const lastTime = math.MaxInt64 - 62135596800

func (v Verifier) checkAt(text []byte, c Checkpoint, sig []byte) (t uint64, err error) {
	size := map[KeyType]int{
		Ed25519:            ed25519.SignatureSize,
		Ed25519Cosignature: 8 + ed25519.SignatureSize,
		MLDSA44Cosignature: 8 + mldsa.MLDSA44SignatureSize,
	}[v.typ]
	if v.IsZero() || len(sig) != size {
		return 0, fmt.Errorf("%d bytes, want the %d of an %s", len(sig), size, v.typ)
	}
	if v.typ != Ed25519 {
		t, sig = binary.BigEndian.Uint64(sig), sig[8:]
	}
	msg, err := v.message(text, c, t)
	if err != nil {
		return 0, err
	}
	ok := false
	if v.typ == MLDSA44Cosignature {
		ok = mldsa.Verify(v.ml, msg, sig, nil) == nil
	} else {
		ok = ed25519.Verify(ed25519.PublicKey(v.pub), msg, sig)
	}
	if !ok {
		return 0, errors.New("it was made by another key, or on another text")
	}
	return t, nil
}

// message returns what a key of v's type and name signs for text at time t.
func (v Verifier) message(text []byte, c Checkpoint, t uint64) ([]byte, error) {
	if t > math.MaxInt64 {
		// tlog-cosignature, section "Format": "It MUST NOT exceed 2^63 - 1".
		return nil, fmt.Errorf("timestamp %d is above 2^63-1", t)
	}
	switch v.typ {
	case Ed25519:
		return text, nil
	case Ed25519Cosignature:
		if t == 0 { // section "ML-DSA-44 signed message" alone allows it
			return nil, errors.New("timestamp 0 in an Ed25519 cosignature")
		}
		msg := []byte("cosignature/v1\ntime " + strconv.FormatUint(t, 10) + "\n")
		return append(msg, text...), nil
	case MLDSA44Cosignature:
		return subtreeMessage(v.name, t, c)
	}
	return nil, fmt.Errorf("%s is not supported", v.typ)
}

// subtreeMessage is the cosigned_message of tlog-cosignature, section
// "ML-DSA-44 signed message", for a whole checkpoint.
func subtreeMessage(name string, t uint64, c Checkpoint) ([]byte, error) {
	if len(c.Extensions) > 0 {
		// "No statement is made about them": a signature that does not cover
		// what stands above it misleads.
		return nil, errors.New("extension lines, which an ML-DSA-44 cosignature does not cover")
	}
	return cosignedMessage(name, t, c.Origin, Subtree{Start: 0, End: c.Size, Hash: c.Root})
}

// cosignedMessage is the structure of that name (tlog-cosignature, section
// "ML-DSA-44 signed message").
func cosignedMessage(name string, t uint64, origin string, s Subtree) ([]byte, error) {
	if len(name) < 1 || len(name) > 255 || len(origin) < 1 || len(origin) > 255 {
		return nil, errors.New("an ML-DSA-44 cosignature takes names and origins of 1 to 255 bytes")
	}
	if s.Start != 0 && t != 0 {
		// "If start is not zero, timestamp MUST be zero."
		return nil, fmt.Errorf("timestamp %d on a subtree that begins at %d, want 0", t, s.Start)
	}
	b := []byte("subtree/v1\n\x00")
	b = append(append(b, byte(len(name))), name...)
	b = binary.BigEndian.AppendUint64(b, t)
	b = append(append(b, byte(len(origin))), origin...)
	b = binary.BigEndian.AppendUint64(b, uint64(s.Start))
	b = binary.BigEndian.AppendUint64(b, uint64(s.End))
	return append(b, s.Hash[:]...), nil
}
