package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"vitrine.example/digest"
	"vitrine.example/internal/centre"
	"vitrine.example/internal/content"
	"vitrine.example/internal/rebuild"
	"vitrine.example/internal/recipe"
	snap "vitrine.example/internal/snapshot"
	"vitrine.example/proof"
	"vitrine.example/statement"
)

// stageSource is the stage in which the source is read.
const stageSource = "rebuild-source"

// rebuildFlags are the flags of `vitrine rebuild`.
type rebuildFlags struct {
	inputFlags
	recipe, source, engine, log, out string
	offline                          bool
	files                            map[string]string // shipped files, by name
}

func newRebuild(c *console) *cobra.Command {
	var p rebuildFlags
	cmd := &cobra.Command{
		Use:   "rebuild [flags] RELEASE|FILE --recipe RECIPE",
		Short: "build a release again from its source, and compare with what was shipped",
		Long: `Build again what was shipped, in a sandbox without a network, and compare.

FILE is a shipped file. RELEASE is the bundle (FILE.vitrine) of a release: all of
its artifacts, which lie beside it, are compared, and the source must be the one
that the release names. No node is needed, nothing is published, and who signed the
release is not checked: vitrine verify does.

Exit status: 0 identical or explained, 1 different, 2 it could not be built.`,
		Example: `  vitrine rebuild app.tar.gz --recipe vitrine.recipe.toml --source src --local copy`,
		Args:    operands("RELEASE|FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := need(cmd, "recipe"); err != nil {
				return err
			}
			if newEngine(p.engine) == nil {
				return usage(cmd, fmt.Errorf("--engine %q: there is no such engine: want embedded or gvisor", p.engine))
			}
			return c.rebuild(cmd, args[0], &p)
		},
	}
	f := cmd.Flags()
	f.StringVar(&p.recipe, "recipe", "", "recipe `file`")
	f.StringVar(&p.source, "source", "", "`path` of the source: a git repository, a directory or a tar file")
	f.StringVar(&p.engine, "engine", "embedded", "`engine`: embedded, or gvisor where runsc is installed")
	choices(cmd, "engine", "embedded", "gvisor")
	f.StringVar(&p.log, "log", "", "write what the build prints to this `file`")
	f.StringVar(&p.out, "out", "", "leave what is built in this `directory`")
	f.BoolVar(&p.offline, "offline", false, "fetch nothing: all inputs are in the content store")
	p.flags(cmd)
	c.jsonFlag(cmd)
	return cmd
}

