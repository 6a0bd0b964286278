package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"vitrine.example/digest"
	"vitrine.example/internal/circle"
	"vitrine.example/internal/content"
	"vitrine.example/internal/ledger"
	"vitrine.example/internal/projection"
)

// immutable is the caching of what can never change under its address.
const immutable = "public, max-age=31536000, immutable"

// What a request can be told.
var (
	errNotFound = errors.New("there is nothing at this address")
	errInvalid  = errors.New("this address is not well formed")
)

// status maps errors to HTTP, once for pages, files and the API. The text is
// for the outsider; what happened inside stays in the operator's log.
func status(err error) (int, string) {
	switch {
	case errors.Is(err, errInvalid):
		return http.StatusBadRequest, err.Error()
	case errors.Is(err, errNotFound), errors.Is(err, circle.ErrNone), errors.Is(err, projection.ErrUnknown),
		errors.Is(err, content.ErrUnknown), errors.Is(err, ledger.ErrUnknown):
		return http.StatusNotFound, errNotFound.Error()
	case errors.Is(err, ledger.ErrClosed):
		return http.StatusServiceUnavailable, "the node is stopping"
	}
	return http.StatusInternalServerError, "something went wrong here; the operator's log has the details"
}

// fail tells the operator what the outsider is not told.
func (s *site) fail(r *http.Request, err error) (int, string) {
	code, text := status(err)
	if code >= 500 && r.Context().Err() == nil {
		s.Logger.Error("answering a request", "method", r.Method, "pattern", r.Pattern, "err", err)
	}
	return code, text
}

// send writes a whole body.
func send(w http.ResponseWriter, mediaType string, body []byte) {
	sendStatus(w, http.StatusOK, mediaType, body)
}

func sendStatus(w http.ResponseWriter, code int, mediaType string, body []byte) {
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(code)
	_, _ = w.Write(body) // the client may have gone
}

// problem answers as RFC 9457 says.
func problem(w http.ResponseWriter, code int, detail string) {
	b, err := json.Marshal(struct {
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail"`
	}{http.StatusText(code), code, detail})
	if err != nil {
		b = []byte("{}")
	}
	w.Header().Set("Cache-Control", "no-store")
	sendStatus(w, code, "application/problem+json", b)
}

// pathDigest reads the {digest} of an address.
func pathDigest(r *http.Request) (digest.Digest, error) {
	d, err := digest.Parse(r.PathValue("digest"))
	if err != nil {
		return d, fmt.Errorf("%w: %w", errInvalid, err)
	}
	return d, nil
}

// number reads a decimal number in its one form: no sign, no leading zero.
func number(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || strconv.FormatInt(n, 10) != s {
		return 0, fmt.Errorf("%w: %.40q is not a decimal number", errInvalid, s)
	}
	return n, nil
}

// page makes a handler of a function that returns a template's name and data.
func (s *site) page(f func(r *http.Request) (string, any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		code := http.StatusOK
		name, data, err := f(r)
		warn, failed := s.forked(r.Context(), data)
		if err == nil {
			err = failed
		}
		if err != nil {
			var text string
			code, text = s.fail(r, err)
			name, data = "error", errorPage{Code: code, Title: http.StatusText(code), Text: text}
		}
		b, err := s.look.draw(name, data, warn)
		if err != nil {
			code, text := s.fail(r, err)
			problem(w, code, text)
			return
		}
		w.Header().Set("Cache-Control", "no-cache")
		sendStatus(w, code, "text/html; charset=utf-8", b)
	}
}

type errorPage struct {
	Code  int
	Title string
	Text  string
}

// file makes a handler of a function that serves something by its digest and
// answers errors as problems.
func file(s *site, f func(w http.ResponseWriter, r *http.Request, d digest.Digest) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d, err := pathDigest(r)
		if err == nil {
			err = f(w, r, d)
		}
		if err != nil {
			code, text := s.fail(r, err)
			problem(w, code, text)
		}
	})
}
