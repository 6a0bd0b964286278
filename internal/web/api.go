package web

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"vitrine.example/digest"
	"vitrine.example/internal/ledger"
	"vitrine.example/internal/projection"
	"vitrine.example/statement"
)

// api adds the read-only API (docs/spec/node.md) with its description in OpenAPI 3.1.
func (s *site) api(mux *http.ServeMux) {
	inner := http.NewServeMux()
	c := huma.DefaultConfig("vitrine node", "1")
	c.Info.Description = "What a node knows, computed from its log. Read-only. Nothing here needs to be believed: every statement comes with a proof."
	c.OpenAPIPath, c.DocsPath, c.SchemasPath = "/api/v1/openapi", "", ""
	c.CreateHooks = nil // no $schema links in answers
	c.RejectUnknownQueryParameters = true
	c.Servers = []*huma.Server{{URL: s.Info.URL}}
	api := humago.New(inner, c)

	huma.Get(api, "/api/v1/node", s.apiNode, named("node", "The node: who it is, its keys, how far its log is"))
	huma.Get(api, "/api/v1/releases", s.apiReleases, named("releases", "Releases, newest first"))
	huma.Get(api, "/api/v1/releases/{digest}", s.apiRelease, named("release", "One release by its statement"))
	huma.Get(api, "/api/v1/statements/{digest}", s.apiStatement, named("statement", "One statement with its place in the log"))
	huma.Get(api, "/api/v1/log", s.apiLog, named("log", "Entries of the log, newest first"))
	huma.Get(api, "/api/v1/circle", s.apiCircle, named("circle", "The circle: who belongs, with which keys, agreed by whom"))
	huma.Get(api, "/api/v1/logs", s.apiLogs, named("logs", "The logs that the node follows, and how far"))
	huma.Get(api, "/api/v1/logs/{log}", s.apiOtherLog, named("entries", "Entries of a followed log, newest first"))
	s.apiRebuilds(api)
	inner.HandleFunc("GET /api/", func(w http.ResponseWriter, r *http.Request) {
		problem(w, http.StatusNotFound, "there is no such address; /api/v1/openapi.json lists them")
	})
	mux.Handle("GET /api/", shared(inner))
}

func named(id, summary string) func(*huma.Operation) {
	return func(o *huma.Operation) {
		o.OperationID, o.Summary = id, summary
		o.Errors = []int{http.StatusNotFound, http.StatusTooManyRequests}
	}
}

// body wraps an answer for huma.
type body[T any] struct {
	CacheControl string `header:"Cache-Control"`
	Body         T
}

func answer[T any](v T) *body[T] { return &body[T]{CacheControl: "no-cache", Body: v} }

// apiError maps errors as pages do.
func (s *site) apiError(ctx context.Context, err error) error {
	code, text := status(err)
	if code >= 500 && ctx.Err() == nil {
		s.Logger.Error("answering a request to the API", "err", err)
	}
	return huma.NewError(code, text)
}

type apiNode struct {
	Info
	Published  int64     `json:"published" doc:"entries that the newest checkpoint covers"`
	At         time.Time `json:"at" doc:"when the newest checkpoint was written"`
	Projected  int64     `json:"projected" doc:"entries that pages and API show; less than published for a moment after publication"`
	Statements int64     `json:"statements" doc:"statements shown"`
	Releases   int64     `json:"releases" doc:"releases shown"`
	Checkpoint string    `json:"checkpoint" doc:"the newest checkpoint, a C2SP signed note; empty before the first is published"`
}

func (s *site) apiNode(ctx context.Context, _ *struct{}) (*body[apiNode], error) {
	st, err := s.Ledger.Status(ctx)
	if err != nil {
		return nil, s.apiError(ctx, err)
	}
	counts, err := s.Projection.Counts(ctx)
	if err != nil {
		return nil, s.apiError(ctx, err)
	}
	checkpoint, err := s.Ledger.Checkpoint(ctx)
	if err != nil && !errors.Is(err, ledger.ErrUnknown) { // none is published yet
		return nil, s.apiError(ctx, err)
	}
	behind, err := s.behind(ctx)
	if err != nil {
		return nil, s.apiError(ctx, err)
	}
	return answer(apiNode{
		Info: s.info(), Published: st.Published, At: st.At.UTC(), Projected: max(st.Published-behind, 0),
		Statements: counts.Statements, Releases: counts.Releases, Checkpoint: string(checkpoint),
	}), nil
}

