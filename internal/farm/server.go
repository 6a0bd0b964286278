package farm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/content"
	"vitrine.example/internal/store"
	"vitrine.example/internal/strictjson"
)

// Server offers an office to workers (docs/spec/farm.md). It must be served with
// [Identity.ServerTLS] alone: the key of the connection is who asks.
type Server struct {
	Office Office
	// Name gives the worker of a key, "" where the key is not known. It is asked for
	// each request: whoever is no longer named is out.
	Name func(id digest.Digest) string
	// Holder gives the worker that has or had a lease: nobody else may come with it.
	Holder func(ctx context.Context, id, epoch int64) (string, error)
	Log    *slog.Logger
}

// Paths of the API.
const (
	pathTake = "/farm/v1/take"
	pathOf   = "/farm/v1/orders/"
)

// taken is the answer to a take; renewal to a renewal.
type taken struct {
	Held *Held `json:"held,omitzero"` // absent: there is nothing to do
}

type renewal struct {
	Lasts int64 `json:"lasts"` // milliseconds from the asking
}

// Handler serves the API.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+pathTake, s.as(func(w http.ResponseWriter, r *http.Request, name string) error {
		h, err := s.Office.Take(r.Context(), name)
		if err != nil {
			return err
		}
		if h != nil && r.Context().Err() != nil { // it gave up waiting, and is not told
			return s.Office.Return(context.WithoutCancel(r.Context()), h.ID, h.Epoch)
		}
		return reply(w, taken{h})
	}))
	mux.HandleFunc("POST "+pathOf+"{id}/{epoch}/renew", s.of(func(w http.ResponseWriter, r *http.Request, id, epoch int64) error {
		var p Progress
		if err := read(r, &p, 4<<10); err != nil {
			return err
		}
		lasts, err := s.Office.Renew(r.Context(), id, epoch, p)
		if err != nil {
			return err
		}
		return reply(w, renewal{lasts.Milliseconds()})
	}))
	mux.HandleFunc("POST "+pathOf+"{id}/{epoch}/log/{start}", s.of(func(w http.ResponseWriter, r *http.Request, id, epoch int64) error {
		start, err := strconv.ParseInt(r.PathValue("start"), 10, 64)
		if err != nil {
			return bad(err)
		}
		data, err := body(r, MaxChunk)
		if err != nil {
			return err
		}
		return s.Office.Log(r.Context(), id, epoch, start, data)
	}))
	mux.HandleFunc("POST "+pathOf+"{id}/{epoch}/finish", s.of(func(w http.ResponseWriter, r *http.Request, id, epoch int64) error {
		var a Answer
		if err := read(r, &a, 2*MaxResult+2*MaxReport); err != nil {
			return err
		}
		return s.Office.Finish(r.Context(), id, epoch, &a)
	}))
	mux.HandleFunc("POST "+pathOf+"{id}/{epoch}/return", s.of(func(_ http.ResponseWriter, r *http.Request, id, epoch int64) error {
		return s.Office.Return(r.Context(), id, epoch)
	}))
	mux.HandleFunc("GET "+pathOf+"{id}/{epoch}/content/{digest}", s.of(s.content))
	return mux
}

func (s *Server) content(w http.ResponseWriter, r *http.Request, id, epoch int64) error {
	d, err := digest.Parse(r.PathValue("digest"))
	if err != nil {
		return bad(err)
	}
	c, err := s.Office.Content(r.Context(), id, epoch, d)
	if err != nil {
		return err
	}
	defer c.Close()
	w.Header().Set("Content-Type", "application/octet-stream")
	if _, err := io.Copy(w, c); err != nil {
		panic(http.ErrAbortHandler) // the worker must not take a part for the whole
	}
	return nil
}

// as asks who it is. TLS has asked already; a worker that was taken off the
// list meanwhile ends here.
func (s *Server) as(f func(w http.ResponseWriter, r *http.Request, name string) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		id, err := peerOf(r.TLS)
		name := ""
		if err == nil {
			name = s.Name(id)
		}
		if name == "" {
			http.Error(w, "this node knows no worker of that key", http.StatusForbidden)
			return
		}
		if err := f(w, r, name); err != nil {
			s.refuse(w, r, name, err)
		}
	}
}

// of reads which lease is meant, and lets nobody have another's.
func (s *Server) of(f func(w http.ResponseWriter, r *http.Request, id, epoch int64) error) http.HandlerFunc {
	return s.as(func(w http.ResponseWriter, r *http.Request, name string) error {
		id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
		if err != nil {
			return bad(err)
		}
		epoch, err := strconv.ParseInt(r.PathValue("epoch"), 10, 64)
		if err != nil {
			return bad(err)
		}
		switch holder, err := s.Holder(r.Context(), id, epoch); {
		case err != nil:
			return err
		case holder != name:
			return fmt.Errorf("rebuild %d: %w: it is not yours", id, ErrLost)
		}
		return f(w, r, id, epoch)
	})
}

// badRequest is the worker's own fault.
type badRequest struct{ error }

func bad(err error) error { return badRequest{err} }

func (s *Server) refuse(w http.ResponseWriter, r *http.Request, name string, err error) {
	code := http.StatusInternalServerError
	var mine badRequest
	switch {
	case errors.As(err, &mine), errors.Is(err, ErrRefused):
		code = http.StatusBadRequest
	case errors.Is(err, ErrLost):
		code = http.StatusConflict
	case errors.Is(err, errNeedless):
		code = http.StatusForbidden
	case errors.Is(err, content.ErrUnknown):
		code = http.StatusNotFound
	case errors.Is(err, store.ErrBusy), errors.Is(err, store.ErrFull), errors.Is(err, context.Canceled), errors.Is(err, errCut):
		code = http.StatusServiceUnavailable
	}
	if code == http.StatusInternalServerError {
		s.Log.Error("a worker's request", "worker", name, "path", r.URL.Path, "err", err)
	}
	http.Error(w, line(err.Error()), code)
}

// errCut says that a request did not arrive as a whole: it may be made again.
var errCut = errors.New("the request broke off")

func body(r *http.Request, limit int) ([]byte, error) {
	b, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, int64(limit)))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, bad(err)
	} else if err != nil {
		return nil, fmt.Errorf("%w: %w", errCut, err)
	}
	return b, nil
}

func read(r *http.Request, v any, limit int) error {
	b, err := body(r, limit)
	if err != nil {
		return err
	}
	if err := strictjson.Unmarshal(b, v, strictjson.Limits{Size: limit}); err != nil {
		return bad(err)
	}
	return nil
}

func reply(w http.ResponseWriter, v any) error {
	b, err := strictjson.Canonical(v)
	if err != nil {
		return fmt.Errorf("writing an answer: %w", err)
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(b) // a worker that is gone asks again
	return nil
}

// Prepare sets a server up for workers: they send logs and explanations, and
// fetch toolchains, over slow lines too, and every one of them is known by name.
func Prepare(srv *http.Server) {
	srv.ReadTimeout, srv.WriteTimeout = 10*time.Minute, time.Hour
	srv.IdleTimeout = 5 * time.Minute // an idle worker comes every few seconds
}
