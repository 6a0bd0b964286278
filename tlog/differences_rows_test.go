package tlog

import (
	"crypto/ed25519"
	"strings"
	"testing"
)

const differencesHead = `# Differences from other implementations

Which inputs package ` + "`tlog`" + ` and others that read the same formats treat
differently, and which line of the specifications decides. Each row is run by
` + "`TestDifferences`" + ` in package ` + "`tlog`" + ` on one input of its class, against every
implementation of its section, and the test writes this file
(` + "`go test ./tlog -run TestDifferences -update`" + `). The fuzz targets of the package
compare readers on arbitrary inputs and fail on any difference that is in no row.

The implementations:

- **vitrine**: package ` + "`tlog`" + ` of this module;
- **x/mod**: ` + "`golang.org/x/mod/sumdb/note`" + ` v0.42.0, on which the next two stand;
- **torchwood**: ` + "`filippo.io/torchwood`" + ` v0.9.1-0.20260706112420-c22a68158d96;
- **formats**: ` + "`github.com/transparency-dev/formats`" + ` v0.1.1, and for Merkle proofs
  ` + "`github.com/transparency-dev/merkle`" + ` v0.0.2.

"RFC 4648" stands for its section 3.5: unused bits of base64 "MUST be set to zero
by conforming encoders", and "decoders MAY choose to reject an encoding if the pad
bits have not been set to zero". Vitrine does, as whoever can flip a bit of a
proof without breaking it has a second proof. "Limit" marks a bound that vitrine
sets where the specification allows or sets none.
`

func sections() []section {
	return []section{noteSection, checkpointSection, keySection, cosignatureSection, proofSection, policySection, checkSection, tileSection}
}

var noteSection = section{
	"Signed notes", "A note is opened with the Ed25519 key of its signer.",
	func(t *testing.T) map[string]accepting { return noteVerifiers(vkey(t, "log", Ed25519)) },
	[]difference{
		{"note-base64", "unused bits of a signature's base64 set", "— log …lQ= → …lR=", "RFC 4648", onlyX,
			func(t *testing.T) string {
				line := logLine(t, sample)
				name, b64, _ := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(line, signaturePrefix), "\n"), " ")
				return sample + "\n" + signaturePrefix + name + " " + spoil(t, b64) + "\n"
			}},
		{"note-signatures", "65 to 100 signature lines", "65 × — x …", "Limit; signed-note, Format: \"SHOULD apply a maximum limit to the number of signatures … MUST accept at least up to 16\"", onlyX,
			func(t *testing.T) string {
				return logSigned(t, sample) + strings.Repeat(string(Signature{"x", 1, []byte{1}}.Marshal()), MaxSignatures)
			}},
		{"note-size", "a note above 512 KiB", "600,000 bytes of text", "Limit; signed-note, Format: \"or, equivalently, to the overall size of a note\"", onlyX,
			func(t *testing.T) string { return logSigned(t, strings.Repeat("a", 600_000)+"\n") }},
		{"note-twice", "a second signature line of a known key, which does not verify", "— log <good> ␊ — log <bad>", "signed-note, Signatures: \"If a signature from a known key fails to verify, clients SHOULD reject the whole note\"", onlyX,
			func(t *testing.T) string { return logSigned(t, sample) + logLine(t, "another text\n") }},
		{"note-same-twice", "the signature line of a known key twice", "— log <good> ␊ — log <good>", "signed-note, Signatures: \"The tuple of key name and key ID uniquely identifies the key that performed the signature\"; one way to write", onlyX,
			func(t *testing.T) string { return logSigned(t, sample) + logLine(t, sample) }},
	},
}

