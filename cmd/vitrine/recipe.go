package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"vitrine.example/digest"
	"vitrine.example/internal/content"
	"vitrine.example/internal/recipe"
	"vitrine.example/internal/recipe/draft"
)

func newRecipe(c *console) *cobra.Command {
	return group("recipe", "say how a release is built again from its source",
		`  vitrine recipe check vitrine.recipe.toml`,
		newRecipeInit(c), newRecipeCheck(c), newRecipeFetch(c))
}

func newRecipeInit(c *console) *cobra.Command {
	var q draft.Request
	var kind, out, clock string
	var force bool
	cmd := &cobra.Command{
		Use:   "init [flags] [DIR]",
		Short: "write a first recipe for a Go, npm, Debian or make project",
		Long: `Write a recipe that builds the project in DIR, with every input pinned by digest.

Module proxy, npm registry and Debian mirror are those that this machine uses.
Read what it wrote: which file is which shipped artifact, only you know.`,
		Example: `  vitrine recipe init src --kind go -o go.recipe.toml`,
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			q.Dir = append(args, ".")[0]
			q.Kind, q.Clock = draft.Kind(kind), time.Now()
			if kind != "" && !slices.Contains(draft.Kinds(), q.Kind) {
				return usage(cmd, fmt.Errorf("--kind %q: want one of %v", kind, draft.Kinds()))
			}
			if clock != "" {
				t, err := time.Parse(time.RFC3339, clock)
				if err != nil {
					return usage(cmd, fmt.Errorf("--clock %q: want a time like 2026-03-01T12:00:00Z", clock))
				}
				q.Clock = t
			}
			if out == "" {
				out = filepath.Join(q.Dir, recipe.FileName)
			}
			bar := c.progress()
			q.Client, q.Progress = http.DefaultClient, bar.at
			q.Configure = func(want ...recipe.Registry) recipe.Registries {
				return recipe.Configured(cmd.Context(), os.Getenv, want...)
			}
			b, err := draft.Write(cmd.Context(), &q)
			bar.end()
			if err != nil {
				return err
			}
			if err := c.output(out, b, force); err != nil {
				return err
			}
			if out != "-" {
				c.say("wrote %s; read it, then: vitrine recipe check %s", out, out)
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&kind, "kind", "", "`kind` of the project: go, npm, debian or make; default: found out")
	f.StringVar(&clock, "clock", "", "`time` of the build, RFC 3339; default: now")
	f.StringVar(&q.Go, "go", "", "`version` of Go; default: as go.mod says")
	f.StringArrayVar(&q.Packages, "package", nil, "Go `package` of a program, like cmd/app; may be repeated")
	f.StringVar(&q.Node, "node", "", "`version` of node; default: that of this machine")
	f.StringVar(&q.Npm, "npm", "", "`version` of npm; default: that of this machine")
	f.StringVarP(&out, "out", "o", "", "`file` to write, - for stdout; default: DIR/vitrine.recipe.toml")
	f.BoolVar(&force, "force", false, "write over a file that is there")
	choices(cmd, "kind", "go", "npm", "debian", "make")
	return cmd
}

// readRecipe reads the recipe at path.
func readRecipe(path string) (*recipe.Recipe, error) {
	b, err := readFile("recipe", path, recipe.MaxSize)
	if err != nil {
		return nil, err
	}
	r, err := recipe.Parse(b)
	if err != nil {
		return nil, withHint(fmt.Errorf("%s: %w", path, err), "correct the line; docs/spec/recipe.md explains every key")
	}
	return r, nil
}

// recipeFacts is the result of `vitrine recipe check`.
type recipeFacts struct {
	Recipe    digest.Digest  `json:"recipe"`
	Job       *digest.Digest `json:"job,omitempty"` // absent where it depends on the release's source
	Inputs    int            `json:"inputs"`
	Bytes     int64          `json:"bytes"`
	Private   int            `json:"private"`
	Source    bool           `json:"source"`
	Steps     int            `json:"steps"`
	Artifacts []string       `json:"artifacts"`
}

func factsOf(r *recipe.Recipe) (*recipeFacts, error) {
	x := &recipeFacts{Recipe: r.Digest(), Inputs: len(r.Inputs), Private: len(r.Private()), Source: r.NeedsSource(), Steps: len(r.Steps)}
	for _, in := range r.Inputs {
		x.Bytes += in.Size
	}
	for _, o := range r.Outputs {
		if !slices.Contains(x.Artifacts, o.Artifact) {
			x.Artifacts = append(x.Artifacts, o.Artifact)
		}
	}
	if x.Source {
		return x, nil
	}
	job, err := r.Job(recipe.Content{})
	if err != nil {
		return nil, err
	}
	d, err := job.Digest()
	x.Job = &d
	return x, err
}

func newRecipeCheck(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "check [FILE]",
		Short:   "say what a recipe does, or which line of it is wrong",
		Example: `  vitrine recipe check vitrine.recipe.toml`,
		Args:    cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			r, err := readRecipe(append(args, recipe.FileName)[0])
			if err != nil {
				return err
			}
			x, err := factsOf(r)
			if err != nil {
				return err
			}
			return c.result(x, func() {
				c.row("recipe", x.Recipe.String())
				if x.Job != nil {
					c.row("job", x.Job.String())
				} else {
					c.row("job", "depends on the source of the release")
				}
				c.row("inputs", fmt.Sprintf("%d (%s), %d of them private", x.Inputs, size(x.Bytes), x.Private))
				c.row("steps", fmt.Sprint(x.Steps))
				c.row("artifacts", oneLine(strings.Join(x.Artifacts, ", ")))
			})
		},
	}
	c.jsonFlag(cmd)
	return cmd
}

