package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"vitrine.example/digest"
	"vitrine.example/internal/centre"
	"vitrine.example/internal/circle"
	"vitrine.example/proof"
	"vitrine.example/statement"
)

func newCircle(c *console) *cobra.Command {
	return group("circle", "say which organisations watch each other's logs", `  vitrine circle show node`,
		newCirclePropose(c), newCircleJoin(c), newCircleSign(c), newCircleShow(c), newCircleLeave(c), newCircleSync(c))
}

// rootFlags say by what a circle is trusted.
type rootFlags struct{ root, founder string }

func (r *rootFlags) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&r.root, "root", "", "`digest` of the first version's statement, sha256:…")
	cmd.Flags().StringVar(&r.founder, "founder-key", "", "public key `file` of who founded the circle")
}

// find returns the root that the flags name, or the only one there is; known
// says whether the user named it.
func (r *rootFlags) find(items []proof.Logged) (root digest.Digest, known bool, err error) {
	if r.root != "" {
		root, err = digest.Parse(strings.TrimPrefix(r.root, "sha256:"))
		if err != nil {
			err = fmt.Errorf("--root: %w", err)
		}
		return root, true, err
	}
	if r.founder != "" {
		k, err := readPublic(r.founder)
		if err != nil {
			return root, false, err
		}
		root, err = circle.RootOf(items, k)
		return root, true, err
	}
	n := 0
	for _, l := range items {
		if v, err := l.Envelope.Statement().Circle(); err == nil && v.Version == 1 {
			root = l.Envelope.Digest()
			n++
		}
	}
	if n != 1 {
		return root, false, withHint(fmt.Errorf("the file holds %d first versions", n), "name the one that you trust with --root or --founder-key")
	}
	return root, false, nil
}

// circleFrom reads a circle from a URL or a file.
func (c *console) circleFrom(ctx context.Context, from string, r *rootFlags) (h *circle.History, file centre.CircleFile, known bool, err error) {
	var raw []byte
	if isURL(from) {
		err = c.source(ctx, from, func(s source) error {
			raw, err = s.(remote).fetch(ctx, "/circle.json", proof.MaxSize)
			return err
		})
	} else {
		raw, err = readFile("circle", from, proof.MaxSize)
	}
	if err != nil {
		return nil, file, false, err
	}
	b, err := proof.Parse(raw)
	if err != nil {
		return nil, file, false, fmt.Errorf("reading circle %s: %w", from, err)
	}
	root, known, err := r.find(b.Statements)
	if err != nil {
		return nil, file, known, fmt.Errorf("circle %s: %w", from, err)
	}
	h, err = circle.Evaluate(root, b.Statements)
	if err != nil {
		return nil, file, known, fmt.Errorf("circle %s: %w", from, err)
	}
	return h, centre.CircleFile{Root: root, File: raw}, known, nil
}

func newCircleShow(c *console) *cobra.Command {
	var r rootFlags
	cmd := &cobra.Command{
		Use:   "show {URL|FILE|DIR}",
		Short: "show who belongs, with which keys, agreed by whom",
		Long: `Show a circle: of the node in DIR, or from the file that every member serves as
/circle.json. Everything is checked from --root (or --founder-key) on.`,
		Example: `  vitrine circle show node`,
		Args:    operands("URL, FILE or DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			h, known, err := c.anyCircle(cmd.Context(), args[0], &r)
			if err != nil {
				return err
			}
			if h == nil {
				return c.result(struct{}{}, func() { c.printf("%s belongs to no circle\n", oneLine(args[0])) })
			}
			if err := c.result(viewOf(h), func() { c.showCircle(h) }); err != nil {
				return err
			}
			for _, x := range h.Refused {
				c.say("statement %s does not count: %s", x.Statement, oneLine(x.Reason))
			}
			if !known {
				c.say("you did not say which circle you trust: compare sha256:%s with what a member gives you by another way", h.Root)
			}
			return nil
		},
	}
	r.flags(cmd)
	c.jsonFlag(cmd)
	return cmd
}

