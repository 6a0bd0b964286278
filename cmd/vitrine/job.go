package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"vitrine.example/digest"
	"vitrine.example/internal/centre"
	"vitrine.example/internal/farm"
	"vitrine.example/internal/rebuild"
)

func newJob(c *console) *cobra.Command {
	return group("job", "see and steer the rebuilds of a node", `  vitrine job list node`,
		newJobList(c), newJobShow(c), newJobLog(c), newJobAgain(c), newJobCancel(c), newJobPrioritise(c), newJobAck(c))
}

// jobRow is a rebuild as JSON: the state as a word.
type jobRow struct {
	farm.Row
	State string `json:"state"`
}

func jobRowOf(r *farm.Row) jobRow { return jobRow{*r, r.State.String()} }

// jobsListed is what `job list` says as JSON.
type jobsListed struct {
	Jobs   []jobRow       `json:"jobs"`
	Alerts []centre.Alert `json:"alerts"`
}

func newJobList(c *console) *cobra.Command {
	var before int64
	cmd := &cobra.Command{
		Use:     "list DIR",
		Short:   "list rebuilds, the newest first, with how far they are",
		Example: `  vitrine job list node`,
		Args:    operands("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.connect(cmd.Context(), args[0], func(h *centre.Handle) error {
				all, err := h.Jobs(cmd.Context(), before)
				if err != nil {
					return err
				}
				out := jobsListed{Jobs: []jobRow{}, Alerts: append([]centre.Alert{}, all.Alerts...)}
				for i := range all.Jobs {
					out.Jobs = append(out.Jobs, jobRowOf(&all.Jobs[i]))
				}
				return c.result(out, func() {
					for i := range all.Alerts {
						c.showAlert(&all.Alerts[i])
					}
					for i := range all.Jobs {
						r := &all.Jobs[i]
						c.printf("%-5d %-10s %-10s %s %s%s\n", r.ID, r.State, outcomeOf(r), oneLine(r.Product), oneLine(r.Version), jobDoing(r))
					}
				})
			})
		},
	}
	cmd.Flags().Int64Var(&before, "before", 0, "go on below this `id`")
	c.jsonFlag(cmd)
	return cmd
}

// jobStages says what a worker does in words.
var jobStages = map[string]string{
	rebuild.StageInputs: "taking the inputs", rebuild.StageRun: "building", rebuild.StageCompare: "comparing with what was shipped",
}

func outcomeOf(r *farm.Row) string {
	if r.Outcome == "" {
		return "-"
	}
	return string(r.Outcome)
}

// jobDoing says what is being done with a rebuild.
func jobDoing(r *farm.Row) string {
	switch r.State {
	case farm.Leased:
		p := r.Progress
		text := "  on " + oneLine(r.Worker)
		if doing := jobStages[p.Stage]; doing != "" {
			text += ": " + doing
		}
		if p.Total > 0 {
			text += fmt.Sprintf(" %d%%", 100*min(p.Done, p.Total)/p.Total)
		}
		return text
	case farm.Waiting:
		if r.Tries > 0 {
			return "  again after " + whenever(&r.Ready)
		}
	}
	return ""
}

func (c *console) showAlert(a *centre.Alert) {
	c.row("ALERT", fmt.Sprintf("%d: %s", a.Index, oneLine(centre.AlertText(a))))
}

// parseJob reads the number of a rebuild.
func parseJob(cmd *cobra.Command, s string) (int64, error) {
	id, err := strconv.ParseInt(s, 10, 64)
	if err != nil || id < 0 {
		return 0, usage(cmd, fmt.Errorf("ID %q: want a number, as vitrine job list shows it", s))
	}
	return id, nil
}

func jobError(err error) error {
	switch {
	case errors.Is(err, farm.ErrUnknown):
		return withHint(err, "see what there is with: vitrine job list DIR")
	case errors.Is(err, farm.ErrState):
		return no(err, "see how far it is with: vitrine job list DIR")
	}
	return err
}

