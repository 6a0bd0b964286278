package proof_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"vitrine.example/internal/fixture"
	"vitrine.example/key"
	"vitrine.example/proof"
	"vitrine.example/tlog"
)

// field walks decoded JSON by names and indexes.
func field(t *testing.T, v any, path ...any) any {
	t.Helper()
	for i, p := range path {
		ok := false
		switch p := p.(type) {
		case string:
			var m map[string]any
			if m, ok = v.(map[string]any); ok {
				v, ok = m[p]
			}
		case int:
			var l []any
			if l, ok = v.([]any); ok && p < len(l) {
				v = l[p]
			}
		}
		if !ok {
			t.Fatalf("no %v", path[:i+1])
		}
	}
	return v
}

func decode(t *testing.T, b []byte) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestSigstoreShape(t *testing.T) {
	for _, alg := range []key.Algorithm{key.P256, key.Ed25519} {
		w, b, _ := sample(t, alg)
		l := b.Statements[0]
		out, err := proof.Sigstore(&l, w.Vendor.Public(), w.Log.Verifier())
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := l.Envelope.Leaf(w.Vendor.Public())
		if err != nil {
			t.Fatal(err)
		}
		v := decode(t, out)
		b64 := base64.StdEncoding.EncodeToString
		id := w.Vendor.Public().ID()
		entry := []any{"verificationMaterial", "tlogEntries", 0}
		for _, c := range []struct {
			want any
			path []any
		}{
			{proof.SigstoreBundleType, []any{"mediaType"}},
			{b64(id[:]), []any{"verificationMaterial", "publicKey", "hint"}},
			{"3", append(entry, "logIndex")},
			{"3", append(entry, "inclusionProof", "logIndex")},
			{"9", append(entry, "inclusionProof", "treeSize")},
			{b64(l.Proof.Checkpoint.Root[:]), append(entry, "inclusionProof", "rootHash")},
			{string(l.Proof.Checkpoint.Marshal()), append(entry, "inclusionProof", "checkpoint", "envelope")},
			{"hashedrekord", append(entry, "kindVersion", "kind")},
			{"0.0.2", append(entry, "kindVersion", "version")},
			{b64(leaf), append(entry, "canonicalizedBody")},
			{b64(l.Envelope.Payload()), []any{"dsseEnvelope", "payload"}},
			{"application/vnd.in-toto+json", []any{"dsseEnvelope", "payloadType"}},
			{b64(l.Envelope.Signature()), []any{"dsseEnvelope", "signatures", 0, "sig"}},
		} {
			if got := field(t, v, c.path...); got != c.want {
				t.Errorf("%s: %v is %v, want %v", alg, c.path, got, c.want)
			}
		}
		if hashes := field(t, v, append(entry, "inclusionProof", "hashes")...).([]any); len(hashes) != len(l.Proof.Path) {
			t.Errorf("%s: %d hashes, want %d", alg, len(hashes), len(l.Proof.Path))
		}
		if strings.Contains(string(out), "keyid\"") {
			t.Errorf("%s: a keyid is written, which cosign takes for an SSH fingerprint", alg)
		}
		root, err := proof.TrustedRoot(w.Log.Verifier(), "https://vendor.example/", "2030-01-01T01:00:00+01:00")
		if err != nil {
			t.Fatal(err)
		}
		r := decode(t, root)
		if field(t, r, "tlogs", 0, "baseUrl") != "https://vendor.example" ||
			field(t, r, "tlogs", 0, "publicKey", "validFor", "start") != "2030-01-01T00:00:00Z" {
			t.Errorf("trusted root %s", root)
		}
		logID := field(t, r, "tlogs", 0, "logId", "keyId").(string)
		if logID != field(t, v, append(entry, "logId", "keyId")...) {
			t.Error("bundle and trusted root name different logs")
		}
		// Rekor v2 names an Ed25519 log by the whole hash whose start is the key ID.
		raw, err := base64.StdEncoding.DecodeString(logID)
		if err != nil || len(raw) != sha256.Size || binary.BigEndian.Uint32(raw) != w.Log.KeyHash() {
			t.Errorf("log ID %x, key ID %08x", raw, w.Log.KeyHash())
		}
	}
}

