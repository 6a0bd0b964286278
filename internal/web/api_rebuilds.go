package web

import (
	"context"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"vitrine.example/digest"
	"vitrine.example/internal/projection"
	"vitrine.example/statement"
)

// apiRebuilds adds what is said of building releases again.
func (s *site) apiRebuilds(api huma.API) {
	huma.Get(api, "/api/v1/rebuilds", s.apiRebuildList, named("rebuilds", "What all followed logs say of building releases again, newest first"))
	huma.Get(api, "/api/v1/rebuilds/{digest}", s.apiRebuild, named("rebuild", "One rebuild by its statement"))
	huma.Get(api, "/api/v1/releases/{digest}/rebuilds", s.apiRebuildsOf, named("rebuilds-of-release", "The newest of what each followed log says of building a release again"))
}

type apiSaid struct {
	Statement   digest.Digest               `json:"statement" doc:"SHA-256 of the statement's envelope"`
	Log         string                      `json:"log" doc:"origin of the log; its owner has signed the statement"`
	Index       int64                       `json:"index" doc:"of the statement in the log"`
	Release     digest.Digest               `json:"release" doc:"SHA-256 of the release's envelope"`
	Outcome     statement.Outcome           `json:"outcome" enum:"identical,explained,different,failed" doc:"of the worst artifact"`
	Attempts    int                         `json:"attempts"`
	Flaky       bool                        `json:"flaky" doc:"the attempts do not agree"`
	Reason      statement.Reason            `json:"reason,omitempty" doc:"why the last attempt failed"`
	Detail      string                      `json:"detail,omitempty" doc:"of the last attempt, for people"`
	Finished    time.Time                   `json:"finished" doc:"what the signer says"`
	Engine      string                      `json:"engine,omitempty"`
	Job         *digest.Digest              `json:"job,omitempty"`
	Recipe      *digest.Digest              `json:"recipe,omitempty"`
	Explanation *statement.Evidence         `json:"explanation,omitempty" doc:"of what differs"`
	BuildLog    *digest.Digest              `json:"buildLog,omitempty" doc:"of the last attempt"`
	Provenance  *digest.Digest              `json:"provenance,omitempty" doc:"SHA-256 of the envelope of the provenance in the same log"`
	Artifacts   []statement.RebuiltArtifact `json:"artifacts,omitempty" doc:"absent in lists of all releases"`
}

func apiSaidOf(r *projection.Rebuild) apiSaid {
	x := apiSaid{
		Statement: r.Statement, Log: r.Origin, Index: r.Index, Release: r.Release, Outcome: r.Outcome, Attempts: r.Attempts, Flaky: r.Flaky,
		Reason: r.Reason, Detail: r.Detail, Finished: r.Finished, Engine: r.Engine, Job: known(r.Job), Recipe: known(r.Recipe),
		Explanation: r.Explanation, Provenance: known(r.Provenance), Artifacts: r.Artifacts,
	}
	if r.Log != nil {
		x.BuildLog = known(r.Log.SHA256)
	}
	return x
}

// known is a digest as JSON has it, nil for none.
func known(d digest.Digest) *digest.Digest {
	if d.IsZero() {
		return nil
	}
	return &d
}

type apiRebuildsInput struct {
	Outcome string `query:"outcome" enum:"identical,explained,different,failed" doc:"only with this outcome"`
	Release string `query:"release" pattern:"^([0-9a-f]{64})?$" doc:"only of this release"`
	After   string `query:"after" maxLength:"128" doc:"what the page before gave"`
	Limit   int    `query:"limit" minimum:"1" maximum:"100" default:"50"`
}

type apiRebuildPage struct {
	Rebuilds []apiSaid `json:"rebuilds" nullable:"false"`
	After    string    `json:"after,omitempty" doc:"ask again with this for the next page; absent on the last"`
}

func (s *site) apiRebuildList(ctx context.Context, in *apiRebuildsInput) (*body[apiRebuildPage], error) {
	f := projection.RebuildFilter{Outcome: statement.Outcome(in.Outcome), Limit: in.Limit + 1}
	if in.Release != "" {
		var err error
		if f.Release, err = digest.Parse(in.Release); err != nil {
			return nil, huma.Error422UnprocessableEntity(err.Error())
		}
	}
	after, err := s.rebuildCursor(ctx, in.After)
	if err != nil {
		return nil, s.apiError(ctx, err)
	}
	all, err := s.Projection.Rebuilds(ctx, f, after)
	if err != nil {
		return nil, s.apiError(ctx, err)
	}
	out := apiRebuildPage{Rebuilds: []apiSaid{}}
	if len(all) > in.Limit {
		all = all[:in.Limit]
		out.After = cursorOf(&all[in.Limit-1])
	}
	for i := range all {
		out.Rebuilds = append(out.Rebuilds, apiSaidOf(&all[i]))
	}
	return answer(out), nil
}

func (s *site) apiRebuild(ctx context.Context, in *apiDigest) (*body[apiSaid], error) {
	d, err := digest.Parse(in.Digest)
	if err != nil {
		return nil, huma.Error422UnprocessableEntity(err.Error())
	}
	r, err := s.Projection.OneRebuild(ctx, d)
	if err != nil {
		return nil, s.apiError(ctx, err)
	}
	return answer(apiSaidOf(r)), nil
}

type apiRebuildsOf struct {
	Rebuilds []apiSaid `json:"rebuilds" nullable:"false" doc:"at most 2 of each log and 64 in all; by log, the latest entry first"`
}

func (s *site) apiRebuildsOf(ctx context.Context, in *apiDigest) (*body[apiRebuildsOf], error) {
	d, err := digest.Parse(in.Digest)
	if err != nil {
		return nil, huma.Error422UnprocessableEntity(err.Error())
	}
	all, err := s.Projection.RebuildsOf(ctx, d, rebuildsOfALog, maxRebuilds)
	if err != nil {
		return nil, s.apiError(ctx, err)
	}
	out := apiRebuildsOf{Rebuilds: []apiSaid{}}
	for i := range all {
		out.Rebuilds = append(out.Rebuilds, apiSaidOf(&all[i]))
	}
	return answer(out), nil
}
