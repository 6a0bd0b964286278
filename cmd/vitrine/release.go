package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"vitrine.example/digest"
	"vitrine.example/internal/centre"
	"vitrine.example/internal/content"
	"vitrine.example/internal/release"
	"vitrine.example/proof"
	"vitrine.example/tlog"
)

func newRelease(c *console) *cobra.Command {
	return group("release", "publish releases, and see what was published",
		`  vitrine release publish --product pkg:generic/app@1.0 --artifact app.tar.gz node`,
		newPublish(c), newReleaseList(c), newReleaseShow(c))
}

// publishFlags are the flags of `vitrine release publish` that need reading.
type publishFlags struct {
	release.Request
	access, previous string
	bundleDir        string
}

func newPublish(c *console) *cobra.Command {
	var p publishFlags
	cmd := &cobra.Command{
		Use:   "publish [flags] --product PURL --artifact FILE… DIR",
		Short: "sign and log a release, and write a bundle beside each artifact",
		Long: `Sign a release, log it, and write FILE.vitrine beside each artifact.

When it returns, the release is in the log for good. Interrupted, it continues
where it was; run again, it returns the first index.`,
		Example: `  vitrine release publish --product pkg:generic/app@1.0 --artifact app.tar.gz node`,
		Args:    operands("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := need(cmd, "product", "artifact"); err != nil {
				return err
			}
			if err := p.read(cmd); err != nil {
				return err
			}
			return c.publish(cmd, args[0], &p)
		},
	}
	f := cmd.Flags()
	f.StringVar(&p.Product, "product", "", "package URL of the product (`purl`), with or without version")
	f.StringVar(&p.Version, "version", "", "`version`, where the package URL has none")
	f.StringArrayVar(&p.Artifacts, "artifact", nil, "shipped `file`; may be repeated")
	f.StringVar(&p.Source, "source", "", "`path` of the git repository, directory or tar file it was made from")
	f.StringVar(&p.Kind, "source-kind", "", "`kind` of the source: git, directory or archive; default: found out")
	f.StringVar(&p.access, "source-access", "", "`class` of the source: public, circle or room (the default)")
	f.StringVar(&p.SourceURI, "source-uri", "", "`URI` of where the source is kept")
	f.StringVar(&p.Recipe, "recipe", "", "build `file`; default: vitrine.recipe.toml of the source")
	f.StringVar(&p.Notes, "notes", "", "`URL` of the release notes")
	f.StringVar(&p.Channel, "channel", "", "`channel` of updates")
	f.Int64Var(&p.Seq, "seq", 0, "`number` on the channel; default: the next")
	f.StringVar(&p.previous, "previous", "", "`digest` of the statement before; default: the newest")
	f.StringVar(&p.bundleDir, "bundle-dir", "", "write bundles into this `directory` instead")
	choices(cmd, "source-kind", "git", "directory", "archive")
	choices(cmd, "source-access", "public", "circle", "room")
	c.jsonFlag(cmd)
	return cmd
}

// read checks the flags that are more than text.
func (p *publishFlags) read(cmd *cobra.Command) error {
	p.Access = content.Class(p.access)
	switch p.Access {
	case "", content.Public, content.Circle, content.Room:
	default:
		return usage(cmd, fmt.Errorf("--source-access %q: want public, circle or room", p.access))
	}
	switch p.Kind {
	case "", "git", "directory", "archive":
	default:
		return usage(cmd, fmt.Errorf("--source-kind %q: want git, directory or archive", p.Kind))
	}
	if p.bundleDir != "" {
		if st, err := os.Stat(p.bundleDir); err != nil {
			return fmt.Errorf("--bundle-dir: %w", err)
		} else if !st.IsDir() {
			return fmt.Errorf("--bundle-dir %s: not a directory", p.bundleDir)
		}
	}
	if p.previous != "" {
		d, err := digest.Parse(p.previous)
		if err != nil {
			return usage(cmd, fmt.Errorf("--previous: %w", err))
		}
		p.Previous = &d
	}
	if p.Channel == "" && (p.Seq != 0 || p.Previous != nil) {
		return usage(cmd, errors.New("--seq and --previous need --channel"))
	}
	if p.Seq < 0 {
		return usage(cmd, fmt.Errorf("--seq %d: numbers start at 1", p.Seq))
	}
	return nil
}

// bundleOf returns where the bundle of an artifact is written.
func (p *publishFlags) bundleOf(artifact string) string {
	if p.bundleDir != "" {
		artifact = filepath.Join(p.bundleDir, filepath.Base(artifact))
	}
	return artifact + ".vitrine"
}

// published is the result of `vitrine release publish`.
type published struct {
	Statement digest.Digest `json:"statement"`
	Index     int64         `json:"index"`
	Duplicate bool          `json:"duplicate"`
	Product   string        `json:"product"`
	Version   string        `json:"version"`
	Channel   string        `json:"channel,omitempty"`
	Seq       int64         `json:"seq,omitzero"`
	Bundles   []string      `json:"bundles"`
}

func (c *console) publish(cmd *cobra.Command, dir string, p *publishFlags) error {
	var out published
	err := c.connect(cmd.Context(), dir, func(h *centre.Handle) error {
		bar := c.progress()
		pub, err := h.Publisher(bar.at)
		if err != nil {
			return err
		}
		stop := c.tellWaiting(cmd.Context(), h)
		rel, err := pub.Publish(cmd.Context(), p.Request)
		stop()
		bar.end()
		if err != nil {
			return err
		}
		out = published{
			Statement: rel.Envelope.Digest(), Index: rel.Index, Duplicate: rel.Duplicate,
			Product: rel.Release.Product, Version: rel.Release.Version,
			Channel: rel.Release.Channel, Seq: rel.Release.Seq,
		}
		out.Bundles, err = p.writeBundles(rel)
		return err
	})
	if err != nil {
		return err
	}
	return c.result(out, func() {
		c.row("statement", out.Statement.String())
		c.row("index", fmt.Sprint(out.Index))
		for _, b := range out.Bundles {
			c.row("bundle", b)
		}
		if out.Duplicate {
			c.say("this was released before; nothing new was logged")
		}
	})
}

// writeBundles writes the same bundle beside each artifact.
func (p *publishFlags) writeBundles(rel *release.Published) ([]string, error) {
	pr, err := tlog.ParseProof(rel.Proof)
	if err != nil {
		return nil, fmt.Errorf("reading the log's proof: %w", err)
	}
	b := &proof.Bundle{Statements: []proof.Logged{{Envelope: rel.Envelope, Proof: pr}}}
	raw, err := b.Marshal()
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, a := range p.Artifacts {
		path := p.bundleOf(a)
		if err := writeFile(path, raw, true); err != nil {
			again := "run the same command again to write the bundle"
			if errors.Is(err, syscall.ENOSPC) {
				again = "free some space and " + again
			}
			return nil, withHint(fmt.Errorf("release %d is logged, but its bundle is not written: %w", rel.Index, err), "%s", again)
		}
		paths = append(paths, path)
	}
	return paths, nil
}
