package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/circle"
	"vitrine.example/proof"
	"vitrine.example/statement"
)

// Circle gives the history of the node's circle, or [circle.ErrNone].
type Circle interface {
	Circle(ctx context.Context) (*circle.History, error)
}

func (s *site) circleRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /circle", s.page(s.circle))
	mux.Handle("GET /circle.json", shared(http.HandlerFunc(s.circleJSON)))
}

func (s *site) history(ctx context.Context) (*circle.History, error) {
	if s.Circle == nil {
		return nil, circle.ErrNone
	}
	return s.Circle.Circle(ctx)
}

// circleJSON serves the circle's file (docs/spec/circle.md).
func (s *site) circleJSON(w http.ResponseWriter, r *http.Request) {
	h, err := s.history(r.Context())
	var raw []byte
	if err == nil {
		raw, err = h.File()
	}
	if err != nil {
		code, text := s.fail(r, err)
		problem(w, code, text)
		return
	}
	w.Header().Set("Cache-Control", "no-cache")
	send(w, proof.MediaType, raw)
}

// circlePage is the list in force, and how it came to be.
type circlePage struct {
	Known   bool
	Root    digest.Digest
	Current *circle.Current
	History []*circle.Version // newest first
	Members []circleMember
	Dealing []Dealing
}

type circleMember struct {
	circle.Member
	Keys []circleKey
}

type circleKey struct {
	For   string
	ID    digest.Digest
	Text  string
	From  time.Time
	Until time.Time
}

func (s *site) circle(r *http.Request) (string, any, error) {
	h, err := s.history(r.Context())
	if errors.Is(err, circle.ErrNone) {
		return "circle", circlePage{}, nil
	} else if err != nil {
		return "", nil, err
	}
	p := circlePage{Known: true, Root: h.Root, Current: h.Current}
	for i := len(h.Versions) - 1; i >= 0; i-- {
		p.History = append(p.History, h.Versions[i])
	}
	for _, m := range h.Current.Members {
		x := circleMember{Member: m}
		for _, l := range []struct {
			name string
			keys []statement.MemberKey
		}{{"statements", m.Statement}, {"log", m.Log}, {"witness", m.Witness}, {"mirror", m.Mirror}} {
			for _, k := range l.keys {
				x.Keys = append(x.Keys, circleKey{l.name, k.ID(), k.Key, k.From, k.Until})
			}
		}
		p.Members = append(p.Members, x)
	}
	if s.Dealings != nil {
		if p.Dealing, err = s.Dealings.Dealings(r.Context()); err != nil {
			return "", nil, fmt.Errorf("asking how the members do: %w", err)
		}
	}
	return "circle", p, nil
}

type apiCircle struct {
	Name      string                 `json:"name"`
	Root      digest.Digest          `json:"root" doc:"statement of the first version: all that has to be trusted"`
	Version   int64                  `json:"version" doc:"in force"`
	Statement digest.Digest          `json:"statement" doc:"of the version in force"`
	Rule      statement.Rule         `json:"rule"`
	Members   []apiMember            `json:"members" nullable:"false"`
	Revoked   []statement.Revocation `json:"revoked" nullable:"false"`
	Suspended []digest.Digest        `json:"suspended" nullable:"false" doc:"keys that two members or more have called for the revocation of"`
	Versions  []apiVersion           `json:"versions" nullable:"false" doc:"every list that is known, oldest first"`
	Dealings  []apiDealing           `json:"dealings" nullable:"false" doc:"what this node asks the members for, and how they answer"`
}

type apiMember struct {
	statement.Member
	State circle.State `json:"state" enum:"confirmed,invited,left"`
}

type apiVersion struct {
	Version   int64         `json:"version"`
	Statement digest.Digest `json:"statement"`
	Status    circle.Status `json:"status" enum:"current,past,proposed,lost"`
	Proposer  string        `json:"proposer" doc:"origin"`
	Published time.Time     `json:"published" doc:"what the proposer says"`
	Consents  []circle.Vote `json:"consents" nullable:"false"`
	Have      int           `json:"have" doc:"consents that count"`
	Need      int           `json:"need"`
	Notes     []string      `json:"notes" nullable:"false" doc:"contradictions"`
}

func (s *site) apiCircle(ctx context.Context, _ *struct{}) (*body[apiCircle], error) {
	h, err := s.history(ctx)
	if err != nil {
		return nil, s.apiError(ctx, err)
	}
	c := h.Current
	out := apiCircle{
		Name: c.Name, Root: h.Root, Version: c.Version, Statement: c.Statement, Rule: c.Rule,
		Revoked: append([]statement.Revocation{}, c.Revoked...), Suspended: append([]digest.Digest{}, c.Suspended...),
	}
	for _, m := range c.Members {
		out.Members = append(out.Members, apiMember{m.Member, m.State})
	}
	for _, v := range h.Versions {
		out.Versions = append(out.Versions, apiVersion{
			Version: v.Circle.Version, Statement: v.Statement, Status: v.Status, Proposer: v.Proposer, Published: v.Published,
			Consents: v.Consents, Have: v.Have, Need: v.Need, Notes: append([]string{}, v.Notes...),
		})
	}
	out.Dealings, err = s.apiDealings(ctx)
	if err != nil {
		return nil, s.apiError(ctx, err)
	}
	return answer(out), nil
}