var checkpointSection = section{
	"Checkpoints", "A checkpoint is verified with the Ed25519 key of its log; the origin is taken as it is.",
	func(t *testing.T) map[string]accepting { return checkpointVerifiers(vkey(t, "log", Ed25519)) },
	[]difference{
		{"checkpoint-origin", "empty origin", "␊3␊…", "tlog-checkpoint, Note text: \"The origin MUST be non-empty\"", onlyT,
			func(t *testing.T) string { return logSigned(t, strings.TrimPrefix(sample, "log")) }},
		{"checkpoint-zeros", "leading zeros in the tree size", "03", "tlog-checkpoint, Note text: \"with no leading zeroes\"", onlyF,
			func(t *testing.T) string { return logSigned(t, strings.Replace(sample, "3", "03", 1)) }},
		{"checkpoint-size", "tree size above 2^62", "4611686018427387905", "Limit; `golang.org/x/mod/sumdb/tlog` does not return from checking a proof in such a tree", others,
			func(t *testing.T) string { return logSigned(t, strings.Replace(sample, "3", "4611686018427387905", 1)) }},
		{"checkpoint-63", "tree size above 2^63-1", "9223372036854775808", "Limit", onlyF,
			func(t *testing.T) string { return logSigned(t, strings.Replace(sample, "3", "9223372036854775808", 1)) }},
		{"checkpoint-base64", "unused bits of the root hash's base64 set", "…qhk= → …qhl=", "RFC 4648", others,
			func(t *testing.T) string {
				return logSigned(t, strings.Replace(sample, sampleRoot, spoil(t, sampleRoot), 1))
			}},
		{"checkpoint-root", "a root hash of another length", "AAAA", "tlog-checkpoint, Note text: \"the root of the RFC 6962 Merkle hash tree\", which is a SHA-256", onlyF,
			func(t *testing.T) string { return logSigned(t, strings.Replace(sample, sampleRoot, "AAAA", 1)) }},
		{"checkpoint-empty-line", "an empty extension line", "…␊␊x␊␊— …", "tlog-checkpoint, Note text: \"Extension lines, if any, MUST be non-empty\"", onlyF,
			func(t *testing.T) string { return logSigned(t, sample+"\nx\n") }},
		{"checkpoint-extensions", "more than 64 extension lines", "65 × x", "Limit", others,
			func(t *testing.T) string { return logSigned(t, sample+strings.Repeat("x\n", MaxExtensions+1)) }},
	},
}

// keySection asks torchwood for cosigner keys, x/mod for plain ones, formats for all.
var keySection = section{
	"Verifier keys", "x/mod reads type 0x01 alone and torchwood 0x04 and 0x06 alone; a key of another type is refused by them for that reason.",
	func(t *testing.T) map[string]accepting { return readers(keyReadings) },
	[]difference{
		{"key-x-only", "Ed25519 signature key (no difference)", "type 0x01", "signed-note, Signature types", []string{"vitrine", "x/mod", "formats"}, text("<a:1>")},
		{"key-t-only", "cosigner keys (no difference)", "type 0x04, 0x06", "tlog-cosignature, Format", []string{"vitrine", "torchwood", "formats"}, text("<a:6>")},
		{"key-hex", "upper-case hexadecimal in the key ID", "log+4D…", "signed-note, Conventions: \"fixed length lowercase Base 16\"", []string{"x/mod", "formats"},
			func(t *testing.T) string {
				f := strings.SplitN(vkey(t, "log", Ed25519), "+", 3)
				return f[0] + "+" + strings.ToUpper(f[1]) + "+" + f[2]
			}},
		{"key-id", "a key ID of a cosigner that does not belong to the key", "w+zzzzzzzz+…", "tlog-cosignature, Format: \"The key ID … MUST be computed as\"", onlyF,
			func(t *testing.T) string {
				f := strings.SplitN(vkey(t, "w", Ed25519Cosignature), "+", 3)
				return f[0] + "+zzzzzzzz+" + f[2]
			}},
		{"key-base64", "unused bits of the key's base64 set", "…k= → …l=", "RFC 4648", others,
			func(t *testing.T) string {
				f := strings.SplitN(vkey(t, "w", MLDSA44Cosignature), "+", 3)
				return f[0] + "+" + f[1] + "+" + spoil(t, f[2])
			}},
		{"key-newline", "CR or LF in or after the key's base64", "log+…␍", "RFC 4648 section 3.3: \"Implementations MUST reject the encoded data if it contains characters outside the base alphabet\"", []string{"x/mod", "formats"},
			func(t *testing.T) string { return vkey(t, "log", Ed25519) + "\r\n" }},
		{"key-control", "control characters in the name", "a\\x01+…", "signed-note, Format: \"MUST NOT contain any ASCII control characters\"; no note can bear the name", []string{"x/mod", "formats"},
			func(t *testing.T) string { return rawVkey("a\x01", 0x01, []byte(newSigner(t, "a", 1).v.pub)) }},
		{"key-name", "a name of more than 255 bytes", "256 × n", "tlog-cosignature, ML-DSA-44: \"opaque cosigner_name<1..2^8-1>\"; for Ed25519 a limit", others,
			func(t *testing.T) string {
				return rawVkey(strings.Repeat("n", 256), 0x06, []byte(newSigner(t, "a", 6).v.pub))
			}},
		{"key-small", "an Ed25519 point of small order", "32 zero bytes", "RFC 8032 section 5.1; one signature by it holds on many texts", []string{"x/mod", "formats"},
			func(t *testing.T) string { return rawVkey("a", 0x01, make([]byte, 32)) }},
		{"key-canonical", "an Ed25519 key with y ≥ p", "y = p + 3", "RFC 8032 section 5.1.3: \"If the resulting value is >= p, decoding fails\"", []string{"x/mod", "formats"},
			func(t *testing.T) string {
				return rawVkey("a", 0x01, []byte("\xf0"+strings.Repeat("\xff", 30)+"\x7f"))
			}},
		{"key-curve", "32 bytes that are no point of the Ed25519 curve", "y = 2", "RFC 8032 section 5.1.3: \"no square root exists … decoding fails\"", []string{"x/mod", "formats"},
			func(t *testing.T) string { return rawVkey("a", 0x01, append([]byte{2}, make([]byte, 31)...)) }},
		{"key-type", "signature types 0x02 (ECDSA) and 0x05 (RFC 6962)", "type 0x02", "signed-note, Signature types: \"SHOULD select only the one(s) required for their design\"", onlyF,
			text("rekor.sigstore.dev+c0d23d6a+AjBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABNhtmPtrWm3U1eQXBogSMdGvXwBcK5AW5i0hrZLOC96l+smGNM7nwZ4QvFK/4sueRoVj//QP22Ni4Qt9DPfkWLc=")},
	},
}

