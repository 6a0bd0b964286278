package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"vitrine.example/internal/centre"
	"vitrine.example/tlog"
)

func newLogExport(c *console) *cobra.Command {
	var file string
	var o centre.ExportOptions
	cmd := &cobra.Command{
		Use:   "export DIR --zip FILE",
		Short: "write the log into an archive that opens offline",
		Long: `Write checkpoint, tiles and entries of a node's published log into a zip archive,
under their names of C2SP tlog-tiles. The node may be served meanwhile. The
archive is a source for vitrine log restore, and vitrine log import brings it
to a mirror without a network.`,
		Example: `  vitrine log export node --content --zip log.zip`,
		Args:    operands("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := need(cmd, "zip"); err != nil {
				return err
			}
			if o.Since < 0 {
				return usage(cmd, errors.New("--since: want a number from 0 on"))
			}
			n, err := centre.ExportLog(cmd.Context(), args[0], file, o)
			if err != nil {
				return nodeError(args[0], err)
			}
			return c.result(map[string]int64{"entries": n, "since": o.Since}, func() { c.row("entries", fmt.Sprint(n)) })
		},
	}
	f := cmd.Flags()
	f.StringVar(&file, "zip", "", "`file` to write; must not be there")
	f.Int64Var(&o.Since, "since", 0, "only what follows a tree of this `size`")
	f.BoolVar(&o.Content, "content", false, "the public statements behind its entries as well")
	c.jsonFlag(cmd)
	return cmd
}

func newLogVerifyArchive(c *console) *cobra.Command {
	var vkey, policy string
	cmd := &cobra.Command{
		Use:   "verify-archive FILE --vkey KEY",
		Short: "verify an archive of a log as a whole, offline",
		Long: `Verify every entry and tile of an archive up to the root that the log's key has
signed, and each statement in it against its entry. No network is used. With
--policy (C2SP tlog-policy) its checkpoint must have the cosignatures as well.

Exits 0 where all is right, 1 where it is not.`,
		Example: `  vitrine log verify-archive kept.zip --vkey "$(cat node.vkey)"`,
		Args:    operands("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := need(cmd, "vkey"); err != nil {
				return err
			}
			v, err := tlog.ParseVerifier(strings.TrimSpace(vkey))
			if err != nil {
				return usage(cmd, fmt.Errorf("--vkey: %w", err))
			}
			var p *tlog.Policy
			if policy != "" {
				raw, err := readFile("policy", policy, tlog.MaxPolicy)
				if err == nil {
					p, err = tlog.ParsePolicy(raw)
				}
				if err != nil {
					return withHint(err, "a policy of witnesses, as C2SP tlog-policy has it")
				}
			}
			bar := c.progress()
			r, err := centre.VerifyArchive(cmd.Context(), args[0], v, p, func(done, total int64) { bar.at(stageCheck, done, total) })
			bar.end()
			if err != nil {
				if cmd.Context().Err() != nil {
					return err
				}
				return no(err, "take another copy of the archive; where all are so, ask the log's owner")
			}
			return c.result(r, func() { c.showArchive(r) })
		},
	}
	f := cmd.Flags()
	f.StringVar(&vkey, "vkey", "", "verifier `key` of the log")
	f.StringVar(&policy, "policy", "", "policy `file` whose quorum the checkpoint must have")
	c.jsonFlag(cmd)
	return cmd
}

func (c *console) showArchive(r *centre.ArchiveReport) {
	c.row("origin", oneLine(r.Origin))
	c.row("entries", fmt.Sprint(r.Size))
	c.row("root", r.Root)
	if r.Since > 0 {
		c.row("follows", fmt.Sprintf("%d entries, root %s", r.Since, r.SinceRoot))
	}
	c.row("files", fmt.Sprint(r.Files))
	c.row("statements", fmt.Sprint(r.Statements))
	if len(r.Cosigned) > 0 {
		c.row("cosigned by", oneLine(strings.Join(r.Cosigned, ", ")))
	}
}

func newLogImport(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import FILE DIR",
		Short: "bring the archive of another's log into the mirror",
		Long: `Bring an archive of another organisation's log into the mirror of a node that
cannot be reached over a network, as if the log had pushed it there. The mirror
must know the log (vitrine mirror add); what is not proven is refused. Archives
that follow one another are imported in their order. Statements in it are not kept.`,
		Example: `  vitrine log import other.zip node`,
		Args:    operands("FILE", "DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := filepath.Abs(args[0])
			if err != nil {
				return err
			}
			return c.connect(cmd.Context(), args[1], func(h *centre.Handle) error {
				a, err := h.Mirror(cmd.Context(), centre.MirrorAsk{Do: "import", URL: path})
				if err != nil {
					return err
				}
				return c.result(a, func() {
					for _, l := range a.Logs {
						c.row("origin", oneLine(l.Origin))
						c.row("entries", fmt.Sprint(l.Size))
					}
				})
			})
		},
	}
	c.jsonFlag(cmd)
	return cmd
}
