package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"vitrine.example/internal/circle"
	"vitrine.example/key"
	"vitrine.example/statement"
	"vitrine.example/tlog"
	"vitrine.example/verdict"
)

// continents are the names that a policy has for those of a circle.
var continents = map[string]string{
	"AF": "Africa", "AN": "Antarctica", "AS": "Asia", "EU": "Europe", "NA": "North America", "OC": "Oceania", "SA": "South America",
}

// circleFlags are the flags of `vitrine policy init` that are about a circle.
type circleFlags struct {
	rootFlags
	circle, vendor       string
	continents, rebuilds int
}

func (f *circleFlags) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.circle, "circle", "", "`URL`, file or directory: trust the vendor and witnesses of its circle")
	cmd.Flags().StringVar(&f.vendor, "vendor", "", "`origin` of the vendor, where the circle has several")
	cmd.Flags().IntVar(&f.continents, "continents", 0, "`number` of continents that the witnesses must be on")
	cmd.Flags().IntVar(&f.rebuilds, "rebuilds", 0, "`number` of the circle's centres that must have built the release again")
	f.rootFlags.flags(cmd)
}

// trust adds the circle's vendor and all its other confirmed members as
// witnesses, and returns what the policy says of it in a comment.
func (c *console) trust(ctx context.Context, pol *verdict.Policy, p *policyFlags) ([]string, error) {
	h, known, err := c.anyCircle(ctx, p.circle.circle, &p.circle.rootFlags)
	if err != nil {
		return nil, err
	}
	if h == nil {
		return nil, fmt.Errorf("%s: %w", p.circle.circle, circle.ErrNone)
	}
	vendor, err := vendorOf(h.Current, p.circle.vendor)
	if err != nil {
		return nil, err
	}
	if err := trustMember(pol, vendor, statement.ReleaseType, verdict.Operator{}); err != nil {
		return nil, err
	}
	words, err := trustRetiredMember(pol, h, vendor)
	if err != nil {
		return nil, err
	}
	n, retired, err := addCircleWitnesses(pol, h, vendor.Origin)
	if err != nil {
		return nil, err
	}
	words = append(words, retired...)
	k := p.quorum
	if k == 0 {
		k = int(h.Current.Rule.Witnesses)
	}
	if pol.Log.Quorum = tlog.QuorumNone; n > 0 && k > 0 {
		if k > n {
			return nil, withHint(fmt.Errorf("%d witnesses are asked for, and the circle has %d", k, n), "ask for fewer with --quorum")
		}
		g := &pol.Log.Groups[len(pol.Log.Groups)-1]
		g.K, pol.Log.Quorum = k, g.Name
	} else if n > 0 {
		return nil, withHint(errors.New("the circle's rule asks for no witnesses"), "say how many you ask for with --quorum")
	}
	pol.Continents = p.circle.continents
	rebuilders, err := trustRebuilders(pol, h.Current, vendor.Origin, p.circle.rebuilds)
	if err != nil {
		return nil, err
	}
	if !known {
		c.say("you did not say which circle you trust: compare sha256:%s with what a member gives you by another way", h.Root)
	}
	comment := []string{
		fmt.Sprintf("Made from the circle %s, version %d, in force with the consents of its members.", oneLine(h.Current.Name), h.Current.Version),
		"Its first version is sha256:" + h.Root.String() + ".",
		fmt.Sprintf("Trusted are: %s (%s) to release, and %s to have seen its log.", oneLine(vendor.Name), vendor.Origin, strings.Join(witnessNames(pol), ", ")),
	}
	if len(rebuilders) > 0 {
		comment = append(comment, fmt.Sprintf("%s are trusted to build it again.", strings.Join(rebuilders, ", ")))
	}
	return append(comment, words...), nil
}

// trustRebuilders adds the log and statement keys of the circle's centres, where
// the policy asks for rebuilds, and returns their names.
func trustRebuilders(pol *verdict.Policy, c *circle.Current, vendor string, require int) ([]string, error) {
	if require == 0 {
		return nil, nil
	}
	var names []string
	for _, m := range c.Confirmed() {
		if m.Origin == vendor || !slices.Contains(m.Roles, "centre") {
			continue
		}
		who := verdict.Operator{Organisation: m.Name, Country: m.Country, Continent: continents[m.Continent]}
		if err := trustMember(pol, &m, statement.RebuildType, who); err != nil {
			return nil, err
		}
		names = append(names, oneLine(m.Name))
	}
	if require > len(names) {
		return nil, withHint(fmt.Errorf("%d rebuilds are asked for, and the circle has %d centres", require, len(names)), "ask for fewer with --rebuilds")
	}
	pol.Rebuilds = verdict.Rebuilds{Require: require, Explained: true}
	return names, nil
}

