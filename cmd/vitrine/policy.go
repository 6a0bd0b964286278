package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"vitrine.example/internal/centre"
	"vitrine.example/key"
	"vitrine.example/statement"
	"vitrine.example/tlog"
	"vitrine.example/verdict"
)

func newPolicy(c *console) *cobra.Command {
	return group("policy", "say what a file must be before it is used", `  vitrine policy check vitrine-policy.toml`,
		newPolicyInit(c), newPolicyCheck(c))
}

// policyFlags are the flags of `vitrine policy init`.
type policyFlags struct {
	node      string
	logs      []string
	signers   []string
	witnesses []string
	quorum    int
	product   string
	channel   string
	maxAge    time.Duration
	out       string
	force     bool
	circle    circleFlags
	comment   []string // about the circle, and retired keys
}

func newPolicyInit(c *console) *cobra.Command {
	var p policyFlags
	cmd := &cobra.Command{
		Use:   "init {--node NODE | --circle CIRCLE | --log VKEY --signer FILE} -o FILE",
		Short: "write a commented policy, from a node's public page or from keys",
		Long: `Write a policy that asks for releases of these signers in these logs.

With --node the keys are taken from the node's public page, or from its
directory: compare them with what the vendor gives you by another way.`,
		Example: `  vitrine policy init --node node --product pkg:generic/app -o new-policy.toml
  vitrine policy init --log vendor.example+6ce55a45+Ae5PC+oUZ/UtREUiymVrLtZeWwDOSGnj2U3YiCKcm1Nl --signer vendor.pem -o -`,
		Args: operands(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := p.check(cmd); err != nil {
				return err
			}
			pol, err := p.policy(cmd, c)
			if err != nil {
				return err
			}
			raw, err := pol.Marshal()
			if err != nil {
				return err
			}
			for _, line := range slices.Backward(p.comment) {
				raw = append([]byte("# "+line+"\n"), raw...)
			}
			if err := c.output(p.out, raw, p.force); err != nil {
				return err
			}
			if p.out != "-" {
				c.say("wrote %s; compare its keys with what the vendor gives you by another way", p.out)
			}
			return nil
		},
	}
	f := cmd.Flags()
	p.circle.flags(cmd)
	f.StringVar(&p.node, "node", "", "`URL` or directory of the node whose keys are taken")
	f.StringArrayVar(&p.logs, "log", nil, "verifier `key` of a log; may be repeated")
	f.StringArrayVar(&p.signers, "signer", nil, "public key `file` (PEM) of a vendor; may be repeated")
	f.StringArrayVar(&p.witnesses, "witness", nil, "verifier `key` of a witness; may be repeated")
	f.IntVar(&p.quorum, "quorum", 0, "`number` of witnesses that must have cosigned; default: all")
	f.StringVar(&p.product, "product", "", "only this product (`purl` without version)")
	f.StringVar(&p.channel, "channel", "", "only this `channel`")
	f.DurationVar(&p.maxAge, "max-age", 0, "`duration`, like 720h, that the checkpoint may be old")
	f.StringVarP(&p.out, "out", "o", "", "policy `file` to write, - for stdout")
	f.BoolVar(&p.force, "force", false, "write over a file that is there")
	return cmd
}

func (p *policyFlags) check(cmd *cobra.Command) error {
	if err := need(cmd, "out"); err != nil {
		return err
	}
	switch {
	case p.circle.circle == "" && (p.circle.vendor != "" || p.circle.continents != 0 || p.circle.rebuilds != 0):
		return usage(cmd, errors.New("--vendor, --continents and --rebuilds need --circle"))
	case p.circle.rebuilds < 0:
		return usage(cmd, fmt.Errorf("--rebuilds %d: want 0 or more", p.circle.rebuilds))
	case p.circle.circle != "" && (p.node != "" || len(p.logs)+len(p.signers)+len(p.witnesses) > 0):
		return usage(cmd, errors.New("--circle names all keys: leave --node, --log, --signer and --witness out"))
	case p.circle.circle != "":
		return nil
	case p.node == "" && len(p.logs) == 0:
		return usage(cmd, errors.New("--node or --log is missing"))
	case p.node == "" && len(p.signers) == 0:
		return usage(cmd, errors.New("--node or --signer is missing"))
	case p.quorum < 0 || p.quorum > len(p.witnesses):
		return usage(cmd, fmt.Errorf("--quorum %d: there %s", p.quorum, witnesses(len(p.witnesses))))
	case p.maxAge < 0:
		return usage(cmd, fmt.Errorf("--max-age %s: want a positive time", p.maxAge))
	}
	return nil
}

