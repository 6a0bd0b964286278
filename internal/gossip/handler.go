package gossip

import (
	"errors"
	"io"
	"net/http"

	"vitrine.example/digest"
	"vitrine.example/tlog"
)

// Handler serves /forks/ (index, evidence by digest, and POST) and
// /gossip/views. It gives away signed texts alone, to anyone.
func (g *Gossip) Handler() http.Handler {
	m := http.NewServeMux()
	m.HandleFunc("GET /forks/{$}", g.serveIndex)
	m.HandleFunc("GET /forks/{digest}", g.serveEvidence)
	m.HandleFunc("POST /forks/{$}", g.takePost)
	m.HandleFunc("GET /gossip/views", g.serveViews)
	return m
}

func (g *Gossip) serveIndex(w http.ResponseWriter, r *http.Request) {
	all, err := g.List(r.Context(), "")
	if err != nil {
		g.fail(w, err)
		return
	}
	b, err := formatIndex(all)
	g.answer(w, b, err)
}

func (g *Gossip) serveEvidence(w http.ResponseWriter, r *http.Request) {
	d, err := digest.Parse(r.PathValue("digest"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	text, err := g.Evidence(r.Context(), d)
	switch {
	case errors.Is(err, ErrNone):
		http.Error(w, "no such evidence", http.StatusNotFound)
	case err != nil:
		g.fail(w, err)
	default:
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		_, _ = w.Write(text) // whoever asked has gone
	}
}

// takePost keeps evidence that someone sends: 201 where it is new.
func (g *Gossip) takePost(w http.ResponseWriter, r *http.Request) {
	if !g.mayPost(r) {
		w.Header().Set("Retry-After", "10")
		http.Error(w, "too much evidence at once; the node also asks for it", http.StatusTooManyRequests)
		return
	}
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, tlog.MaxFork))
	if err != nil {
		http.Error(w, "reading evidence: "+err.Error(), http.StatusBadRequest)
		return
	}
	f, err := tlog.ParseFork(b)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	fresh, err := g.Keep(r.Context(), f)
	switch {
	case errors.Is(err, ErrUnknown):
		http.Error(w, err.Error(), http.StatusNotFound)
	case errors.Is(err, tlog.ErrNotSigned), errors.Is(err, tlog.ErrBadSignature), errors.Is(err, tlog.ErrNoFork):
		http.Error(w, err.Error(), http.StatusUnprocessableEntity)
	case err != nil:
		g.fail(w, err)
	case fresh:
		w.WriteHeader(http.StatusCreated)
	}
}

func (g *Gossip) serveViews(w http.ResponseWriter, r *http.Request) {
	all, err := g.o.Logs.Newest(r.Context())
	if err != nil {
		g.fail(w, err)
		return
	}
	b, err := formatViews(all)
	g.answer(w, b, err)
}

func (g *Gossip) answer(w http.ResponseWriter, b []byte, err error) {
	if err != nil {
		g.fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(append(b, '\n')) // whoever asked has gone
}

func (g *Gossip) fail(w http.ResponseWriter, err error) {
	g.o.Log.Error("answering a member", "err", err)
	http.Error(w, "internal error", http.StatusInternalServerError)
}
