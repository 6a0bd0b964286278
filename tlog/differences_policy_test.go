package tlog

import (
	"fmt"
	"strings"
	"testing"
)

var proofSection = section{
	"Proofs", "A proof is verified for an entry, with a policy of one log and one witness, both of which have signed.",
	func(t *testing.T) map[string]accepting {
		return proofVerifiers(expand(t, "log <log:1>\nwitness W <w:4> https://w.example/\nquorum W\n"), LeafHash(entry(1)))
	},
	[]difference{
		{"proof-good", "a proof as the specification has it (no difference)", "index 1", "tlog-proof, Format", []string{"formats", "torchwood", "vitrine"}, proofText},
		{"proof-base64", "unused bits of a hash's base64 set: a bit flip", "…A= → …B=", "RFC 4648", others,
			func(t *testing.T) string { return replaced(pathLine(t), spoil(t, pathLine(t)))(t) }},
		{"proof-plus", "a sign in the index", "index +1", "tlog-proof, Format: \"an ASCII decimal\"", onlyT, replaced("index 1", "index +1")},
		{"proof-zeros", "leading zeros in the index", "index 0001", "tlog-proof, Format: \"with no leading zeroes\"", others, replaced("index 1", "index 0001")},
		{"proof-cr", "CR in or after a hash", "lPvQ…␍", "tlog-proof, Format: \"lines separated by newlines (U+000A)\"", others,
			func(t *testing.T) string { return replaced(pathLine(t), pathLine(t)[:9]+"\r"+pathLine(t)[9:]+"\r")(t) }},
		{"proof-header-cr", "CR after the header or the index", "index 1␍", "tlog-proof, Format: \"The first line MUST be the string\"", onlyF, replaced("@v1", "@v1\r")},
		{"proof-checkpoint-cr", "CR at the end of the checkpoint's lines", "log␍␊3␍␊", "signed-note, Format: \"MUST NOT contain any ASCII control characters … other than newline\"", onlyF, replaced("\n\nlog\n3\n", "\n\nlog\r\n3\r\n")},
		{"proof-end", "no newline at the end", "— w …", "signed-note, Format: signature lines end in a newline", onlyF,
			func(t *testing.T) string { return strings.TrimSuffix(proofText(t), "\n") }},
		{"proof-extra-empty", "an extra line without data", "extra ␊", "tlog-proof, Format: \"If no extra data is present, this line is omitted\"", others, replaced("index", "extra \nindex")},
		{"proof-extra-base64", "unused bits or CR in the extra line's base64", "extra AR==", "RFC 4648", others, replaced("index", "extra AR==\nindex")},
		{"proof-path", "more than 63 hashes (refused when read, or when verified)", "64 hashes", "RFC 6962 section 2.1.1: no tree of 2^62 entries has such a path", nil,
			func(t *testing.T) string { return replaced("\n\n", strings.Repeat("\n"+sampleRoot, 64)+"\n\n")(t) }},
		{"proof-index", "an index above 2^63-1 (refused when read, or when verified)", "index 9223372036854775808", "Limit; no tree of 2^62 entries has such an entry", nil, replaced("index 1", "index 9223372036854775808")},
		{"proof-extra-long", "a line of more than 64 KiB, as of 64 KiB of extra data", "65,536 bytes", "none: a limit of formats", notFormats,
			func(t *testing.T) string {
				return replaced("index", "extra "+encodeBase64(make([]byte, MaxExtra))+"\nindex")(t)
			}},
		{"proof-extra-longer", "extra data above 64 KiB", "65,537 bytes", "Limit", onlyT,
			func(t *testing.T) string {
				return replaced("index", "extra "+encodeBase64(make([]byte, MaxExtra+1))+"\nindex")(t)
			}},
	},
}

const (
	twoNames = "witness A <w:4=a:4> https://a.example/\nwitness B <w:4=b:4> https://b.example/\n"
	twoKeys  = "witness A <a:4> https://a.example/\nwitness B <b:4> https://b.example/\n"
)

