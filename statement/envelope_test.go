package statement_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"vitrine.example/internal/strictjson"
	"vitrine.example/key"
	"vitrine.example/statement"
)

// The example of the DSSE specification, protocol.md.
func TestPAE(t *testing.T) {
	got := statement.PAE("http://example.com/HelloWorld", []byte("hello world"))
	if want := "DSSEv1 29 http://example.com/HelloWorld 11 hello world"; string(got) != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got := statement.PAE("", nil); string(got) != "DSSEv1 0  0 " {
		t.Errorf("%q", got)
	}
}

// What is signed is read back the same, verifies with its key alone, and its
// payload is what a standard verifier verifies.
func TestSignAndParse(t *testing.T) {
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
			again, err := statement.Parse(bytes.Clone(e.Bytes()))
			if err != nil {
				t.Fatal(err)
			}
			if err := again.Verify(k.Public()); err != nil {
				t.Fatal(err)
			}
			if again.Verify(other.Public()) == nil || again.Verify(key.Public{}) == nil {
				t.Fatal("verifies with another key")
			}
			if pub, ok := k.Public().Crypto().(*ecdsa.PublicKey); ok {
				sum := sha256.Sum256(statement.PAE(statement.PayloadType, again.Payload()))
				if !ecdsa.VerifyASN1(pub, sum[:], again.Signature()) {
					t.Fatal("crypto/ecdsa does not accept it")
				}
			}
			back, err := again.Statement().Release()
			if err != nil {
				t.Fatal(err)
			}
			a, errA := strictjson.Canonical(r)
			b, errB := strictjson.Canonical(back)
			if errA != nil || errB != nil || !bytes.Equal(a, b) {
				t.Fatalf("read back as\n%s\nwant\n%s", b, a)
			}
			if canonical, err := strictjson.Canonicalize(e.Bytes(), strictjson.Limits{}); err != nil || !bytes.Equal(canonical, e.Bytes()) {
				t.Fatalf("not canonical: %v", err)
			}
		})
	}
}

func TestParseRefusesEnvelopes(t *testing.T) {
	raw := string(read(t, "golden", "release-p256", "envelope.json"))
	change := func(old, new string) string {
		t.Helper()
		if strings.Count(raw, old) != 1 {
			t.Fatalf("%q stands %d times in the envelope", old, strings.Count(raw, old))
		}
		return strings.Replace(raw, old, new, 1)
	}
	m := decode(t, []byte(raw))
	payload := m["payload"].(string)
	signature := m["signatures"].([]any)[0].(map[string]any)
	sig, keyid := signature["sig"].(string), signature["keyid"].(string)
	one := `{"keyid":"` + keyid + `","sig":"` + sig + `"}`
	// Base64 whose last character has other trailing bits.
	loose := func(s string) string {
		const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
		i := strings.TrimRight(s, "=")
		last := strings.IndexByte(alphabet, i[len(i)-1])
		return i[:len(i)-1] + string(alphabet[last^1]) + s[len(i):]
	}
	if !strings.HasSuffix(sig, "=") {
		t.Fatal("the golden signature needs padding for this test")
	}
	for name, c := range map[string]struct{ in, want string }{
		"empty":                {"", "envelope: line 1, column 1: empty"},
		"null":                 {"null", "null is not allowed"},
		"array":                {"[]", "an array where an object is due"},
		"empty object":         {"{}", "payloadType"},
		"bundle of two":        {raw + raw, "after top-level value"},
		"final newline":        {raw + "\n", "not in canonical form"},
		"byte order mark":      {"\ufeff" + raw, "invalid character"},
		"space":                {change(`"payload":"`, `"payload": "`), "not in canonical form"},
		"other order":          {`{"payloadType":"application/vnd.in-toto+json","payload":"` + payload + `","signatures":[` + one + `]}`, "at /payloadType: not in canonical form"},
		"escape":               {change(`application/vnd`, `application\/vnd`), "at /payloadType: not in canonical form"},
		"escaped name":         {change(`"payload":`, `"p\u0061yload":`), "not in canonical form"},
		"duplicate payload":    {change(`{"payload":`, `{"payload":"","payload":`), `name "payload" twice`},
		"duplicate signatures": {change(`"signatures":`, `"signatures":[],"signatures":`), `name "signatures" twice`},
		"duplicate sig":        {change(`"sig":`, `"sig":"","sig":`), `at /signatures/0/sig: name "sig" twice`},
		"unknown name":         {change(`{"payload":`, `{"extra":1,"payload":`), `at /extra: unknown name "extra"`},
		"unknown in signature": {change(`,"sig":`, `,"cert":"x","sig":`), `at /signatures/0/cert: unknown name "cert"`},
		"other case":           {change(`"payloadType"`, `"payloadtype"`), `unknown name "payloadtype"`},
		"upper case":           {change(`"payload":`, `"Payload":`), `unknown name "Payload"`},
		"no payload":           {change(`"payload":"`+payload+`",`, ``), "payload: missing"},
		"empty payload":        {change(payload, ""), "payload: missing"},
		"payload null":         {change(`"`+payload+`"`, "null"), "at /payload: null is not allowed"},
		"payload an object":    {change(`"`+payload+`"`, "{}"), "at /payload: an object where a string is due"},
		"other payloadType":    {change("vnd.in-toto", "vnd.other"), `payloadType: "application/vnd.other+json", want "application/vnd.in-toto+json"`},
		"payloadType upper":    {change("application/", "Application/"), "payloadType"},
		"no payloadType":       {change(`"payloadType":"application/vnd.in-toto+json",`, ``), "payloadType"},
		"no signature":         {change(one, ""), "signatures: 0 of them, want exactly 1"},
		"no signatures":        {change(`,"signatures":[`+one+`]`, ""), "signatures: 0 of them"},
		"signatures null":      {change("["+one+"]", "null"), "at /signatures: null"},
		"two signatures":       {change(one, one+","+one), "signatures: 2 of them, want exactly 1"},
		"signature an object":  {change("["+one+"]", one), "an object where an array is due"},
		"no keyid":             {change(`"keyid":"`+keyid+`",`, ``), "signatures/0/keyid"},
		"keyid upper case":     {change(keyid, strings.ToUpper(keyid)), "signatures/0/keyid"},
		"keyid with prefix":    {change(keyid, "SHA256:"+keyid), "signatures/0/keyid"},
		"keyid short":          {change(keyid, keyid[:62]), "signatures/0/keyid"},
		"no sig":               {change(`,"sig":"`+sig+`"`, ``), "signatures/0/sig: missing"},
		"sig loose":            {change(sig, loose(sig)), "signatures/0/sig: base64"},
		"sig without padding":  {change(sig, strings.TrimRight(sig, "=")), "signatures/0/sig: base64"},
		"sig with line break":  {change(sig, sig[:4]+`\n`+sig[4:]), "signatures/0/sig: base64"},
		"sig URL alphabet":     {change(sig, "-_-_"), "signatures/0/sig: base64"},
		"sig long":             {change(sig, strings.Repeat("A", 400)), "signatures/0/sig: 400 characters"},
		"payload with newline": {change(payload, payload+`\n`), "payload: base64"},
		"payload no padding":   {change(payload, payload[:len(payload)-1]), "base64"},
		"payload not JSON":     {change(payload, "AAAA"), "payload: line 1, column 1"},
		"deep":                 {change(`"sig":"`+sig+`"`, `"sig":[[]]`), "nested deeper than 3"},
		"too large":            {change(payload, strings.Repeat("A", 1<<20)), "at most 1048576 are allowed"},
		"invalid UTF-8":        {change("in-toto", "in\xfftoto"), "at /payloadType: invalid UTF-8"},
	} {
		if _, err := statement.Parse([]byte(c.in)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v does not say %q", name, err, c.want)
		}
	}
	if _, err := statement.Parse([]byte(raw)); err != nil {
		t.Error(err)
	}
}

