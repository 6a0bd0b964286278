package centre

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"vitrine.example/internal/content"
	"vitrine.example/internal/holdings"
	"vitrine.example/internal/ledger"
	"vitrine.example/internal/quorum"
	"vitrine.example/internal/release"
	"vitrine.example/internal/store"
	"vitrine.example/internal/web"
)

// Handle reaches a node: through its control socket where another process
// holds it, else by opening it.
type Handle struct {
	dir    string
	cfg    *Config
	keys   *keys
	info   Info
	log    *slog.Logger
	client *http.Client

	mu      sync.Mutex
	node    *Node // nil: another process holds the node
	db      *store.DB
	content *content.Store
}

// maxAnswer bounds what is read from the socket.
const maxAnswer = 24 << 20

// Connect returns a handle on the node in dir. A nil log means standard error,
// as the configuration says.
func Connect(ctx context.Context, dir string, log *slog.Logger) (*Handle, error) {
	cfg, err := LoadConfig(dir)
	if err != nil {
		return nil, err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, fmt.Errorf("reaching the node: %w", err)
	}
	h := &Handle{dir: dir, cfg: cfg, log: log}
	h.client = &http.Client{Transport: &http.Transport{
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return dialControl(ctx, dir) },
		DisableKeepAlives: true, // a process that stops need not wait for us
	}}
	// The time is never asked of these keys: checkpoints are signed by whoever
	// holds the node.
	noTime := func() (time.Time, error) { return time.Time{}, errors.New("only the holder of the log signs") }
	if h.keys, err = loadKeys(dir, cfg, noTime); err != nil {
		return nil, fmt.Errorf("reaching the node %s: %w", dir, err)
	}
	h.info = describe(cfg, h.keys)
	if err := h.reach(ctx); err != nil {
		return nil, fmt.Errorf("reaching the node %s: %w", dir, err)
	}
	return h, nil
}

// reach finds a process that holds the node or becomes one. Between the two
// another may start or end, so it tries both in turn for a while.
func (h *Handle) reach(ctx context.Context) error {
	for start := time.Now(); ; {
		err := h.call(ctx, http.MethodGet, "/now", nil, nil)
		if !nobodyThere(err) {
			if _, ok := errors.AsType[*remoteError](err); ok {
				err = nil // somebody is there: what is wrong is told where it matters
			}
			return err
		}
		n, err := open(ctx, h.dir, h.log)
		if err == nil {
			h.mu.Lock()
			h.node = n
			h.mu.Unlock()
			return nil
		}
		if !errors.Is(err, ledger.ErrHeld) {
			return err
		}
		if time.Since(start) > heldPatience {
			return fmt.Errorf("%w (and it does not answer on %s)", err, filepath.Join(h.dir, socketFile))
		}
		if err := pause(ctx, heldPause); err != nil {
			return err
		}
	}
}

// nobodyThere reports whether no process listens on the socket, or the one that
// did has ended before it answered.
func nobodyThere(err error) bool {
	for _, gone := range []error{
		fs.ErrNotExist, syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.EPIPE, io.EOF, io.ErrUnexpectedEOF,
	} {
		if errors.Is(err, gone) {
			return true
		}
	}
	return false
}

// local returns the node where this process holds it.
func (h *Handle) local() *Node {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.node
}

// call asks the process that holds the node.
func (h *Handle) call(ctx context.Context, method, path string, body []byte, v any) error {
	return h.callWithin(ctx, controlTimeout, method, path, body, v)
}

// callWithin is call for what may take longer.
func (h *Handle) callWithin(ctx context.Context, d time.Duration, method, path string, body []byte, v any) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://control"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	res, err := h.client.Do(req)
	if err != nil {
		return fmt.Errorf("asking the process that holds the node: %w", err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("asking the process that holds the node: %w", err)
	}
	if res.StatusCode != http.StatusOK {
		e := &remoteError{}
		if err := json.Unmarshal(b, e); err != nil || e.Detail == "" {
			return fmt.Errorf("asking the process that holds the node: it answered %s", res.Status)
		}
		return e
	}
	if v == nil {
		return nil
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("asking the process that holds the node: %w", err)
	}
	return nil
}

// holders is how many processes in turn are asked before giving up.
const holders = 10

// ask does something with the node here, or asks the process that holds it.
// Where that process has ended meanwhile, another one is found, or the node is
// opened here; everything that is asked may be asked twice.
func (h *Handle) ask(ctx context.Context, here func(*Node) error, there func() error) (err error) {
	for range holders {
		if n := h.local(); n != nil {
			return here(n)
		}
		if err = there(); !nobodyThere(err) {
			return err
		}
		if err := h.reach(ctx); err != nil {
			return err
		}
	}
	return err
}