var policySection = section{
	"Policies", "A policy is read. Formats reads the witnesses alone and passes over log lines.",
	func(t *testing.T) map[string]accepting { return readers(policyReadings) },
	[]difference{
		{"policy-good", "a policy with URLs (no difference)", "log …, witness …, group …, quorum …", "tlog-policy", []string{"formats", "torchwood", "vitrine"},
			text("# x\nlog <log:1>\n" + twoKeys + "group G all A B\nquorum G\n")},
		{"policy-no-url", "a witness without URL", "witness A <vkey>", "tlog-policy, Defining a witness: \"witness <name> <vkey> [<url>]\"", notFormats, text("witness A <a:4>\nquorum A\n")},
		{"policy-key", "one public key in two witness lines, under two names", "witness A a+…, witness B b+…", "tlog-policy, Defining a witness: \"Duplicate witnesses … are not allowed\"; Public key representation: \"even if they differ by key name and key id\"", others,
			text(twoNames + "group G all A B\nquorum G\n")},
		{"policy-log-key", "one public key in two log lines", "log a+…, log b+…", "tlog-policy, Defining a log: \"Duplicate logs … are not allowed\"", others, text("log <log:1=a:1>\nlog <log:1=b:1>\nquorum none\n")},
		{"policy-own-key", "one public key as log and witness", "log a+…, witness A a+…", "signed-note, Verifier keys: \"The same public key SHOULD NOT be reused for different signature types\"; a log is no witness of itself", others,
			text("log <log:1>\nwitness A <log:1=a:4> https://a.example/\nquorum A\n")},
		{"policy-collision", "two witness keys of one name and key ID", "birthday collision", "signed-note, Signatures: \"Accidental collisions of both key name and key ID can lead to errors\"", others,
			func(t *testing.T) string {
				a, b := collidingKeys(t)
				return fmt.Sprintf("witness A %s https://a.example/\nwitness B %s https://b.example/\nquorum A\n", a, b)
			}},
		{"policy-member", "a witness or group as a member twice", "group G 2 A A", "tlog-policy, Defining a witness group: \"Each defined name can be listed as a group member at most once\"", others, text(twoKeys + "group G 2 A A\nquorum G\n")},
		{"policy-forward", "the quorum before what it names", "quorum A ␊ witness A …", "tlog-policy, Structure: \"the quorum line must specify a witness or group defined earlier\"", others, text("quorum A\n" + twoKeys)},
		{"policy-quorums", "two quorum lines", "quorum A ␊ quorum none", "tlog-policy, Defining the quorum: \"exactly one quorum line\"", onlyF, text(twoKeys + "quorum A\nquorum none\n")},
		{"policy-plus", "a sign in a threshold", "group G +1 A", "tlog-policy, Defining a witness group: \"it must be written in decimal\"", onlyT, text(twoKeys + "group G +1 A\nquorum G\n")},
		{"policy-zeros", "leading zeros in a threshold", "group G 01 A", "one way to write; tlog-policy says \"in decimal\" alone", others, text(twoKeys + "group G 01 A\nquorum G\n")},
		{"policy-nothing", "a threshold of 0", "group G 0 A", "tlog-policy, Defining a witness group: \"1 <= k <= n\"", onlyF, text(twoKeys + "group G 0 A\nquorum G\n")},
		{"policy-nobody", "a group without members", "group G all", "tlog-policy, Defining a witness group: \"At least one member must be listed\"", onlyF, text(twoKeys + "group G all\nquorum G\n")},
		{"policy-fields", "fields after the last", "quorum A B", "tlog-policy, Defining the quorum: \"quorum <name>\"", onlyT, text(twoKeys + "quorum A B\n")},
		{"policy-comment", "a comment after fields", "quorum none # comment", "tlog-policy, Structure: \"comment lines (lines starting with \"#\" …)\"", others, text("quorum none # comment\n")},
		{"policy-hash", "a number sign in a name", "witness #1 <vkey>", "tlog-policy, Structure: a comment is a line; names are opaque", ours, text("witness #1 <a:4> https://a.example/\nquorum #1\n")},
		{"policy-control", "control characters, such as CR at line ends", "quorum none␍", "tlog-policy, Character set: \"The only allowed control characters are tab and newline\"", others, text("quorum none\r\n")},
		{"policy-end", "no newline at the end", "quorum none", "tlog-policy, Structure: \"each line is terminated by ASCII newline\"", others, text("quorum none")},
		{"policy-separator", "another white space between fields", "quorum U+00A0 none", "tlog-policy, Structure: \"sequences of ASCII space and tab characters only\"", others, text("quorum\u00a0none\n")},
		{"policy-panic", "a line of nothing but other white space, on which torchwood panics", "CR, space", "tlog-policy, Character set: \"The only allowed control characters are tab and newline\"", onlyF, text("\r \nquorum none\n")},
		{"policy-name-space", "another white space in a name", "witness a U+00A0 b …", "tlog-policy, Character set: \"names must be handled as opaque octet strings\"", ours, text("witness a\u00a0b <a:4> https://a.example/\nquorum a\u00a0b\n")},
		{"policy-none", "a witness or group named none", "witness none <vkey>", "tlog-policy, What is a \"policy\": \"The special name none is predefined\"", onlyT, text("witness none <a:4> https://a.example/\nquorum none\n")},
		{"policy-keyword", "a witness or group named by another keyword", "witness any <vkey>", "tlog-policy reserves \"none\" alone", notFormats, text("witness any <a:4> https://a.example/\nquorum any\n")},
		{"policy-witness-type", "a witness key of type 0x01", "witness A <0x01 vkey>", "tlog-policy, Public key representation: \"a signature type approprate respective function\"", onlyF, text("witness A <a:1> https://a.example/\nquorum A\n")},
		{"policy-log-ml", "a log key of type 0x06", "log <0x06 vkey>", "tlog-checkpoint, Signatures: \"Logs SHOULD use ML-DSA-44 cosignatures\"", notTorchwood, text("log <log:6>\nquorum none\n")},
		{"policy-log", "a log line that cannot be read", "log x", "tlog-policy, Defining a log", onlyF, text("log x\nquorum none\n")},
		{"policy-url", "an URL without a scheme", "witness A <vkey> w.example", "RFC 3986 section 3: an URL begins with its scheme", others, text("witness A <a:4> w.example\nquorum A\n")},
		{"policy-url-parse", "an URL that Go's net/url does not parse", "witness A <vkey> https://%/", "tlog-policy, Defining a witness: \"The meaning of the URL is application specific\"", notFormats, text("witness A <a:4> https://%/\nquorum A\n")},
		{"policy-limit", "more than 128 logs, witnesses or groups", "129 logs", "Limit; tlog-policy, Implementation limits: \"at least up to 32\"", others,
			func(t *testing.T) string {
				var b strings.Builder
				for i := range MaxPolicyLines + 1 {
					fmt.Fprintf(&b, "log %s\n", vkey(t, fmt.Sprint("log", i), Ed25519))
				}
				return b.String() + "quorum none\n"
			}},
		{"policy-line", "a line of more than 64 KiB", "a comment", "none: a limit of formats", notFormats, text("# " + strings.Repeat("c", 64<<10) + "\nquorum none\n")},
		{"policy-size", "a policy above 512 KiB", "comments", "Limit; tlog-policy, Implementation limits", others, text(strings.Repeat("# comment\n", MaxPolicy/10+1) + "quorum none\n")},
	},
}

