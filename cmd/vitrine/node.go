package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"vitrine.example/internal/centre"
)

// connect reaches the node in dir, calls f, and lets go of the node.
func (c *console) connect(ctx context.Context, dir string, f func(*centre.Handle) error) error {
	h, err := centre.Connect(ctx, dir, c.logger())
	if err != nil {
		return nodeError(dir, err)
	}
	err = f(h)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closing)
	defer cancel()
	return errors.Join(err, h.Close(ctx))
}

// nodeError says what to do where dir is no node.
func nodeError(dir string, err error) error {
	if _, e := os.Stat(filepath.Join(dir, "vitrine.toml")); errors.Is(e, fs.ErrNotExist) {
		return withHint(fmt.Errorf("opening node %s: there is no vitrine.toml: %w", dir, fs.ErrNotExist),
			"make a node with: vitrine init %s --url https://…", dir)
	}
	return err
}

func newStatus(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "status DIR",
		Short:   "show what a node is and how far its log has come",
		Example: `  vitrine status node`,
		Args:    operands("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.connect(cmd.Context(), args[0], func(h *centre.Handle) error {
				s, err := h.Status(cmd.Context())
				if err != nil {
					return err
				}
				return c.result(s, func() { c.showStatus(s) })
			})
		},
	}
	c.jsonFlag(cmd)
	return cmd
}

func (c *console) showStatus(s *centre.Status) {
	c.row("name", oneLine(s.Info.Name))
	c.row("url", s.Info.URL)
	c.row("served", map[bool]string{true: "yes", false: "no"}[s.Served])
	c.showLog(s)
	c.row("content", plural(s.Content, "file", "files"))
	if w := s.Witness; w != nil {
		c.row("witness", fmt.Sprintf("%s, %s, %d held", w.Name, plural(w.Logs, "log", "logs"), w.Held))
		if w.Lost != "" {
			c.row("LOST", oneLine(w.Lost))
		}
	}
	for _, f := range s.Forks {
		c.row("FORK", oneLine(f.Origin)+" has signed two histories: "+f.Digest.String())
	}
	for i := range s.Alerts {
		c.showAlert(&s.Alerts[i])
	}
	for _, t := range s.Troubles {
		c.row("trouble", oneLine(strings.TrimSpace(t.Peer+" "+t.Log)+": since "+whenever(&t.Since)+": "+t.Error))
	}
	for _, h := range s.Holdings {
		text := fmt.Sprintf("%s: %d of %s, %d withheld", h.Origin, h.Held, plural(h.Statements, "statement", "statements"), h.Withheld)
		if h.Problem != "" {
			text += ": " + h.Problem
		}
		c.row("holds", oneLine(text))
	}
	for _, v := range s.Info.Log {
		c.row("log key", v)
	}
	c.row("software", s.Info.Software)
}

func (c *console) showLog(s *centre.Status) {
	c.row("origin", s.Ledger.Origin)
	c.row("published", plural(s.Ledger.Published, "entry", "entries"))
	if n := s.Ledger.Sequenced - s.Ledger.Published; n > 0 {
		c.row("waiting", plural(n, "entry", "entries"))
	}
	if u := s.Ledger.Unconfirmed; u != "" {
		c.row("takes none", oneLine(u))
	}
	if a := s.Ledger.Awaiting; a != "" {
		c.row("awaiting", oneLine(a))
	} else if s.Closed != "" {
		c.row("closed", oneLine(s.Closed))
	}
	for _, w := range s.Witnesses {
		c.showWitness(w.Names, w.Size, w.Error, w.Since)
	}
	if !s.Ledger.At.IsZero() {
		c.row("checkpoint", s.Ledger.At.UTC().Format("2006-01-02 15:04:05 MST"))
	}
}

// showWitness prints how a witness of the log does.
func (c *console) showWitness(names []string, size int64, problem string, since time.Time) {
	text := strings.Join(names, ", ") + ": cosigned " + plural(size, "entry", "entries")
	if problem != "" {
		text = strings.Join(names, ", ") + ": since " + since.UTC().Format("2006-01-02 15:04:05 MST") + ": " + problem
	}
	c.row("witness", oneLine(text))
}

// row prints a name and a value of a result.
func (c *console) row(name, value string) { c.printf("%-11s %s\n", name, value) }

func newDoctor(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "doctor DIR",
		Short: "examine a node and say how to mend it",
		Long: `Examine a node: configuration, keys and their modes, clock, disk, database,
log, content and listeners. Nothing is changed. Exits 1 where something is wrong.`,
		Example: `  vitrine doctor node`,
		Args:    operands("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := os.Stat(args[0]); err != nil {
				return nodeError(args[0], err)
			}
			found := centre.Doctor(cmd.Context(), args[0])
			bad := int64(0)
			for _, f := range found {
				if !f.OK {
					bad++
				}
			}
			if err := c.result(found, func() { c.showFindings(found) }); err != nil {
				return err
			}
			if bad > 0 {
				return no(fmt.Errorf("%s of %d found something wrong", plural(bad, "check", "checks"), len(found)), "mend what is marked, then run doctor again")
			}
			return nil
		},
	}
	c.jsonFlag(cmd)
	return cmd
}

func (c *console) showFindings(found []centre.Finding) {
	for _, f := range found {
		mark := "ok"
		if !f.OK {
			mark = "BAD"
		}
		c.printf("%-4s %-14s %s\n", mark, f.Check, oneLine(f.Detail))
		if f.Remedy != "" {
			c.printf("%-4s %-14s to mend: %s\n", "", "", oneLine(f.Remedy))
		}
	}
}
