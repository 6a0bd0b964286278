package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/holdings"
)

// Holdings tells what is missing of others' logs.
type Holdings interface {
	// Withheld returns what nobody gave by its deadline, by index, limit at most,
	// or [holdings.ErrUnknown].
	Withheld(ctx context.Context, origin string, limit int) ([]holdings.Missing, error)
}

// maxWithheld bounds how much of it a page and the API show.
const maxWithheld = 100

// withheld returns what is withheld of a log.
func (s *site) withheld(ctx context.Context, origin string) ([]holdings.Missing, error) {
	if s.Holdings == nil || origin == s.Info.Origin {
		return nil, nil
	}
	all, err := s.Holdings.Withheld(ctx, origin, maxWithheld)
	if errors.Is(err, holdings.ErrUnknown) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("asking what is withheld of %s: %w", origin, err)
	}
	return all, nil
}

type apiMissing struct {
	Kind   string         `json:"kind" enum:"statement,content"`
	Index  int64          `json:"index" doc:"the entry that names it"`
	SHA256 digest.Digest  `json:"sha256" doc:"of a statement the leaf hash of its entry, else of the content"`
	Since  *time.Time     `json:"since,omitempty" doc:"first asked for"`
	Asked  int64          `json:"asked" doc:"how often"`
	Report *digest.Digest `json:"report,omitempty" doc:"the statement of this node that says so"`
}

func (s *site) apiWithheld(ctx context.Context, origin string) ([]apiMissing, error) {
	all, err := s.withheld(ctx, origin)
	if err != nil {
		return nil, err
	}
	out := make([]apiMissing, 0, len(all))
	for _, m := range all {
		a := apiMissing{Kind: m.Kind, Index: m.Index, SHA256: m.SHA256, Since: stamp(m.Since), Asked: m.Asked}
		if !m.Report.IsZero() {
			a.Report = &m.Report
		}
		out = append(out, a)
	}
	return out, nil
}

// envelope serves the envelope behind an entry of the own log.
func (s *site) envelope(w http.ResponseWriter, r *http.Request) {
	if err := s.envelopeOf(w, r); err != nil {
		code, text := s.fail(r, err)
		problem(w, code, text)
	}
}

func (s *site) envelopeOf(w http.ResponseWriter, r *http.Request) error {
	index, err := number(r.PathValue("index"))
	if err != nil {
		return err
	}
	e, err := s.Projection.Entry(r.Context(), index)
	if err != nil {
		return err
	}
	if e.Envelope.IsZero() {
		return errNotFound
	}
	b, err := s.publicBytes(r.Context(), e.Envelope)
	if err != nil {
		return err
	}
	if fresh(w, r, e.Envelope) {
		return nil
	}
	send(w, "application/json", b)
	return nil
}
