package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"vitrine.example/internal/centre"
	"vitrine.example/internal/witness"
	"vitrine.example/internal/witness/conformance"
	"vitrine.example/tlog"
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

// witnessTest is a run of the conformance suite.
type witnessTest struct {
	url, seed, addTo string
	vkeys            []string
}

func newWitnessTest(c *console) *cobra.Command {
	t := &witnessTest{}
	cmd := &cobra.Command{
		Use:   "test URL",
		Short: "check any witness against C2SP tlog-witness",
		Long: `Check the witness at a submission prefix against every MUST and SHOULD of C2SP
tlog-witness. The witness must know the logs that are played: without --seed they
are made and printed; configure the witness with them, and run the command that is
printed. A seed is spent by one run. Exits 1 where a check fails.`,
		Example: `  vitrine witness test https://witness.example/`,
		Args:    operands("URL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			t.url = args[0]
			return t.run(cmd.Context(), c)
		},
	}
	cmd.Flags().StringArrayVar(&t.vkeys, "vkey", nil, "verifier `key` of the witness; may be given several times")
	cmd.Flags().StringVar(&t.seed, "seed", "", "`word` that the configured logs were made from")
	cmd.Flags().StringVar(&t.addTo, "add-logs", "", "`directory` of the own node, which is given the logs, for ever")
	c.jsonFlag(cmd)
	return cmd
}

func (t *witnessTest) run(ctx context.Context, c *console) error {
	if t.seed == "" {
		t.seed = conformance.NewSeed()
		logs, err := conformance.Logs(t.seed)
		if err != nil {
			return err
		}
		if t.addTo == "" {
			return c.result(logsToAdd(t.seed, logs), func() { c.showLogsToAdd(t, logs) })
		}
		if err := t.addLogs(ctx, c, logs); err != nil {
			return err
		}
	}
	var keys []tlog.Verifier
	for _, k := range t.vkeys {
		v, err := tlog.ParseVerifier(k)
		if err != nil {
			return fmt.Errorf("--vkey: %w", err)
		}
		keys = append(keys, v)
	}
	r, err := conformance.Run(ctx, conformance.Target{URL: t.url, Keys: keys, Seed: t.seed})
	if err != nil {
		return err
	}
	if err := c.result(r, func() { _ = r.WriteTable(c.out) }); err != nil {
		return err
	}
	if n := len(r.Failed()); n > 0 {
		return no(fmt.Errorf("the witness fails %s", plural(int64(n), "check", "checks")), "each failed check says what it saw")
	}
	return nil
}

// addLogs gives the logs to the own witness, and takes its keys.
func (t *witnessTest) addLogs(ctx context.Context, c *console, logs []conformance.Log) error {
	return c.connect(ctx, t.addTo, func(h *centre.Handle) error {
		for _, l := range logs {
			add := centre.WitnessLog{Origin: l.Origin, Note: "conformance suite"}
			for _, k := range l.Keys {
				add.Keys = append(add.Keys, k.String())
			}
			if _, err := h.Witness(ctx, centre.WitnessCall{Do: "add", Log: add}); err != nil {
				return err
			}
		}
		if t.vkeys == nil {
			t.vkeys = h.Info().Witness
		}
		return nil
	})
}

type suiteLogs struct {
	Seed string              `json:"seed"`
	Logs []centre.WitnessLog `json:"logs"`
}

func logsToAdd(seed string, logs []conformance.Log) suiteLogs {
	out := suiteLogs{Seed: seed}
	for _, l := range logs {
		w := centre.WitnessLog{Origin: l.Origin}
		for _, k := range l.Keys {
			w.Keys = append(w.Keys, k.String())
		}
		out.Logs = append(out.Logs, w)
	}
	return out
}

// showLogsToAdd prints a log list; what a list cannot say stands in comments.
func (c *console) showLogsToAdd(t *witnessTest, logs []conformance.Log) {
	c.printf("logs/v0\n")
	for _, l := range logs {
		c.printf("vkey %s\norigin %s\nqpd 1000000\ncontact conformance suite\n", l.Keys[0], l.Origin)
		for _, k := range l.Keys[1:] {
			c.printf("# that log has a second key: %s\n", k)
		}
	}
	c.say("configure the witness with these logs, then run: vitrine witness test %s --seed %s --vkey …", oneLine(t.url), t.seed)
}
