package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"vitrine.example/internal/centre"
	"vitrine.example/internal/witness/conformance"
	"vitrine.example/tlog"
)

// suite is a conformance suite of a role, and suiteTest a run of it.
type suite struct {
	role string
	logs func(seed string) ([]conformance.Log, error)
	run  func(context.Context, conformance.Target) (conformance.Report, error)
	add  func(context.Context, *centre.Handle, conformance.Log) error
	keys func(centre.Info) []string
}

type suiteTest struct {
	suite
	url, monitoring, seed, addTo string
	vkeys                        []string
}

const suiteNote = "conformance suite"

func newWitnessTest(c *console) *cobra.Command {
	return newSuiteTest(c, suite{
		role: "witness", logs: conformance.Logs, run: conformance.Run,
		add: func(ctx context.Context, h *centre.Handle, l conformance.Log) error {
			_, err := h.Witness(ctx, centre.WitnessCall{Do: "add", Log: centre.WitnessLog{Origin: l.Origin, Keys: vkeysOf(l), Note: suiteNote}})
			return err
		},
		keys: func(i centre.Info) []string { return i.Witness },
	})
}

func newMirrorTest(c *console) *cobra.Command {
	return newSuiteTest(c, suite{
		role: "mirror", logs: conformance.MirrorLogs, run: conformance.RunMirror,
		add: func(ctx context.Context, h *centre.Handle, l conformance.Log) error {
			_, err := h.Mirror(ctx, centre.MirrorAsk{Do: "add", Origin: l.Origin, Keys: vkeysOf(l), Note: suiteNote})
			return err
		},
		keys: func(i centre.Info) []string { return i.Mirror },
	})
}

func vkeysOf(l conformance.Log) (out []string) {
	for _, k := range l.Keys {
		out = append(out, k.String())
	}
	return out
}

func newSuiteTest(c *console, s suite) *cobra.Command {
	t := &suiteTest{suite: s}
	cmd := &cobra.Command{
		Use:   "test URL",
		Short: "check any " + s.role + " against C2SP tlog-" + s.role,
		Long: fmt.Sprintf(`Check the %[1]s at a submission prefix against every MUST and SHOULD of C2SP
tlog-%[1]s. The %[1]s must know the logs that are played: without --seed they
are made and printed; configure the %[1]s with them, and run the command that is
printed. A seed is spent by one run. Exits 1 where a check fails.`, s.role),
		Example: fmt.Sprintf(`  vitrine %[1]s test https://%[1]s.example/`, s.role),
		Args:    operands("URL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			t.url = args[0]
			return t.play(cmd.Context(), c)
		},
	}
	cmd.Flags().StringArrayVar(&t.vkeys, "vkey", nil, "verifier `key` of the "+s.role+"; may be given several times")
	cmd.Flags().StringVar(&t.monitoring, "monitoring", "", "monitoring prefix, where it is another `URL`")
	cmd.Flags().StringVar(&t.seed, "seed", "", "`word` that the configured logs were made from")
	cmd.Flags().StringVar(&t.addTo, "add-logs", "", "`directory` of the own node, which is given the logs, for ever")
	c.jsonFlag(cmd)
	return cmd
}

func (t *suiteTest) play(ctx context.Context, c *console) error {
	if t.seed == "" {
		t.seed = conformance.NewSeed()
		logs, err := t.logs(t.seed)
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
	r, err := t.run(ctx, conformance.Target{URL: t.url, Monitoring: t.monitoring, Keys: keys, Seed: t.seed})
	if err != nil {
		return err
	}
	if err := c.result(r, func() { _ = r.WriteTable(c.out) }); err != nil {
		return err
	}
	if n := len(r.Failed()); n > 0 {
		return no(fmt.Errorf("the %s fails %s", t.role, plural(int64(n), "check", "checks")), "each failed check says what it saw")
	}
	return nil
}

// addLogs gives the logs to the own node, and takes its keys.
func (t *suiteTest) addLogs(ctx context.Context, c *console, logs []conformance.Log) error {
	return c.connect(ctx, t.addTo, func(h *centre.Handle) error {
		for _, l := range logs {
			if err := t.add(ctx, h, l); err != nil {
				return err
			}
		}
		if t.vkeys == nil {
			t.vkeys = t.keys(h.Info())
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
		out.Logs = append(out.Logs, centre.WitnessLog{Origin: l.Origin, Keys: vkeysOf(l)})
	}
	return out
}

// showLogsToAdd prints a log list; what a list cannot say stands in comments.
func (c *console) showLogsToAdd(t *suiteTest, logs []conformance.Log) {
	c.printf("logs/v0\n")
	for _, l := range logs {
		c.printf("vkey %s\norigin %s\nqpd 1000000\ncontact conformance suite\n", l.Keys[0], l.Origin)
		for _, k := range l.Keys[1:] {
			c.printf("# that log has a second key: %s\n", k)
		}
	}
	c.say("configure the %[1]s with these logs, then run: vitrine %[1]s test %[2]s --seed %[3]s --vkey …", t.role, oneLine(t.url), t.seed)
}
