package rebuild

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"vitrine.example/digest"
	"vitrine.example/internal/recipe"
	"vitrine.example/statement"
)

// Hand rebuilds once, for a person at a terminal and without a node.
type Hand struct {
	Runner *Runner
	Judge  *Judge
	Recipe *recipe.Recipe
	Source recipe.Content // zero where the recipe needs none
	// Release is the digest of the release's envelope; zero where a person names
	// files.
	Release digest.Digest
	Shipped []Shipped
	Log     io.Writer
	OutDir  string // what is built is left there
}

// Report is what a person is told.
type Report struct {
	Outcome   statement.Outcome           `json:"outcome"`
	Release   *digest.Digest              `json:"release,omitempty"`
	Recipe    digest.Digest               `json:"recipe"`
	Job       digest.Digest               `json:"job"`
	Engine    string                      `json:"engine"`
	Output    *digest.Digest              `json:"output,omitempty"` // of all outputs together
	Artifacts []statement.RebuiltArtifact `json:"artifacts"`
	Attempt   *Attempt                    `json:"attempt"`
	// Explanation says what differs; absent where nothing does.
	Explanation json.RawMessage `json:"explanation,omitempty"`
}

// ErrNotMade is the error of a recipe that makes none of the files that were
// named.
var ErrNotMade = errors.New("the recipe does not make it")

// Do rebuilds.
func (h *Hand) Do(ctx context.Context) (*Report, error) {
	job, err := h.Recipe.Job(h.Source)
	if err != nil {
		return nil, err
	}
	o := &Order{Release: h.Release, Recipe: h.Recipe.Digest(), Shipped: h.Shipped, Outputs: h.Recipe.Outputs, Task: Task{Job: job, Limits: h.Recipe.Limits}}
	if h.Release.IsZero() {
		for _, s := range h.Shipped {
			if len(o.outputsOf(s.Name)) == 0 {
				return nil, fmt.Errorf("%s: %w: name an output for it in the recipe", s.Name, ErrNotMade)
			}
		}
	}
	if err := o.Check(); err != nil {
		return nil, err
	}
	jd, err := job.Digest()
	if err != nil {
		return nil, err
	}
	if err := h.Runner.Engine.Check(ctx); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEngine, err)
	}
	a, err := h.Runner.Run(ctx, &o.Task, h.Log, h.OutDir)
	if err != nil {
		return nil, err
	}
	h.Runner.tell(StageCompare, 0, -1)
	res, err := h.Judge.Judge(ctx, o, a, h.OutDir, h.Recipe.Private())
	if err != nil {
		return nil, err
	}
	rep := &Report{Outcome: res.Outcome, Recipe: o.Recipe, Job: jd, Engine: a.Engine, Artifacts: res.Artifacts, Attempt: a, Explanation: res.Explanation}
	if !h.Release.IsZero() {
		rep.Release = &h.Release
	}
	if !a.Output.IsZero() {
		rep.Output = &a.Output
	}
	return rep, nil
}