var cosignatureSection = section{
	"Cosignatures", "A checkpoint is verified with the key of its cosigner.",
	func(t *testing.T) map[string]accepting { return cosignatureVerifiers() },
	[]difference{
		{"cosignature-zero-ml", "time 0 in an ML-DSA-44 cosignature (no difference)", "type 0x06, time 0", "tlog-cosignature, ML-DSA-44: \"These two values MAY be zero\"", []string{"formats", "torchwood", "vitrine"},
			func(t *testing.T) string { return cosigned(t, "w", MLDSA44Cosignature, 0, sampleCheckpoint) }},
		{"cosignature-zero", "time 0 in an Ed25519 cosignature", "type 0x04, time 0", "tlog-cosignature, Format: \"the time at which the cosignature was generated\"; zero is allowed for ML-DSA-44 alone", others,
			func(t *testing.T) string { return cosigned(t, "w", Ed25519Cosignature, 0, sampleCheckpoint) }},
		{"cosignature-time", "time above 2^63-1", "2^63", "tlog-cosignature, Format: \"It MUST NOT exceed 2^63 - 1\"", onlyF,
			func(t *testing.T) string { return cosigned(t, "w", Ed25519Cosignature, 1<<63, sampleCheckpoint) }},
		{"cosignature-time-ml", "the same in an ML-DSA-44 cosignature", "2^63", "tlog-cosignature, Format: \"It MUST NOT exceed 2^63 - 1\"", onlyF,
			func(t *testing.T) string { return cosigned(t, "w", MLDSA44Cosignature, 1<<63, sampleCheckpoint) }},
		{"cosignature-extension", "an ML-DSA-44 cosignature under a checkpoint with extension lines", "…␊anything␊␊— …", "tlog-checkpoint, Signatures: \"the ML-DSA-44 cosignature format doesn't sign the extension lines, which SHOULD be empty\"", onlyF,
			func(t *testing.T) string {
				c := sampleCheckpoint
				c.Extensions = []string{"anything"}
				return cosigned(t, "w", MLDSA44Cosignature, 1, c)
			}},
		{"cosignature-name", "an ML-DSA-44 cosigner name of 256 bytes, its length written modulo 256", "256 × n", "tlog-cosignature, ML-DSA-44: \"opaque cosigner_name<1..2^8-1>\"", onlyF,
			func(t *testing.T) string {
				return cosigned(t, strings.Repeat("n", 256), MLDSA44Cosignature, 1, sampleCheckpoint)
			}},
		{"cosignature-origin", "an ML-DSA-44 cosignature on an origin of 256 bytes", "256 × o", "tlog-cosignature, ML-DSA-44: \"opaque log_origin<1..2^8-1>\"", onlyF,
			func(t *testing.T) string {
				c := sampleCheckpoint
				c.Origin = strings.Repeat("o", 256)
				return cosigned(t, "w", MLDSA44Cosignature, 1, c)
			}},
		{"cosignature-text", "an Ed25519 cosignature on what is no checkpoint", "a␊b␊c␊", "tlog-cosignature, Format: \"a note signature applied to a checkpoint\"", onlyF,
			func(t *testing.T) string {
				key := privateKey(t, Ed25519Cosignature, "cosigner").(ed25519.PrivateKey)
				v, err := NewVerifier("w", Ed25519Cosignature, key.Public())
				if err != nil {
					t.Fatal(err)
				}
				sig := append(be64(1), ed25519.Sign(key, []byte("cosignature/v1\ntime 1\na\nb\nc\n"))...)
				return v.String() + "\na\nb\nc\n\n" + string(Signature{"w", v.KeyID(), sig}.Marshal())
			}},
	},
}
