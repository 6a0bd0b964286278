package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"vitrine.example/digest"
	"vitrine.example/proof"
	"vitrine.example/statement"
)

// fetched is the result of `vitrine bundle fetch`.
type fetched struct {
	Bundle   string   `json:"bundle"`
	Releases int      `json:"releases"`
	Rebuilds int      `json:"rebuilds"`
	Logs     []string `json:"logs"` // in which they are said to stand
}

func newBundleFetch(c *console) *cobra.Command {
	var out string
	var force bool
	cmd := &cobra.Command{
		Use:   "fetch URL FILE|DIGEST",
		Short: "get the bundle of a file, with what others say of building it again",
		Long: `Fetch the bundle of a file, or of what has a SHA-256: of a shipped file or of a
release's statement. URL is any node that follows the log of the publisher. The
bundle has the release and, from all logs that the node follows, the newest
rebuilds of it. Nothing of it is believed: vitrine verify decides, offline.`,
		Example: `  vitrine bundle fetch "$NODE_URL" app.tar.gz --force`,
		Args:    operands("URL", "FILE|DIGEST"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !isURL(args[0]) {
				return usage(cmd, fmt.Errorf("URL %s: want https://…", args[0]))
			}
			d, err := named(args[1])
			if err != nil {
				return err
			}
			if out == "" {
				out = args[1] + ".vitrine"
			}
			b, raw, err := c.fetchBundle(cmd, args[0], d)
			if err != nil {
				return err
			}
			if err := c.output(out, raw, force); errors.Is(err, fs.ErrExist) {
				return withHint(err, "write over it with --force, or name another file with -o")
			} else if err != nil || out == "-" {
				return err
			}
			done := tally(b)
			done.Bundle = out
			return c.result(done, func() {
				c.row("bundle", out)
				c.row("releases", fmt.Sprint(done.Releases))
				c.row("rebuilds", fmt.Sprint(done.Rebuilds))
				c.row("logs", oneLine(strings.Join(done.Logs, ", ")))
				c.say("nothing of this is verified; use vitrine verify")
			})
		},
	}
	f := cmd.Flags()
	f.StringVarP(&out, "out", "o", "", "`file` to write; - for standard output; default: FILE.vitrine")
	f.BoolVar(&force, "force", false, "write over a file that is there")
	c.jsonFlag(cmd)
	return cmd
}

// named reads what a bundle is asked for: a file here, or a digest.
func named(s string) (digest.Digest, error) {
	f, err := os.Open(s)
	if errors.Is(err, fs.ErrNotExist) {
		if d, bad := digest.Parse(s); bad == nil {
			return d, nil
		}
		return digest.Digest{}, withHint(fmt.Errorf("%s is neither a file here nor a SHA-256", s), "a SHA-256 has 64 digits of 0-9 and a-f")
	} else if err != nil {
		return digest.Digest{}, err
	}
	d, _, err := digest.OfReader(f, nil)
	if err = errors.Join(err, f.Close()); err != nil {
		return d, fmt.Errorf("reading %s: %w", s, err)
	}
	return d, nil
}

// fetchBundle gets a bundle that speaks of d.
func (c *console) fetchBundle(cmd *cobra.Command, node string, d digest.Digest) (b *proof.Bundle, raw []byte, err error) {
	err = c.source(cmd.Context(), node, func(s source) error {
		r, ok := s.(remote)
		if !ok {
			return fmt.Errorf("%s is not a URL", node)
		}
		var e error
		if raw, e = r.fetch(cmd.Context(), "/bundle/"+d.String(), proof.MaxSize); e != nil {
			return withHint(e, "a node has bundles of what its own log and those that it follows have released")
		}
		if b, e = proof.Parse(raw); e != nil {
			return fmt.Errorf("the bundle that %s gave: %w", node, e)
		}
		if !slices.ContainsFunc(b.Statements, func(l proof.Logged) bool { return speaksOf(&l, d) }) {
			return fmt.Errorf("the bundle that %s gave says nothing about %s", node, d)
		}
		return nil
	})
	return b, raw, err
}

// speaksOf reports whether a statement is a release of what has the digest.
func speaksOf(l *proof.Logged, d digest.Digest) bool {
	r, err := l.Envelope.Release()
	if err != nil {
		return false
	}
	return l.Envelope.Digest() == d || slices.ContainsFunc(r.Artifacts, func(a statement.Artifact) bool { return a.SHA256 == d })
}

// tally counts what a bundle claims.
func tally(b *proof.Bundle) (t fetched) {
	t.Logs = []string{}
	for i := range b.Statements {
		l := &b.Statements[i]
		switch l.Envelope.Statement().PredicateType {
		case statement.ReleaseType:
			t.Releases++
		case statement.RebuildType:
			t.Rebuilds++
		}
		if o := l.Proof.Checkpoint.Origin; !slices.Contains(t.Logs, o) {
			t.Logs = append(t.Logs, o)
		}
	}
	return t
}
