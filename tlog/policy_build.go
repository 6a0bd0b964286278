package tlog

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A policyBuilder adds line after line to a policy and refuses what must not
// follow on what stands there already. Reader and Validate both use it.
type policyBuilder struct {
	p       *Policy
	defined map[string]bool   // names of witnesses and groups
	group1  map[string]string // the one group that a name is a member of
	keys    []policyKey
}

type policyKey struct {
	Verifier
	owner string // "log x", "witness x"
}

func newPolicyBuilder(p *Policy) *policyBuilder {
	return &policyBuilder{p: p, defined: map[string]bool{}, group1: map[string]string{}}
}

func (b *policyBuilder) log(l PolicyLog) error {
	if len(b.p.Logs) == MaxPolicyLines {
		return fmt.Errorf("more than %d logs", MaxPolicyLines)
	}
	// tlog-checkpoint, section "Signatures": ML-DSA-44 cosignatures "or any note
	// signature algorithm", of which plain Ed25519 is the one in use.
	if t := l.Key.Type(); t != Ed25519 && t != MLDSA44Cosignature {
		return fmt.Errorf("key %s: a log has an %s or an %s, not an %s", l.Key.Name(), Ed25519, MLDSA44Cosignature, t)
	}
	if err := b.key(l.Key, "log "+l.Key.Name()); err != nil {
		return err
	}
	if err := checkURL(l.URL); err != nil {
		return err
	}
	b.p.Logs = append(b.p.Logs, l)
	return nil
}

func (b *policyBuilder) witness(w PolicyWitness) error {
	if len(b.p.Witnesses) == MaxPolicyLines {
		return fmt.Errorf("more than %d witnesses", MaxPolicyLines)
	}
	if err := b.define(w.Name); err != nil {
		return err
	}
	if t := w.Key.Type(); t != Ed25519Cosignature && t != MLDSA44Cosignature {
		return fmt.Errorf("key %s: a witness has an %s or an %s, not an %s", w.Key.Name(), Ed25519Cosignature, MLDSA44Cosignature, t)
	}
	if err := b.key(w.Key, "witness "+w.Name); err != nil {
		return err
	}
	if err := checkURL(w.URL); err != nil {
		return err
	}
	b.p.Witnesses = append(b.p.Witnesses, w)
	return nil
}

// key refuses a public key that is there already, under whatever name or type
// ("Duplicate logs … are not allowed", "Duplicate witnesses … are not
// allowed"), also as the other of log and witness: a log is no witness of
// itself. And it refuses two keys that signature lines cannot tell apart.
func (b *policyBuilder) key(v Verifier, owner string) error {
	if strings.Contains(v.Name(), "\x7f") {
		return fmt.Errorf("key name %.80q: control characters have no place in a policy", v.Name())
	}
	for _, k := range b.keys {
		if k.SameKey(v) {
			return fmt.Errorf("the same public key as %s", k.owner)
		}
		if k.Name() == v.Name() && k.KeyID() == v.KeyID() {
			return fmt.Errorf("the same key name and key ID as %s, with another public key", k.owner)
		}
	}
	b.keys = append(b.keys, policyKey{v, owner})
	return nil
}

func (b *policyBuilder) group(g PolicyGroup) error {
	if len(b.p.Groups) == MaxPolicyLines {
		return fmt.Errorf("more than %d groups", MaxPolicyLines)
	}
	if len(g.Members) == 0 {
		return errors.New("a group without members")
	}
	if g.K < 1 || g.K > len(g.Members) {
		return fmt.Errorf("threshold %d is not within 1 and %d, the number of members", g.K, len(g.Members))
	}
	for _, m := range g.Members {
		if m == QuorumNone {
			return fmt.Errorf("%q is no member", QuorumNone)
		}
		if !b.defined[m] {
			return fmt.Errorf("member %.80q is not defined before", m)
		}
		if other, ok := b.group1[m]; ok {
			return fmt.Errorf("member %.80q is one already, of group %.80q", m, other)
		}
		b.group1[m] = g.Name
	}
	if err := b.define(g.Name); err != nil {
		return err
	}
	b.p.Groups = append(b.p.Groups, PolicyGroup{Name: g.Name, K: g.K, Members: slices.Clone(g.Members)})
	return nil
}

func (b *policyBuilder) quorum(name string) error {
	if b.p.Quorum != "" {
		return errors.New("a second quorum line")
	}
	if name != QuorumNone && !b.defined[name] {
		return fmt.Errorf("%.80q is not defined before", name)
	}
	b.p.Quorum = name
	return nil
}

// define adds a name to the one namespace of witnesses and groups.
func (b *policyBuilder) define(name string) error {
	if name == "" {
		return errors.New("empty name")
	}
	if name == QuorumNone {
		return fmt.Errorf("the name %q is taken: it stands for no witness at all", QuorumNone)
	}
	if b.defined[name] {
		return fmt.Errorf("the name %.80q is taken by another witness or group", name)
	}
	if i := strings.IndexFunc(name, isBlankOrControl); i >= 0 {
		return fmt.Errorf("the name %.80q: %q must not stand in a name", name, name[i])
	}
	b.defined[name] = true
	return nil
}

// checkURL asks for what makes an URL one, a scheme (RFC 3986 section 3.1). It
// so refuses a comment at the end of a line, which is not one.
func checkURL(s string) error {
	if s == "" {
		return nil
	}
	scheme, _, ok := strings.Cut(s, ":")
	if !ok || scheme == "" || strings.IndexFunc(scheme, notInScheme) >= 0 || notLetter(rune(scheme[0])) {
		if s[0] == '#' {
			return fmt.Errorf("%.80q is not an URL; a comment needs a line of its own", s)
		}
		return fmt.Errorf("%.80q is not an URL", s)
	}
	if strings.IndexFunc(s, isBlankOrControl) >= 0 {
		return fmt.Errorf("URL %.80q has white space or control characters", s)
	}
	return nil
}

func isBlankOrControl(c rune) bool { return c <= ' ' || c == 0x7f }
func notLetter(c rune) bool        { return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') }
func notInScheme(c rune) bool {
	return notLetter(c) && (c < '0' || c > '9') && c != '+' && c != '-' && c != '.'
}