func (c *console) rebuild(cmd *cobra.Command, operand string, p *rebuildFlags) error {
	r, err := readRecipe(p.recipe)
	if err != nil {
		return err
	}
	h, release, err := p.shipped(cmd.Context(), operand)
	if err != nil {
		return err
	}
	store, partial, err := p.open()
	if err != nil {
		return err
	}
	h.Recipe = r
	if h.Source, err = c.sourceFor(cmd, r, release, p, store); err != nil {
		return err
	}
	if !p.offline {
		if _, err := p.gather(cmd, c, r, store, partial); err != nil {
			return fmt.Errorf("%s: %w", p.recipe, err)
		}
	}
	tmp, err := os.MkdirTemp("", "vitrine-rebuild-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	bar := c.progress()
	h.Runner = &rebuild.Runner{Engine: newEngine(p.engine), Store: store, Now: time.Now, Dir: tmp, Progress: bar.at}
	h.Judge = &rebuild.Judge{Shipped: p.find, Explainer: centre.Explainer(), Dir: tmp}
	return c.doRebuild(cmd.Context(), h, p, tmp, bar)
}

// doRebuild runs it and reports.
func (c *console) doRebuild(ctx context.Context, h *rebuild.Hand, p *rebuildFlags, tmp string, bar *progress) (err error) {
	h.OutDir = filepath.Join(tmp, "out")
	if p.out != "" {
		h.OutDir = p.out
	}
	if err := os.MkdirAll(h.OutDir, 0o755); err != nil {
		return err
	}
	path := filepath.Join(tmp, "log")
	if p.log != "" {
		path = p.log
	}
	log, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	h.Log = log
	rep, err := h.Do(ctx)
	bar.end()
	if err != nil {
		return err
	}
	if err := c.result(rep, func() { c.rebuilt(rep) }); err != nil {
		return err
	}
	switch rep.Outcome {
	case statement.Different:
		return no(errors.New("what was shipped is not what the source makes"), "compare the files that --out leaves with the shipped ones")
	case statement.Failed:
		c.tail(path)
		return withHint(fmt.Errorf("it could not be built: %s: %s", rep.Attempt.Reason, rep.Attempt.Detail), "read what it printed: --log FILE keeps it")
	}
	return nil
}

// rebuilt prints the report.
func (c *console) rebuilt(rep *rebuild.Report) {
	c.row("outcome", string(rep.Outcome))
	c.row("job", rep.Job.String())
	c.row("recipe", rep.Recipe.String())
	c.row("engine", rep.Engine)
	for _, a := range rep.Artifacts {
		c.row("artifact", fmt.Sprintf("%s: %s", oneLine(a.Name), a.Outcome))
		c.row("  shipped", a.Shipped.String())
		if a.Rebuilt != nil {
			c.row("  rebuilt", a.Rebuilt.String())
		}
	}
	if rep.Output != nil {
		c.row("output", rep.Output.String())
	}
}

// tail tells people the last lines of the log.
func (c *console) tail(path string) {
	const most = 2000
	b, err := os.ReadFile(path)
	if err != nil {
		return
	}
	if len(b) > most {
		b = b[len(b)-most:]
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	for _, line := range lines[max(0, len(lines)-15):] {
		c.say("log: %s", oneLine(line))
	}
}

// shipped finds out what was shipped: one file, or the artifacts of a bundle.
func (p *rebuildFlags) shipped(ctx context.Context, operand string) (*rebuild.Hand, *statement.Release, error) {
	p.files = map[string]string{}
	if filepath.Ext(operand) != ".vitrine" {
		f, err := openRegular("shipped file", operand)
		if err != nil {
			return nil, nil, err
		}
		defer f.Close()
		d, n, err := digest.OfReader(f, nil)
		if err != nil {
			return nil, nil, fmt.Errorf("reading the shipped file %s: %w", operand, err)
		}
		name := filepath.Base(operand)
		p.files[name] = operand
		return &rebuild.Hand{Shipped: []rebuild.Shipped{{Name: name, SHA256: d, Size: n}}}, nil, nil
	}
	raw, err := readFile("bundle", operand, proof.MaxSize)
	if err != nil {
		return nil, nil, err
	}
	b, err := proof.Parse(raw)
	if err != nil {
		return nil, nil, fmt.Errorf("reading bundle %s: %w", operand, err)
	}
	for _, l := range b.Statements {
		rel, err := l.Envelope.Statement().Release()
		if err != nil {
			continue
		}
		h := &rebuild.Hand{Release: l.Envelope.Digest()}
		for _, a := range rel.Artifacts {
			h.Shipped = append(h.Shipped, rebuild.Shipped{Name: a.Name, SHA256: a.SHA256, Size: a.Size})
			p.files[a.Name] = filepath.Join(filepath.Dir(operand), a.Name)
		}
		return h, rel, ctx.Err()
	}
	return nil, nil, fmt.Errorf("bundle %s has no release", operand)
}

// find gives a shipped file, checked.
func (p *rebuildFlags) find(_ context.Context, s rebuild.Shipped) (string, error) {
	path := p.files[s.Name]
	f, err := openRegular("shipped file", path)
	if err != nil {
		return "", withHint(err, "put the shipped files beside the bundle")
	}
	defer f.Close()
	d, _, err := digest.OfReader(f, nil)
	if err == nil && d != s.SHA256 {
		err = fmt.Errorf("its digest is %s, and the release has %s", d, s.SHA256)
	}
	if err != nil {
		return "", fmt.Errorf("reading the shipped file %s: %w", path, err)
	}
	return path, nil
}

// sourceFor takes a snapshot of the source, where the recipe needs one.
func (c *console) sourceFor(cmd *cobra.Command, r *recipe.Recipe, rel *statement.Release, p *rebuildFlags, store *content.Store) (recipe.Content, error) {
	want := recipe.Content{}
	if rel != nil && rel.Source != nil {
		want = recipe.Content{SHA256: rel.Source.SHA256, Size: rel.Source.Size}
	}
	if p.source == "" {
		if r.NeedsSource() && want.SHA256.IsZero() {
			return want, withHint(errors.New("the recipe builds the release's own source"), "say where it is, with --source")
		}
		return want, nil
	}
	have, err := c.snapshotInto(cmd.Context(), p.source, store)
	if err != nil {
		return have, err
	}
	if !want.SHA256.IsZero() && have != want {
		return have, no(fmt.Errorf("the release was made from the source %s, and %s is %s", want.SHA256, p.source, have.SHA256), "check out the commit of the release")
	}
	return have, nil
}

// snapshotInto puts a snapshot of the source into the store.
func (c *console) snapshotInto(ctx context.Context, path string, store *content.Store) (recipe.Content, error) {
	kind, err := snap.Detect(path)
	if err != nil {
		return recipe.Content{}, err
	}
	src, err := snap.Open(ctx, kind, path, snap.Limits{})
	if err != nil {
		return recipe.Content{}, err
	}
	bar := c.progress()
	defer bar.end()
	pr, pw := io.Pipe()
	go func() {
		_, err := src.WriteTo(ctx, pw, func(done int64) { bar.at(stageSource, done, src.Total()) })
		pw.CloseWithError(err)
	}()
	var out recipe.Content
	h := sha256.New()
	in, err := store.Put(ctx, content.Room, io.TeeReader(pr, h), snap.MaxTar)
	pr.CloseWithError(err) // ends the writer too
	switch {
	case errors.Is(err, content.ErrConflict): // it is there, and may be seen by more people
		out.SHA256 = digest.Digest(h.Sum(nil))
		if in, err = store.Stat(out.SHA256); err != nil {
			return out, err
		}
	case err != nil:
		return out, fmt.Errorf("taking a snapshot of the source %s: %w", path, err)
	}
	return recipe.Content{SHA256: in.Digest, Size: in.Size}, nil
}
