package main

import (
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"vitrine.example/internal/centre"
	"vitrine.example/internal/recipe"
)

func newWorker(c *console) *cobra.Command {
	o := centre.WorkerOptions{}
	cache := "10GiB"
	cmd := &cobra.Command{
		Use:   "worker --dir DIR [--node URL#sha256:KEYID]",
		Short: "build releases again for nodes, on this machine",
		Long: `Build releases again, in a sandbox, for one or several nodes that share a queue.

Without --node, say by which ID a node must know this worker, and end; its key
is made where it is missing. Then write the ID into vitrine.toml of each node,
start the worker with the address and the ID of each node's own key, which
vitrine doctor shows there:

  vitrine worker --dir DIR --node https://HOST:PORT#sha256:KEYID

It runs until it is interrupted, and gives back what it has not finished. DIR
keeps its key and the inputs that builds share. Nodes sign what it finds, so
give its key to nobody.`,
		Example: `  vitrine worker --dir worker`,
		Args:    operands(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := need(cmd, "dir"); err != nil {
				return err
			}
			var size recipe.Size
			if err := size.UnmarshalText([]byte(cache)); err != nil {
				return usage(cmd, err)
			}
			id, err := centre.WorkerID(o.Dir)
			if err != nil {
				return err
			}
			if len(o.Nodes) == 0 {
				c.printf("%s\n", id)
				c.say("write into vitrine.toml of each node, with a name of your choice:")
				c.say(`  farm-workers = ["NAME=%s"]`, id)
				return nil
			}
			o.Cache, o.Log = int64(size), slog.New(slog.NewTextHandler(os.Stderr, nil))
			o.Log.Info("working", "id", id, "dir", o.Dir)
			return centre.RunWorker(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Dir, "dir", "", "`directory` of the worker")
	f.StringArrayVar(&o.Nodes, "node", nil, "`address` and key of a node, https://HOST:PORT#sha256:KEYID; may be repeated")
	f.StringVar(&o.Engine, "engine", "embedded", "sandbox: embedded or gvisor")
	f.IntVar(&o.Slots, "slots", 1, "how many releases are built at once")
	f.StringVar(&cache, "cache", cache, "`size` of the inputs that are kept, such as 512MiB or 10GiB")
	return cmd
}
