// Package tlog reads and writes the texts of transparency logs strictly:
// checkpoints, proofs, cosignatures, verifier keys, policies and tile paths as
// C2SP specifies them (signed-note, tlog-checkpoint, tlog-cosignature,
// tlog-proof, tlog-policy, tlog-tiles; docs/spec/tlog.md pins the revisions).
//
// To decide whether an entry is logged, read the proof with [ParseProof], check
// the entry's place with [Proof.VerifyInclusion] and then the signatures with
// [Policy.Check]. Nothing that a parser returns is authenticated before both
// have accepted it, and [Proof.Extra] never is.
//
// There is one way to write each thing. What a parser accepts, its Marshal
// method gives back byte for byte; anything else is refused, with the line.
// Policies are the exception: people write them, so comments and white space
// are free, and Marshal gives a normal form. docs/spec/differences.md lists
// where other implementations accept more or less.
//
// The package performs no input or output and reads no clock of its own.
package tlog

import (
	"crypto/sha256"

	xtlog "golang.org/x/mod/sumdb/tlog"
)

// Hash is an RFC 6962 Merkle tree hash.
type Hash = xtlog.Hash

// Bounds of what the parsers accept. They lie above what the specifications
// ask for (16 signatures, 32 logs, 32 witnesses, 32 groups).
const (
	MaxCheckpoint  = 512 << 10 // bytes of a signed note
	MaxSignatures  = 64        // signature lines in a note
	MaxExtensions  = 64        // extension lines in a checkpoint
	MaxSize        = 1 << 62   // entries of a tree; golang.org/x/mod/sumdb/tlog does not end above it
	MaxPath        = 63        // hashes in an inclusion or consistency proof
	MaxExtra       = 64 << 10  // bytes of a proof's extra data
	MaxProof       = 1 << 20   // bytes of a proof with its checkpoint
	MaxName        = 255       // bytes of the name of a verifier key
	MaxPolicy      = 512 << 10 // bytes of a policy
	MaxPolicyLines = 128       // log lines, witness lines and group lines, of each
)

// LeafHash returns the RFC 6962 hash of a log entry.
func LeafHash(entry []byte) Hash { return xtlog.RecordHash(entry) }

// EmptyRoot returns the root of the tree without entries, which is the SHA-256
// of nothing (RFC 6962 section 2.1).
func EmptyRoot() Hash { return sha256.Sum256(nil) }