// inputFlags say where inputs are kept and come from.
type inputFlags struct {
	content string
	local   []string
}

func (f *inputFlags) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.content, "content", "", "content `store`, like NODE/content; default: one in the user's cache")
	cmd.Flags().StringArrayVar(&f.local, "local", nil, "`file` that is an input, such as a private one; may be repeated")
}

// open opens the content store and says where partial files go.
func (f *inputFlags) open() (*content.Store, string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, "", withHint(fmt.Errorf("finding the user's cache: %w", err), "set HOME or XDG_CACHE_HOME")
	}
	cache = filepath.Join(cache, "vitrine")
	if f.content == "" {
		f.content = filepath.Join(cache, "content")
	}
	s, err := content.Open(f.content)
	return s, filepath.Join(cache, "partial"), err
}

// gather fetches what is missing.
func (f *inputFlags) gather(cmd *cobra.Command, c *console, r *recipe.Recipe, s *content.Store, partial string) (recipe.Gathered, error) {
	bar := c.progress()
	defer bar.end()
	g := recipe.Gatherer{
		Store: s, Registries: recipe.Configured(cmd.Context(), os.Getenv, r.Uses()...), Client: http.DefaultClient,
		Partial: partial, Local: f.local, Progress: bar.at,
	}
	return g.Gather(cmd.Context(), r)
}

func newRecipeFetch(c *console) *cobra.Command {
	var in inputFlags
	cmd := &cobra.Command{
		Use:   "fetch [flags] [FILE]",
		Short: "gather all that a recipe needs, so that later builds need no registry",
		Long: `Fetch every input of a recipe into a content store, checked against its digest.

What is there is not fetched again, and an interrupted run continues. Nothing is
kept that is not what the recipe names.`,
		Example: `  vitrine recipe fetch vitrine.recipe.toml --local copy`,
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			path := append(args, recipe.FileName)[0]
			r, err := readRecipe(path)
			if err != nil {
				return err
			}
			s, partial, err := in.open()
			if err != nil {
				return err
			}
			got, err := in.gather(cmd, c, r, s, partial)
			if err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			return c.result(got, func() {
				c.row("inputs", fmt.Sprintf("%d (%s)", got.Inputs, size(got.Bytes)))
				c.row("fetched", fmt.Sprint(got.Fetched))
				c.row("content", in.content)
			})
		},
	}
	in.flags(cmd)
	c.jsonFlag(cmd)
	return cmd
}
