package tlog

import (
	"crypto"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// collidingSeeds were found by trying the first 106,767 numbers.
var collidingSeeds = [2]uint32{95997, 106766}

// collidingKeys returns two Ed25519 cosigner keys with one name and key ID.
func collidingKeys(t testing.TB) (a, b Verifier) {
	t.Helper()
	var v [2]Verifier
	for i, n := range collidingSeeds {
		seed := sha256.Sum256(binary.BigEndian.AppendUint32([]byte("collision"), n))
		pub := ed25519.NewKeyFromSeed(seed[:]).Public()
		var err error
		if v[i], err = NewVerifier("collision.example", Ed25519Cosignature, pub); err != nil {
			t.Fatal(err)
		}
	}
	if v[0].KeyID() != v[1].KeyID() || v[0].SameKey(v[1]) {
		t.Fatal("the keys do not collide")
	}
	return v[0], v[1]
}

// Messages name what is missing, to the last witness.
func TestCheckNamesWhatIsMissing(t *testing.T) {
	m := newTree(t, 5)
	const three = "log <log:1>\nwitness W1 <w1:4>\nwitness W2 <w2:4>\nwitness W3 <w3:6>\n"
	signer := func(tag string) *Signer {
		name, typ := splitTag(t, tag)
		return newSigner(t, name, typ)
	}
	for _, c := range []struct {
		policy, signers string
		want            string // "" or the message
	}{
		{three + "group G 2 W1 W2 W3\nquorum G\n", "log:1 w1:4 w3:6", ""},
		{three + "group G 2 W1 W2 W3\nquorum G\n", "w3:6 w2:4 log:1", ""},
		{three + "group G 2 W1 W2 W3\nquorum G\n", "log:1 w1:4", "checking log at size 5: quorum G: 2 of 3 required, only W1 cosigned; missing: W2, W3"},
		{three + "group G 2 W1 W2 W3\nquorum G\n", "log:1", "quorum G: 2 of 3 required, none cosigned; missing: W1, W2, W3"},
		{three + "group G all W1 W2 W3\nquorum G\n", "log:1 w1:4 w2:4", "3 of 3 required, only W1, W2 cosigned; missing: W3"},
		{three + "quorum W3\n", "log:1 w1:4", "quorum W3: the witness has not cosigned"},
		{three + "quorum W3\n", "log:1 w3:6", ""},
		{three + "quorum none\n", "log:1", ""},
		{three + "quorum none\n", "w1:4", "the log has not signed it: no signature of this key: log+"},
		{three + "quorum W1\n", "log:1 w9:4", "quorum W1: the witness has not cosigned"},
		{three + "quorum W1\n", "log:6 w1:4", "the log has not signed it"},
		{twoLevels, "log:1 x1:4 x3:6 y2:4", ""},
		{twoLevels, "log:1 x1:4 y2:4", "quorum X-and-Y: 2 of 2 required, only Y-witnesses cosigned; missing: X-witnesses (2 of 3 required, only X1 cosigned; missing: X2, X3)"},
		{twoLevels, "log:1 x1:4 x2:4", "missing: Y-witnesses (1 of 3 required, none cosigned; missing: Y1, Y2, Y3)"},
		{"quorum none\n", "log:1", "checking log at size 5: not a log of the policy, which lists none"},
		{"log <b:1>\nlog <a:1>\nlog <a:6>\nquorum none\n", "log:1 a:6", "not a log of the policy, which lists a, b"},
		// Any one of several logs, and of several keys of one log.
		{"log <other:1>\nlog <log:1>\nquorum none\n", "log:1", ""},
		{"log <log:6>\nlog <log:1>\nquorum none\n", "log:1", ""},
		{"log <log:6>\nlog <log:1>\nquorum none\n", "log:6", ""},
		{"log <log:6>\nlog <log:1>\nquorum none\n", "log:6 log:1", ""},
		// The signature of another log is valid and counts for nothing.
		{"log <log:1>\nlog <other:6>\nquorum none\n", "other:6", "the log has not signed it"},
	} {
		var signers []*Signer
		for tag := range strings.FieldsSeq(c.signers) {
			signers = append(signers, signer(tag))
		}
		res, err := mustPolicy(t, c.policy).Check(m.signed(t, "log", 5, signers...))
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%q signed by %s:\n\tgot  %v\n\twant %v", c.policy, c.signers, err, c.want)
		}
		if c.want == "" && res.Log.Name() != "log" {
			t.Errorf("%q signed by %s: log %v", c.policy, c.signers, res.Log)
		}
	}
}

