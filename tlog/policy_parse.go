package tlog

import (
	"errors"
	"fmt"
	"strings"
)

// ParsePolicy reads a tlog-policy, strictly: comments and white space where the
// specification has them and nothing more. Refused are duplicate keys, a member
// of two groups, names used before they are defined, several quorum lines,
// trailing fields, numbers with signs or leading zeros, control characters and
// a last line without newline. The error is a [SyntaxError].
//
// A policy without logs is read; [Policy.Check] then accepts no checkpoint.
func ParsePolicy(b []byte) (*Policy, error) {
	const what = "policy"
	if len(b) > MaxPolicy {
		return nil, refuse(what, 0, "%d bytes, want at most %d", len(b), MaxPolicy)
	}
	p := &Policy{}
	builder := newPolicyBuilder(p)
	r := &reader{what: what, rest: b}
	for len(r.rest) > 0 {
		line, err := r.next("a line")
		if err != nil {
			return nil, err
		}
		if err := builder.line(line); err != nil {
			return nil, r.refuse("%w", err)
		}
	}
	if p.Quorum == "" {
		return nil, refuse(what, 0, "no quorum line; \"quorum none\" asks for no witness")
	}
	return p, nil
}

// line adds one line of a policy file.
func (b *policyBuilder) line(line string) error {
	for _, c := range []byte(line) {
		if c < 0x20 && c != '\t' || c == 0x7f {
			return fmt.Errorf("control character %#02x", c)
		}
	}
	// "Whitespace … means sequences of ASCII space and tab characters only."
	f := strings.FieldsFunc(line, func(c rune) bool { return c == ' ' || c == '\t' })
	if len(f) == 0 || strings.HasPrefix(f[0], "#") {
		return nil
	}
	var err error
	switch f[0] {
	case "log":
		err = b.logLine(f[1:])
	case "witness":
		err = b.witnessLine(f[1:])
	case "group":
		err = b.groupLine(f[1:])
	case "quorum":
		if len(f) != 2 {
			return fmt.Errorf("%d fields, want: quorum <name>", len(f))
		}
		err = b.quorum(f[1])
	default:
		return fmt.Errorf("%.80q is neither log, witness, group nor quorum", f[0])
	}
	if err != nil {
		return fmt.Errorf("%s: %w", f[0], err)
	}
	return nil
}

func (b *policyBuilder) logLine(f []string) error {
	if len(f) != 1 && len(f) != 2 {
		return fmt.Errorf("%d fields, want: log <vkey> [<url>]", len(f)+1)
	}
	key, err := ParseVerifier(f[0])
	if err != nil {
		return err
	}
	l := PolicyLog{Key: key}
	if len(f) == 2 {
		l.URL = f[1]
	}
	return b.log(l)
}

func (b *policyBuilder) witnessLine(f []string) error {
	if len(f) != 2 && len(f) != 3 {
		return fmt.Errorf("%d fields, want: witness <name> <vkey> [<url>]", len(f)+1)
	}
	key, err := ParseVerifier(f[1])
	if err != nil {
		return err
	}
	w := PolicyWitness{Name: f[0], Key: key}
	if len(f) == 3 {
		w.URL = f[2]
	}
	return b.witness(w)
}

func (b *policyBuilder) groupLine(f []string) error {
	if len(f) < 3 {
		return errors.New("want: group <name> all|any|<k> and at least one name")
	}
	g := PolicyGroup{Name: f[0], Members: f[2:]}
	switch f[1] {
	case "all":
		g.K = len(g.Members)
	case "any":
		g.K = 1
	default:
		k, err := parseDecimal(f[1])
		if err != nil {
			return fmt.Errorf("threshold: %w", err)
		}
		if k > int64(len(g.Members)) { // before it becomes an int
			return fmt.Errorf("threshold %d is not within 1 and %d, the number of members", k, len(g.Members))
		}
		g.K = int(k)
	}
	return b.group(g)
}
