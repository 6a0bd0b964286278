package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/spf13/cobra"

	"vitrine.example/digest"
	"vitrine.example/internal/centre"
	"vitrine.example/internal/circle"
	"vitrine.example/statement"
)

// proposal is what `vitrine circle propose` is asked for.
type proposal struct {
	name, self, reason string
	members, remove    []string
	rotate, drop       []string
	revoke             []string
	consents, witness  int64
	yes                bool
}

func newCirclePropose(c *console) *cobra.Command {
	var p proposal
	cmd := &cobra.Command{
		Use:   "propose [flags] DIR",
		Short: "found a circle, or propose its next list",
		Long: `Sign and log a list of organisations. The first founds a circle; a later one
takes effect with the consents that the rule of the list before asks for.
Members' keys are taken from their node.json, by URL or from a saved file:
compare the fingerprints with what each member tells you by another way.`,
		Example: `  vitrine circle propose --name Programme --self country=DE,roles=vendor --yes node`,
		Args:    operands("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(p.revoke) > 0 && p.reason == "" {
				return usage(cmd, errors.New("--revoke needs a --reason"))
			}
			return c.connect(cmd.Context(), args[0], func(n *centre.Handle) error { return c.propose(cmd, n, &p) })
		},
	}
	f := cmd.Flags()
	f.StringVar(&p.name, "name", "", "`name` of the programme, to found a circle")
	f.StringVar(&p.self, "self", "", "this node's country=CC,roles=ROLE+ROLE (`text`), to found a circle")
	f.StringArrayVar(&p.members, "member", nil, "new member: {url=URL|file=FILE},country=CC,roles=ROLE (`text`)")
	f.StringArrayVar(&p.remove, "remove", nil, "`origin` of a member to take off the list")
	f.StringArrayVar(&p.rotate, "rotate", nil, "add new keys of a member: ORIGIN={URL|FILE|DIR} (`text`)")
	f.StringArrayVar(&p.drop, "drop", nil, "`fingerprint` of a key to take off the list after a rotation")
	f.StringArrayVar(&p.revoke, "revoke", nil, "`fingerprint` of a key never to be trusted again")
	f.StringVar(&p.reason, "reason", "", "why it is revoked (`text`)")
	f.Int64Var(&p.consents, "consents", 0, "`number` of consents for later lists; 0: more than half")
	f.Int64Var(&p.witness, "witnesses", 0, "`number` of others that must cosign a member's checkpoints")
	f.BoolVar(&p.yes, "yes", false, "propose without being asked")
	c.jsonFlag(cmd)
	return cmd
}

func (c *console) propose(cmd *cobra.Command, n *centre.Handle, p *proposal) error {
	ctx := cmd.Context()
	list, err := p.start(cmd, n)
	if err != nil {
		return err
	}
	if list.Published, err = n.Now(ctx); err != nil {
		return err
	}
	if err := c.change(ctx, n, list, p); err != nil {
		return err
	}
	if f := cmd.Flags(); f.Changed("consents") {
		list.Rule.Consents = p.consents
	}
	if cmd.Flags().Changed("witnesses") {
		list.Rule.Witnesses = p.witness
	}
	if err := list.Validate(list.Subjects()); err != nil {
		return fmt.Errorf("this list cannot be proposed: %w", err)
	}
	for _, m := range list.Members {
		if err := circle.CheckMember(&m); err != nil {
			return fmt.Errorf("this list cannot be proposed: %w", err)
		}
	}
	c.say("version %d of %s:", list.Version, oneLine(list.Name))
	for _, m := range list.Members {
		c.say("%s  %s %s  %s  %s", m.Origin, m.Country, m.Continent, strings.Join(m.Roles, ","), oneLine(m.Name))
		for _, k := range m.Keys() {
			c.say("  key %s", k.ID())
		}
	}
	if err := c.confirm(p.yes, "propose this list"); err != nil {
		return err
	}
	return c.speak(ctx, n, list.Version, "proposed", list.Subjects(), list)
}

