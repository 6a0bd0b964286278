package witness

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"vitrine.example/internal/store"
)

const (
	plain   = "text/plain; charset=utf-8"
	noStore = "no-store"
)

// call is one thing that the witness can be asked.
type call struct {
	name   string // in metrics
	method string // GET allows HEAD as well
	typ    string // of the answer
	serve  func(ctx context.Context, body []byte) ([]byte, error)
}

// Handler serves POST /add-checkpoint and /sign-subtree, GET
// /<origin hash>/checkpoint, /witness.v0.json and / (the about page). It expects
// these paths at its root: strip what stands before.
func (w *Witness) Handler() http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		h := rw.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", noStore)
		c, ok := w.route(r)
		if !ok {
			http.Error(rw, "not found", http.StatusNotFound)
			return
		}
		if c.method == http.MethodGet {
			h.Set("Access-Control-Allow-Origin", "*")
		}
		rec := &recorder{ResponseWriter: rw, code: http.StatusOK}
		took := w.answer(rec, r, c)
		w.metrics.served(c.name, rec.code, took)
	})
}

// route finds what a path stands for.
func (w *Witness) route(r *http.Request) (call, bool) {
	path := r.URL.Path
	if r.URL.RawPath != "" {
		return call{}, false // nothing here needs an escaped slash
	}
	switch path {
	case "/add-checkpoint":
		return call{"add-checkpoint", http.MethodPost, plain, w.addCheckpoint}, true
	case "/sign-subtree":
		return call{"sign-subtree", http.MethodPost, plain, w.signSubtree}, true
	case "/witness.v0.json":
		return call{"about", http.MethodGet, "application/json", w.aboutJSON}, true
	case "/", "":
		return call{"about", http.MethodGet, plain, w.about}, true
	}
	if dir, ok := strings.CutSuffix(path, "/checkpoint"); ok {
		if hash, ok := parseOriginHash(strings.TrimPrefix(dir, "/")); ok {
			return call{"checkpoint", http.MethodGet, plain, func(ctx context.Context, _ []byte) ([]byte, error) {
				return w.checkpoint(ctx, hash)
			}}, true
		}
	}
	return call{}, false
}

// parseOriginHash reads "the SHA-256 hash of the log's origin, hex encoded, in
// lowercase".
func parseOriginHash(s string) (h [sha256.Size]byte, ok bool) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(h) || s != strings.ToLower(s) {
		return h, false
	}
	return [sha256.Size]byte(b), true
}

// answer serves one request and says how long that took once it was read.
func (w *Witness) answer(rw http.ResponseWriter, r *http.Request, c call) time.Duration {
	if err := checkMethod(rw, r, c); err != nil {
		w.fail(rw, r, err)
		return 0
	}
	var body []byte
	if c.method == http.MethodPost {
		var err error
		if body, err = w.readBody(rw, r); err != nil {
			w.fail(rw, r, err)
			return 0
		}
	}
	start := time.Now()
	leave, err := w.gate.enter(r.Context())
	if err != nil {
		w.fail(rw, r, err)
		return time.Since(start)
	}
	out, err := c.serve(r.Context(), body)
	leave()
	took := time.Since(start)
	if err != nil {
		w.fail(rw, r, err)
		return took
	}
	rw.Header().Set("Content-Type", c.typ)
	rw.Header().Set("Content-Length", strconv.Itoa(len(out)))
	_, _ = rw.Write(out) // the client may have gone
	return took
}

func checkMethod(rw http.ResponseWriter, r *http.Request, c call) error {
	if r.Method == c.method || c.method == http.MethodGet && r.Method == http.MethodHead {
		return nil
	}
	allow := c.method
	if allow == http.MethodGet {
		allow = "GET, HEAD"
	}
	rw.Header().Set("Allow", allow)
	return refuse(http.StatusMethodNotAllowed, "want %s", allow)
}

// readBody reads a request's body within the limits of size and time.
func (w *Witness) readBody(rw http.ResponseWriter, r *http.Request) ([]byte, error) {
	limit := w.o.Limits.Body
	tooLarge := refuse(http.StatusRequestEntityTooLarge, "a request has at most %d bytes", limit)
	if r.ContentLength > limit {
		rw.Header().Set("Connection", "close")
		return nil, tooLarge
	}
	// Not every connection has deadlines (a bastion's); the server's own limits
	// hold there.
	ctl := http.NewResponseController(rw)
	_ = ctl.SetReadDeadline(time.Now().Add(w.o.Limits.Read))
	body, err := io.ReadAll(http.MaxBytesReader(rw, r.Body, limit))
	if err == nil {
		_ = ctl.SetReadDeadline(time.Time{}) // or it would end the request while it is worked on
		return body, nil
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, tooLarge
	}
	rw.Header().Set("Connection", "close")
	return nil, refuse(http.StatusBadRequest, "reading the request: it was cut off or took too long")
}

// fail answers with an error.
func (w *Witness) fail(rw http.ResponseWriter, r *http.Request, err error) {
	if f, ok := errors.AsType[*refusal](err); ok {
		f.write(rw)
		return
	}
	if r.Context().Err() == nil {
		w.o.Log.Error("serving the witness", "path", r.URL.Path, "err", err)
	}
	if errors.Is(err, store.ErrBusy) || errors.Is(err, store.ErrFull) {
		(&refusal{status: http.StatusServiceUnavailable, retry: time.Second, text: "the witness cannot keep its state at present"}).write(rw)
		return
	}
	http.Error(rw, "the witness cannot answer", http.StatusInternalServerError)
}

func (w *Witness) byHash(ctx context.Context, hash [sha256.Size]byte) (r *row, err error) {
	err = w.view(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		r, err = readRow(ctx, tx, hash)
		return err
	})
	return r, err
}

// recorder remembers the status.
type recorder struct {
	http.ResponseWriter
	code int
}

func (r *recorder) WriteHeader(code int) {
	r.code = code
	r.ResponseWriter.WriteHeader(code)
}

// Unwrap lets http.ResponseController through.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
