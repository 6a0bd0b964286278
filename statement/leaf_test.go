package statement_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"vitrine.example/digest"
	"vitrine.example/internal/strictjson"
	"vitrine.example/key"
	"vitrine.example/statement"
)

// A leaf says what was signed, how, and with which key; it is canonical and fits.
func TestLeafRoundTrip(t *testing.T) {
	for _, alg := range []key.Algorithm{key.P256, key.Ed25519} {
		k, other := newSigner(t, alg), newSigner(t, alg)
		rapid.Check(t, func(t *rapid.T) {
			r := anyRelease().Draw(t, "release")
			s, err := statement.New(r.Subjects(), r)
			if err != nil {
				t.Fatal(err)
			}
			e, err := statement.Sign(s, k)
			if err != nil {
				t.Fatal(err)
			}
			leaf, err := e.Leaf(k.Public())
			if err != nil || len(leaf) > statement.MaxLeaf {
				t.Fatalf("%d bytes, %v", len(leaf), err)
			}
			if canonical, err := strictjson.Canonicalize(leaf, strictjson.Limits{}); err != nil || !bytes.Equal(canonical, leaf) {
				t.Fatalf("not canonical: %v", err)
			}
			l, err := statement.ParseLeaf(leaf)
			if err != nil {
				t.Fatal(err)
			}
			pae := statement.PAE(statement.PayloadType, e.Payload())
			want := sha512.Sum512(pae)
			sum := want[:]
			if alg == key.P256 {
				want := sha256.Sum256(pae)
				sum = want[:]
			}
			if l.Kind != statement.LeafStatement || l.Key != k.Public() || !bytes.Equal(l.Signature, e.Signature()) ||
				!bytes.Equal(l.PAEDigest, sum) || !l.Commitment.IsZero() {
				t.Fatalf("%+v", l)
			}
			if _, err := e.Leaf(other.Public()); err == nil {
				t.Fatal("a leaf with another key")
			}
			if _, err := e.Leaf(key.Public{}); err == nil {
				t.Fatal("a leaf without a key")
			}
		})
	}
}