// Submit hands a signed statement to the log and waits until it is published.
func (h *Handle) Submit(ctx context.Context, envelope []byte) (r release.Receipt, err error) {
	err = h.ask(ctx,
		func(n *Node) error { r, err = n.Submit(ctx, envelope); return err },
		func() error { return h.call(ctx, http.MethodPost, "/submit", envelope, &r) })
	return r, err
}

// now is the time of the node's guarded clock, wherever it is held.
func (h *Handle) now(ctx context.Context) (t time.Time, err error) {
	err = h.ask(ctx,
		func(n *Node) error { t, err = n.clock.Now(); return err },
		func() error { return h.call(ctx, http.MethodGet, "/now", nil, &t) })
	return t, err
}

// Publisher returns a publisher of releases for this node.
func (h *Handle) Publisher(p release.Progress) (*release.Publisher, error) {
	db, c, err := h.stores()
	if err != nil {
		return nil, fmt.Errorf("reaching the node %s: %w", h.dir, err)
	}
	return &release.Publisher{
		DB: db, Content: c, Signer: h.keys.statement, Submit: h, Progress: p, Private: h.dir,
		Now: func() (time.Time, error) { return h.now(context.Background()) },
	}, nil
}

// stores returns the node's own stores, opened once.
func (h *Handle) stores() (*store.DB, *content.Store, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.node != nil {
		return h.node.db, h.node.content, nil
	}
	if h.content == nil {
		c, err := content.Open(filepath.Join(h.dir, contentDir))
		if err != nil {
			return nil, nil, err
		}
		h.content = c
	}
	if h.db == nil {
		ctx, cancel := context.WithTimeout(context.Background(), openTimeout)
		defer cancel()
		db, err := store.Open(ctx, h.cfg.Database.in(h.dir))
		if err != nil {
			return nil, nil, err
		}
		h.db = db
	}
	return h.db, h.content, nil
}

// Status is what `vitrine status` shows.
type Status struct {
	Info    Info          `json:"info"`
	Served  bool          `json:"served"` // by another process
	Ledger  ledger.Status `json:"log"`
	Content int64         `json:"content"` // stored digests

	Witness *WitnessSummary `json:"witness,omitempty"`
	// Witnesses of the own log, where it has any.
	Witnesses []quorum.Status `json:"witnesses,omitzero"`
	// Closed says why nothing is published, where nobody is known who has to cosign.
	Closed string `json:"closed,omitzero"`
	// Evidence that no operator has accepted, and what is wrong with members.
	Forks    []Fork    `json:"forks,omitempty"`
	Troubles []Trouble `json:"troubles,omitempty"`
	// Holdings of others' logs, where the node is a mirror and has a circle.
	Holdings []holdings.Status `json:"holdings,omitempty"`
	// Alerts name releases that are not what their source makes.
	Alerts []Alert `json:"alerts,omitempty"`
}

// Status asks the node.
func (h *Handle) Status(ctx context.Context) (*Status, error) {
	var s *Status
	err := h.ask(ctx,
		func(n *Node) (err error) { s, err = n.status(ctx); return err },
		func() error {
			s = &Status{}
			err := h.call(ctx, http.MethodGet, "/status", nil, s)
			s.Served = true
			return err
		})
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (n *Node) status(ctx context.Context) (*Status, error) {
	l, err := n.ledger.Status(ctx)
	if err != nil {
		return nil, err
	}
	count, err := n.held.count(ctx, n.content)
	if err != nil {
		return nil, err
	}
	w, err := n.witnessSummary(ctx)
	if err != nil {
		return nil, err
	}
	held, err := n.holdingsStatus(ctx)
	if err != nil {
		return nil, err
	}
	s := &Status{Info: n.Info(), Ledger: l, Content: count, Witness: w, Witnesses: n.witnesses(), Holdings: held}
	if err := n.quorum.shut(); err != nil {
		s.Closed = err.Error()
	}
	if s.Alerts, err = n.Alerts(ctx); err != nil {
		return nil, err
	}
	return s, n.gossipStatus(ctx, s)
}

// Info returns the node's public description.
func (h *Handle) Info() web.Info { return h.info }

// Proof returns a finished tlog-proof under the newest checkpoint.
func (h *Handle) Proof(ctx context.Context, index int64) (p []byte, err error) {
	err = h.ask(ctx,
		func(n *Node) error { p, err = n.ledger.Proof(ctx, index); return err },
		func() error { return h.call(ctx, http.MethodGet, "/proof/"+strconv.FormatInt(index, 10), nil, &p) })
	return p, err
}

// Close frees what Connect opened.
func (h *Handle) Close(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	var errs []error
	if h.node != nil {
		errs = append(errs, h.node.Close(ctx))
	}
	if h.db != nil {
		errs = append(errs, h.db.Close())
		h.db = nil
	}
	h.client.CloseIdleConnections()
	return errors.Join(errs...)
}
