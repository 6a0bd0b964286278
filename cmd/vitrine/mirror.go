package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"vitrine.example/internal/centre"
)

func newMirror(c *console) *cobra.Command {
	return group("mirror", "keep copies of other logs, and push the own to others' mirrors",
		`  vitrine mirror list node`,
		newMirrorAdd(c), newMirrorList(c), newMirrorShow(c), newMirrorCheck(c), newMirrorPush(c), newMirrorTest(c))
}

func newMirrorAdd(c *console) *cobra.Command {
	q := centre.MirrorAsk{Do: "add"}
	cmd := c.mirrorVerb(&q, "add DIR ORIGIN", "mirror another log",
		"Have the node mirror the log of an origin. Its entries come from whoever pushes them\nto /mirror/; what is not signed by one of the keys is refused.",
		`  vitrine mirror add --key "$LOG_VKEY" node log.example.org`, "DIR", "ORIGIN")
	cmd.Flags().StringArrayVar(&q.Keys, "key", nil, "verifier `key` of the log; may be repeated")
	cmd.Flags().BoolVar(&q.Replace, "replace-keys", false, "a log that is mirrored already has these keys from now on")
	cmd.Flags().StringVar(&q.Note, "note", "", "`text` for operators")
	return cmd
}

func newMirrorList(c *console) *cobra.Command {
	return c.mirrorVerb(&centre.MirrorAsk{Do: "list"}, "list DIR", "list the mirrored logs",
		"List the mirrored logs and how far each copy is.", `  vitrine mirror list node`, "DIR")
}

func newMirrorShow(c *console) *cobra.Command {
	return c.mirrorVerb(&centre.MirrorAsk{Do: "show"}, "show DIR ORIGIN", "show how far the copy of a log is",
		"Show how far the copy of a log is.", `  vitrine mirror show node log.example.org`, "DIR", "ORIGIN")
}

func newMirrorCheck(c *console) *cobra.Command {
	return c.mirrorVerb(&centre.MirrorAsk{Do: "check"}, "check DIR ORIGIN", "read the whole copy of a log again",
		"Read every entry and tile of a copy, and compare them with its checkpoint.",
		`  vitrine mirror check node log.example.org`, "DIR", "ORIGIN")
}

func newMirrorPush(c *console) *cobra.Command {
	q := centre.MirrorAsk{Do: "push"}
	cmd := c.mirrorVerb(&q, "push DIR URL", "push the own log to a mirror",
		"Push what the node's log has published to a mirror at a submission prefix, and\nverify the cosignature that comes back.",
		`  vitrine mirror push --key "$MIRROR_VKEY" node "$MIRROR_URL"`, "DIR", "URL")
	cmd.Flags().StringArrayVar(&q.Keys, "key", nil, "verifier `key` of the mirror; may be repeated")
	return cmd
}

// mirrorVerb makes a command that asks the mirror.
func (c *console) mirrorVerb(q *centre.MirrorAsk, use, short, long, example string, names ...string) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Long: long, Example: example, Args: operands(names...)}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if cmd.Flags().Lookup("key") != nil {
			if err := need(cmd, "key"); err != nil {
				return err
			}
		}
		ask := *q
		switch names[len(names)-1] {
		case "ORIGIN":
			ask.Origin = args[1]
		case "URL":
			ask.URL = args[1]
		}
		return c.connect(cmd.Context(), args[0], func(h *centre.Handle) error {
			a, err := h.Mirror(cmd.Context(), ask)
			if err != nil {
				return err
			}
			return c.result(a, func() { c.showMirror(a) })
		})
	}
	c.jsonFlag(cmd)
	return cmd
}

func (c *console) showMirror(a *centre.MirrorAnswer) {
	for _, k := range a.Keys {
		c.row("mirror key", k)
	}
	for _, l := range a.Logs {
		c.row("log", oneLine(l.Origin))
		c.row("mirrored", fmt.Sprintf("%d of %d entries", l.Size, l.Pending))
		if l.Problem != "" {
			c.row("PROBLEM", oneLine(l.Problem))
		}
	}
	for _, p := range a.Progress {
		c.row("mirror", oneLine(p.URL))
		c.row("cosigned", fmt.Sprintf("%d entries, %d behind", p.Size, p.Lag))
	}
}
