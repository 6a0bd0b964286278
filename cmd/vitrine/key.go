package main

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"vitrine.example/internal/centre"
)

func newKey(c *console) *cobra.Command {
	return group("key", "list a node's keys, and put new ones in their place", `  vitrine key list node`,
		newKeyList(c),
		newKeyStep(c, "prepare", "make a key beside the one in use, for others to learn",
			`Make a new key beside the one in use. It signs nothing yet; node.json shows it at
once, so that others learn it. Works while the node is served.`),
		newKeyStep(c, "use", "put the prepared key in the place of the one in use",
			`Put the prepared key in the place of the one in use, which stays beside it:
checkpoints and cosignatures are signed with both from then on, statements with
the new one alone. The node must be stopped. Where it belongs to a circle, the
list in force must have the key.`),
		newKeyStep(c, "retire", "remove an old key, but for its public part",
			`Remove an old private key. Its public part stays in keys/retired, because what it
signed stays said. The node must be stopped. Refused while something depends on
the key: the circle's list, the newest checkpoint, what others show of the log.`),
		newKeyStep(c, "rotate", "do the next step of a rotation, and say what follows",
			`Do whichever step is next: prepare, use or retire. Each says what to do until
the next, and is refused, with the reason, while it would lock the node out.`))
}

// kindsOf documents the operand.
func kindsOf() string { return "KIND is one of: " + strings.Join(centre.KeyKinds(), ", ") + "." }

func newKeyList(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list DIR",
		Short: "show every key: state, since when, and who must still learn it",
		Long: `Show every key of a node: the one in use, one that is prepared, old ones that sign
beside it, and retired ones; since when; whether the list of the circle in force
has it; and who must still learn it.`,
		Example: `  vitrine key list node`,
		Args:    operands("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.connect(cmd.Context(), args[0], func(h *centre.Handle) error {
				all, err := h.Keys(cmd.Context())
				if err != nil {
					return err
				}
				return c.result(all, func() { c.showKeys(all) })
			})
		},
	}
	c.jsonFlag(cmd)
	return cmd
}

func (c *console) showKeys(all []centre.KeyInfo) {
	for _, k := range all {
		since := ""
		if !k.Since.IsZero() {
			since = " since " + whenever(&k.Since)
		}
		c.printf("%-14s %s%s\n", k.Kind, k.State, since)
		c.row("  id", k.ID)
		if !strings.HasPrefix(k.Key, "-----") {
			c.row("  vkey", k.Key)
		}
		c.row("  file", oneLine(k.File))
		if k.Circle != "" {
			c.row("  circle", k.Circle)
		}
		for _, who := range k.Learn {
			c.row("  tell", oneLine(who))
		}
	}
}

func newKeyStep(c *console, do, short, long string) *cobra.Command {
	q := centre.RotateAsk{Do: do}
	example := "log"
	if do == "use" || do == "retire" {
		example = "statement"
	}
	cmd := &cobra.Command{
		Use:     do + " DIR KIND",
		Short:   short,
		Long:    long + "\n\n" + kindsOf(),
		Example: "  vitrine key " + do + " node " + example,
		Args:    operands("DIR", "KIND"),
		RunE: func(cmd *cobra.Command, args []string) error {
			q.Kind = args[1]
			return c.connect(cmd.Context(), args[0], func(h *centre.Handle) error {
				r, err := h.Rotate(cmd.Context(), q)
				if err != nil {
					return c.stepError(err)
				}
				return c.result(r, func() { c.showStep(r) })
			})
		},
	}
	if do == "retire" {
		cmd.Flags().BoolVar(&q.Stolen, "stolen", false, "the key may be in wrong hands: never announce it again")
	}
	c.jsonFlag(cmd)
	return cmd
}

// stepError is the answer no where a step is refused.
func (c *console) stepError(err error) error {
	switch {
	case errors.Is(err, centre.ErrServed):
		return no(err, "vitrine key prepare and vitrine key list work while it is served")
	case errors.Is(err, centre.ErrRotation):
		return no(err, "vitrine key list shows how far each key is")
	}
	return err
}

func (c *console) showStep(r *centre.Rotated) {
	done := map[string]string{"prepare": "prepared", "use": "in use", "retire": "retired"}[r.Step]
	c.printf("%s key %s: %s\n", r.Kind, r.ID, done)
	for _, n := range r.Note {
		c.say("note: %s", oneLine(n))
	}
	for _, n := range r.Next {
		c.say("next: %s", oneLine(n))
	}
}
