// Package web shows a node to the world: pages for people, an API for programs,
// files for verifiers. Everything is read-only but what is mounted
// (Options.Mounts).
//
// [New] returns one handler for all of it; [NewServer] puts time-outs and
// limits around a handler. Pages are read from the projection, entries and
// proofs from the ledger, files from the content store.
//
// Promises: a page shows facts of the log, never a verdict, because a verdict
// is the reader's own computation; content that is not public is
// indistinguishable from content that is not there; no page needs script or
// fetches anything from elsewhere; what an outsider sends is bounded in size,
// time and rate. Not promised: that what the statements say is true.
package web

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"vitrine.example/internal/content"
	"vitrine.example/internal/ledger"
	"vitrine.example/internal/meter"
	"vitrine.example/internal/projection"
)

// Info is a node's public description (docs/spec/node.md), at /node.json.
type Info struct {
	Name      string    `json:"name" doc:"name of the organisation"`
	URL       string    `json:"url" doc:"public base URL, without a final slash"`
	Origin    string    `json:"origin" doc:"origin of the log: the host of the URL"`
	Log       []string  `json:"log" nullable:"false" doc:"verifier keys (vkeys) of the checkpoint's signers, the log's own first"`
	Statement []string  `json:"statement" nullable:"false" doc:"statement keys, PEM"`
	Witness   []string  `json:"witness" nullable:"false" doc:"verifier keys (vkeys) of the witness under /witness/; empty: there is none"`
	Mirror    []string  `json:"mirror" nullable:"false" doc:"verifier keys (vkeys) of the mirror under /mirror/; empty: there is none"`
	Retired   []Retired `json:"retired" nullable:"false" doc:"keys that sign nothing new; what they signed stays"`
	Software  string    `json:"software" doc:"name and version of the program"`
}

// Retired is a key that a node had.
type Retired struct {
	Kind  string    `json:"kind" doc:"statement, log, witness or mirror"`
	Key   string    `json:"key" doc:"PEM of a statement key, verifier key (vkey) of another"`
	Until time.Time `json:"until" doc:"first second in which it signed nothing"`
}

// Options are the parts that a site is made of.
type Options struct {
	Info Info
	// Describe gives Info as it is now: keys come and go; nil: Info stays as it is.
	Describe   func() Info
	Ledger     *ledger.Ledger
	Content    *content.Store
	Projection *projection.Projection
	Circle     Circle // nil: there is none
	// Standing tells who keeps and cosigns a log; nil: nobody is known.
	Standing Standing
	// Holdings tells what is missing of others' logs; nil: nothing is fetched.
	Holdings Holdings
	// Ready returns why the node is not ready, nothing where it is.
	Ready   func(context.Context) []string
	Logger  *slog.Logger
	Metrics meter.Registerer // nil: none
	Now     func() time.Time
	// Rate is how many requests a second one client may make for long, Burst
	// how many at once. A Rate of 0 means no limit.
	Rate  float64
	Burst int
	// Proxies are addresses whose X-Forwarded-For header is believed.
	Proxies []netip.Prefix
	// Mounts are handlers under a prefix that begins and ends in a slash. They may
	// take bodies, and set their own time limits.
	Mounts  map[string]http.Handler
	Witness Witness // nil: the node is none
	Forks   Forks   // nil: none are known
	// Dealings tell how this node gets on with the members of its circle; nil: not told.
	Dealings Dealings
	Proofs   Proofs // nil: no proofs of others' logs
	Jobs     Jobs   // nil: this node rebuilds nothing
}

// site is what the handlers share.
type site struct {
	Options
	look *look
}

// info is the node's description as it is now.
func (s *site) info() Info {
	if s.Describe != nil {
		return s.Describe()
	}
	return s.Info
}

// New returns the handler of a node's public address.
func New(o Options) (http.Handler, error) {
	switch {
	case o.Ledger == nil || o.Content == nil || o.Projection == nil:
		return nil, errors.New("a site needs a ledger, a content store and a projection")
	case o.Logger == nil || o.Now == nil || o.Ready == nil:
		return nil, errors.New("a site needs a logger, a clock and a readiness check")
	}
	look, err := newLook(o.Info)
	if err != nil {
		return nil, err
	}
	s := &site{Options: o, look: look}
	mux := http.NewServeMux()
	s.routes(mux)
	var h http.Handler = mux
	h = mount(o.Mounts, readOnly(h))
	h = limit(o, h)
	h = secure(o.Info.URL, h)
	return observe(o, h), nil
}

// routes lists every address of a node. The C2SP addresses are the ledger's.
func (s *site) routes(mux *http.ServeMux) {
	log := shared(s.Ledger.Handler())
	mux.Handle("GET /checkpoint", log)
	mux.Handle("GET /tile/", log)
	mux.Handle("GET /proof/", log)

	mux.HandleFunc("GET /{$}", s.page(s.start))
	mux.HandleFunc("GET /releases", s.page(s.releases))
	mux.HandleFunc("GET /release/{digest}", s.page(s.release))
	mux.HandleFunc("GET /log", s.page(s.log))
	mux.HandleFunc("GET /log/{index}", s.page(s.entry))
	mux.HandleFunc("GET /statement/{digest}", s.page(s.statement))
	mux.HandleFunc("GET /logs", s.page(s.logs))
	mux.HandleFunc("GET /logs/{log}", s.page(s.otherLog))
	mux.HandleFunc("GET /logs/{log}/{index}", s.page(s.otherEntry))

	mux.Handle("GET /statements/{digest}", shared(file(s, s.rawStatement)))
	mux.Handle("GET /envelope/{index}", shared(http.HandlerFunc(s.envelope)))
	mux.Handle("GET /bundle/{digest}", shared(file(s, s.bundle)))
	mux.Handle("GET /content/{digest}", shared(file(s, s.content)))
	mux.Handle("GET /node.json", shared(http.HandlerFunc(s.nodeJSON)))

	mux.HandleFunc("GET /healthz", s.healthz)
	mux.HandleFunc("GET /readyz", s.readyz)
	mux.HandleFunc("GET /robots.txt", s.look.robots)
	mux.HandleFunc("GET /favicon.svg", s.look.favicon)
	mux.HandleFunc("GET /favicon.ico", s.look.favicon)
	mux.HandleFunc("GET "+s.look.styleURL, s.look.style)

	s.circleRoutes(mux)
	s.witnessRoutes(mux)
	s.rebuildRoutes(mux)
	mux.HandleFunc("GET /forks", s.page(s.forks))
	s.api(mux)
	mux.HandleFunc("GET /", s.page(func(r *http.Request) (string, any, error) { return "", nil, errNotFound }))
}