// An envelope of exactly MaxSize is read, one of a byte more is not.
func TestSizeIsExact(t *testing.T) {
	for extra := range 9 {
		s := foreign()
		pad := func(n int) []byte {
			set(t, s, "predicate/pad", strings.Repeat("x", n))
			return wrap(t, encode(t, s))
		}
		room := (statement.MaxSize - len(pad(0))) / 4 * 3
		raw := pad(room - 4 + extra)
		_, err := statement.Parse(raw)
		if (err == nil) != (len(raw) <= statement.MaxSize) {
			t.Errorf("%d bytes: %v", len(raw), err)
		}
	}
}

// Parse keeps nothing of its caller's.
func TestParseCopies(t *testing.T) {
	raw := read(t, "golden", "release-p256", "envelope.json")
	e, err := statement.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	before := e.Digest()
	clear(raw)
	if e.Digest() != before {
		t.Error("changed from outside")
	}
}

func TestVerifyNamesTheKeys(t *testing.T) {
	k, other := newSigner(t, key.P256), newSigner(t, key.P256)
	e := sign(t, fullRelease(), k)
	wantError(t, e.Verify(other.Public()), k.Public().ID().String(), other.Public().ID().String())
	wantError(t, e.Verify(key.Public{}), "no key")
	// The right key ID over another's signature.
	forged := strings.Replace(string(e.Bytes()), k.Public().ID().String(), other.Public().ID().String(), 1)
	f, err := statement.Parse([]byte(forged))
	if err != nil {
		t.Fatal(err)
	}
	wantError(t, f.Verify(other.Public()), "signature does not verify")
}

// A signature over another payload type is none over ours.
func TestPayloadTypeIsSigned(t *testing.T) {
	k := newSigner(t, key.Ed25519)
	e := sign(t, fullRelease(), k)
	sig, err := k.Sign(statement.PAE("text/plain", e.Payload()))
	if err != nil {
		t.Fatal(err)
	}
	m := decode(t, e.Bytes())
	set(t, m, "signatures/0/sig", base64.StdEncoding.EncodeToString(sig))
	f, err := statement.Parse(encode(t, m))
	if err != nil {
		t.Fatal(err)
	}
	wantError(t, f.Verify(k.Public()), "signature does not verify")
}