// policy makes the policy that the flags ask for.
func (p *policyFlags) policy(cmd *cobra.Command, c *console) (*verdict.Policy, error) {
	pol := &verdict.Policy{Product: p.product, Channel: p.channel, MaxAge: p.maxAge}
	if p.circle.circle != "" {
		var err error
		if p.comment, err = c.trust(cmd.Context(), pol, p); err != nil {
			return nil, err
		}
		return pol, nil
	}
	if p.node != "" {
		info, err := c.nodeInfo(cmd.Context(), p.node)
		if err != nil {
			return nil, err
		}
		if err := trustNode(pol, info); err != nil {
			return nil, fmt.Errorf("node %s: %w", p.node, err)
		}
		if p.comment, err = trustRetired(pol, info); err != nil {
			return nil, fmt.Errorf("node %s: %w", p.node, err)
		}
	}
	for _, s := range p.logs {
		v, err := tlog.ParseVerifier(s)
		if err != nil {
			return nil, usage(cmd, fmt.Errorf("--log: %w", err))
		}
		pol.Log.Logs = append(pol.Log.Logs, tlog.PolicyLog{Key: v})
	}
	for _, path := range p.signers {
		k, err := readPublic(path)
		if err != nil {
			return nil, err
		}
		trustSigner(pol, fmt.Sprintf("vendor-%d", len(pol.Signers)+1), k)
	}
	if err := p.addWitnesses(cmd, &pol.Log); err != nil {
		return nil, err
	}
	if err := pol.Log.Validate(); err != nil {
		return nil, usage(cmd, err)
	}
	return pol, nil
}

// trustNode adds the keys of a node's public page. Either key of a log will do,
// but only its ML-DSA-44 key signs a time, which max-age may need.
func trustNode(pol *verdict.Policy, info centre.Info) error {
	for _, s := range info.Log {
		v, err := tlog.ParseVerifier(s)
		if err != nil {
			return fmt.Errorf("log key: %w", err)
		}
		if v.Name() != info.Origin {
			return fmt.Errorf("log key is of %q, but the origin is %q", v.Name(), info.Origin)
		}
		pol.Log.Logs = append(pol.Log.Logs, tlog.PolicyLog{Key: v, URL: info.URL})
	}
	if len(pol.Log.Logs) == 0 {
		return errors.New("it shows no log key")
	}
	for i, s := range info.Statement {
		k, err := key.ParsePublic([]byte(s))
		if err != nil {
			return fmt.Errorf("statement key %d: %w", i+1, err)
		}
		trustSigner(pol, fmt.Sprintf("vendor-%d", i+1), k)
	}
	if len(pol.Signers) == 0 {
		return errors.New("it shows no statement key")
	}
	return nil
}

func trustSigner(pol *verdict.Policy, name string, k key.Public) {
	pol.Signers = append(pol.Signers, verdict.Signer{Name: name, Key: k, May: []string{statement.ReleaseType}})
}

// addWitnesses adds the witnesses and their quorum.
func (p *policyFlags) addWitnesses(cmd *cobra.Command, pol *tlog.Policy) error {
	pol.Quorum = "none"
	if len(p.witnesses) == 0 {
		return nil
	}
	g := tlog.PolicyGroup{Name: "witnesses", K: p.quorum}
	if g.K == 0 {
		g.K = len(p.witnesses)
	}
	for i, s := range p.witnesses {
		v, err := tlog.ParseVerifier(s)
		if err != nil {
			return usage(cmd, fmt.Errorf("--witness: %w", err))
		}
		name := fmt.Sprintf("witness-%d", i+1)
		pol.Witnesses = append(pol.Witnesses, tlog.PolicyWitness{Name: name, Key: v})
		g.Members = append(g.Members, name)
	}
	pol.Groups = append(pol.Groups, g)
	pol.Quorum = g.Name
	return nil
}

func newPolicyCheck(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "check FILE",
		Short:   "say in words what a policy asks",
		Example: `  vitrine policy check vitrine-policy.toml`,
		Args:    operands("FILE"),
		RunE: func(_ *cobra.Command, args []string) error {
			raw, err := readFile("policy", args[0], verdict.MaxPolicy)
			if err != nil {
				return err
			}
			p, err := verdict.ParsePolicy(raw)
			if err != nil {
				return fmt.Errorf("reading policy %s: %w", args[0], err)
			}
			asks := struct {
				Policy string   `json:"policy"`
				Asks   []string `json:"asks"`
			}{strings.ToValidUTF8(args[0], "\uFFFD"), p.Words()}
			return c.result(asks, func() {
				c.printf("%s can be used:\n", oneLine(args[0]))
				for _, w := range asks.Asks {
					c.printf("- %s\n", oneLine(w))
				}
			})
		},
	}
	c.jsonFlag(cmd)
	return cmd
}

func witnesses(n int) string {
	if n == 1 {
		return "is 1 witness"
	}
	return fmt.Sprintf("are %d witnesses", n)
}