func TestCheckResult(t *testing.T) {
	p := mustPolicy(t, twoLevels)
	c := newTree(t, 3).signed(t, "log", 3, newSigner(t, "y2", 4), newSigner(t, "x3", 6), newSigner(t, "log", 1), newSigner(t, "x1", 4))
	res, err := p.Check(c)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, w := range res.Witnesses {
		names = append(names, w.Name)
		if !w.Time.Equal(epoch) || w.Key.Name() != strings.ToLower(w.Name) {
			t.Errorf("%+v", w)
		}
	}
	if !slices.Equal(names, []string{"X1", "X3", "Y2"}) || !slices.Equal(res.Missing, []string{"X2", "Y1", "Y3"}) {
		t.Errorf("witnesses %v, missing %v", names, res.Missing)
	}
}

func TestCheckErrors(t *testing.T) {
	m := newTree(t, 5)
	p := mustPolicy(t, "log <log:1>\nlog <log:6>\nlog <other:6>\nwitness W <w:4>\nwitness Q <q:6>\nquorum none\n")
	all := func() *SignedCheckpoint {
		return m.signed(t, "log", 5, newSigner(t, "log", 1), newSigner(t, "log", 6), newSigner(t, "w", 4), newSigner(t, "q", 6), newSigner(t, "other", 6))
	}
	if _, err := p.Check(all()); err != nil {
		t.Fatal(err)
	}
	for i := range all().Signatures {
		c := all()
		s := &c.Signatures[i]
		s.Bytes[len(s.Bytes)/2] ^= 1
		if _, err := p.Check(c); !errors.Is(err, ErrBadSignature) {
			t.Errorf("bad signature of %s: %v", s.Name, err)
		}
		c = all()
		c.Signatures = append(c.Signatures, c.Signatures[i])
		if _, err := p.Check(c); !errors.Is(err, ErrBadSignature) || !strings.Contains(err.Error(), "two signature lines") {
			t.Errorf("two signatures of %s: %v", c.Signatures[i].Name, err)
		}
		c = all()
		c.Signatures[i].Bytes = nil
		if _, err := p.Check(c); !errors.Is(err, ErrBadSignature) {
			t.Errorf("empty signature of %s: %v", c.Signatures[i].Name, err)
		}
		// Under another name, or of another key ID, it is one to be ignored.
		c = all()
		c.Signatures[i].KeyID++
		c.Signatures = append(c.Signatures, Signature{Name: c.Signatures[i].Name + "x", KeyID: c.Signatures[i].KeyID - 1, Bytes: []byte{1}})
		if _, err := p.Check(c); err != nil {
			t.Errorf("unknown key like %s: %v", c.Signatures[i].Name, err)
		}
	}

	c := all()
	c.Origin = "other"
	if _, err := p.Check(c); !errors.Is(err, ErrBadSignature) {
		t.Errorf("other origin: %v", err)
	}
	c.Origin = "third"
	if _, err := p.Check(c); !errors.Is(err, ErrBadSignature) {
		t.Errorf("unknown origin and bad signatures: %v", err)
	}
	c.Signatures = nil
	if _, err := p.Check(c); !errors.Is(err, ErrUnknownLog) {
		t.Errorf("unknown origin: %v", err)
	}
	c.Origin = "log"
	if _, err := p.Check(c); !errors.Is(err, ErrNotSigned) {
		t.Errorf("not signed: %v", err)
	}
	var q *QuorumError
	p.Quorum = "W"
	if _, err := p.Check(m.signed(t, "log", 5, newSigner(t, "log", 6), newSigner(t, "q", 6))); !errors.As(err, &q) ||
		q.Quorum != "W" || !slices.Equal(q.Missing, []string{"W"}) || !slices.Equal(q.Cosigned, []string{"Q"}) {
		t.Errorf("no quorum: %v, %+v", err, q)
	}
	p.Quorum = QuorumNone
	if _, err := p.Check(nil); err == nil {
		t.Error("no checkpoint is accepted")
	}
	c = all()
	c.Origin = "log\n5"
	if _, err := p.Check(c); err == nil {
		t.Error("an origin of two lines is accepted")
	}
}

