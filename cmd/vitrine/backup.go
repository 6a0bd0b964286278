package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"vitrine.example/internal/centre"
)

// Stages of `vitrine backup` and `vitrine restore`.
const (
	stageBackup  = "backup"
	stageRevival = "revival"
)

func newBackup(c *console) *cobra.Command {
	var file string
	var o centre.BackupOptions
	cmd := &cobra.Command{
		Use:   "backup DIR -o FILE",
		Short: "write a whole node into one file",
		Long: `Write configuration, database, log and content of a node into one file, consistent
while the node is served, for vitrine restore. What was acknowledged before
is in it. A PostgreSQL database is not: run pg_dump first, then this.

Private keys are left out; with --keys they are in the file, and whoever reads
it can sign in the name of the node.`,
		Example: `  vitrine backup node -o node.backup`,
		Args:    operands("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := need(cmd, "out"); err != nil {
				return err
			}
			bar := c.progress()
			o.Progress = func(done, total int64) { bar.at(stageBackup, done, total) }
			b, err := centre.Backup(cmd.Context(), args[0], file, o)
			bar.end()
			if err != nil {
				return nodeError(args[0], err)
			}
			if o.Keys {
				c.say("warning: %s holds the private keys: whoever reads it can sign as %s", oneLine(file), b.Origin)
			}
			c.sayMissing(b.Missing)
			return c.result(b, func() {
				c.row("origin", b.Origin)
				c.row("entries", fmt.Sprint(b.Entries))
				c.row("content", plural(b.Content, "file", "files"))
				c.row("size", size(b.Bytes))
			})
		},
	}
	f := cmd.Flags()
	f.StringVarP(&file, "out", "o", "", "`file` to write; must not be there")
	f.BoolVar(&o.Keys, "keys", false, "put the private keys into it as well")
	c.jsonFlag(cmd)
	return cmd
}

// sayMissing lists what a backup lacks.
func (c *console) sayMissing(missing []string) {
	for _, m := range missing {
		c.say("not in it: %s", oneLine(m))
	}
}

func newRestore(c *console) *cobra.Command {
	var o centre.RestoreNodeOptions
	cmd := &cobra.Command{
		Use:   "restore FILE DIR",
		Short: "make a node again from a backup",
		Long: `Make the node of a backup in DIR, which must be missing or empty. Every file is
verified, and the log up to its signed checkpoint, before anything is in place.

Others may have seen more than the backup has, and a log that goes on from an
older one forks. So the node signs nothing before vitrine log resume has asked
its witnesses and mirrors, and its witness cosigns nothing before vitrine
witness recover. The backup must come from somebody you trust: it is whole,
but nobody has signed it.`,
		Example: `  vitrine restore kept.backup restored`,
		Args:    operands("FILE", "DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			bar := c.progress()
			o.Progress = func(done, total int64) { bar.at(stageRevival, done, total) }
			r, err := centre.RestoreNode(cmd.Context(), args[0], args[1], o)
			bar.end()
			if err != nil {
				return err
			}
			c.sayMissing(r.Missing)
			c.say("next: vitrine log resume %s --from URL, for every witness and mirror of this log", oneLine(args[1]))
			return c.result(r, func() {
				c.row("origin", r.Origin)
				c.row("backup of", r.At)
				c.row("entries", fmt.Sprint(r.Entries))
				c.row("root", r.Root)
				c.row("content", plural(r.Content, "file", "files"))
			})
		},
	}
	f := cmd.Flags()
	f.Int64Var(&o.Limits.Bytes, "max-bytes", 1<<40, "refuse more than these `bytes` of files")
	c.jsonFlag(cmd)
	return cmd
}
