package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"vitrine.example/digest"
	"vitrine.example/internal/centre"
	"vitrine.example/internal/gossip"
	"vitrine.example/tlog"
)

// exampleFork is the digest of the evidence that examples name.
const exampleFork = "c49927cd90c1d35e0f46a67d6d7ffac03d0fe5ab93d3fca8c8d2516d975a496b"

func newFork(c *console) *cobra.Command {
	return group("fork", "see and accept evidence that logs have signed two histories", `  vitrine fork list node`,
		newForkList(c), newForkShow(c), newForkAccept(c), newForkAdd(c))
}

func newForkList(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use: "list DIR", Short: "list the evidence that a node keeps", Example: `  vitrine fork list node`, Args: operands("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.connect(cmd.Context(), args[0], func(h *centre.Handle) error {
				all, err := h.Forks(cmd.Context())
				if err != nil {
					return err
				}
				return c.result(append([]centre.Fork{}, all...), func() {
					for _, f := range all {
						c.printf("%-8s %s  %s  %s\n", forkState(&f), whenever(&f.Found), f.Digest, oneLine(f.Origin))
					}
				})
			})
		},
	}
	c.jsonFlag(cmd)
	return cmd
}

func forkState(f *centre.Fork) string {
	if f.Accepted == nil {
		return "OPEN"
	}
	return "accepted"
}

// forkShown is what `fork show` says, and its JSON.
type forkShown struct {
	*centre.Fork
	Evidence *forkReport `json:"evidence"`
}

func newForkShow(c *console) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "show DIR DIGEST",
		Short: "say what a piece of evidence shows, and write it to a file",
		Long: `Say what a piece of evidence shows. The node verified it with the keys that it has
of the log before it was kept; with -o it is written to a file, to be checked by
anyone with vitrine log verify-fork.`,
		Example: `  vitrine fork show node ` + exampleFork + ` -o found.fork`,
		Args:    operands("DIR", "DIGEST"),
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := parseForkDigest(cmd, args[1])
			if err != nil {
				return err
			}
			return c.connect(cmd.Context(), args[0], func(h *centre.Handle) error { return c.showKept(cmd, h, d, out) })
		},
	}
	cmd.Flags().StringVarP(&out, "out", "o", "", "`file` to write the evidence to")
	c.jsonFlag(cmd)
	return cmd
}

// parseForkDigest reads a digest as policies and pages write it, or without "sha256:".
func parseForkDigest(cmd *cobra.Command, s string) (digest.Digest, error) {
	d, err := digest.Parse(strings.TrimPrefix(s, "sha256:"))
	if err != nil {
		return d, usage(cmd, fmt.Errorf("DIGEST: %w", err))
	}
	return d, nil
}

func (c *console) showKept(cmd *cobra.Command, h *centre.Handle, d digest.Digest, out string) error {
	all, err := h.Forks(cmd.Context())
	if err != nil {
		return err
	}
	text, err := h.ForkEvidence(cmd.Context(), d)
	if err != nil {
		return forkError(err)
	}
	f, err := tlog.ParseFork(text)
	if err != nil {
		return err
	}
	r := reportFork(f)
	r.Holds = true // or it would not be kept
	s := forkShown{Evidence: r}
	for i := range all {
		if all[i].Digest == d {
			s.Fork = &all[i]
		}
	}
	if out != "" {
		if err := c.output(out, text, false); err != nil {
			return err
		}
	}
	return c.result(s, func() {
		c.showFork(r)
		if s.Fork == nil {
			return
		}
		c.row("found", whenever(&s.Found))
		if s.Accepted == nil {
			c.row("accepted", "no: the log is not cosigned here")
		} else {
			c.row("accepted", whenever(s.Accepted)+", because: "+oneLine(s.Reason))
		}
	})
}

func forkError(err error) error {
	if errors.Is(err, gossip.ErrNone) {
		return withHint(err, "see what there is with: vitrine fork list DIR")
	}
	return err
}

// forkAccepted is what `fork accept` says as JSON.
type forkAccepted struct {
	Digest    digest.Digest `json:"digest"`
	Statement digest.Digest `json:"statement"`
	Index     int64         `json:"index"`
}

func newForkAccept(c *console) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:   "accept DIR DIGEST",
		Short: "go on with a log although it has signed two histories",
		Long: `Say in the node's own log, for everyone and for ever, that you have seen a piece of
evidence and why you go on with that log. When it is published, the node's witness
cosigns the log again, unless other evidence about it is open. Others decide for
themselves: policies name what they accept in accept-forks.`,
		Example: `  vitrine fork accept --reason "restored from a backup; explained by telephone" node ` + exampleFork,
		Args:    operands("DIR", "DIGEST"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := need(cmd, "reason"); err != nil {
				return err
			}
			d, err := parseForkDigest(cmd, args[1])
			if err != nil {
				return err
			}
			return c.connect(cmd.Context(), args[0], func(h *centre.Handle) error {
				s, index, err := h.AcceptFork(cmd.Context(), d, reason)
				if err != nil {
					return forkError(err)
				}
				return c.result(forkAccepted{d, s, index}, func() {
					c.row("accepted", d.String())
					c.row("statement", s.String())
					c.row("index", fmt.Sprint(index))
				})
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "`text` that says why, at most 200 characters; it is public")
	c.jsonFlag(cmd)
	return cmd
}

func newForkAdd(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "add DIR FILE",
		Short: "keep evidence that was found elsewhere, and pass it on",
		Long: `Keep evidence from a file, such as vitrine verify --evidence writes it. It is verified
with the keys that the node has of the log, and sent to every member of the circle.`,
		Example: `  vitrine fork add node evidence.fork`,
		Args:    operands("DIR", "FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := readFile("fork evidence", args[1], tlog.MaxFork)
			if err != nil {
				return err
			}
			return c.connect(cmd.Context(), args[0], func(h *centre.Handle) error {
				f, err := h.KeepFork(cmd.Context(), text)
				if errors.Is(err, gossip.ErrUnknown) {
					return withHint(err, "tell the witness of the log with its key: vitrine witness add DIR --vkey KEY")
				}
				if err != nil {
					return err
				}
				return c.result(f, func() {
					c.row(strings.ToLower(forkState(f)), f.Digest.String())
					c.row("log", oneLine(f.Origin))
				})
			})
		},
	}
	c.jsonFlag(cmd)
	return cmd
}