type apiReleaseRow struct {
	Statement digest.Digest  `json:"statement" doc:"SHA-256 of the statement's envelope"`
	Log       string         `json:"log" doc:"origin of the log"`
	Index     int64          `json:"index" doc:"of the statement in the log"`
	Product   string         `json:"product" doc:"package URL without version"`
	Version   string         `json:"version"`
	Channel   string         `json:"channel,omitempty"`
	Seq       int64          `json:"seq,omitempty" doc:"number on the channel, from 1"`
	Previous  *digest.Digest `json:"previous,omitempty" doc:"statement of seq-1"`
	Published time.Time      `json:"published" doc:"what the signer says; the checkpoint's time is the log's"`
	Files     int            `json:"files" doc:"number of artifacts"`
	Bytes     int64          `json:"bytes" doc:"of all artifacts"`
}

func row(r *projection.Release) apiReleaseRow {
	return apiReleaseRow{
		Statement: r.Statement, Log: r.Origin, Index: r.Index, Product: r.Product, Version: r.Version, Channel: r.Channel,
		Seq: r.Seq, Previous: r.Previous, Published: r.Release.Published, Files: r.Count, Bytes: r.Bytes,
	}
}

type apiReleases struct {
	Releases []apiReleaseRow `json:"releases" nullable:"false"`
	Before   int64           `json:"before,omitempty" doc:"ask again with this for the next page; absent on the last"`
}

type apiReleasesInput struct {
	Log     string `query:"log" maxLength:"255" doc:"origin of a followed log; absent: the node's own"`
	Product string `query:"product" maxLength:"512" doc:"only of this product"`
	Channel string `query:"channel" maxLength:"64" doc:"only on this channel"`
	SHA256  string `query:"sha256" pattern:"^([0-9a-f]{64})?$" doc:"only those that ship this file"`
	Page
}

// Page picks a part of a list.
type Page struct {
	Before int64 `query:"before" minimum:"0" doc:"only what has a smaller index; 0: from the newest"`
	Limit  int   `query:"limit" minimum:"1" maximum:"100" default:"50"`
}

func (s *site) apiReleases(ctx context.Context, in *apiReleasesInput) (*body[apiReleases], error) {
	f := projection.Filter{Log: in.Log, Product: in.Product, Channel: in.Channel, Before: in.Before, Limit: in.Limit + 1}
	if in.SHA256 != "" {
		d, err := digest.Parse(in.SHA256)
		if err != nil {
			return nil, huma.Error422UnprocessableEntity(err.Error())
		}
		f.Artifact = d
	}
	found, err := s.Projection.Releases(ctx, f)
	if err != nil {
		return nil, s.apiError(ctx, err)
	}
	out := apiReleases{Releases: []apiReleaseRow{}}
	if len(found) > in.Limit {
		found = found[:in.Limit]
		out.Before = found[in.Limit-1].Index
	}
	for i := range found {
		out.Releases = append(out.Releases, row(&found[i]))
	}
	return answer(out), nil
}

type apiDigest struct {
	Digest string `path:"digest" pattern:"^[0-9a-f]{64}$" doc:"SHA-256 of the statement's envelope"`
}

type apiRelease struct {
	apiReleaseRow
	Key       digest.Digest        `json:"key" doc:"ID of the key that signed: SHA-256 of its PKIX encoding"`
	Standing  []apiCosigner        `json:"standing" nullable:"false" doc:"who keeps and cosigns the log"`
	Notes     string               `json:"notes,omitempty"`
	Artifacts []statement.Artifact `json:"artifacts" nullable:"false"`
	Source    *statement.Source    `json:"source,omitempty"`
}