func witnessNames(pol *verdict.Policy) []string {
	var names []string
	for _, o := range pol.Operators {
		if !slices.Contains(names, o.Organisation) {
			names = append(names, o.Organisation)
		}
	}
	slices.Sort(names)
	if len(names) == 0 {
		return []string{"nobody"}
	}
	return names
}

// vendorOf finds the confirmed member that releases.
func vendorOf(c *circle.Current, origin string) (*circle.Member, error) {
	var found []*circle.Member
	var names []string
	for i := range c.Members {
		m := &c.Members[i]
		if m.State == circle.Confirmed && (m.Origin == origin || origin == "" && slices.Contains(m.Roles, "vendor")) {
			found, names = append(found, m), append(names, m.Origin)
		}
	}
	if len(found) != 1 {
		return nil, withHint(fmt.Errorf("the circle %s has %d confirmed vendors of that kind: %s", c.Name, len(found), strings.Join(names, ", ")), "name the one that you mean with --vendor ORIGIN")
	}
	return found[0], nil
}

// trustMember adds a member's log and statement keys, those of a rotation that
// is under way all: what the old ones signed stays verifiable.
func trustMember(pol *verdict.Policy, m *circle.Member, may string, who verdict.Operator) error {
	for _, k := range m.Log {
		v, err := tlog.ParseVerifier(k.Key)
		if err != nil {
			return fmt.Errorf("log key of %s: %w", m.Origin, err)
		}
		pol.Log.Logs = append(pol.Log.Logs, tlog.PolicyLog{Key: v, URL: m.URL})
	}
	for i, k := range m.Statement {
		pub, err := key.ParsePublic([]byte(k.Key))
		if err != nil {
			return fmt.Errorf("statement key of %s: %w", m.Origin, err)
		}
		name := m.Name
		if i > 0 {
			name = fmt.Sprintf("%s, key %d", m.Name, i+1)
		}
		pol.Signers = append(pol.Signers, verdict.Signer{Name: name, Key: pub, May: []string{may}, Operator: who})
	}
	return nil
}

// addCircleWitnesses adds the other confirmed members that cosign, each once,
// and returns how many there are, and which of their keys are retired.
func addCircleWitnesses(pol *verdict.Policy, h *circle.History, vendor string) (n int, words []string, err error) {
	all := tlog.PolicyGroup{Name: "circle"}
	var groups []tlog.PolicyGroup
	pol.Operators = map[string]verdict.Operator{}
	for _, m := range h.Current.Confirmed() {
		if m.Origin == vendor || len(m.Witness) == 0 {
			continue
		}
		g := tlog.PolicyGroup{Name: m.Origin, K: 1}
		keys, retired, err := retiredWitnesses(h, &m)
		if err != nil {
			return 0, nil, err
		}
		words = append(words, retired...)
		for i, k := range m.Witness {
			v, err := tlog.ParseVerifier(k.Key)
			if err != nil {
				return 0, nil, fmt.Errorf("witness key of %s: %w", m.Origin, err)
			}
			keys = slices.Insert(keys, i, v)
		}
		for i, v := range keys {
			name := m.Origin
			if len(keys) > 1 {
				name = fmt.Sprintf("%s/%d", m.Origin, i+1)
			}
			pol.Log.Witnesses = append(pol.Log.Witnesses, tlog.PolicyWitness{Name: name, Key: v})
			pol.Operators[name] = verdict.Operator{Organisation: m.Name, Country: m.Country, Continent: continents[m.Continent]}
			g.Members = append(g.Members, name)
		}
		if len(g.Members) > 1 {
			groups = append(groups, g)
		}
		all.Members = append(all.Members, m.Origin)
	}
	if len(all.Members) > 0 {
		pol.Log.Groups = append(groups, all)
	}
	return len(all.Members), words, nil
}
