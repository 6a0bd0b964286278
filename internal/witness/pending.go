package witness

import (
	"context"
	"database/sql"
	"errors"
	"net/http"

	"vitrine.example/internal/store"
	"vitrine.example/tlog"
)

// Pending keeps the pending checkpoints of a mirror: "The request is handled
// identically to that of a witness, updating the pending checkpoint, with the
// exception that it does not need to generate and respond with any cosignatures"
// (tlog-mirror, section "add-checkpoint"). It is a witness with tables of its
// own and without keys, so that a log which has signed two histories is found
// here too.
type Pending struct{ w *Witness }

// NewPending starts one. Signers and URLs of the options are not used.
func NewPending(o Options) (*Pending, error) {
	o.Signers, o.Submission, o.Monitoring, o.pending = nil, "", "", true
	w, err := New(o)
	if err != nil {
		return nil, err
	}
	return &Pending{w}, nil
}

// inTables has f use the tables of pending checkpoints, where w keeps these.
func (w *Witness) inTables(f func(context.Context, *store.Tx) error) func(context.Context, *store.Tx) error {
	if !w.o.pending {
		return f
	}
	return func(ctx context.Context, tx *store.Tx) error {
		tx.Rename("witness_", "pending_")
		return f(ctx, tx)
	}
}

// AddLog is [Witness.Add].
func (p *Pending) AddLog(ctx context.Context, origin string, keys []tlog.Verifier, note string) error {
	return p.w.Add(ctx, Log{Origin: origin, Keys: keys, Note: note})
}

// Keys returns the verifier keys of a log.
func (p *Pending) Keys(ctx context.Context, origin string) ([]tlog.Verifier, error) {
	s, err := p.w.Get(ctx, origin)
	return s.Keys, err
}

// Forked reports whether the log has signed two histories and no operator has
// accepted that.
func (p *Pending) Forked(ctx context.Context, origin string) (bool, error) {
	s, err := p.w.Get(ctx, origin)
	return s.Forked, err
}

// Witness returns what holds the state: for evidence, pausing and resuming.
func (p *Pending) Witness() *Witness { return p.w }

// ServeAdd serves add-checkpoint, under whatever path it was called.
func (p *Pending) ServeAdd(rw http.ResponseWriter, r *http.Request) {
	r = r.Clone(r.Context())
	r.URL.Path, r.URL.RawPath = "/add-checkpoint", ""
	p.w.Handler().ServeHTTP(rw, r)
}

// Newest returns the pending checkpoint of a log with the log's signatures, or
// nil where there was none yet.
func (p *Pending) Newest(ctx context.Context, origin string) (*tlog.SignedCheckpoint, error) {
	r, err := p.w.byHash(ctx, OriginHash(origin))
	if errors.Is(err, ErrUnknown) || err == nil && r.checkpoint == nil {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	return tlog.ParseCheckpoint(r.checkpoint)
}

// Earlier returns one of the last pending checkpoints by its size, or nil.
func (p *Pending) Earlier(ctx context.Context, origin string, size int64) (*tlog.SignedCheckpoint, error) {
	h := OriginHash(origin)
	var raw []byte
	err := p.w.view(ctx, func(ctx context.Context, tx *store.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT checkpoint FROM witness_view WHERE origin_hash = $1 AND size = $2 LIMIT 1`,
			h[:], size).Scan(&raw)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	return tlog.ParseCheckpoint(raw)
}
