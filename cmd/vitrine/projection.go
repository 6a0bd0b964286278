package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"vitrine.example/internal/centre"
)

func newProjection(c *console) *cobra.Command {
	return group("projection", "make the tables of a node again from its logs, or show them",
		`  vitrine projection rebuild node`, newProjectionRebuild(c), newProjectionDump(c))
}

func newProjectionRebuild(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rebuild DIR",
		Short: "make the tables again from log and content",
		Long: `Make everything that the database knows of the log again, from the log and the
content store: what the pages show, and which release has which name.

A node does so by itself where its database was lost. It may be served
meanwhile; its pages then show less for a while. Running it again does no harm.`,
		Example: `  vitrine projection rebuild node`,
		Args:    operands("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.connect(cmd.Context(), args[0], func(h *centre.Handle) error {
				bar := c.progress()
				bar.at(stageRebuild, 0, -1)
				r, err := h.Rebuild(cmd.Context(), func(done, total int64) { bar.at(stageRebuild, done, total) })
				bar.end()
				if err != nil {
					return err
				}
				return c.result(r, func() {
					c.row("entries", fmt.Sprint(r.Entries))
					c.row("statements", fmt.Sprint(r.Statements))
					c.row("releases", fmt.Sprint(r.Releases))
				})
			})
		},
	}
	c.jsonFlag(cmd)
	return cmd
}

func newProjectionDump(c *console) *cobra.Command {
	return &cobra.Command{
		Use:   "dump DIR",
		Short: "write all that the tables say, in one order",
		Long: `Write all that the tables say of the logs that the node follows, as JSON lines:
for each log, by origin, a line about it and one for each of its entries.

Tables that were rebuilt give the same bytes, on any database. The node may be
served meanwhile; what is written is one state.`,
		Example: `  vitrine projection dump node`,
		Args:    operands("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.connect(cmd.Context(), args[0], func(h *centre.Handle) error {
				return h.Dump(cmd.Context(), c.out)
			})
		},
	}
}