func (s *site) apiRelease(ctx context.Context, in *apiDigest) (*body[apiRelease], error) {
	d, err := digest.Parse(in.Digest)
	if err != nil {
		return nil, huma.Error422UnprocessableEntity(err.Error())
	}
	r, err := s.Projection.Release(ctx, d)
	if err != nil {
		return nil, s.apiError(ctx, err)
	}
	stand, err := s.standing(ctx, r.Origin, r.Index)
	if err != nil {
		return nil, s.apiError(ctx, err)
	}
	return answer(apiRelease{apiReleaseRow: row(r), Key: r.Key, Standing: apiStanding(stand), Notes: r.Notes, Artifacts: r.Artifacts, Source: r.Source}), nil
}

type apiStatement struct {
	SHA256        digest.Digest  `json:"sha256" doc:"of the envelope"`
	Log           string         `json:"log" doc:"origin of the log"`
	Index         int64          `json:"index"`
	Key           digest.Digest  `json:"key" doc:"ID of the key that signed"`
	PredicateType string         `json:"predicateType"`
	Subjects      []apiSubject   `json:"subjects" nullable:"false"`
	Envelope      map[string]any `json:"envelope" doc:"the DSSE envelope; its canonical bytes are at /statements/{digest}"`
	Proof         string         `json:"proof,omitempty" doc:"a C2SP tlog-proof under the newest checkpoint; absent where the log is another's"`
}

type apiSubject struct {
	Name   string         `json:"name,omitempty"`
	SHA256 *digest.Digest `json:"sha256,omitempty"`
}

func (s *site) apiStatement(ctx context.Context, in *apiDigest) (*body[apiStatement], error) {
	d, err := digest.Parse(in.Digest)
	if err != nil {
		return nil, huma.Error422UnprocessableEntity(err.Error())
	}
	e, err := s.Projection.Statement(ctx, d)
	if err != nil {
		return nil, s.apiError(ctx, err)
	}
	raw, err := s.publicBytes(ctx, d)
	if err != nil {
		return nil, s.apiError(ctx, err)
	}
	proof, err := s.proofOf(ctx, e)
	if err != nil {
		return nil, s.apiError(ctx, err)
	}
	out := apiStatement{
		SHA256: d, Log: e.Origin, Index: e.Index, Key: e.Key, PredicateType: e.PredicateType,
		Subjects: []apiSubject{}, Proof: proof,
	}
	if err := json.Unmarshal(raw, &out.Envelope); err != nil {
		return nil, s.apiError(ctx, err)
	}
	for _, sub := range e.Subjects {
		a := apiSubject{Name: sub.Name}
		if !sub.SHA256.IsZero() {
			a.SHA256 = &sub.SHA256
		}
		out.Subjects = append(out.Subjects, a)
	}
	return answer(out), nil
}

type apiLog struct {
	Origin  string     `json:"origin"`
	Size    int64      `json:"size" doc:"published entries"`
	Entries []apiEntry `json:"entries" nullable:"false"`
	Before  int64      `json:"before,omitempty" doc:"ask again with this for the next page; absent on the last"`
}

type apiEntry struct {
	Index         int64          `json:"index"`
	Kind          string         `json:"kind" enum:"statement,commitment,other"`
	Statement     *digest.Digest `json:"statement,omitempty" doc:"absent where the statement is not known here"`
	Key           *digest.Digest `json:"key,omitempty"`
	PredicateType string         `json:"predicateType,omitempty"`
	Problem       string         `json:"problem,omitempty" doc:"why the statement cannot be shown"`
}

func (s *site) apiLog(ctx context.Context, in *Page) (*body[apiLog], error) {
	st, err := s.Ledger.Status(ctx)
	if err != nil {
		return nil, s.apiError(ctx, err)
	}
	return s.apiEntries(ctx, s.Info.Origin, st.Published, in)
}
