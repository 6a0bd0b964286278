package centre

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"time"

	"vitrine.example/internal/mirror"
	"vitrine.example/internal/witness"
	"vitrine.example/key"
	"vitrine.example/tlog"
)

const (
	mirrorsDir    = "mirrors"
	mirrorPrefix  = "/mirror/"
	mirrorTimeout = time.Hour // of a check or a push that somebody waits for
	maxMirrorAsk  = 64 << 10  // bytes of a request on the control socket
)

// ErrMirror is returned where the mirror is asked what it cannot do.
var ErrMirror = errors.New("asking the mirror")

// mirrorName is the name of the mirror's key.
func mirrorName(origin string) string { return origin + "/mirror" }

// mirrorSigner reads the mirror's key; nil where the configuration has none.
func mirrorSigner(dir string, c *Config, now clockFunc) (*tlog.Signer, error) {
	if c.MirrorKey == "" {
		return nil, nil
	}
	path := in(dir, c.MirrorKey)
	s, err := key.ReadPrivateFile(path)
	if err != nil {
		return nil, err
	}
	signer, err := tlog.NewSigner(mirrorName(c.origin), tlog.Ed25519Cosignature, s, now)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return signer, nil
}

// mirrorVkeys are the verifier keys of the mirror.
func (k *keys) mirrorVkeys() []string {
	out := []string{}
	for _, s := range k.mirrorSigners() {
		out = append(out, s.Verifier().String())
	}
	return out
}

// openMirror opens the mirror, where the configuration has a key for it.
func (n *Node) openMirror(ctx context.Context) (err error) {
	if n.keys.mirror == nil {
		return nil
	}
	if n.pending, err = witness.NewPending(witness.Options{DB: n.db, Log: n.log, OnFork: n.forkKept}); err != nil {
		return err
	}
	n.mirror, err = mirror.New(ctx, mirror.Options{
		Dir: filepath.Join(n.dir, mirrorsDir), DB: n.db, Pending: n.pending,
		Signers: n.keys.mirrorSigners(), Log: n.log,
	})
	return err
}

// MirrorAsk is what the mirror of a node is asked. Do is add, list, show, check,
// push or import.
type MirrorAsk struct {
	Do     string   `json:"do"`
	Origin string   `json:"origin,omitempty"`
	Keys   []string `json:"keys,omitempty"`
	Note   string   `json:"note,omitempty"`
	URL    string   `json:"url,omitempty"` // of the mirror to push to, or path of the archive to import
	// Replace gives a known log the keys from now on.
	Replace bool `json:"replace,omitempty"`
}

// MirrorAnswer is the answer.
type MirrorAnswer struct {
	Keys     []string          `json:"keys"` // of this node's mirror
	Logs     []mirror.Status   `json:"logs,omitempty"`
	Progress []mirror.Progress `json:"progress,omitempty"`
}

// Mirror asks the mirror of the node.
func (h *Handle) Mirror(ctx context.Context, q MirrorAsk) (a *MirrorAnswer, err error) {
	body, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	err = h.ask(ctx,
		func(n *Node) error { a, err = n.askMirror(ctx, q); return err },
		func() error {
			a = &MirrorAnswer{}
			return h.callWithin(ctx, mirrorTimeout, http.MethodPost, "/mirror", body, a)
		})
	return a, err
}

func (n *Node) serveAskMirror(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxMirrorAsk))
	var q MirrorAsk
	if err == nil {
		d := json.NewDecoder(bytes.NewReader(b))
		d.DisallowUnknownFields()
		err = d.Decode(&q)
	}
	if err == nil {
		err = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(mirrorTimeout))
	}
	if err != nil {
		reply(w, nil, fmt.Errorf("%w: %w", ErrMirror, err))
		return
	}
	a, err := n.askMirror(r.Context(), q)
	reply(w, a, err)
}

func (n *Node) askMirror(ctx context.Context, q MirrorAsk) (*MirrorAnswer, error) {
	var keys []tlog.Verifier
	for _, s := range q.Keys {
		v, err := tlog.ParseVerifier(s)
		if err != nil {
			return nil, fmt.Errorf("%w: key %.80q: %w", ErrMirror, s, err)
		}
		keys = append(keys, v)
	}
	a := &MirrorAnswer{Keys: []string{}}
	if q.Do == "push" { // needs no mirror of one's own
		p := mirror.NewPusher(mirror.Local{Handler: n.ledger.Handler()}, http.DefaultClient, n.log,
			mirror.Target{Name: q.URL, URL: q.URL, Keys: keys})
		err := p.Push(ctx)
		a.Progress = p.Progress()
		return a, err
	}
	if q.Do == "import" {
		return n.importLog(ctx, q.URL)
	}
	if n.mirror == nil {
		return nil, fmt.Errorf("%w: this node has none: give it a key with mirror-key in %s", ErrMirror, ConfigFile)
	}
	for _, v := range n.mirror.Verifiers() {
		a.Keys = append(a.Keys, v.String())
	}
	var err error
	switch q.Do {
	case "add":
		if err = n.mirror.Add(ctx, q.Origin, keys, q.Note); q.Replace {
			err = added(err, func() error { return n.pending.Witness().SetKeys(ctx, q.Origin, keys) })
		}
	case "check":
		err = n.mirror.Check(ctx, q.Origin)
	case "list":
		a.Logs, err = n.mirror.List(ctx)
		return a, err
	case "show":
	default:
		return nil, fmt.Errorf("%w: %.40q is nothing that it does", ErrMirror, q.Do)
	}
	if err != nil {
		return nil, err
	}
	s, err := n.mirror.Get(ctx, q.Origin)
	a.Logs = []mirror.Status{s}
	return a, err
}