func TestSigstoreRefuses(t *testing.T) {
	w, b, _ := sample(t, key.P256)
	l := b.Statements[0]
	vendor, log := w.Vendor.Public(), w.Log.Verifier()
	unsigned := *l.Proof
	unsigned.Checkpoint = &tlog.SignedCheckpoint{Checkpoint: l.Proof.Checkpoint.Checkpoint, Signatures: l.Proof.Checkpoint.Signatures[1:]}
	other := fixture.New("other", key.P256).Log.Verifier()
	renamed, err := tlog.NewVerifier("other.example", tlog.Ed25519, log.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		l   proof.Logged
		k   key.Public
		log tlog.Verifier
	}{
		"another's key":     {l, fixture.StatementKey("stranger", key.P256).Public(), log},
		"another's proof":   {proof.Logged{Envelope: l.Envelope, Proof: b.Statements[1].Proof}, vendor, log},
		"not signed by log": {proof.Logged{Envelope: l.Envelope, Proof: &unsigned}, vendor, log},
		"another log key":   {l, vendor, other},
		"another log":       {l, vendor, renamed},
		"a witness's key":   {l, vendor, w.Witnesses[0].Verifier()},
		"no log key":        {l, vendor, tlog.Verifier{}},
		"nothing":           {proof.Logged{}, vendor, log},
	}
	for name, tt := range tests {
		if _, err := proof.Sigstore(&tt.l, tt.k, tt.log); !errors.Is(err, proof.ErrExport) {
			t.Errorf("%s: error %v, want %v", name, err, proof.ErrExport)
		}
	}
}

func TestTrustedRootRefuses(t *testing.T) {
	w := fixture.New("root", key.P256, "ams")
	pub := w.Log.Verifier().PublicKey()
	named := func(name string) tlog.Verifier {
		v, err := tlog.NewVerifier(name, tlog.Ed25519, pub)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	const from = "2030-01-01T00:00:00Z"
	tests := map[string]struct {
		log        tlog.Verifier
		base, from string
	}{
		"path in origin":     {named("vendor.example/log"), "https://vendor.example/log", from},
		"port in origin":     {named("vendor.example:443"), "https://vendor.example:443", from},
		"capitals in origin": {named("Vendor.example"), "https://Vendor.example", from},
		"address as origin":  {named("192.0.2.1"), "https://192.0.2.1", from},
		"empty label":        {named("vendor..example"), "https://vendor..example", from},
		"hyphen at an end":   {named("vendor-.example"), "https://vendor-.example", from},
		"not a log's key":    {w.Witnesses[0].Verifier(), "https://ams.example", from},
		"another host":       {named("vendor.example"), "https://other.example", from},
		"a path":             {named("vendor.example"), "https://vendor.example/log", from},
		"a user":             {named("vendor.example"), "https://u@vendor.example", from},
		"no scheme":          {named("vendor.example"), "vendor.example", from},
		"another scheme":     {named("vendor.example"), "ftp://vendor.example", from},
		"no time":            {named("vendor.example"), "https://vendor.example", ""},
		"a date":             {named("vendor.example"), "https://vendor.example", "2030-01-01"},
		"no key":             {tlog.Verifier{}, "https://vendor.example", from},
	}
	for name, tt := range tests {
		if _, err := proof.TrustedRoot(tt.log, tt.base, tt.from); !errors.Is(err, proof.ErrExport) {
			t.Errorf("%s: error %v, want %v", name, err, proof.ErrExport)
		}
	}
	for _, name := range []string{"vendor.example", "localhost", "a-b.c1.example"} {
		if _, err := proof.TrustedRoot(named(name), "https://"+name, from); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
