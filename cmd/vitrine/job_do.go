package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"vitrine.example/digest"
	"vitrine.example/internal/centre"
)

// doJob asks for something and shows how the rebuild stands then.
func (c *console) doJob(cmd *cobra.Command, dir string, call centre.JobCall) error {
	return c.connect(cmd.Context(), dir, func(h *centre.Handle) error {
		r, err := h.DoJob(cmd.Context(), call)
		if err != nil {
			return jobError(err)
		}
		return c.result(jobRowOf(r), func() {
			c.row("rebuild", fmt.Sprint(r.ID))
			c.row("state", r.State.String()+jobDoing(r))
		})
	})
}

func newJobAgain(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "again DIR ID|RELEASE",
		Short: "rebuild a release once more",
		Long: `Order a further run of a rebuild, by its number or by the digest of the release, which
need not be one that the node rebuilds by itself. Both outcomes stay in the log.`,
		Example: `  vitrine job again node 1`,
		Args:    operands("DIR", "ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			call := centre.JobCall{Do: centre.JobAgain}
			if d, err := digest.Parse(strings.TrimPrefix(args[1], "sha256:")); err == nil {
				call.Release = d
			} else if call.ID, err = parseJob(cmd, args[1]); err != nil {
				return err
			}
			return c.doJob(cmd, args[0], call)
		},
	}
	c.jsonFlag(cmd)
	return cmd
}

func newJobCancel(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use: "cancel DIR ID", Short: "give up a rebuild that is not decided; nothing is said of it",
		Example: `  vitrine job cancel node 1`, Args: operands("DIR", "ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := parseJob(cmd, args[1])
			if err != nil {
				return err
			}
			return c.doJob(cmd, args[0], centre.JobCall{Do: centre.JobCancel, ID: id})
		},
	}
	c.jsonFlag(cmd)
	return cmd
}

func newJobPrioritise(c *console) *cobra.Command {
	priority := int64(1)
	cmd := &cobra.Command{
		Use: "prioritise DIR ID", Short: "have a rebuild built before others",
		Example: `  vitrine job prioritise node 1 --priority 5`, Args: operands("DIR", "ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := parseJob(cmd, args[1])
			if err != nil {
				return err
			}
			return c.doJob(cmd, args[0], centre.JobCall{Do: centre.JobPrioritise, ID: id, Priority: priority})
		},
	}
	cmd.Flags().Int64Var(&priority, "priority", priority, "`number`: the larger, the sooner; others have 0")
	c.jsonFlag(cmd)
	return cmd
}

// exampleAlert is the number of the alert that the example names.
const exampleAlert = "4"

func newJobAck(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ack DIR ALERT",
		Short: "acknowledge that a release is not what its source makes",
		Long: `Acknowledge an alert, by its number in vitrine status: that a release is not what its
source makes, though those before it were, is known to you. The statement stays.`,
		Example: `  vitrine job ack node ` + exampleAlert,
		Args:    operands("DIR", "ALERT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			index, err := parseJob(cmd, args[1])
			if err != nil {
				return err
			}
			return c.connect(cmd.Context(), args[0], func(h *centre.Handle) error {
				if _, err := h.DoJob(cmd.Context(), centre.JobCall{Do: centre.JobAck, ID: index}); err != nil {
					return jobError(err)
				}
				return c.result(map[string]int64{"acknowledged": index}, func() { c.row("acknowledged", fmt.Sprint(index)) })
			})
		},
	}
	c.jsonFlag(cmd)
	return cmd
}
