package tlog

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"filippo.io/torchwood"
	flog "github.com/transparency-dev/formats/log"
	fnote "github.com/transparency-dev/formats/note"
	fproof "github.com/transparency-dev/formats/proof"
	fwitness "github.com/transparency-dev/formats/witness"
	"golang.org/x/mod/sumdb/note"
	xtlog "golang.org/x/mod/sumdb/tlog"
)

// A reading is what an implementation makes of an input, in words that can be
// compared with those of another. No implementation checks signatures here: a
// key that accepts everything takes the place of all keys, so that arbitrary
// inputs get past them.
type reading func(in string) (string, error)

// anyKey is a note.Verifiers for which all signatures are good.
type anyKey struct{}

func (anyKey) Verifier(name string, hash uint32) (note.Verifier, error) {
	return goodKey{name, hash}, nil
}

type goodKey struct {
	name string
	hash uint32
}

func (k goodKey) Name() string             { return k.name }
func (k goodKey) KeyHash() uint32          { return k.hash }
func (goodKey) Verify(text, s []byte) bool { return true }

// anyPolicy is a torchwood.Policy that accepts all but the name with which
// torchwood tries whether it compares origins.
type anyPolicy struct{ anyKey }

func (anyPolicy) Check(origin string, _ []note.Signature) error {
	if origin == "check.invalid" {
		return errors.New("not this one")
	}
	return nil
}

var noteReadings = map[string]reading{
	"vitrine": func(in string) (string, error) {
		n, err := ParseNote([]byte(in))
		if err != nil {
			return "", err
		}
		out, seen := string(n.Text), map[string]bool{}
		for _, s := range n.Signatures { // x/mod keeps the first of a key
			line := string(s.Marshal())
			if key := fmt.Sprint(s.Name, "+", s.KeyID); !seen[key] {
				seen[key] = true
				out += line
			}
		}
		return out, nil
	},
	"x/mod": func(in string) (string, error) {
		n, err := note.Open([]byte(in), anyKey{})
		if err != nil {
			return "", err
		}
		out := n.Text
		for _, s := range n.Sigs {
			out += signaturePrefix + s.Name + " " + s.Base64 + "\n"
		}
		return out, nil
	},
}

var checkpointReadings = map[string]reading{
	"vitrine": func(in string) (string, error) {
		c, err := ParseCheckpoint([]byte(in))
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("%q %d %x %q", c.Origin, c.Size, c.Root[:], c.Extensions), nil
	},
	"torchwood": func(in string) (string, error) {
		c, _, err := torchwood.VerifyCheckpoint([]byte(in), anyPolicy{})
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("%q %d %x %q", c.Origin, c.N, c.Hash[:], lines(c.Extension)), nil
	},
	"formats": func(in string) (string, error) {
		n, err := note.Open([]byte(in), anyKey{})
		if err != nil {
			return "", err
		}
		origin, _, _ := strings.Cut(n.Text, "\n")
		c, rest, _, err := flog.ParseCheckpoint([]byte(in), origin, goodKey{n.Sigs[0].Name, n.Sigs[0].Hash})
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("%q %d %x %q", c.Origin, c.Size, c.Hash, lines(string(rest))), nil
	},
}

func lines(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(s, "\n"), "\n")
}

var keyReadings = map[string]reading{
	"vitrine": func(in string) (string, error) {
		v, err := ParseVerifier(in)
		return fmt.Sprintf("%q %08x", v.Name(), v.KeyID()), err
	},
	"x/mod": func(in string) (string, error) { // Ed25519 signatures alone
		v, err := note.NewVerifier(in)
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("%q %08x", v.Name(), v.KeyHash()), nil
	},
	"torchwood": func(in string) (string, error) { // cosignatures alone
		v, err := torchwood.NewCosignatureVerifier(in)
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("%q %08x", v.Name(), v.KeyHash()), nil
	},
	"formats": func(in string) (string, error) {
		v, err := fnote.NewVerifier(in)
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("%q %08x", v.Name(), v.KeyHash()), nil
	},
}

