package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"vitrine.example/internal/artifact"
)

func newExplain(c *console) *cobra.Command {
	var o artifact.Options
	var html string
	var all bool
	var within time.Duration
	cmd := &cobra.Command{
		Use:   "explain SHIPPED REBUILT",
		Short: "compare a shipped file with a rebuilt one, and explain the difference",
		Long: `Compare two files or directories: what shipped, and what was rebuilt. Looks into
compressed streams, tar, zip and jar, npm and Go module archives, deb, rpm, apk, ar,
executables and text. Each cause of a difference is proved: applied to the rebuilt
file it gives the shipped bytes. What is explained so is harmless; what remains is
shown, in one screen unless --all, --json or --html is given.

Exits 0 where the two are identical or explained, 1 where they are different, 2 where
it could not be decided.`,
		Example: `  vitrine explain shipped.tar.gz rebuilt.tar.gz`,
		Args:    operands("SHIPPED", "REBUILT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			if within > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeoutCause(ctx, within, errors.New("--timeout is over"))
				defer cancel()
			}
			r, err := artifact.Compare(ctx, args[0], args[1], o)
			if err != nil {
				return explainError(ctx, err)
			}
			return c.explained(r, html, all)
		},
	}
	f := cmd.Flags()
	f.StringVar(&html, "html", "", "write a page of its own into `file`; must not be there")
	f.BoolVar(&all, "all", false, "print everything, not one screen")
	f.IntVar(&o.Archive.Members, "max-members", 0, "members of an archive, or files of a tree, at most (default 200000)")
	f.Int64Var(&o.Archive.Inflate, "max-inflate", 0, "`bytes` out of one compressed stream, at most (default 16 GiB)")
	f.Int64Var(&o.Spool, "max-spool", 0, "`bytes` of members unpacked to look into, at most (default 8 GiB)")
	f.DurationVar(&within, "timeout", 0, "give up after this `time`; 0: never")
	c.jsonFlag(cmd)
	return cmd
}

// explained shows a report and gives the answer.
func (c *console) explained(r *artifact.Report, html string, all bool) error {
	if html != "" {
		var page bytes.Buffer
		if err := r.HTML(&page); err != nil {
			return err
		}
		if err := c.output(html, page.Bytes(), false); err != nil {
			return err
		}
	}
	var failed error
	err := c.result(r, func() { failed = r.Text(c.out, all) })
	if err = errors.Join(err, failed); err != nil {
		return err
	}
	if r.Verdict == artifact.Different {
		return no(errors.New("the rebuilt file is different from the shipped one"), "what differs stands above; the whole of it: --json, or --html FILE")
	}
	return nil
}

func explainError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, artifact.ErrKind):
		return withHint(err, "give two files, or two directories")
	}
	return withHint(fmt.Errorf("comparing: %w", err), "nothing was decided; mend what could not be read, or allow more (see: vitrine explain --help)")
}
