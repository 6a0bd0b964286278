package web

import (
	"context"
	"net/http"

	"vitrine.example/internal/witness"
)

// pageLogs is how many logs of the witness a page lists.
const pageLogs = 100

// Witness is what the site shows of the node's witness.
type Witness interface {
	List(ctx context.Context, after string, limit int) ([]witness.Status, error)
	Lost() string
}

// witnessPage lists the logs that the node cosigns.
type witnessPage struct {
	Prefix string // of submission and monitoring
	Name   string
	Keys   []string
	Lost   bool
	Logs   []witness.Status
	First  bool
	After  string // where the next page begins; "": there is none
}

func (s *site) witness(r *http.Request) (string, any, error) {
	if s.Witness == nil {
		return "", nil, errNotFound
	}
	after := r.URL.Query().Get("after")
	if len(after) > witness.MaxOrigin {
		return "", nil, errInvalid
	}
	p := witnessPage{
		Prefix: s.Info.URL + "/witness/", Name: s.Info.Origin + "/witness", Keys: s.info().Witness,
		Lost: s.Witness.Lost() != "", First: after == "",
	}
	var err error
	if p.Logs, err = s.Witness.List(r.Context(), after, pageLogs+1); err != nil {
		return "", nil, err
	}
	if len(p.Logs) > pageLogs {
		p.Logs = p.Logs[:pageLogs]
		p.After = p.Logs[pageLogs-1].Origin
	}
	return "witness", p, nil
}

// witnessRoutes adds the page of the witness.
func (s *site) witnessRoutes(mux *http.ServeMux) { mux.HandleFunc("GET /witness", s.page(s.witness)) }
