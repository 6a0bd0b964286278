package verdict

import (
	"fmt"
	"slices"
	"strings"

	"vitrine.example/key"
	"vitrine.example/statement"
	"vitrine.example/tlog"
)

// Words says in plain English what the policy asks, one sentence each, and what
// it does not ask where that matters.
func (p *Policy) Words() []string {
	if err := p.Validate(); err != nil {
		return []string{"This policy cannot be used: " + cleanError(err) + "."}
	}
	words := []string{
		"The file must be an artifact of a release" + p.releaseWords() + ", by its SHA-256 and its size.",
		fmt.Sprintf("The release must be signed by %s.", list(p.signerWords(statement.ReleaseType), "or")),
		fmt.Sprintf("The release must stand in the log %s.", list(p.logNames(), "or")),
	}
	words = append(words, p.quorumWords()...)
	if p.MaxAge > 0 {
		words = append(words, fmt.Sprintf("%s must have been at most %s ago.", upper(p.seen()), span(p.MaxAge)))
	} else {
		words = append(words, "Nothing is asked about age: an old proof is as good as a new one.")
	}
	words = append(words, p.rebuildWords()...)
	for _, f := range forkNames(p) {
		words = append(words, "A log may have signed the two histories of the evidence "+f+"; any others refuse the file.")
	}
	if p.Product == "" {
		words = append(words, "Any product of these signers will do.")
	}
	return words
}

func (p *Policy) releaseWords() string {
	var s string
	if p.Product != "" {
		s += " of " + p.Product
	}
	if p.Channel != "" {
		s += " on channel " + p.Channel
	}
	if len(p.Versions) > 0 {
		s += ", version " + list(p.Versions, "or")
	}
	return s
}

// signerWords names the keys that may say t.
func (p *Policy) signerWords(t string) []string {
	var words []string
	for _, s := range p.Signers {
		if slices.Contains(s.May, t) {
			words = append(words, fmt.Sprintf("%s (%s key %s)", s.Name, algorithm(s.Key.Algorithm()), shortID(s.Key)))
		}
	}
	return words
}

func (p *Policy) logNames() []string {
	var names []string
	for _, l := range p.Log.Logs {
		if !slices.Contains(names, l.Key.Name()) { // a log may have several keys
			names = append(names, l.Key.Name())
		}
	}
	return names
}

func (p *Policy) quorumWords() []string {
	if p.Log.Quorum == noQuorum {
		return []string{"No witness is asked for: the log alone could show you what it shows nobody else."}
	}
	k, members := quorumGroup(&p.Log)
	words := []string{upper(p.ask(k, members)) + " must have cosigned the log" + p.onContinents() + "."}
	for _, g := range p.Log.Groups {
		if g.Name != p.Log.Quorum {
			words = append(words, fmt.Sprintf("Group %s counts when %s has.", g.Name, p.ask(g.K, g.Members)))
		}
	}
	return words
}

// ask writes "2 of the 3 witnesses a, b and c".
func (p *Policy) ask(k int, members []string) string {
	names := make([]string, len(members))
	groups := false
	for i, m := range members {
		names[i] = p.operatorWords(m)
		if slices.ContainsFunc(p.Log.Groups, func(g tlog.PolicyGroup) bool { return g.Name == m }) {
			names[i], groups = "group "+m, true
		}
	}
	what := "witnesses"
	if groups {
		what = "parts"
	}
	switch {
	case len(members) == 1 && groups:
		return names[0]
	case len(members) == 1:
		return "the witness " + names[0]
	case k == len(members):
		return fmt.Sprintf("all %d %s: %s", k, what, list(names, "and"))
	default:
		return fmt.Sprintf("at least %d of the %d %s %s", k, len(members), what, list(names, "and"))
	}
}

// operatorWords writes "ams (Example Org, NL, europe)".
func (p *Policy) operatorWords(witness string) string {
	var parts []string
	o := p.Operators[witness]
	for _, s := range []string{o.Organisation, o.Country, o.Continent} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	if parts == nil {
		return witness
	}
	return witness + " (" + strings.Join(parts, ", ") + ")"
}

// seen names the time that MaxAge is about.
func (p *Policy) seen() string {
	switch {
	case p.Log.Quorum != noQuorum:
		return "the last time that they saw the log"
	case len(p.Log.Witnesses) > 0:
		return "the last time that a listed witness saw the log"
	default:
		return "the time that the log itself signed"
	}
}

func algorithm(a key.Algorithm) string {
	switch a {
	case key.P256:
		return "ECDSA P-256"
	case key.Ed25519:
		return "Ed25519"
	default:
		return string(a)
	}
}

// shortID is enough of a key's ID for people to tell keys apart.
func shortID(k key.Public) string { return k.ID().String()[:16] }

func upper(s string) string { return strings.ToUpper(s[:1]) + s[1:] }