func newJobShow(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use: "show DIR ID", Short: "show a rebuild with all its attempts", Example: `  vitrine job show node 1`, Args: operands("DIR", "ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := parseJob(cmd, args[1])
			if err != nil {
				return err
			}
			return c.connect(cmd.Context(), args[0], func(h *centre.Handle) error {
				x, err := h.Job(cmd.Context(), id)
				if err != nil {
					return jobError(err)
				}
				v := struct {
					*centre.Job
					State string `json:"state"`
				}{x, x.State.String()}
				return c.result(v, func() { c.showJob(x) })
			})
		},
	}
	c.jsonFlag(cmd)
	return cmd
}

func (c *console) showJob(x *centre.Job) {
	c.row("rebuild", fmt.Sprint(x.ID))
	c.row("product", oneLine(x.Product+" "+x.Version))
	c.row("release", x.Release.String())
	c.row("log", oneLine(x.Origin))
	c.row("state", x.State.String()+jobDoing(&x.Row))
	if x.Outcome != "" {
		c.row("outcome", string(x.Outcome))
	}
	c.digestRow("recipe", x.Recipe)
	c.digestRow("job", x.Job)
	for _, a := range x.Artifacts {
		c.row("artifact", fmt.Sprintf("%-10s %s", a.Outcome, oneLine(a.Name)))
	}
	for _, t := range x.Attempts {
		text := fmt.Sprintf("%d %s", t.N, t.Outcome)
		if t.Attempt.Reason != "" {
			text += " (" + string(t.Attempt.Reason) + ")"
		}
		if t.Worker != "" {
			text += fmt.Sprintf(", %s, in %s on %s", t.Attempt.Finished.Sub(t.Attempt.Started), t.Attempt.Engine, t.Worker)
		}
		if t.Attempt.Detail != "" {
			text += ": " + t.Attempt.Detail
		}
		c.row("attempt", oneLine(text))
	}
	if x.Explanation != nil {
		c.row("explained", x.Explanation.SHA256.String())
	}
	c.digestRow("statement", x.Statement)
	if x.Index >= 0 {
		c.row("index", fmt.Sprint(x.Index))
	}
	if x.Alert != nil {
		c.showAlert(x.Alert)
	}
}

// digestRow is row for a digest that may be absent.
func (c *console) digestRow(name string, d digest.Digest) {
	if !d.IsZero() {
		c.row(name, d.String())
	}
}

func newJobLog(c *console) *cobra.Command {
	var follow bool
	var attempt int64
	cmd := &cobra.Command{
		Use:   "log DIR ID",
		Short: "print what a build has said",
		Long: `Print what the newest attempt of a rebuild has said so far, or another one's. With -f
the log goes on as the build does, through later attempts, until the rebuild is decided.`,
		Example: `  vitrine job log node 1`,
		Args:    operands("DIR", "ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := parseJob(cmd, args[1])
			if err != nil {
				return err
			}
			return c.connect(cmd.Context(), args[0], func(h *centre.Handle) error {
				return jobError(c.jobLog(cmd.Context(), h, id, attempt, follow))
			})
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on while it is built")
	cmd.Flags().Int64Var(&attempt, "attempt", 0, "`number` of the attempt; default: the newest")
	return cmd
}

// logPause is how often a log that is followed is asked for.
const logPause = 300 * time.Millisecond

func (c *console) jobLog(ctx context.Context, h *centre.Handle, id, attempt int64, follow bool) error {
	for from := int64(0); ; {
		l, err := h.JobLog(ctx, id, attempt, from)
		if err != nil {
			return err
		}
		if attempt != l.Attempt && follow {
			c.say("attempt %d", l.Attempt)
		}
		attempt = l.Attempt
		if _, err := c.out.Write(l.Data); err != nil {
			return err
		}
		from += int64(len(l.Data))
		switch {
		case len(l.Data) > 0:
			continue
		case !follow:
			return nil
		case l.Running:
		case l.State >= farm.Decided:
			c.say("%s", l.State)
			return nil
		default: // this attempt has ended, and there will be another
			attempt, from = attempt+1, 0
			c.say("attempt %d", attempt)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(logPause):
		}
	}
}