// start makes the list that changes begin from.
func (p *proposal) start(cmd *cobra.Command, n *centre.Handle) (*statement.Circle, error) {
	h, err := n.Circle(cmd.Context())
	if errors.Is(err, circle.ErrNone) {
		if err := need(cmd, "name", "self"); err != nil {
			return nil, err
		}
		own, err := ownDescription(n)
		if err != nil {
			return nil, err
		}
		m, err := own.member(p.self)
		if err != nil {
			return nil, usage(cmd, fmt.Errorf("--self: %w", err))
		}
		return &statement.Circle{Name: p.name, Version: 1, Members: []statement.Member{m}}, nil
	} else if err != nil {
		return nil, err
	}
	if p.name != "" && p.name != h.Current.Name {
		return nil, usage(cmd, fmt.Errorf("--name: this node belongs to the circle %s already", h.Current.Name))
	}
	for _, v := range h.Versions {
		if v.Status != circle.InForce {
			continue
		}
		list := &statement.Circle{Name: v.Circle.Name, Version: v.Circle.Version + 1, Previous: &v.Statement, Rule: v.Rule}
		list.Members = slices.Clone(v.Members)
		list.Revoked = slices.Clone(h.Current.Revoked)
		return list, nil
	}
	return nil, errors.New("no version of the circle is in force")
}

// change applies what the flags ask for.
func (c *console) change(ctx context.Context, n *centre.Handle, list *statement.Circle, p *proposal) error {
	for _, text := range p.members {
		m, err := c.newMember(ctx, text)
		if err != nil {
			return fmt.Errorf("--member %s: %w", text, err)
		}
		list.Members = append(list.Members, m)
	}
	for _, text := range p.rotate {
		if err := c.rotate(ctx, list, text); err != nil {
			return fmt.Errorf("--rotate %s: %w", text, err)
		}
	}
	for _, origin := range p.remove {
		was := len(list.Members)
		list.Members = slices.DeleteFunc(list.Members, func(m statement.Member) bool { return m.Origin == origin })
		if len(list.Members) == was {
			return fmt.Errorf("--remove %s: there is no such member", origin)
		}
	}
	gone := map[digest.Digest]bool{}
	for _, text := range slices.Concat(p.drop, p.revoke) {
		id, err := digest.Parse(strings.TrimPrefix(text, "sha256:"))
		if err != nil {
			return fmt.Errorf("fingerprint %.80q: %w", text, err)
		}
		gone[id] = true
		if slices.Contains(p.revoke, text) {
			list.Revoked = append(list.Revoked, statement.Revocation{Key: id, Since: list.Published, Reason: p.reason})
		}
	}
	c.takeOff(list, gone)
	return nil
}

// takeOff removes keys, and members that have no key left to speak with.
func (c *console) takeOff(list *statement.Circle, gone map[digest.Digest]bool) {
	off := func(keys []statement.MemberKey) []statement.MemberKey {
		left := slices.DeleteFunc(slices.Clone(keys), func(k statement.MemberKey) bool { return gone[k.ID()] })
		if len(left) == 0 {
			return nil
		}
		return left
	}
	var kept []statement.Member
	for _, m := range list.Members {
		m.Statement, m.Log, m.Witness, m.Mirror = off(m.Statement), off(m.Log), off(m.Witness), off(m.Mirror)
		if len(m.Statement) == 0 || len(m.Log) == 0 {
			c.say("%s has no key left to speak with: it is taken off the list", m.Origin)
			continue
		}
		kept = append(kept, m)
	}
	list.Members = kept
}

// description is what is taken from a member's node.json; other members of it
// are passed over (docs/spec/node.md).
type description struct {
	Name      string   `json:"name"`
	URL       string   `json:"url"`
	Origin    string   `json:"origin"`
	Log       []string `json:"log"`
	Statement []string `json:"statement"`
	Witness   []string `json:"witness"`
	Mirror    []string `json:"mirror"`
}

func parseDescription(raw []byte) (d description, err error) {
	if err := json.Unmarshal(raw, &d); err != nil {
		return d, fmt.Errorf("reading node.json: %w", err)
	}
	return d, nil
}

// ownDescription is the node's own, as it serves it.
func ownDescription(n *centre.Handle) (description, error) {
	raw, err := json.Marshal(n.Info())
	if err != nil {
		return description{}, err
	}
	return parseDescription(raw)
}

