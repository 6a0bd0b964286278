package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"vitrine.example/digest"
	"vitrine.example/internal/centre"
	"vitrine.example/internal/projection"
	"vitrine.example/statement"
)

// releaseRow is a release as `vitrine release list --json` prints it, with the
// names that the API of a node gives (docs/spec/node.md).
type releaseRow struct {
	Statement digest.Digest  `json:"statement"`
	Index     int64          `json:"index"`
	Product   string         `json:"product"`
	Version   string         `json:"version"`
	Channel   string         `json:"channel,omitempty"`
	Seq       int64          `json:"seq,omitzero"`
	Previous  *digest.Digest `json:"previous,omitempty"`
	Published time.Time      `json:"published"`
	Files     int            `json:"files"`
	Bytes     int64          `json:"bytes"`
}

// releaseDetail is what `vitrine release show --json` prints.
type releaseDetail struct {
	releaseRow
	Key       digest.Digest        `json:"key"`
	Notes     string               `json:"notes,omitempty"`
	Artifacts []statement.Artifact `json:"artifacts"`
	Source    *statement.Source    `json:"source,omitempty"`
}

func rowOf(r *projection.Release) releaseRow {
	return releaseRow{
		Statement: r.Statement, Index: r.Index, Product: r.Product, Version: r.Version, Channel: r.Channel,
		Seq: r.Seq, Previous: r.Previous, Published: r.Release.Published, Files: r.Count, Bytes: r.Bytes,
	}
}

func newReleaseList(c *console) *cobra.Command {
	var f projection.Filter
	var most int
	cmd := &cobra.Command{
		Use:     "list DIR",
		Short:   "list what was released, the newest first",
		Example: `  vitrine release list node --product pkg:generic/app`,
		Args:    operands("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if most < 1 {
				return usage(cmd, fmt.Errorf("--most %d: want at least 1", most))
			}
			return c.connect(cmd.Context(), args[0], func(h *centre.Handle) error {
				rows, more, err := listReleases(cmd, h, f, most)
				if err != nil {
					return err
				}
				return c.result(struct {
					Releases []releaseRow `json:"releases"`
					More     bool         `json:"more"`
				}{rows, more}, func() { c.showReleases(rows, more) })
			})
		},
	}
	cmd.Flags().StringVar(&f.Product, "product", "", "only of this product (`purl` without version)")
	cmd.Flags().StringVar(&f.Channel, "channel", "", "only on this `channel`")
	cmd.Flags().IntVar(&most, "most", 50, "`number` of releases to list")
	c.jsonFlag(cmd)
	return cmd
}

// listReleases asks for one page after the other.
func listReleases(cmd *cobra.Command, h *centre.Handle, f projection.Filter, most int) (rows []releaseRow, more bool, err error) {
	rows = []releaseRow{}
	for {
		f.Limit = min(most+1-len(rows), projection.MaxRows)
		page, err := h.Releases(cmd.Context(), f)
		if err != nil {
			return nil, false, err
		}
		for i := range page {
			if len(rows) == most {
				return rows, true, nil
			}
			rows = append(rows, rowOf(&page[i]))
		}
		if len(page) < f.Limit || page[len(page)-1].Index == 0 {
			return rows, false, nil
		}
		f.Before = page[len(page)-1].Index
	}
}

func (c *console) showReleases(rows []releaseRow, more bool) {
	width := [3]int{}
	for _, r := range rows {
		for i, s := range []string{r.Product, r.Version, channelOf(r)} {
			width[i] = max(width[i], len(s))
		}
	}
	for _, r := range rows {
		c.printf("%s  %-*s  %-*s  %-*s  %s\n", r.Published.UTC().Format("2006-01-02 15:04"),
			width[0], r.Product, width[1], oneLine(r.Version), width[2], channelOf(r), r.Statement)
	}
	switch {
	case len(rows) == 0:
		c.say("no release was found")
	case more:
		c.say("there are older ones; see them with --most")
	}
}

func channelOf(r releaseRow) string {
	if r.Channel == "" {
		return ""
	}
	return fmt.Sprintf("%s #%d", r.Channel, r.Seq)
}

func newReleaseShow(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show DIR STATEMENT",
		Short: "show a release",
		Long: `Show a release by the digest of its statement, as release publish and release
list print it.`,
		Example: `  vitrine release show node "$(vitrine release list node | awk '{print $NF; exit}')"`,
		Args:    operands("DIR", "STATEMENT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.connect(cmd.Context(), args[0], func(h *centre.Handle) error {
				d, err := digest.Parse(args[1])
				if err != nil {
					return usage(cmd, fmt.Errorf("STATEMENT: %w", err))
				}
				r, err := h.Release(cmd.Context(), d)
				if errors.Is(err, projection.ErrUnknown) {
					return withHint(fmt.Errorf("%s holds no release with the statement %s", args[0], d), "see: vitrine release list %s", args[0])
				} else if err != nil {
					return err
				}
				out := releaseDetail{rowOf(r), r.Key, r.Notes, r.Artifacts, r.Source}
				return c.result(out, func() { c.showRelease(&out) })
			})
		},
	}
	c.jsonFlag(cmd)
	return cmd
}

func (c *console) showRelease(r *releaseDetail) {
	c.row("product", r.Product)
	c.row("version", oneLine(r.Version))
	if r.Channel != "" {
		c.row("channel", fmt.Sprintf("%s, number %d", r.Channel, r.Seq))
	}
	if r.Previous != nil {
		c.row("previous", r.Previous.String())
	}
	c.row("published", r.Published.UTC().Format("2006-01-02 15:04:05 MST"))
	if r.Notes != "" {
		c.row("notes", oneLine(r.Notes))
	}
	c.row("statement", r.Statement.String())
	c.row("signed with", r.Key.String())
	c.row("index", fmt.Sprint(r.Index))
	for _, a := range r.Artifacts {
		c.row("artifact", fmt.Sprintf("%s  %s  %s", a.SHA256, oneLine(a.Name), size(a.Size)))
		if a.SBOM != nil {
			c.row("  sbom", fmt.Sprintf("%s  %s", a.SBOM.SHA256, size(a.SBOM.Size)))
		}
	}
	if s := r.Source; s != nil {
		c.row("source", strings.Join([]string{s.SHA256.String(), s.Kind, "access " + s.Access, size(s.Size)}, "  "))
		if s.Commit != "" {
			c.row("  commit", s.Commit)
		}
		if s.URI != "" {
			c.row("  uri", oneLine(s.URI))
		}
	}
}
