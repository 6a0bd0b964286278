package web

import (
	"context"
	"time"

	"vitrine.example/digest"
)

type apiLogs struct {
	Logs []apiLogState `json:"logs" nullable:"false"`
}

type apiLogState struct {
	Origin     string        `json:"origin"`
	Hash       string        `json:"hash" doc:"SHA-256 of the origin, by which addresses name the log"`
	Own        bool          `json:"own" doc:"it is the node's own log"`
	Published  int64         `json:"published" doc:"entries that the newest checkpoint known here covers"`
	Projected  int64         `json:"projected" doc:"of these, entries that pages and API show"`
	Behind     int64         `json:"behind" doc:"published and not shown"`
	Late       float64       `json:"late" doc:"seconds since the oldest of these was first seen; 0 where there is none"`
	At         *time.Time    `json:"at,omitempty" doc:"when the newest checkpoint was made or came here"`
	Statements int64         `json:"statements" doc:"statements shown"`
	Releases   int64         `json:"releases" doc:"releases shown"`
	Missing    int64         `json:"missing" doc:"entries whose statement is not held here, or does not fit"`
	Problem    string        `json:"problem,omitempty" doc:"why the log is not followed at present"`
	Standing   []apiCosigner `json:"standing" nullable:"false" doc:"who keeps and cosigns the log"`
	Withheld   []apiMissing  `json:"withheld" nullable:"false" doc:"what nobody gave by its deadline, by index, the first 100"`
}

type apiCosigner struct {
	Name string     `json:"name"`
	Kind string     `json:"kind" enum:"witness,mirror"`
	Size int64      `json:"size" doc:"entries that its newest cosignature covers"`
	At   *time.Time `json:"at,omitempty" doc:"of that cosignature"`
}

// stamp is a time as JSON has it, nil for none.
func stamp(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

func apiStanding(all []standing) []apiCosigner {
	out := make([]apiCosigner, 0, len(all))
	for _, c := range all {
		out = append(out, apiCosigner{Name: c.Name, Kind: c.Kind, Size: c.Size, At: stamp(c.At)})
	}
	return out
}

func (s *site) apiLogs(ctx context.Context, _ *struct{}) (*body[apiLogs], error) {
	rows, err := s.logRows(ctx)
	if err != nil {
		return nil, s.apiError(ctx, err)
	}
	out := apiLogs{Logs: []apiLogState{}}
	for i := range rows {
		l := &rows[i]
		stand, err := s.standing(ctx, l.Origin, 0)
		if err != nil {
			return nil, s.apiError(ctx, err)
		}
		missing, err := s.apiWithheld(ctx, l.Origin)
		if err != nil {
			return nil, s.apiError(ctx, err)
		}
		out.Logs = append(out.Logs, apiLogState{
			Origin: l.Origin, Hash: l.Hash, Own: l.Own, Published: l.Published, Projected: l.Projected,
			Behind: l.Behind(), Late: l.Late.Seconds(), At: stamp(l.At), Statements: l.Statements,
			Releases: l.Releases, Missing: l.Missing, Problem: l.Ails(), Standing: apiStanding(stand), Withheld: missing,
		})
	}
	return answer(out), nil
}

type apiOtherLogInput struct {
	Log string `path:"log" pattern:"^[0-9a-f]{64}$" doc:"SHA-256 of the origin"`
	Page
}

func (s *site) apiOtherLog(ctx context.Context, in *apiOtherLogInput) (*body[apiLog], error) {
	l, err := s.logRow(ctx, in.Log)
	if err != nil {
		return nil, s.apiError(ctx, err)
	}
	return s.apiEntries(ctx, l.Origin, l.Projected, &in.Page)
}

// apiEntries lists entries of a log of a size.
func (s *site) apiEntries(ctx context.Context, origin string, size int64, in *Page) (*body[apiLog], error) {
	to := in.Before
	if to == 0 || to > size {
		to = size
	}
	from := max(to-int64(in.Limit), 0)
	found, err := s.entries(ctx, origin, from, to)
	if err != nil {
		return nil, s.apiError(ctx, err)
	}
	out := apiLog{Origin: origin, Size: size, Entries: []apiEntry{}, Before: from}
	for _, e := range found {
		a := apiEntry{Index: e.Index, Kind: string(e.Kind), PredicateType: e.PredicateType, Problem: e.Problem}
		for _, d := range []struct {
			have digest.Digest
			to   **digest.Digest
		}{{e.Envelope, &a.Statement}, {e.Key, &a.Key}} {
			if !d.have.IsZero() {
				*d.to = &d.have
			}
		}
		out.Entries = append(out.Entries, a)
	}
	return answer(out), nil
}