// The empty tree has one root, whoever signs another.
func TestCheckEmptyTree(t *testing.T) {
	p := mustPolicy(t, "log <log:1>\nquorum none\n")
	s := newSigner(t, "log", 1)
	if _, err := p.Check(newTree(t, 0).signed(t, "log", 0, s)); err != nil {
		t.Error(err)
	}
	c := &SignedCheckpoint{Checkpoint: Checkpoint{Origin: "log", Root: LeafHash(nil)}}
	if _, err := s.SignCheckpoint(c.Checkpoint); err == nil {
		t.Error("a wrong empty tree is signed")
	}
	sig, err := privateKey(t, 1, fmt.Sprint("log", Ed25519)).Sign(nil, c.Text(), crypto.Hash(0))
	if err != nil {
		t.Fatal(err)
	}
	c.Signatures = []Signature{{Name: "log", KeyID: s.KeyHash(), Bytes: sig}}
	if _, err := s.Verifier().Verify(c); err != nil {
		t.Fatalf("the signature itself: %v", err)
	}
	if _, err := p.Check(c); err == nil || !strings.Contains(err.Error(), "empty tree") {
		t.Errorf("got %v", err)
	}
	if _, err := ParseCheckpoint(c.Marshal()); err != nil {
		t.Errorf("a witness answers this with 422, so it must be readable: %v", err)
	}
}

// Check agrees with a plain recursive reading of the policy, and one more
// cosignature never makes an accepted checkpoint refused.
func TestCheckLaw(t *testing.T) {
	m := newTree(t, 3)
	rapid.Check(t, func(rt *rapid.T) {
		p := drawPolicy(t, rt)
		p.Logs = []PolicyLog{{Key: newSigner(t, "log", 1).Verifier()}}
		signers := []*Signer{newSigner(t, "log", 1)}
		signed := map[string]bool{QuorumNone: true}
		accepted := false
		for _, w := range append([]PolicyWitness{{}}, p.Witnesses...) {
			if w.Name != "" {
				if !rapid.Bool().Draw(rt, w.Name) {
					continue
				}
				signed[w.Name] = true
				signers = append(signers, newSigner(t, w.Name, w.Key.Type()))
			}
			_, err := p.Check(m.signed(t, "log", 3, rapid.Permutation(signers).Draw(rt, "order")...))
			if want := satisfied(p, p.Quorum, signed); want != (err == nil) {
				rt.Fatalf("%s\nsigned by %v: %v, want %v", p.Marshal(), signed, err, want)
			}
			if accepted && err != nil {
				rt.Fatal("one cosignature more, and refused")
			}
			accepted = err == nil
		}
	})
}

func satisfied(p *Policy, name string, signed map[string]bool) bool {
	for _, g := range p.Groups {
		if g.Name == name {
			n := 0
			for _, m := range g.Members {
				if satisfied(p, m, signed) {
					n++
				}
			}
			return n >= g.K
		}
	}
	return signed[name]
}
