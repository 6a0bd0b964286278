package main

import (
	"fmt"
	"time"

	"vitrine.example/internal/centre"
	"vitrine.example/internal/circle"
	"vitrine.example/key"
	"vitrine.example/tlog"
	"vitrine.example/verdict"
)

// Retired keys stand in a policy as long as bundles that they signed are used: a
// rotation must not make old bundles fail. A stolen key is never among them.

// retiredWords says in a comment that a key is listed for what it signed before.
func retiredWords(kind, id, whose string, until time.Time) string {
	return fmt.Sprintf("Retired on %s: the %s key %s of %s; it is here for bundles of before.",
		until.UTC().Format(time.DateOnly), kind, id, oneLine(whose))
}

// trustRetired adds the retired keys that a node's public page shows.
func trustRetired(pol *verdict.Policy, info centre.Info) (words []string, err error) {
	for _, r := range info.Retired {
		switch r.Kind {
		case "log":
			v, err := tlog.ParseVerifier(r.Key)
			if err == nil && v.Name() != info.Origin {
				err = fmt.Errorf("it is of %q", v.Name())
			}
			if err != nil {
				return nil, fmt.Errorf("retired log key: %w", err)
			}
			pol.Log.Logs = append(pol.Log.Logs, tlog.PolicyLog{Key: v, URL: info.URL})
			words = append(words, retiredWords("log", v.String(), info.Origin, r.Until))
		case "statement":
			k, err := key.ParsePublic([]byte(r.Key))
			if err != nil {
				return nil, fmt.Errorf("retired statement key: %w", err)
			}
			trustSigner(pol, fmt.Sprintf("vendor-%d (retired)", len(pol.Signers)+1), k)
			words = append(words, retiredWords("statement", k.ID().String(), info.Origin, r.Until))
		}
	}
	return words, nil
}

// trustRetiredMember adds the keys that a member had in earlier lists.
func trustRetiredMember(pol *verdict.Policy, h *circle.History, m *circle.Member) (words []string, err error) {
	old := h.Retired(m.Origin)
	for _, r := range old.Log {
		v, err := tlog.ParseVerifier(r.Key)
		if err != nil {
			return nil, fmt.Errorf("retired log key of %s: %w", m.Origin, err)
		}
		pol.Log.Logs = append(pol.Log.Logs, tlog.PolicyLog{Key: v, URL: m.URL})
		words = append(words, retiredWords("log", v.String(), m.Name, r.Until))
	}
	for i, r := range old.Statement {
		k, err := key.ParsePublic([]byte(r.Key))
		if err != nil {
			return nil, fmt.Errorf("retired statement key of %s: %w", m.Origin, err)
		}
		trustSigner(pol, fmt.Sprintf("%s, key %d (retired)", m.Name, len(m.Statement)+i+1), k)
		words = append(words, retiredWords("statement", k.ID().String(), m.Name, r.Until))
	}
	return words, nil
}

// retiredWitnesses are the keys under which a member's witness cosigned before.
func retiredWitnesses(h *circle.History, m *circle.Member) (keys []tlog.Verifier, words []string, err error) {
	for _, r := range h.Retired(m.Origin).Witness {
		v, err := tlog.ParseVerifier(r.Key)
		if err != nil {
			return nil, nil, fmt.Errorf("retired witness key of %s: %w", m.Origin, err)
		}
		keys, words = append(keys, v), append(words, retiredWords("witness", v.String(), m.Name, r.Until))
	}
	return keys, words, nil
}