// anyCircle reads a circle from wherever it is named; nil: the node has none.
func (c *console) anyCircle(ctx context.Context, where string, r *rootFlags) (h *circle.History, known bool, err error) {
	if isURL(where) || isFile(where) {
		h, _, known, err = c.circleFrom(ctx, where, r)
		return h, known, err
	}
	err = c.connect(ctx, where, func(n *centre.Handle) error {
		h, err = n.Circle(ctx)
		return err
	})
	if errors.Is(err, circle.ErrNone) {
		return nil, true, nil
	}
	return h, true, err
}

func newCircleJoin(c *console) *cobra.Command {
	var from string
	var yes bool
	var r rootFlags
	cmd := &cobra.Command{
		Use:   "join --from {URL|FILE} DIR",
		Short: "agree to belong to a circle that lists this node",
		Long: `Fetch a circle, check it, say in words what it means to trust it, and log this
node's consent. A member has to have listed the node first (circle propose).`,
		Example: `  vitrine circle join --help`,
		Args:    operands("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := need(cmd, "from"); err != nil {
				return err
			}
			h, file, known, err := c.circleFrom(cmd.Context(), from, &r)
			if err != nil {
				return err
			}
			return c.connect(cmd.Context(), args[0], func(n *centre.Handle) error {
				v, err := listing(h, n.Info().Origin)
				if err != nil {
					return err
				}
				c.explainCircle(h, v, known)
				if err := c.confirm(yes, "agree to this list"); err != nil {
					return err
				}
				if err := n.MergeCircle(cmd.Context(), file); err != nil {
					return err
				}
				return c.consent(cmd.Context(), n, v)
			})
		},
	}
	cmd.Flags().StringVar(&from, "from", "", "`URL` of a member, or the circle's file")
	cmd.Flags().BoolVar(&yes, "yes", false, "agree without being asked")
	r.flags(cmd)
	c.jsonFlag(cmd)
	return cmd
}

// listing finds the list that a new member has to agree with.
func listing(h *circle.History, origin string) (*circle.Version, error) {
	var found []*circle.Version
	for _, v := range h.Versions {
		if v.Status != circle.InForce && v.Status != circle.Proposed {
			continue
		}
		for _, m := range v.Members {
			if m.Origin == origin {
				found = append(found, v)
			}
		}
	}
	if len(found) == 0 {
		return nil, no(fmt.Errorf("the circle %s does not list %s", h.Current.Name, origin), "ask a member to propose a list with this node")
	}
	return found[0], nil
}

// said is what a command has logged.
type said struct {
	Statement digest.Digest `json:"statement"`
	Index     int64         `json:"index"`
	Version   int64         `json:"version"` // of the circle
	InForce   int64         `json:"inForce"` // version
}

func (c *console) consent(ctx context.Context, n *centre.Handle, v *circle.Version) error {
	at, err := n.Now(ctx)
	if err != nil {
		return err
	}
	name := v.Circle.Name
	return c.speak(ctx, n, v.Circle.Version, "agreed with", []statement.Subject{statement.NewSubject(name, v.Statement)},
		&statement.Consent{Circle: name, Version: v.Circle.Version, Origin: n.Info().Origin, At: at})
}

// speak logs a statement about the circle and says what came of it.
func (c *console) speak(ctx context.Context, n *centre.Handle, version int64, done string, subject []statement.Subject, p statement.Predicate) error {
	d, index, err := n.Say(ctx, subject, p)
	if err != nil {
		return err
	}
	h, err := n.Circle(ctx)
	if err != nil {
		return err
	}
	out := said{d, index, version, h.Current.Version}
	return c.result(out, func() {
		c.printf("%s version %d of %s (entry %d, statement %s)\n", done, version, oneLine(h.Current.Name), index, d)
		c.printf("version %d is in force\n", h.Current.Version)
		for _, v := range h.Versions {
			if v.Status == circle.Proposed {
				c.printf("version %d has %d of the %d consents that it needs\n", v.Circle.Version, v.Have, v.Need)
			}
		}
	})
}

