package proof

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"vitrine.example/internal/strictjson"
	"vitrine.example/key"
	"vitrine.example/statement"
	"vitrine.example/tlog"
)

// Media types of the Sigstore formats that are written.
const (
	SigstoreBundleType      = "application/vnd.dev.sigstore.bundle.v0.3+json"
	SigstoreTrustedRootType = "application/vnd.dev.sigstore.trustedroot+json;version=0.1"
)

// ErrExport says that something has no form that other tools would accept.
var ErrExport = errors.New("cannot be exported for sigstore")

// Sigstore encodes one logged statement as a Sigstore bundle v0.3 with a
// hashedrekord 0.0.2 entry (docs/spec/sigstore.md). It refuses, with
// [ErrExport], what the tools would refuse: a statement that k did not sign,
// that does not stand in the log, a checkpoint that log did not sign, a log key
// other than Ed25519, and an origin that is not a host name.
func Sigstore(l *Logged, k key.Public, log tlog.Verifier) ([]byte, error) {
	if err := l.Verify(k); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrExport, err)
	}
	c := l.Proof.Checkpoint
	if c.Origin != log.Name() {
		return nil, fmt.Errorf("%w: the proof is of log %s, the key of %s", ErrExport, c.Origin, log.Name())
	}
	if _, err := log.Verify(c); err != nil {
		return nil, fmt.Errorf("%w: checkpoint of %s: %w", ErrExport, c.Origin, err)
	}
	id, _, err := sigstoreLogKey(log)
	if err != nil {
		return nil, err
	}
	leaf, err := l.Envelope.Leaf(k)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrExport, err)
	}
	hashes := make([][]byte, len(l.Proof.Path))
	for i, h := range l.Proof.Path {
		hashes[i] = h[:]
	}
	index := strconv.FormatInt(l.Proof.Index, 10)
	keyID := k.ID()
	b := sigstoreBundle{
		MediaType: SigstoreBundleType,
		Material: sigstoreMaterial{
			PublicKey: sigstoreHint{Hint: base64.StdEncoding.EncodeToString(keyID[:])},
			TlogEntries: []sigstoreEntry{{
				LogIndex:    index,
				LogID:       sigstoreLogID{KeyID: id},
				KindVersion: sigstoreKindVersion{Kind: "hashedrekord", Version: "0.0.2"},
				InclusionProof: sigstoreInclusion{
					LogIndex:   index,
					RootHash:   c.Root[:],
					TreeSize:   strconv.FormatInt(c.Size, 10),
					Hashes:     hashes,
					Checkpoint: sigstoreCheckpoint{Envelope: string(c.Marshal())},
				},
				CanonicalizedBody: leaf,
			}},
		},
		DSSEEnvelope: sigstoreDSSEEnvelope{
			Payload:     l.Envelope.Payload(),
			PayloadType: statement.PayloadType,
			Signatures:  []sigstoreSignature{{Sig: l.Envelope.Signature()}},
		},
	}
	return strictjson.Canonical(b)
}

// TrustedRoot encodes a Sigstore trusted root that knows this log and nothing
// else: no certificate authority, no timestamps. baseURL is an https or http
// URL whose host is exactly the log's origin, as the tools take the origin
// from there; validFrom is when the log's key came into use, in RFC 3339.
func TrustedRoot(log tlog.Verifier, baseURL, validFrom string) ([]byte, error) {
	id, pub, err := sigstoreLogKey(log)
	if err != nil {
		return nil, err
	}
	host, ok := strings.CutPrefix(baseURL, "https://")
	if !ok {
		host, ok = strings.CutPrefix(baseURL, "http://")
	}
	if !ok || strings.TrimSuffix(host, "/") != log.Name() {
		return nil, fmt.Errorf("%w: base URL %.200q, want https://%s", ErrExport, baseURL, log.Name())
	}
	from, err := time.Parse(time.RFC3339, validFrom)
	if err != nil {
		return nil, fmt.Errorf("%w: start of validity %.80q: want RFC 3339, like 2030-01-31T00:00:00Z", ErrExport, validFrom)
	}
	spki, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return nil, fmt.Errorf("%w: key of %s: %w", ErrExport, log.Name(), err)
	}
	return strictjson.Canonical(sigstoreTrustedRoot{
		MediaType: SigstoreTrustedRootType,
		Tlogs: []sigstoreLog{{
			BaseURL:       strings.TrimSuffix(baseURL, "/"),
			HashAlgorithm: "SHA2_256",
			PublicKey: sigstorePublicKey{
				RawBytes:   spki,
				KeyDetails: "PKIX_ED25519",
				ValidFor:   sigstoreValidity{Start: from.UTC().Format(time.RFC3339)},
			},
			LogID: sigstoreLogID{KeyID: id},
		}},
	})
}

// sigstoreLogKey returns the log ID as Rekor v2 computes it for Ed25519 keys:
// the whole of the hash whose first four bytes are signed-note's key ID.
func sigstoreLogKey(log tlog.Verifier) (id []byte, pub ed25519.PublicKey, err error) {
	if log.Type() != tlog.Ed25519 {
		return nil, nil, fmt.Errorf("%w: log %.200q: only a plain Ed25519 log key can be", ErrExport, log.Name())
	}
	if !isHostName(log.Name()) {
		return nil, nil, fmt.Errorf("%w: the log's origin %.200q is not a host name, which is all that the tools know as origin", ErrExport, log.Name())
	}
	pub, ok := log.PublicKey().(ed25519.PublicKey)
	if !ok {
		return nil, nil, fmt.Errorf("%w: log %s has no Ed25519 key", ErrExport, log.Name())
	}
	sum := sha256.Sum256(append([]byte(log.Name()+"\n\x01"), pub...))
	if binary.BigEndian.Uint32(sum[:]) != log.KeyID() {
		return nil, nil, fmt.Errorf("%w: key ID of log %s is not that of signed-note", ErrExport, log.Name())
	}
	return sum[:], pub, nil
}

// isHostName reports whether a URL with this host gives the same host back:
// lower-case letters, digits, hyphens and dots, no port, no address.
func isHostName(s string) bool {
	if s == "" || len(s) > 253 {
		return false
	}
	if _, err := netip.ParseAddr(s); err == nil {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range []byte(label) {
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
				return false
			}
		}
	}
	return true
}