var proofReadings = map[string]reading{
	"vitrine": func(in string) (string, error) {
		p, err := ParseProof([]byte(in))
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("%d %x", p.Index, p.Extra), nil
	},
	"torchwood": func(in string) (string, error) {
		if err := endless(in); err != nil {
			return "", err
		}
		// A proof that is read and does not prove this gives its content away.
		err := torchwood.VerifyProof(anyPolicy{}, xtlog.Hash{1}, []byte(in))
		var read *torchwood.VerifyRecordError
		if !errors.As(err, &read) {
			return "", fmt.Errorf("not a record error: %v", err)
		}
		return fmt.Sprintf("%d %x", read.Index, read.Extra), nil
	},
	"formats": func(in string) (string, error) {
		var p fproof.TLogProof
		if err := p.Unmarshal([]byte(in)); err != nil {
			return "", err
		}
		if _, err := checkpointReadings["formats"](string(p.Checkpoint)); err != nil {
			return "", err
		}
		return fmt.Sprintf("%d %x", p.Index, p.ExtraData), nil
	},
}

var errEndless = errors.New("CheckRecord of x/mod would not return")

// endless keeps torchwood from trees on which it never returns.
func endless(proof string) error {
	_, rest, _ := strings.Cut(proof, "\n\n")
	n, err := note.Open([]byte(rest), anyKey{})
	if err != nil {
		return nil
	}
	if c, err := torchwood.ParseCheckpoint(n.Text); err == nil && c.N > MaxSize {
		return errEndless
	}
	return nil
}

// Policies are compared by what they accept, see samePolicy.
var policyReadings = map[string]reading{
	"vitrine": func(in string) (string, error) {
		_, err := ParsePolicy([]byte(in))
		return "", err
	},
	"torchwood": func(in string) (string, error) {
		_, err := torchwoodPolicy(in)
		return "", err
	},
	"formats": func(in string) (string, error) {
		_, err := fwitness.ParsePolicy([]byte(in))
		return "", err
	},
}

var tileReadings = map[string]reading{
	"vitrine": func(in string) (string, error) {
		t, err := ParseTilePath(in)
		return fmt.Sprint(t.Level, t.Index, t.Width), err
	},
	"torchwood": func(in string) (string, error) {
		t, err := torchwood.ParseTilePath(in)
		return fmt.Sprint(t.L, t.N, t.W), err
	},
}

// torchwoodPolicy takes a panic for a refusal: a line of white space that is
// neither space nor tab makes one.
func torchwoodPolicy(in string) (p torchwood.Policy, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	return torchwood.ParsePolicy([]byte(in))
}

// samePolicy compares policies that all have read: the same sets of witnesses
// satisfy them.
func samePolicy(t *testing.T, in string) {
	t.Helper()
	p, err := ParsePolicy([]byte(in))
	if err != nil {
		return
	}
	tw, errT := torchwoodPolicy(in)
	fw, errF := fwitness.ParsePolicy([]byte(in))
	for mask := range uint(64) {
		signed := map[string]bool{QuorumNone: true}
		var sigs []note.Signature
		for i, w := range p.Witnesses {
			if mask>>(i%6)&1 == 1 {
				signed[w.Name] = true
				sigs = append(sigs, note.Signature{Name: w.Key.Name(), Hash: w.Key.KeyID()})
			}
		}
		ours := satisfied(p, p.Quorum, signed)
		if errT == nil && len(p.Logs) < 2 { // it reads two logs as both
			origin := ""
			for _, l := range p.Logs {
				origin = l.Key.Name()
				sigs = append(sigs, note.Signature{Name: origin, Hash: l.Key.KeyID()})
			}
			if theirs := tw.Check(origin, sigs) == nil; theirs != ours {
				t.Fatalf("%q cosigned by %v: ours %v, torchwood %v", in, signed, ours, theirs)
			}
		}
		if errF == nil {
			if theirs := groupSatisfied(fw, sigs); theirs != ours {
				t.Fatalf("%q cosigned by %v: ours %v, formats %v", in, signed, ours, theirs)
			}
		}
	}
}

func groupSatisfied(g fwitness.Group, sigs []note.Signature) bool {
	n := 0
	for _, c := range g.Components {
		switch c := any(c).(type) {
		case fwitness.Group:
			if groupSatisfied(c, sigs) {
				n++
			}
		case fwitness.Witness:
			for _, s := range sigs {
				if s.Name == c.Key.Name() && s.Hash == c.Key.KeyHash() {
					n++
					break
				}
			}
		}
	}
	return n >= g.N
}
