package main

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"vitrine.example/internal/centre"
)

func newLog(c *console) *cobra.Command {
	return group("log", "look into a node's log", `  vitrine log check node`,
		newLogCheck(c), newLogProof(c), newLogStatus(c), newLogVerifyFork(c),
		newLogRestore(c), newLogResume(c), newLogExport(c), newLogVerifyArchive(c), newLogImport(c))
}

func newLogCheck(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check DIR",
		Short: "read the whole log again and compare everything with it",
		Long: `Read every entry of the log, compute every tile and the root again, and compare
the checkpoint and the database with them. Nothing is changed, and the node may
be served meanwhile. Exits 1 where a fault is found.`,
		Example: `  vitrine log check node`,
		Args:    operands("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			bar := c.progress()
			r, err := centre.CheckLog(cmd.Context(), args[0], func(done, total int64) { bar.at(stageCheck, done, total) })
			bar.end()
			if err != nil {
				return nodeError(args[0], err)
			}
			if err := c.result(r, func() {
				c.row("origin", r.Origin)
				c.row("entries", fmt.Sprint(r.Size))
				c.row("root", r.Root)
				c.row("faults", faults(len(r.Faults)))
				for _, f := range r.Faults {
					c.row("FAULT", oneLine(f))
				}
			}); err != nil {
				return err
			}
			if n := len(r.Faults); n > 0 {
				return no(fmt.Errorf("the log of %s has %s", args[0], plural(int64(n), "fault", "faults")), "%s", centre.MendFaults(r.Faults))
			}
			return nil
		},
	}
	c.jsonFlag(cmd)
	return cmd
}

func faults(n int) string {
	if n == 0 {
		return "none"
	}
	return fmt.Sprint(n)
}

func newLogProof(c *console) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:     "proof DIR INDEX",
		Short:   "print the proof of an entry under the newest checkpoint",
		Long:    `Print a C2SP tlog-proof of an entry of a node's log.`,
		Example: `  vitrine log proof node 0`,
		Args:    operands("DIR", "INDEX"),
		RunE: func(cmd *cobra.Command, args []string) error {
			i, err := strconv.ParseUint(args[1], 10, 63)
			if err != nil || strconv.FormatUint(i, 10) != args[1] {
				return usage(cmd, fmt.Errorf("INDEX %q: want a number from 0 on", args[1]))
			}
			return c.connect(cmd.Context(), args[0], func(h *centre.Handle) error {
				p, err := h.Proof(cmd.Context(), int64(i))
				if err != nil {
					return err
				}
				return c.output(out, p, false)
			})
		},
	}
	cmd.Flags().StringVarP(&out, "out", "o", "-", "`file` to write")
	return cmd
}

func newLogStatus(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "status DIR",
		Short:   "show how far the log has come",
		Example: `  vitrine log status node`,
		Args:    operands("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.connect(cmd.Context(), args[0], func(h *centre.Handle) error {
				s, err := h.Status(cmd.Context())
				if err != nil {
					return err
				}
				return c.result(s.Ledger, func() { c.showLog(s) })
			})
		},
	}
	c.jsonFlag(cmd)
	return cmd
}
