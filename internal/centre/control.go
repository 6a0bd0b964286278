package centre

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"vitrine.example/internal/circle"
	"vitrine.example/internal/clock"
	"vitrine.example/internal/farm"
	"vitrine.example/internal/gossip"
	"vitrine.example/internal/ledger"
	"vitrine.example/internal/mirror"
	"vitrine.example/internal/release"
	"vitrine.example/internal/web"
	"vitrine.example/internal/witness"
	"vitrine.example/statement"
)

// The control socket speaks HTTP to whoever owns the node's directory:
//
//	POST /submit         an envelope in, a receipt out
//	GET  /status         Status
//	GET  /now            the node's time, or why it gives none
//	GET  /serving        where the pages are served; "" where they are not
//	GET  /proof/{index}  a tlog-proof
//	POST /witness        WitnessCall in, WitnessAnswer out
//	POST /rebuild        makes the database again; Rebuilt
//	POST /mirror         MirrorAsk in, MirrorAnswer out
//	POST /keys?kind=KIND prepares a key; Rotated
//	GET  /metrics        for Prometheus
//
// Errors have a code that the other side turns into the error it stands for.

// controlTimeout bounds one request, waiting for publication included.
const controlTimeout = 2 * time.Minute

// codes are the errors that survive the way through the socket.
var codes = []struct {
	code   string
	status int
	err    error
}{
	{"invalid", http.StatusBadRequest, ErrInvalid},
	{"forbidden", http.StatusForbidden, ErrForbidden},
	{"conflict", http.StatusConflict, release.ErrConflict},
	{"unknown", http.StatusNotFound, ledger.ErrUnknown},
	{"no-log-of-fork", http.StatusNotFound, gossip.ErrUnknown},
	{"no-fork", http.StatusNotFound, gossip.ErrNone},
	{"forked", http.StatusConflict, ErrForked},
	{"no-circle", http.StatusNotFound, circle.ErrNone},
	{"no-root", http.StatusBadRequest, circle.ErrNoRoot},
	{"other-circle", http.StatusConflict, circle.ErrOther},
	{"unknown-log", http.StatusNotFound, witness.ErrUnknown},
	{"no-witness", http.StatusNotFound, ErrNoWitness},
	{"other-keys", http.StatusConflict, witness.ErrDifferent},
	{"witness-lost", http.StatusServiceUnavailable, witness.ErrState},
	{"witness-not-lost", http.StatusConflict, witness.ErrNotLost},
	{"hold", http.StatusServiceUnavailable, ErrHold},
	{"clock", http.StatusServiceUnavailable, clock.ErrBackwards},
	{"closing", http.StatusServiceUnavailable, ledger.ErrClosed},
	{"busy", http.StatusServiceUnavailable, ledger.ErrBusy},
	{"mirror", http.StatusBadRequest, ErrMirror},
	{"unmirrored", http.StatusNotFound, mirror.ErrUnknown},
	{"rotation", http.StatusConflict, ErrRotation},
	{"no-job", http.StatusNotFound, farm.ErrUnknown},
	{"job-state", http.StatusConflict, farm.ErrState},
	{"unconfirmed", http.StatusServiceUnavailable, ledger.ErrUnconfirmed},
	{"unpublished", http.StatusServiceUnavailable, ledger.ErrUnpublished},
}

// remoteError is an error of the process behind the socket.
type remoteError struct {
	Code   string `json:"code,omitempty"`
	Detail string `json:"detail"`
}

// Error implements error.
func (e *remoteError) Error() string { return e.Detail }

// Unwrap returns the error that the code stands for.
func (e *remoteError) Unwrap() error {
	for _, c := range codes {
		if c.code == e.Code {
			return c.err
		}
	}
	return nil
}

// controlServer answers on the socket as long as the node is open.
type controlServer struct {
	path string
	srv  *http.Server
	done chan error
}

func (n *Node) startControl() (*controlServer, error) {
	l, err := listenControl(n.dir)
	if err != nil {
		return nil, err
	}
	srv := web.NewServer(n.controlHandler(), n.log)
	srv.ReadTimeout, srv.WriteTimeout = controlTimeout, controlTimeout
	c := &controlServer{path: filepath.Join(n.dir, socketFile), srv: srv, done: make(chan error, 1)}
	go func() { c.done <- srv.Serve(web.LimitListener(l)) }()
	return c, nil
}

// close removes the socket and lets requests under way finish.
func (c *controlServer) close(ctx context.Context) error {
	err := os.Remove(c.path)
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	if stop := c.srv.Shutdown(ctx); stop != nil {
		err = errors.Join(err, fmt.Errorf("control socket: %w", stop), c.srv.Close())
	}
	if end := <-c.done; !errors.Is(end, http.ErrServerClosed) && !errors.Is(end, net.ErrClosed) {
		err = errors.Join(err, end)
	}
	return err
}

func (n *Node) controlHandler() http.Handler {
	mux := http.NewServeMux()
	n.servingControl(mux)
	mux.HandleFunc("POST /submit", func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, statement.MaxSize))
		if err != nil {
			reply(w, nil, fmt.Errorf("%w: reading it: %w", ErrInvalid, err))
			return
		}
		receipt, err := n.Submit(r.Context(), b)
		reply(w, receipt, err)
	})
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, r *http.Request) {
		s, err := n.status(r.Context())
		reply(w, s, err)
	})
	mux.HandleFunc("GET /now", func(w http.ResponseWriter, r *http.Request) {
		t, err := n.clock.Now()
		reply(w, t, err)
	})
	mux.HandleFunc("GET /proof/{index}", func(w http.ResponseWriter, r *http.Request) {
		index, err := strconv.ParseInt(r.PathValue("index"), 10, 64)
		if err != nil || index < 0 {
			reply(w, nil, fmt.Errorf("%w: entry %.40q", ledger.ErrUnknown, r.PathValue("index")))
			return
		}
		p, err := n.ledger.Proof(r.Context(), index)
		reply(w, p, err)
	})
	mux.HandleFunc("POST /rebuild", func(w http.ResponseWriter, r *http.Request) {
		if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(rebuildTimeout)); err != nil {
			reply(w, nil, err)
			return
		}
		out, err := n.rebuild(r.Context(), nil)
		reply(w, out, err)
	})
	n.circleControl(mux)
	n.forkControl(mux)
	n.rotationControl(mux)
	n.jobControl(mux)
	mux.HandleFunc("POST /witness", n.serveWitnessCall)
	mux.Handle("GET /metrics", n.metrics)
	mux.HandleFunc("POST /mirror", n.serveAskMirror)
	return mux
}

// reply sends v, or err with its code.
func reply(w http.ResponseWriter, v any, err error) {
	status := http.StatusOK
	if err != nil {
		status = http.StatusInternalServerError
		e := &remoteError{Detail: err.Error()}
		for _, c := range codes {
			if errors.Is(err, c.err) {
				e.Code, status = c.code, c.status
				break
			}
		}
		v = e
	}
	b, err := json.Marshal(v)
	if err != nil {
		http.Error(w, "encoding the answer", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(b) // the client may have gone
}
