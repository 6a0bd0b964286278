package rebuild

import (
	"context"
	"errors"
	"fmt"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/recipe"
	"vitrine.example/internal/strictjson"
	"vitrine.example/statement"

	"github.com/go-json-experiment/json/jsontext"
)

// Judge compares what an attempt made with what was shipped.
type Judge struct {
	// Shipped gives the path of a shipped artifact on this machine, whose digest
	// has been checked. It is asked only where the digests differ, or where an
	// artifact is not made as a whole.
	Shipped func(ctx context.Context, s Shipped) (string, error)
	// Explainer, where not nil, is asked about what differs.
	Explainer Explainer
	Dir       string // for temporary files; they are removed
}

// explanation is the report on all that differs (docs/spec/rebuild.md).
type explanation struct {
	Artifacts []explained `json:"artifacts"`
}

type explained struct {
	Name    string            `json:"name"`
	Outcome statement.Outcome `json:"outcome"`
	Note    string            `json:"note,omitzero"`    // in words
	Members []member          `json:"members,omitzero"` // of an archive that is not made as a whole
	Report  jsontext.Value    `json:"report,omitzero"`  // what the explainer found
}

// Judge says what the attempt came to. private are the digests of inputs that
// the recipe calls private: the vendor alone has them, and ships them as they are.
func (j *Judge) Judge(ctx context.Context, o *Order, a *Attempt, outDir string, private []digest.Digest) (*Result, error) {
	res := &Result{Outcome: statement.Identical}
	if !a.OK() {
		return o.Fail(), nil
	}
	made := map[string]*Output{}
	for i := range a.Outputs {
		made[a.Outputs[i].Path] = &a.Outputs[i]
	}
	var all explanation
	for _, s := range o.Shipped {
		c := comparison{j: j, ctx: ctx, made: made, outDir: outDir, private: private, shipped: s, of: o.outputsOf(s.Name)}
		if o.Task.Job != nil {
			c.built = o.Task.Job.Clock
		}
		x, rebuilt, err := c.compare()
		if err != nil {
			return nil, fmt.Errorf("comparing %s: %w", s.Name, err)
		}
		x.Name = s.Name
		res.Artifacts = append(res.Artifacts, statement.RebuiltArtifact{Name: s.Name, Shipped: s.SHA256, Rebuilt: rebuilt, Outcome: x.Outcome})
		if x.Outcome != statement.Identical {
			all.Artifacts = append(all.Artifacts, *x)
		}
		if x.Outcome.Worse(res.Outcome) {
			res.Outcome = x.Outcome
		}
	}
	if len(all.Artifacts) == 0 {
		return res, nil
	}
	var err error
	res.Explanation, err = strictjson.Canonical(all)
	return res, err
}

// Fail is the result of an order whose last attempt failed.
func (o *Order) Fail() *Result {
	res := &Result{Outcome: statement.Failed}
	for _, s := range o.Shipped {
		res.Artifacts = append(res.Artifacts, statement.RebuiltArtifact{Name: s.Name, Shipped: s.SHA256, Outcome: statement.Failed})
	}
	return res
}

func (o *Order) outputsOf(artifact string) []recipe.Output {
	var out []recipe.Output
	for _, x := range o.Outputs {
		if x.Artifact == artifact {
			out = append(out, x)
		}
	}
	return out
}

// comparison is that of one artifact.
type comparison struct {
	j       *Judge
	ctx     context.Context
	made    map[string]*Output
	outDir  string
	private []digest.Digest
	shipped Shipped
	of      []recipe.Output
	built   time.Time // clock of the job; zero where there is none
}

func (c *comparison) compare() (*explained, *digest.Digest, error) {
	switch {
	case len(c.of) == 0:
		return different("the recipe does not make this artifact: name an output for it"), nil, nil
	case c.of[0].Member != "":
		x, err := c.members()
		return x, nil, err
	}
	made := c.made[c.of[0].Path]
	if made == nil || made.SHA256 == nil {
		return different("what the build made under " + c.of[0].Path + " is not a file"), nil, nil
	}
	if *made.SHA256 == c.shipped.SHA256 {
		return &explained{Outcome: statement.Identical}, made.SHA256, nil
	}
	path, err := c.j.Shipped(c.ctx, c.shipped)
	if err != nil {
		return nil, nil, err
	}
	x, err := c.explain(File{Name: c.shipped.Name, Path: path, SHA256: c.shipped.SHA256, Size: c.shipped.Size}, made)
	return x, made.SHA256, err
}

func different(note string) *explained { return &explained{Outcome: statement.Different, Note: note} }

// errReport is the error of an explainer that does not keep its word.
var errReport = errors.New("the explanation is not one JSON object")

// explain asks the explainer about two files that differ.
func (c *comparison) explain(shipped File, made *Output) (*explained, error) {
	if c.j.Explainer == nil {
		return different(fmt.Sprintf("shipped is %s with %d bytes, rebuilt is %s with %d bytes; nothing here looks inside",
			shipped.SHA256, shipped.Size, made.SHA256, made.Size)), nil
	}
	rebuilt := File{Name: shipped.Name, Path: at(c.outDir, made.Path), SHA256: *made.SHA256, Size: made.Size, Built: c.built}
	report, proved, err := c.j.Explainer.Explain(c.ctx, shipped, rebuilt)
	if err != nil {
		return nil, err
	}
	v := jsontext.Value(report)
	if !v.IsValid() || v.Kind() != '{' {
		return nil, errReport
	}
	x := &explained{Outcome: statement.Different, Report: v}
	if proved {
		x.Outcome = statement.Explained
	}
	return x, nil
}