func (c *console) describe(ctx context.Context, where string) (d description, err error) {
	var raw []byte
	if fi, e := os.Stat(where); e == nil && fi.IsDir() {
		info, err := c.nodeInfo(ctx, where)
		if err != nil {
			return d, err
		}
		if raw, err = json.Marshal(info); err != nil {
			return d, err
		}
	} else if !isURL(where) {
		raw, err = readFile("node.json", where, fetchLimit)
	} else {
		err = c.source(ctx, where, func(s source) error {
			raw, err = s.(remote).get(ctx, "/node.json")
			return err
		})
	}
	if err != nil {
		return d, err
	}
	return parseDescription(raw)
}

// newMember reads url=…,country=…,roles=… and fetches the rest.
func (c *console) newMember(ctx context.Context, text string) (statement.Member, error) {
	where, rest, _ := strings.Cut(text, ",")
	kind, where, _ := strings.Cut(where, "=")
	if kind != "url" && kind != "file" || isURL(where) != (kind == "url") {
		return statement.Member{}, errors.New("want url=https://… or file=… first")
	}
	d, err := c.describe(ctx, where)
	if err != nil {
		return statement.Member{}, err
	}
	if kind == "url" && d.URL != strings.TrimSuffix(where, "/") {
		return statement.Member{}, fmt.Errorf("it calls itself %.80q", d.URL)
	}
	return d.member(rest)
}

// member makes a list's entry; text is country=CC,roles=a+b.
func (d description) member(text string) (statement.Member, error) {
	m := statement.Member{Name: d.Name, Origin: d.Origin, URL: d.URL}
	for part := range strings.SplitSeq(text, ",") {
		switch name, value, _ := strings.Cut(part, "="); name {
		case "country":
			m.Country, m.Continent = value, statement.ContinentOf(value)
			if m.Continent == "" {
				return m, fmt.Errorf("country %.20q: want an ISO 3166-1 code such as DE", value)
			}
		case "roles":
			m.Roles = strings.Split(value, "+")
		default:
			return m, fmt.Errorf("%.40q: want country=CC,roles=ROLE", part)
		}
	}
	if m.Country == "" || len(m.Roles) == 0 {
		return m, errors.New("want country=CC,roles=ROLE")
	}
	m.Statement, m.Log = memberKeys(d.Statement), memberKeys(d.Log)
	m.Witness, m.Mirror = memberKeys(d.Witness), memberKeys(d.Mirror)
	return m, nil
}

func memberKeys(texts []string) (out []statement.MemberKey) {
	for _, t := range texts {
		out = append(out, statement.MemberKey{Key: t})
	}
	return out
}

// rotate lists new keys of a member beside its old ones.
func (c *console) rotate(ctx context.Context, list *statement.Circle, text string) error {
	origin, where, ok := strings.Cut(text, "=")
	if !ok {
		return errors.New("want ORIGIN=URL, ORIGIN=FILE or ORIGIN=DIR")
	}
	d, err := c.describe(ctx, where)
	if err != nil {
		return err
	}
	if d.Origin != origin {
		return fmt.Errorf("it describes %.80q", d.Origin)
	}
	for i := range list.Members {
		m := &list.Members[i]
		if m.Origin != origin {
			continue
		}
		n := 0
		for _, l := range []struct {
			to   *[]statement.MemberKey
			keys []string
		}{{&m.Statement, d.Statement}, {&m.Log, d.Log}, {&m.Witness, d.Witness}, {&m.Mirror, d.Mirror}} {
			n += addKeys(l.to, l.keys, list.Published)
		}
		if n == 0 {
			return errors.New("it shows no key that is not listed already")
		}
		return nil
	}
	return errors.New("there is no such member")
}

func addKeys(to *[]statement.MemberKey, keys []string, from time.Time) (n int) {
	list := slices.Clone(*to)
	for _, k := range keys {
		if !slices.ContainsFunc(list, func(have statement.MemberKey) bool { return have.Key == k }) {
			list = append(list, statement.MemberKey{Key: k, From: from})
			n++
		}
	}
	*to = list
	return n
}
