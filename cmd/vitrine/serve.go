package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"vitrine.example/internal/centre"
)

// closing bounds how long a node may take to stop.
const closing = 30 * time.Second

func newServe(c *console) *cobra.Command {
	var address bool
	cmd := &cobra.Command{
		Use:   "serve DIR",
		Short: "run a node until it is interrupted",
		Long: `Run the node in DIR: its log, its pages, its health and its metrics.

Its journal goes to stderr, as log-level and log-format in vitrine.toml say.
It stops gracefully on an interrupt or a termination signal. One process at a
time serves a directory; other commands reach the node through it.`,
		Example: `  vitrine serve node`,
		Args:    operands("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := centre.Open(cmd.Context(), args[0], nil)
			if err != nil {
				return nodeError(args[0], err)
			}
			err = n.Serve(cmd.Context(), func(addr string) {
				c.say("serving %s on %s; interrupt to stop", args[0], addr)
				if address {
					c.printf("%s\n", addr)
				}
			})
			ctx, cancel := context.WithTimeout(context.WithoutCancel(cmd.Context()), closing)
			defer cancel()
			return errors.Join(err, n.Close(ctx))
		},
	}
	cmd.Flags().BoolVar(&address, "print-address", false, "print the address on stdout once it is served")
	return cmd
}
