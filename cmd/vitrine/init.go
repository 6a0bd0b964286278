package main

import (
	"github.com/spf13/cobra"

	"vitrine.example/internal/centre"
)

func newInit(c *console) *cobra.Command {
	var o centre.InitOptions
	cmd := &cobra.Command{
		Use:   "init DIR",
		Short: "make a node",
		Long: `Make the directory of a node: configuration, keys, and an empty log.

The host of the URL is the log's name for ever: choose one that will stay yours.
DIR must be empty or missing. On any error nothing is left behind.`,
		Example: `  vitrine init new-node --url https://vendor.example --name "Vendor Ltd"`,
		Args:    operands("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := need(cmd, "url"); err != nil {
				return err
			}
			if err := centre.Init(cmd.Context(), args[0], o); err != nil {
				return err
			}
			made := struct {
				Dir string `json:"dir"`
				URL string `json:"url"`
			}{args[0], o.URL}
			return c.result(made, func() {
				c.printf("made the node %s in %s\n", o.URL, args[0])
				c.say("next: vitrine release publish --product PURL --artifact FILE %s", args[0])
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.URL, "url", "", "public base `URL`; its host is the log's origin")
	f.StringVar(&o.Name, "name", "", "`name` of the organisation, for people")
	f.StringVar(&o.Listen, "listen", "", "`host:port` to serve on")
	f.StringVar(&o.Algorithm, "statement-key-type", "ecdsa-p256", "`type`: ecdsa-p256 or ed25519")
	f.BoolVar(&o.MLDSA, "ml-dsa", false, "sign checkpoints with ML-DSA-44 too")
	choices(cmd, "statement-key-type", "ecdsa-p256", "ed25519")
	c.jsonFlag(cmd)
	return cmd
}
