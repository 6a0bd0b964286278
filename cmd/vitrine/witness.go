package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"vitrine.example/internal/centre"
	"vitrine.example/internal/witness"
	"vitrine.example/tlog"
)

func newWitness(c *console) *cobra.Command {
	return group("witness", "cosign the logs of others", `  vitrine witness list node`,
		newWitnessAdd(c), newWitnessImport(c), newWitnessList(c),
		newWitnessDo(c, "show", "show one log, its keys and its newest checkpoint", false, `  vitrine witness show node log.example`),
		newWitnessDo(c, "pause", "stop cosigning a log", true, `  vitrine witness pause node log.example --reason "no contact"`),
		newWitnessDo(c, "resume", "cosign a log again that was paused or forked", true, `  vitrine witness resume node log.example --reason "explained"`),
		newWitnessEvidence(c), newWitnessRecover(c), newWitnessAdopt(c), newWitnessTest(c))
}

// witnessCall does one thing with a node's witness and shows the log it gives.
func (c *console) witnessCall(cmd *cobra.Command, dir string, call centre.WitnessCall) error {
	return c.connect(cmd.Context(), dir, func(h *centre.Handle) error {
		a, err := h.Witness(cmd.Context(), call)
		if err != nil {
			return err
		}
		return c.result(a.Log, func() { c.showWitnessLog(a.Log) })
	})
}

func newWitnessAdd(c *console) *cobra.Command {
	var l centre.WitnessLog
	var node string
	var replace bool
	cmd := &cobra.Command{
		Use:   "add DIR",
		Short: "cosign a log from now on",
		Long: `Cosign a log from now on, from size 0. The log is named by its origin and keys, or
by a node, whose node.json is read: compare its keys with what its operator told
you by another way. A log is never removed: see pause.`,
		Example: `  vitrine witness add node --vkey second.example+d6a73de8+AddamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea`,
		Args:    operands("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if node != "" {
				info, err := c.nodeInfo(cmd.Context(), node)
				if err != nil {
					return err
				}
				switch {
				case l.Keys != nil:
				case replace: // all of a rotation that is under way
					l.Keys = info.Log
				case len(info.Log) > 0:
					l.Keys = info.Log[:1]
				}
				l.Origin = info.Origin
			}
			if len(l.Keys) == 0 {
				return need(cmd, "vkey")
			}
			if l.Origin == "" {
				v, err := tlog.ParseVerifier(l.Keys[0])
				if err != nil {
					return err
				}
				l.Origin = v.Name()
			}
			return c.witnessCall(cmd, args[0], centre.WitnessCall{Do: "add", Log: l, Replace: replace})
		},
	}
	cmd.Flags().StringVar(&l.Origin, "origin", "", "`origin` of the log (default: the name of its first key)")
	cmd.Flags().StringArrayVar(&l.Keys, "vkey", nil, "verifier `key` of the log; may be given several times")
	cmd.Flags().StringVar(&node, "node", "", "`URL` or directory of a node, instead")
	cmd.Flags().BoolVar(&replace, "replace-keys", false, "a log that is known has these keys from now on")
	cmd.Flags().StringVar(&l.Note, "note", "", "`text` for operators, such as whom to call")
	cmd.Flags().Int64Var(&l.PerDay, "per-day", 0, "`number` of checkpoints a day (default: witness-per-second)")
	c.jsonFlag(cmd)
	return cmd
}

func newWitnessImport(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import DIR FILE",
		Short: "cosign the logs of a witness-network list",
		Long: `Cosign all logs of a list (C2SP tlog-list, as witness-network.org publishes them)
that are new. Logs that are known are neither changed nor removed.`,
		Example: `  vitrine witness import node logs.txt`,
		Args:    operands("DIR", "FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := readFile("log list", args[1], witness.MaxLogList)
			if err != nil {
				return err
			}
			return c.connect(cmd.Context(), args[0], func(h *centre.Handle) error {
				a, err := h.Witness(cmd.Context(), centre.WitnessCall{Do: "import", List: b})
				if err != nil {
					return err
				}
				return c.result(a.Import, func() {
					c.row("added", fmt.Sprint(len(a.Import.Added)))
					c.row("known", fmt.Sprint(a.Import.Known))
					for _, o := range a.Import.Different {
						c.row("other keys", oneLine(o))
					}
					for _, s := range a.Import.Skipped {
						c.row("skipped", oneLine(s))
					}
				})
			})
		},
	}
	c.jsonFlag(cmd)
	return cmd
}

func newWitnessList(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use: "list DIR", Short: "list the logs that a node cosigns", Example: `  vitrine witness list node`, Args: operands("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.connect(cmd.Context(), args[0], func(h *centre.Handle) error {
				all, err := h.WitnessLogs(cmd.Context())
				if err != nil {
					return err
				}
				return c.result(append([]centre.WitnessLog{}, all...), func() {
					for _, l := range all {
						c.printf("%-8s %12d  %-20s %s\n", witnessState(&l), l.Size, whenever(l.Cosigned), oneLine(l.Origin))
					}
				})
			})
		},
	}
	c.jsonFlag(cmd)
	return cmd
}

func witnessState(l *centre.WitnessLog) string {
	switch {
	case l.Forked:
		return "FORKED"
	case l.Paused:
		return "paused"
	}
	return "cosigned"
}

func whenever(t *time.Time) string {
	if t == nil {
		return "never"
	}
	return t.UTC().Format("2006-01-02 15:04 MST")
}

func (c *console) showWitnessLog(l *centre.WitnessLog) {
	if l == nil {
		return
	}
	c.row("origin", oneLine(l.Origin))
	c.row("state", witnessState(l))
	c.row("size", fmt.Sprint(l.Size))
	c.row("cosigned", whenever(l.Cosigned))
	for _, k := range l.Keys {
		c.row("key", k)
	}
	if l.Note != "" {
		c.row("note", oneLine(l.Note))
	}
	if l.Reason != "" {
		c.row("reason", oneLine(l.Reason))
	}
}

// newWitnessDo makes a command on one log.
func newWitnessDo(c *console, do, short string, reason bool, example string) *cobra.Command {
	call := centre.WitnessCall{Do: do}
	cmd := &cobra.Command{
		Use: do + " DIR ORIGIN", Short: short, Example: example, Args: operands("DIR", "ORIGIN"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if reason {
				if err := need(cmd, "reason"); err != nil {
					return err
				}
			}
			call.Log.Origin = args[1]
			return c.witnessCall(cmd, args[0], call)
		},
	}
	if reason {
		cmd.Flags().StringVar(&call.Reason, "reason", "", "`text` that says why")
	}
	c.jsonFlag(cmd)
	return cmd
}

func newWitnessEvidence(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use: "evidence DIR ORIGIN", Short: "show what speaks against a log",
		Example: `  vitrine witness evidence node log.example`, Args: operands("DIR", "ORIGIN"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.connect(cmd.Context(), args[0], func(h *centre.Handle) error {
				all, err := h.WitnessEvidence(cmd.Context(), args[1])
				if err != nil {
					return err
				}
				return c.result(append([]centre.WitnessEvidence{}, all...), func() {
					for _, e := range all {
						c.row(e.Kind, whenever(&e.Seen)+", accepted: "+whenever(e.Accepted))
						c.printf("%s\n%s\n", e.Cosigned, e.Other)
					}
				})
			})
		},
	}
	c.jsonFlag(cmd)
	return cmd
}
