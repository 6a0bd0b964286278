package main

import (
	"errors"

	"github.com/spf13/cobra"

	"vitrine.example/internal/centre"
	"vitrine.example/internal/witness"
)

func newWitnessRecover(c *console) *cobra.Command {
	var ifLost bool
	call := centre.WitnessCall{Do: "recover"}
	cmd := &cobra.Command{
		Use:   "recover DIR",
		Short: "let a witness go on that has lost its state",
		Long: `Let a witness go on whose database was lost, is older than what it has cosigned,
or was restored from a backup. Every log is paused, and those that are added later
are too. Resume each by adopting the newest checkpoint that this witness cosigned,
as other witnesses, mirrors or monitors have it (see adopt), or with a reason
(see resume) if you know that it is where it was. What the log itself shows may
not be the newest. Only new keys are safe by proof: they have signed nothing.`,
		Example: `  vitrine witness recover node --reason "the disk died" --if-lost`,
		Args:    operands("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := need(cmd, "reason"); err != nil {
				return err
			}
			return c.connect(cmd.Context(), args[0], func(h *centre.Handle) error {
				_, err := h.Witness(cmd.Context(), call)
				switch {
				case errors.Is(err, witness.ErrNotLost) && ifLost:
					c.say("the state of the witness is whole: nothing was done")
					return nil
				case err == nil:
					c.say("recovered; every log is paused until it is adopted or resumed")
				}
				return err
			})
		},
	}
	cmd.Flags().StringVar(&call.Reason, "reason", "", "`text` that says what happened")
	cmd.Flags().BoolVar(&ifLost, "if-lost", false, "do nothing where the state is whole")
	return cmd
}

func newWitnessAdopt(c *console) *cobra.Command {
	call := centre.WitnessCall{Do: "adopt"}
	cmd := &cobra.Command{
		Use:   "adopt DIR CHECKPOINT",
		Short: "go on with a paused log from a checkpoint that was cosigned",
		Long: `Go on with a paused log from a file with a checkpoint that bears the log's signature
and a cosignature of this witness. See recover about where to take it from.`,
		Example: `  vitrine witness adopt --help`,
		Args:    operands("DIR", "CHECKPOINT"),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if err := need(cmd, "reason"); err != nil {
				return err
			}
			if call.Checkpoint, err = readFile("checkpoint", args[1], 128<<10); err != nil {
				return err
			}
			return c.witnessCall(cmd, args[0], call)
		},
	}
	cmd.Flags().StringVar(&call.Reason, "reason", "", "`text` that says where it comes from")
	c.jsonFlag(cmd)
	return cmd
}