func newCircleSign(c *console) *cobra.Command {
	var version int64
	var which string
	cmd := &cobra.Command{
		Use:     "sign --version N DIR",
		Short:   "agree with a proposed list",
		Long:    "Log this node's consent to a proposed version of its circle. See it first: circle show DIR.",
		Example: `  vitrine circle sign --help`,
		Args:    operands("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := need(cmd, "version"); err != nil {
				return err
			}
			return c.connect(cmd.Context(), args[0], func(n *centre.Handle) error {
				h, err := n.Circle(cmd.Context())
				if err != nil {
					return err
				}
				v, err := chooseVersion(h, version, which)
				if err != nil {
					return err
				}
				return c.consent(cmd.Context(), n, v)
			})
		},
	}
	cmd.Flags().Int64Var(&version, "version", 0, "`number` of the version")
	cmd.Flags().StringVar(&which, "statement", "", "which (`digest`), where there are several")
	c.jsonFlag(cmd)
	return cmd
}

func chooseVersion(h *circle.History, version int64, which string) (*circle.Version, error) {
	var found []*circle.Version
	for _, v := range h.Versions {
		if v.Circle.Version == version && v.Status != circle.Lost && (which == "" || strings.TrimPrefix(which, "sha256:") == v.Statement.String()) {
			found = append(found, v)
		}
	}
	if len(found) != 1 {
		return nil, withHint(fmt.Errorf("the circle has %d such lists of version %d", len(found), version), "circle show lists them; circle sync asks the other members for more")
	}
	return found[0], nil
}

func newCircleLeave(c *console) *cobra.Command {
	var reason string
	var yes bool
	cmd := &cobra.Command{
		Use:     "leave DIR",
		Short:   "belong to the circle no more; nobody need agree",
		Example: `  vitrine circle leave --help`,
		Args:    operands("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			return c.connect(ctx, args[0], func(n *centre.Handle) error {
				h, err := n.Circle(ctx)
				if err != nil {
					return err
				}
				if err := c.confirm(yes, fmt.Sprintf("leave the circle %s", h.Current.Name)); err != nil {
					return err
				}
				at, err := n.Now(ctx)
				if err != nil {
					return err
				}
				v := h.Current
				return c.speak(ctx, n, v.Version, "left", []statement.Subject{statement.NewSubject(v.Name, v.Statement)},
					&statement.Leave{Circle: v.Name, Version: v.Version, Origin: n.Info().Origin, At: at, Reason: reason})
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "`text` for the others")
	cmd.Flags().BoolVar(&yes, "yes", false, "leave without being asked")
	c.jsonFlag(cmd)
	return cmd
}

func newCircleSync(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "sync DIR",
		Short:   "ask all members for news now, as a served node does every minute",
		Example: `  vitrine circle sync node`,
		Args:    operands("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.connect(cmd.Context(), args[0], func(n *centre.Handle) error {
				asked, err := n.SyncCircle(cmd.Context())
				if err != nil {
					return err
				}
				return c.result(append([]centre.Asked{}, asked...), func() {
					for _, a := range asked {
						c.row("asked", a.Origin)
						if a.Problem != "" {
							c.row("problem", oneLine(a.Problem))
						}
					}
				})
			})
		},
	}
	c.jsonFlag(cmd)
	return cmd
}

// explainCircle says in words what it means to trust a list.
func (c *console) explainCircle(h *circle.History, v *circle.Version, known bool) {
	c.say("the circle %s, version %d, was proposed by %s on %s", oneLine(h.Current.Name), v.Circle.Version, v.Proposer, v.Published.Format(time.RFC3339))
	c.say("everything follows from the first version, sha256:%s", h.Root)
	if !known {
		c.say("compare this digest with what a member gives you by another way")
	}
	for _, m := range v.Members {
		c.say("%s (%s, %s, %s): %s; its keys may say who belongs", m.Origin, oneLine(m.Name), m.Country, m.Continent, strings.Join(m.Roles, ", "))
		for _, k := range m.Keys() {
			c.say("  key %s", k.ID())
		}
	}
	if n := v.Rule.Witnesses; n > 0 {
		c.say("a member's checkpoints need the cosignatures of %d others", n)
	}
	c.say("the next version needs %s", ruleWords(v.Rule))
}

func ruleWords(r statement.Rule) string {
	if r.Consents == 0 {
		return "the consents of more than half of the confirmed members"
	}
	return plural(r.Consents, "consent", "consents") + " of confirmed members"
}
