package centre

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/gossip"
	"vitrine.example/statement"
	"vitrine.example/tlog"
)

// Fork is evidence that a node keeps, as commands show it.
type Fork struct {
	Digest   digest.Digest `json:"digest"`
	Origin   string        `json:"origin"`
	Kind     tlog.ForkKind `json:"kind"`
	Found    time.Time     `json:"found"`
	Accepted *time.Time    `json:"accepted,omitempty"`
	Reason   string        `json:"reason,omitempty"`
}

// Trouble is a member or log that does not answer as it should.
type Trouble struct {
	Peer  string    `json:"peer"`
	Log   string    `json:"log,omitempty"`
	Error string    `json:"error"`
	Since time.Time `json:"since"`
}

func (n *Node) forks(ctx context.Context) ([]Fork, error) {
	all, err := n.gossip.List(ctx, "")
	out := make([]Fork, 0, len(all))
	for _, k := range all {
		out = append(out, Fork{k.Digest, k.Origin, k.Kind, k.Found, stamp(k.Accepted), k.Reason})
	}
	return out, err
}

// gossipStatus fills in what `vitrine status` shows of gossip.
func (n *Node) gossipStatus(ctx context.Context, s *Status) error {
	open, err := n.openForks(ctx)
	if err != nil {
		return err
	}
	for _, k := range open {
		s.Forks = append(s.Forks, Fork{Digest: k.Digest, Origin: k.Origin, Kind: k.Kind, Found: k.Found})
	}
	for _, t := range n.gossip.Troubles() {
		s.Troubles = append(s.Troubles, Trouble(t))
	}
	slices.SortFunc(s.Troubles, func(a, b Trouble) int { return strings.Compare(a.Peer+"\n"+a.Log, b.Peer+"\n"+b.Log) })
	return nil
}

// The control socket tells of evidence:
//
//	GET /forks           []Fork
//	GET /forks/{digest}  evidence
//	POST /forks          evidence in, a Fork out
func (n *Node) forkControl(mux *http.ServeMux) {
	mux.HandleFunc("GET /forks", func(w http.ResponseWriter, r *http.Request) {
		all, err := n.forks(r.Context())
		reply(w, all, err)
	})
	mux.HandleFunc("GET /forks/{digest}", func(w http.ResponseWriter, r *http.Request) {
		d, err := digest.Parse(r.PathValue("digest"))
		if err != nil {
			reply(w, nil, fmt.Errorf("%w: %w", ErrInvalid, err))
			return
		}
		text, err := n.gossip.Evidence(r.Context(), d)
		reply(w, text, err)
	})
	mux.HandleFunc("POST /forks", func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, tlog.MaxFork))
		if err != nil {
			reply(w, nil, fmt.Errorf("%w: reading it: %w", ErrInvalid, err))
			return
		}
		f, err := n.keepFork(r.Context(), b)
		reply(w, f, err)
	})
}

// keepFork keeps evidence that an operator brings.
func (n *Node) keepFork(ctx context.Context, text []byte) (*Fork, error) {
	f, err := tlog.ParseFork(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if _, err := n.gossip.Keep(ctx, f); errors.Is(err, gossip.ErrUnknown) {
		return nil, err
	} else if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	all, err := n.forks(ctx)
	for i := range all {
		if all[i].Digest == f.Digest() {
			return &all[i], err
		}
	}
	return nil, errors.Join(err, fmt.Errorf("%w: enough evidence about %s is open", ErrForbidden, f.Origin()))
}

// KeepFork keeps evidence that was found elsewhere, and has it passed on.
func (h *Handle) KeepFork(ctx context.Context, text []byte) (f *Fork, err error) {
	err = h.ask(ctx,
		func(n *Node) error { f, err = n.keepFork(ctx, text); return err },
		func() error { f = &Fork{}; return h.call(ctx, http.MethodPost, "/forks", text, f) })
	return f, err
}

// Forks returns all evidence that the node keeps.
func (h *Handle) Forks(ctx context.Context) (all []Fork, err error) {
	err = h.ask(ctx,
		func(n *Node) error { all, err = n.forks(ctx); return err },
		func() error { all = nil; return h.call(ctx, http.MethodGet, "/forks", nil, &all) })
	return all, err
}

// ForkEvidence returns the text of evidence ([tlog.ParseFork]), or [gossip.ErrNone].
func (h *Handle) ForkEvidence(ctx context.Context, d digest.Digest) (text []byte, err error) {
	err = h.ask(ctx,
		func(n *Node) error { text, err = n.gossip.Evidence(ctx, d); return err },
		func() error { text = nil; return h.call(ctx, http.MethodGet, "/forks/"+d.String(), nil, &text) })
	return text, err
}

// AcceptFork says in the node's log that the operator has seen evidence and goes
// on with the log for a reason. It returns the statement and its index.
func (h *Handle) AcceptFork(ctx context.Context, d digest.Digest, reason string) (digest.Digest, int64, error) {
	all, err := h.Forks(ctx)
	if err != nil {
		return digest.Digest{}, 0, err
	}
	i := slices.IndexFunc(all, func(f Fork) bool { return f.Digest == d })
	if i < 0 {
		return digest.Digest{}, 0, fmt.Errorf("accepting evidence sha256:%s: %w", d, gossip.ErrNone)
	}
	at, err := h.Now(ctx)
	if err != nil {
		return digest.Digest{}, 0, err
	}
	f := &statement.ForkAccepted{Log: all[i].Origin, Reason: reason, At: at}
	text, err := h.ForkEvidence(ctx, d)
	if err != nil {
		return digest.Digest{}, 0, err
	}
	shown, err := tlog.ParseFork(text)
	if err != nil {
		return digest.Digest{}, 0, err
	}
	sides := shown.Sides()
	return h.Say(ctx, f.Subjects(d, sides[0], sides[1]), f)
}
