package centre

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/circle"
	"vitrine.example/proof"
	"vitrine.example/statement"
)

// The circle on the control socket:
//
//	GET  /circle       CircleFile
//	POST /circle       a CircleFile in: it is merged
//	POST /circle/sync  []Asked

// CircleFile is a circle's file with the digest that it is trusted by.
type CircleFile struct {
	Root digest.Digest `json:"root"`
	File []byte        `json:"file"`
}

// history reads a file.
func (f CircleFile) history() (*circle.History, error) {
	b, err := proof.Parse(f.File)
	if err != nil {
		return nil, fmt.Errorf("reading the circle: %w", err)
	}
	return circle.Evaluate(f.Root, b.Statements)
}

func (n *Node) circleControl(mux *http.ServeMux) {
	mux.HandleFunc("GET /circle", func(w http.ResponseWriter, r *http.Request) {
		f, err := n.circleFile(r.Context())
		reply(w, f, err)
	})
	mux.HandleFunc("POST /circle", func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, proof.MaxSize))
		if err != nil {
			reply(w, nil, fmt.Errorf("%w: reading it: %w", ErrInvalid, err))
			return
		}
		root, err := digest.Parse(r.URL.Query().Get("root"))
		if err != nil {
			reply(w, nil, fmt.Errorf("%w: %w", ErrInvalid, err))
			return
		}
		reply(w, struct{}{}, n.mergeFile(r.Context(), CircleFile{root, b}))
	})
	mux.HandleFunc("POST /circle/sync", func(w http.ResponseWriter, r *http.Request) {
		asked, err := n.SyncCircle(r.Context())
		reply(w, asked, err)
	})
}

func (n *Node) circleFile(ctx context.Context) (CircleFile, error) {
	h, err := n.Circle(ctx)
	if err != nil {
		return CircleFile{}, err
	}
	raw, err := h.File()
	return CircleFile{h.Root, raw}, err
}

func (n *Node) mergeFile(ctx context.Context, f CircleFile) error {
	b, err := proof.Parse(f.File)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return n.MergeCircle(ctx, f.Root, b.Statements)
}

// Circle returns the history of the node's circle, or [circle.ErrNone].
func (h *Handle) Circle(ctx context.Context) (*circle.History, error) {
	var f CircleFile
	err := h.ask(ctx,
		func(n *Node) (err error) { f, err = n.circleFile(ctx); return err },
		func() error { return h.call(ctx, http.MethodGet, "/circle", nil, &f) })
	if err != nil {
		return nil, err
	}
	return f.history()
}

// MergeCircle adds a circle's file to the node's circle.
func (h *Handle) MergeCircle(ctx context.Context, f CircleFile) error {
	return h.ask(ctx,
		func(n *Node) error { return n.mergeFile(ctx, f) },
		func() error { return h.call(ctx, http.MethodPost, "/circle?root="+f.Root.String(), f.File, nil) })
}

// SyncCircle asks the members of the node's circle.
func (h *Handle) SyncCircle(ctx context.Context) (asked []Asked, err error) {
	err = h.ask(ctx,
		func(n *Node) error { asked, err = n.SyncCircle(ctx); return err },
		func() error { return h.call(ctx, http.MethodPost, "/circle/sync", nil, &asked) })
	return asked, err
}

// Now returns the time of the node's clock, in whole seconds, to write into a statement.
func (h *Handle) Now(ctx context.Context) (time.Time, error) {
	t, err := h.now(ctx)
	return t.UTC().Truncate(time.Second), err
}

// Say signs a statement with the node's key and logs it.
func (h *Handle) Say(ctx context.Context, subject []statement.Subject, p statement.Predicate) (digest.Digest, int64, error) {
	s, err := statement.New(subject, p)
	if err != nil {
		return digest.Digest{}, 0, err
	}
	env, err := statement.Sign(s, h.keys.statement)
	if err != nil {
		return digest.Digest{}, 0, err
	}
	r, err := h.Submit(ctx, env.Bytes())
	return env.Digest(), r.Index, err
}