// signedBy is a policy and, after a zero byte, sample signed by these.
func signedBy(policy string, tags ...string) func(*testing.T) string {
	return func(t *testing.T) string {
		var signers []*Signer
		for _, tag := range tags {
			name, typ := splitTag(t, tag)
			signers = append(signers, newSigner(t, name, typ))
		}
		return expand(t, policy) + "\x00" + string(newTree(t, 3).signed(t, "log", 3, signers...).Marshal())
	}
}

var checkSection = section{
	"Policies applied", "A checkpoint is checked against a policy. For formats, whose policies know no logs, a checkpoint has to be signed by any one of the log lines.",
	func(t *testing.T) map[string]accepting { return checkers() },
	[]difference{
		{"check-good", "signed by the log and cosigned (no difference)", "2 of 2", "tlog-policy", []string{"formats", "torchwood", "vitrine"},
			signedBy("log <log:1>\n"+twoKeys+"group G all A B\nquorum G\n", "log:1", "a:4", "b:4")},
		{"check-logs", "two log lines, signed by one of them", "log a+…, log b+…", "tlog-policy, What is a \"policy\": \"if it is signed by any one of the listed logs\"", notTorchwood,
			signedBy("log <other:1>\nlog <log:1>\nquorum none\n", "log:1")},
		{"check-same-key", "2 of 2 met by one key under two names", "witness A a+…, witness B b+…", "tlog-policy, Defining a witness: \"Duplicate witnesses … are not allowed\"", others,
			func(t *testing.T) string {
				in := signedBy("log <log:1>\n"+twoNames+"group G all A B\nquorum G\n", "log:1")(t)
				key := privateKey(t, Ed25519Cosignature, fmt.Sprint("w", Ed25519Cosignature))
				for _, name := range []string{"a", "b"} {
					v, err := NewVerifier(name, Ed25519Cosignature, key.Public())
					if err != nil {
						t.Fatal(err)
					}
					in += string(Signature{name, v.KeyID(), cosign(t, key, name, Ed25519Cosignature, 1, sampleCheckpoint)}.Marshal())
				}
				return in
			}},
		{"check-same-member", "2 of 2 met by one witness as a member twice", "group G 2 A A", "tlog-policy, Defining a witness group: \"at most once\"", onlyF,
			signedBy("log <log:1>\n"+twoKeys+"group G 2 A A\nquorum G\n", "log:1", "a:4")},
		{"check-nobody", "a group without members or with a threshold of 0", "group G 0 A", "tlog-policy, Defining a witness group: \"1 <= k <= n\"", onlyF,
			signedBy("log <log:1>\n"+twoKeys+"group G 0 A B\nquorum G\n", "log:1")},
		{"check-bad", "a cosignature that does not verify, of a witness that the quorum does not need", "1 of 2, the second bad", "signed-note, Signatures: \"If a signature from a known key fails to verify, clients SHOULD reject the whole note\"", onlyF,
			func(t *testing.T) string {
				in := signedBy("log <log:1>\n"+twoKeys+"group G any A B\nquorum G\n", "log:1", "a:4")(t)
				bad := newSigner(t, "b", Ed25519Cosignature).Verifier()
				return in + string(Signature{"b", bad.KeyID(), make([]byte, 72)}.Marshal())
			}},
		{"check-empty", "size 0 with a root that is not that of the empty tree, signed by the log", "log␊0␊lPvQ…", "RFC 6962 section 2.1: \"The hash of an empty list is the hash of an empty string\"", others,
			func(t *testing.T) string {
				return expand(t, "log <log:1>\nquorum none\n") + "\x00" + logSigned(t, strings.Replace(sample, "3", "0", 1))
			}},
	},
}

var tileSection = section{
	"Tile paths", "A path is read.",
	func(t *testing.T) map[string]accepting { return readers(tileReadings) },
	[]difference{
		{"tile-good", "a path as the specification has it (no difference)", "tile/entries/x001/234.p/5", "tlog-tiles, Merkle Tree", notFormats, text("tile/entries/x001/234.p/5")},
		{"tile-data", "entries under another name", "tile/data/000", "tlog-tiles, Log entries: \"<prefix>/tile/entries/<N>[.p/<W>]\"", onlyT, text("tile/data/000")},
		{"tile-level", "a level above 63", "tile/64/000", "tlog-tiles, Merkle Tree: \"between 0 and 63\"", onlyT, text("tile/64/000")},
		{"tile-index", "an index that no tree of 2^62 entries has", "tile/0/x018/x014/x398/x509/x481/984", "Limit", onlyT, text("tile/0/x018/x014/x398/x509/x481/984")},
	},
}