func TestCommitmentLeaf(t *testing.T) {
	d := sum("what is hidden")
	leaf := statement.CommitmentLeaf(d)
	if want := "vitrine/commitment/v1\n" + base64.StdEncoding.EncodeToString(d[:]); string(leaf) != want {
		t.Errorf("%q, want %q", leaf, want)
	}
	l, err := statement.ParseLeaf(leaf)
	if err != nil || l.Kind != statement.LeafCommitment || l.Commitment != d || !l.Key.IsZero() || l.Signature != nil || l.PAEDigest != nil {
		t.Errorf("%+v, %v", l, err)
	}
	b64 := base64.StdEncoding.EncodeToString(d[:])
	for name, bad := range map[string]string{
		"empty":           "vitrine/commitment/v1\n",
		"final line feed": string(leaf) + "\n",
		"no line feed":    "vitrine/commitment/v1" + b64,
		"return":          "vitrine/commitment/v1\r\n" + b64,
		"other version":   "vitrine/commitment/v2\n" + b64,
		"upper case":      "Vitrine/commitment/v1\n" + b64,
		"short":           "vitrine/commitment/v1\n" + base64.StdEncoding.EncodeToString(d[:31]),
		"long":            "vitrine/commitment/v1\n" + base64.StdEncoding.EncodeToString(append(d[:], 0)),
		"hexadecimal":     "vitrine/commitment/v1\n" + d.String(),
		"no padding":      strings.TrimSuffix(string(leaf), "="),
		"loose":           strings.TrimSuffix(string(leaf), string(b64[42:])) + string(b64[42]^1) + "=",
		"zero":            string(statement.CommitmentLeaf(digest.Digest{})),
		"before it":       " " + string(leaf),
	} {
		if _, err := statement.ParseLeaf([]byte(bad)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestParseLeafRefuses(t *testing.T) {
	p256, ed := string(read(t, "golden", "release-p256", "leaf.json")), string(read(t, "golden", "release-ed25519", "leaf.json"))
	field := func(leaf, name string) string {
		_, rest, ok := strings.Cut(leaf, `"`+name+`":"`)
		if !ok {
			t.Fatalf("no %s in %s", name, leaf)
		}
		value, _, _ := strings.Cut(rest, `"`)
		return value
	}
	change := func(leaf, old, new string) string {
		t.Helper()
		if strings.Count(leaf, old) != 1 {
			t.Fatalf("%q stands %d times in %s", old, strings.Count(leaf, old), leaf)
		}
		return strings.Replace(leaf, old, new, 1)
	}
	for name, c := range map[string]struct{ in, want string }{
		"empty":                {"", "empty"},
		"other entry":          {"hello\n", "invalid character"},
		"too large":            {p256 + strings.Repeat(" ", 1024), "at most 1024 are allowed"},
		"line feed":            {p256 + "\n", "not in canonical form"},
		"space":                {change(p256, `{"apiVersion"`, `{ "apiVersion"`), "not in canonical form"},
		"old version":          {change(p256, `"0.0.2"`, `"0.0.1"`), "want hashedrekord 0.0.2"},
		"dsse":                 {change(p256, `"hashedrekord"`, `"dsse"`), "want hashedrekord 0.0.2"},
		"no spec":              {`{"apiVersion":"0.0.2","kind":"hashedrekord"}`, "public key"},
		"unknown name":         {change(p256, `"kind":`, `"extra":1,"kind":`), `unknown name "extra"`},
		"duplicate":            {change(p256, `"kind":`, `"kind":"x","kind":`), `name "kind" twice`},
		"certificate":          {change(p256, `"publicKey":`, `"x509Certificate":`), "unknown name"},
		"Ed25519 details":      {change(p256, "PKIX_ECDSA_P256_SHA_256", "PKIX_ED25519_PH"), `keyDetails "PKIX_ED25519_PH", want PKIX_ECDSA_P256_SHA_256`},
		"pure Ed25519 details": {change(ed, "PKIX_ED25519_PH", "PKIX_ED25519"), `keyDetails "PKIX_ED25519", want PKIX_ED25519_PH`},
		"other algorithm":      {change(p256, "SHA2_256", "SHA2_512"), `algorithm "SHA2_512", want SHA2_256`},
		"SHA-256 for Ed25519":  {change(ed, "SHA2_512", "SHA2_256"), `algorithm "SHA2_256", want SHA2_512`},
		"other digest":         {change(p256, field(p256, "digest"), field(ed, "digest")), "digest of 64 bytes, want 32"},
		"short digest":         {change(ed, field(ed, "digest"), field(p256, "digest")), "digest of 32 bytes, want 64"},
		"no digest":            {change(p256, field(p256, "digest"), ""), "digest of 0 bytes"},
		"other signature":      {change(p256, field(p256, "content"), field(ed, "content")), "ECDSA signature"},
		"ECDSA for Ed25519":    {change(ed, field(ed, "content"), field(p256, "content")), "ed25519 signature of 70 bytes, want 64"},
		"no signature":         {change(p256, field(p256, "content"), ""), "ECDSA signature"},
		"other key":            {change(p256, field(p256, "rawBytes"), field(ed, "rawBytes")), "keyDetails"},
		"no key":               {change(p256, field(p256, "rawBytes"), ""), "public key"},
		"key is no key":        {change(p256, field(p256, "rawBytes"), "AAAA"), "public key"},
		"loose base64":         {change(p256, field(p256, "digest"), field(p256, "digest")[:42]+"p="), "base64"},
		"null":                 {change(p256, `"`+field(p256, "digest")+`"`, "null"), "null is not allowed"},
		"escaped":              {change(p256, "hashedrekord\"", `hashedrekor\u0064"`), "not in canonical form"},
		"deep":                 {change(p256, `"`+field(p256, "rawBytes")+`"`, "{}"), "nested deeper than 6"},
		"array":                {"[" + p256 + "]", "nested deeper"},
		"high s":               {change(p256, field(p256, "content"), highS(t, field(p256, "content"))), "the higher of the two s values"},
		"P-384 key, SHA-384":   {change(p256, field(p256, "rawBytes"), "MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEAAAA"), "public key"},
	} {
		if _, err := statement.ParseLeaf([]byte(c.in)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v does not say %q", name, err, c.want)
		}
	}
}

// VerifyLeaf accepts the leaf that Leaf writes, of the key that signed, alone.
func TestVerifyLeaf(t *testing.T) {
	for _, alg := range []key.Algorithm{key.P256, key.Ed25519} {
		k, other := newSigner(t, alg), newSigner(t, alg)
		e := sign(t, fullRelease(), k)
		leaf, err := e.Leaf(k.Public())
		if err != nil {
			t.Fatal(err)
		}
		v := k.Public().Verifier()
		if err := e.VerifyLeaf(v, leaf); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
		r := fullRelease()
		r.Version += "x"
		wantError(t, sign(t, r, k).VerifyLeaf(v, leaf), "of another statement")
		wantError(t, e.VerifyLeaf(v, leaf[1:]), "of another statement")
		wantError(t, e.VerifyLeaf(v, nil), "of another statement")
		wantError(t, e.VerifyLeaf(other.Public().Verifier(), leaf), "the statement names key")
		wantError(t, e.VerifyLeaf(key.Public{}.Verifier(), leaf), "the statement names key")

		forged := forge(t, e, other)
		leaf, err = forged.Leaf(k.Public())
		if err != nil {
			t.Fatal(err)
		}
		if err := forged.VerifyLeaf(v, leaf); !errors.Is(err, key.ErrSignature) {
			t.Errorf("%s: signed by another key under the name of this one: %v", alg, err)
		}
	}
}

// forge puts the signature of another key into an envelope that names the key of e.
func forge(t *testing.T, e *statement.Envelope, other *key.Signer) *statement.Envelope {
	t.Helper()
	sig, err := other.Sign(statement.PAE(statement.PayloadType, e.Payload()))
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.StdEncoding.EncodeToString
	forged, err := statement.Parse([]byte(strings.Replace(string(e.Bytes()), b64(e.Signature()), b64(sig), 1)))
	if err != nil {
		t.Fatal(err)
	}
	return forged
}
