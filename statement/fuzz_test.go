package statement_test

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"vitrine.example/digest"
	"vitrine.example/internal/strictjson"
	"vitrine.example/key"
	"vitrine.example/statement"
)

// What Parse accepts is canonical, gives itself back, and what it says of ours
// can be signed again to the same payload.
func FuzzParse(f *testing.F) {
	for _, name := range golden {
		f.Add(read(f, "golden", name, "envelope.json"))
	}
	f.Add(envelopeOf([]byte("{}")))
	f.Add([]byte(`{"payload":"","payloadType":"","signatures":[]}`))
	k := newSigner(f, key.Ed25519)
	f.Fuzz(func(t *testing.T, raw []byte) {
		e, err := statement.Parse(raw)
		if err != nil {
			return
		}
		canonical, err := strictjson.Canonicalize(raw, strictjson.Limits{})
		if err != nil || !bytes.Equal(canonical, raw) || !bytes.Equal(e.Bytes(), raw) {
			t.Fatalf("not canonical: %v", err)
		}
		if e.Verify(k.Public()) == nil {
			t.Fatal("verifies with a fresh key")
		}
		checkReadStrictly(t, e)
		checkSignedAgain(t, e, k)
	})
}

// FuzzPayload puts payloads into envelopes, where a fuzzer would not find base64.
func FuzzPayload(f *testing.F) {
	for _, name := range golden {
		f.Add(read(f, "golden", name, "payload.json"))
	}
	f.Add(encode(f, foreign()))
	// Of the usual form, and nearly of it.
	for _, sum := range []string{sum("x").String(), sum("x").String()[1:], strings.ToUpper(sum("x").String())} {
		for _, name := range []string{"a", "", `a\"`, "\\u0061", "\x7f", "ä", `a","uri":"x:y`} {
			for _, predicate := range []string{`{}`, `{"a":null}`, `{"a":1,"a":2}`, `{ "b":[1e400,"\\"]}`, "{\"a\":\"\xff\"}", `[]`,
				strings.Repeat(`{"a":`, statement.MaxDepth-1) + "1" + strings.Repeat("}", statement.MaxDepth-1)} {
				f.Add([]byte(`{"_type":"https://in-toto.io/Statement/v1","predicate":` + predicate + `,"predicateType":"x:y","subject":[{"digest":{"sha256":"` +
					sum + `"},"name":"` + name + `"},{"digest":{"sha256":"` + sum + `"},"name":"b"}]}`))
			}
		}
	}
	k := newSigner(f, key.Ed25519)
	about := []statement.Subject{statement.NewSubject("Programme", digest.Of([]byte("x")))}
	c := aCircle(f)
	for _, x := range []struct {
		subject []statement.Subject
		p       statement.Predicate
	}{
		{c.Subjects(), c},
		{about, &statement.Consent{Circle: "Programme", Version: 1, Origin: "a.example", At: circleTime}},
		{about, &statement.Leave{Circle: "Programme", Version: 1, Origin: "a.example", At: circleTime}},
		{aForkAccepted().Subjects(digest.Of([]byte("x"))), aForkAccepted()},
		{aReport().Subjects(), aReport()},
	} {
		st, err := statement.New(x.subject, x.p)
		if err != nil {
			f.Fatal(err)
		}
		raw, err := strictjson.Canonical(st)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		e, err := statement.Parse(envelopeOf(payload))
		if err != nil {
			return
		}
		if !bytes.Equal(e.Payload(), payload) {
			t.Fatal("another payload")
		}
		checkReadStrictly(t, e)
		checkSignedAgain(t, e, k)
	})
}

// checkReadStrictly asks the strict reader of JSON for the same statement:
// Parse reads what has its usual form without it.
func checkReadStrictly(t *testing.T, e *statement.Envelope) {
	t.Helper()
	var s statement.Statement
	if err := strictjson.Unmarshal(e.Payload(), &s, strictjson.Limits{Size: statement.MaxSize, Depth: statement.MaxDepth}); err != nil {
		t.Fatalf("the strict reader refuses it: %v", err)
	}
	if !reflect.DeepEqual(&s, e.Statement()) {
		t.Fatalf("read as %+v, and strictly as %+v", e.Statement(), &s)
	}
	if s.PredicateType != statement.ReleaseType {
		return
	}
	if canonical, err := strictjson.Canonicalize(e.Payload(), strictjson.Limits{}); err != nil || !bytes.Equal(canonical, e.Payload()) {
		t.Fatalf("a release, and not canonical: %v", err)
	}
	have, err := e.Release()
	want, err2 := s.Release()
	if err != nil || err2 != nil || !reflect.DeepEqual(have, want) {
		t.Fatalf("the release %+v (%v), and strictly %+v (%v)", have, err, want, err2)
	}
}

func checkSignedAgain(t *testing.T, e *statement.Envelope, k *key.Signer) {
	t.Helper()
	r, err := e.Statement().Release()
	if (err == nil) != (e.Statement().PredicateType == statement.ReleaseType) {
		t.Fatalf("a release: %v", err)
	}
	if err != nil {
		return
	}
	s, err := statement.New(r.Subjects(), r)
	if err != nil {
		t.Fatal(err)
	}
	again, err := statement.Sign(s, k)
	if err != nil || !bytes.Equal(again.Payload(), e.Payload()) {
		t.Fatalf("signed again: %v", err)
	}
}

// What ParseLeaf accepts is the one encoding of what it says.
func FuzzParseLeaf(f *testing.F) {
	for _, name := range golden {
		f.Add(read(f, "golden", name, "leaf.json"))
	}
	f.Add(statement.CommitmentLeaf(sum("x")))
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := statement.ParseLeaf(b)
		if err != nil {
			return
		}
		switch l.Kind {
		case statement.LeafCommitment:
			if !bytes.Equal(statement.CommitmentLeaf(l.Commitment), b) {
				t.Error("a second encoding")
			}
		case statement.LeafStatement:
			canonical, err := strictjson.Canonicalize(b, strictjson.Limits{})
			if err != nil || !bytes.Equal(canonical, b) {
				t.Errorf("not canonical: %v", err)
			}
			if err := l.Key.CheckSignature(l.Signature); err != nil {
				t.Error(err)
			}
		default:
			t.Errorf("kind %d", l.Kind)
		}
	})
}

// A package URL that is accepted is what the library prints, whatever it is.
func FuzzCheckProduct(f *testing.F) {
	for _, c := range releaseRules {
		if s, ok := c.value.(string); ok && c.path == "product" {
			f.Add(s)
		}
	}
	f.Fuzz(func(t *testing.T, s string) {
		if statement.CheckProduct(s) != nil {
			return
		}
		r := fullRelease()
		r.Product = s
		if e := sign(t, r, newSigner(t, key.Ed25519)); e == nil {
			t.Error("a product that no release can have")
		}
	})
}
