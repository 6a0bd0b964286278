package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"vitrine.example/internal/centre"
)

// stageRestore is the stage of `vitrine log restore`.
const stageRestore = "restore"

func newLogRestore(c *console) *cobra.Command {
	var o centre.RestoreOptions
	cmd := &cobra.Command{
		Use:   "restore DIR --from URL",
		Short: "bring a lost log back from a mirror",
		Long: `Rebuild the log of a node whose keys are there and whose log is gone, from the
mirrors of others (URLs) or copies (directories, zip archives). The newest is taken; every
file is verified up to a checkpoint that the node's own key has signed.

Name everybody who may have seen the newest checkpoint, witnesses too: a log
that goes on from an older one forks. Until all were asked (vitrine log resume),
the node signs nothing; --accept-newest says that nobody else is to be asked.
Interrupted, it goes on where it was when it is run again.`,
		Example: `  vitrine log restore lost --from mirror`,
		Args:    operands("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := need(cmd, "from"); err != nil {
				return err
			}
			bar := c.progress()
			o.Progress = func(done, total int64) { bar.at(stageRestore, done, total) }
			r, err := centre.RestoreLog(cmd.Context(), args[0], o)
			bar.end()
			if err != nil {
				return nodeError(args[0], err)
			}
			if n := len(r.Missing); n > 0 {
				c.say("no source has the statements of %s; those that are not in content/ either must be fetched elsewhere", plural(int64(n), "entry", "entries"))
			}
			if r.Hold {
				c.say("next: vitrine log resume %s --from URL, for every witness and mirror of this log", args[0])
			}
			return c.result(r, func() {
				c.row("origin", r.Origin)
				c.row("entries", fmt.Sprint(r.Size))
				c.row("root", r.Root)
				c.row("from", oneLine(r.From))
				c.row("files", fmt.Sprintf("%d fetched, %d kept", r.Fetched, r.Kept))
				c.row("statements", fmt.Sprint(r.Statements))
			})
		},
	}
	cmd.Flags().StringArrayVar(&o.From, "from", nil, "`URL`, directory or zip archive of a log; may be given again")
	cmd.Flags().BoolVar(&o.AcceptNewest, "accept-newest", false, "nobody else can have seen a newer checkpoint")
	c.jsonFlag(cmd)
	return cmd
}

func newLogResume(c *console) *cobra.Command {
	var from []string
	var accept bool
	cmd := &cobra.Command{
		Use:   "resume DIR",
		Short: "let a restored log go on, once all others were asked",
		Long: `Ask witnesses and mirrors for the newest checkpoint that they have of a node's
restored log, and let the node sign again where all answer and nobody has more
than is here, or another history. Exits 1 where somebody has.`,
		Example: `  vitrine log resume node --from mirror`,
		Args:    operands("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := centre.ResumeLog(cmd.Context(), args[0], from, accept)
			if err != nil {
				return nodeError(args[0], err)
			}
			return c.result(map[string]int{"asked": n}, func() { c.row("asked", fmt.Sprint(n)) })
		},
	}
	cmd.Flags().StringArrayVar(&from, "from", nil, "`URL` of a witness's or mirror's checkpoint, or a directory")
	cmd.Flags().BoolVar(&accept, "accept-newest", false, "nobody else can have seen a newer checkpoint")
	c.jsonFlag(cmd)
	return cmd
}
