package rebuild

import (
	"fmt"

	"vitrine.example/digest"
	"vitrine.example/internal/recipe"
	"vitrine.example/statement"
)

// Said is one attempt with what became of it, as a statement has it.
type Said struct {
	Attempt *Attempt
	Outcome statement.Outcome // Failed, or what the judge said
	Log     *statement.Evidence
}

// statement is the attempt as rebuild/v1 has it.
func (s *Said) statement() statement.RebuildAttempt {
	a := s.Attempt
	out := statement.RebuildAttempt{
		Engine: a.Engine, Started: a.Started, Finished: a.Finished, Outcome: s.Outcome,
		Reason: a.Reason, Detail: a.Detail, Log: s.Log,
	}
	if !a.Output.IsZero() && s.Outcome != statement.Failed {
		out.Output = &a.Output
	}
	return out
}

// Statement is the predicate rebuild/v1 of an order: what came of the last
// attempt, and all attempts. explanation is where res.Explanation is kept.
func (res *Result) Statement(o *Order, attempts []Said, explanation *statement.Evidence) (*statement.Rebuild, error) {
	if len(attempts) == 0 {
		return nil, fmt.Errorf("rebuild: a statement without an attempt")
	}
	p := &statement.Rebuild{Release: o.Release, Outcome: res.Outcome, Artifacts: res.Artifacts, Explanation: explanation}
	if !o.Recipe.IsZero() {
		p.Recipe = &o.Recipe
	}
	last := attempts[len(attempts)-1].Attempt
	if o.Task.Job != nil && last.Engine != "" {
		d, err := o.Task.Job.Digest()
		if err != nil {
			return nil, err
		}
		p.Job, p.Engine = &d, last.Engine
	}
	for _, s := range attempts {
		p.Attempts = append(p.Attempts, s.statement())
	}
	return p, p.Validate(p.Subjects())
}

// Provenance is what the centre at the URL builder says of the files that an
// attempt made, with the subjects of its statement: the artifacts as they were
// rebuilt. It is an error to ask for it where nothing was made.
func Provenance(o *Order, a *Attempt, res *Result, inputs []recipe.Input, builder string, log *statement.Evidence) (*statement.Provenance, []statement.Subject, error) {
	var subject []statement.Subject
	for _, x := range res.Artifacts {
		if x.Rebuilt != nil {
			subject = append(subject, statement.NewSubject(x.Name, *x.Rebuilt))
		}
	}
	job, err := o.Task.Job.Digest()
	if err != nil {
		return nil, nil, err
	}
	p := &statement.Provenance{
		BuildDefinition: statement.BuildDefinition{
			BuildType:            statement.JobBuildType,
			ExternalParameters:   statement.ExternalParameters{Recipe: o.Recipe},
			InternalParameters:   statement.InternalParameters{Job: job, Engine: a.Engine},
			ResolvedDependencies: statement.Dependencies(dependencies(o.Task.Job, inputs)),
		},
		RunDetails: statement.RunDetails{
			Builder: statement.Builder{ID: builder},
			Metadata: statement.BuildMetadata{
				InvocationID: fmt.Sprintf("%s/%d", job, a.Started.Unix()), StartedOn: a.Started, FinishedOn: a.Finished,
			},
		},
	}
	if !o.Release.IsZero() {
		p.BuildDefinition.ExternalParameters.Release = &o.Release
	}
	if log != nil {
		p.RunDetails.Byproduct = []statement.Dependency{{Name: "log", Digest: sha256(log.SHA256)}}
	}
	return p, subject, p.Validate(subject)
}

func sha256(d digest.Digest) map[string]string { return map[string]string{"sha256": d.String()} }

// dependencies are all that the job needs, with the names and places of the
// recipe. Places below a registry have no host, and therefore no URI.
func dependencies(j *recipe.Job, inputs []recipe.Input) []statement.Dependency {
	names := map[digest.Digest]*recipe.Input{}
	source := "source"
	for i := range inputs {
		names[inputs[i].SHA256] = &inputs[i]
	}
	var out []statement.Dependency
	for _, c := range j.Needs() {
		d := statement.Dependency{Name: source, Digest: sha256(c.SHA256)}
		if in := names[c.SHA256]; in != nil {
			d.Name = in.Name
			if len(in.From) > 0 {
				d.URI = in.From[0]
			}
		}
		out = append(out, d)
	}
	return out
}
