// Package witness cosigns the checkpoints of other organisations' logs.
//
// [New] makes a witness of a database and its keys, [Witness.Add] tells it of a
// log, and [Witness.Handler] serves C2SP tlog-witness: add-checkpoint,
// sign-subtree, and the newest checkpoint of each log. docs/spec/witness.md says
// what is answered to what.
//
// A cosignature says: whatever I cosigned of this log before is the beginning of
// this. That the state is on the disk before a cosignature leaves, that no two
// roots of one size are ever cosigned, and what happens to a log that signs two,
// is in DESIGN.md beside this file.
package witness

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"time"

	"vitrine.example/internal/store"
	"vitrine.example/tlog"
)

// Errors that callers tell apart.
var (
	ErrUnknown   = errors.New("no such log")
	ErrDifferent = errors.New("the log is known with other keys")
	ErrFull      = errors.New("no room for another log")
)

// Limits bound what others can ask for. Zero values become the defaults.
type Limits struct {
	Body       int64         // bytes of a request; default 128 KiB, at most tlog.MaxRequest
	Read       time.Duration // to read a request; default 10 s
	Wait       time.Duration // for a free place; default 2 s
	Concurrent int           // requests worked on at once; default 64
	PerLog     int           // of these for one log; default 16
	PerSecond  float64       // checkpoints cosigned for a log that has no rate of its own; default 20
	Burst      int           // how many of them at once; default 100
	Logs       int           // default 10,000
}

func (l *Limits) complete() {
	if l.Body <= 0 || l.Body > tlog.MaxRequest {
		l.Body = 128 << 10
	}
	if l.Read <= 0 {
		l.Read = 10 * time.Second
	}
	if l.Wait <= 0 {
		l.Wait = 2 * time.Second
	}
	if l.Concurrent <= 0 {
		l.Concurrent = 64
	}
	if l.PerLog <= 0 {
		l.PerLog = 16
	}
	if l.PerSecond <= 0 {
		l.PerSecond = 20
	}
	if l.Burst <= 0 {
		l.Burst = 100
	}
	if l.Logs <= 0 {
		l.Logs = 10_000
	}
}

// Options say who the witness is.
type Options struct {
	DB *store.DB
	// Signers bear one name: at most one Ed25519Cosignature and at most one
	// MLDSA44Cosignature key, each with a clock. Where the clock refuses,
	// nothing is cosigned.
	Signers []*tlog.Signer
	Limits  Limits
	// State is a file beside the database, by which a database that was lost or
	// is too old is recognised ([Open], [NewState]); empty for none.
	State string
	// OnFork, where not nil, is told of each new fork that is kept, after that.
	OnFork func(origin string, e Evidence)

	pending bool // see NewPending

	Submission string // URL before /add-checkpoint, for the about page; may be empty
	Monitoring string // URL before /<origin hash>/checkpoint; the default is Submission
	About      string // plain text of the operator, for the about page
	Version    string // of the program

	Log *slog.Logger     // default slog.Default()
	Now func() time.Time // for rates and notes, not for cosignatures; default time.Now
}

func (o *Options) complete() error {
	if o.DB == nil {
		return errors.New("starting a witness: no database given")
	}
	if err := checkSigners(o.Signers); err != nil && !o.pending {
		return fmt.Errorf("starting a witness: %w", err)
	}
	if o.Monitoring == "" {
		o.Monitoring = o.Submission
	}
	for _, p := range []*string{&o.Submission, &o.Monitoring} {
		if *p == "" {
			continue
		}
		u, err := url.Parse(*p)
		if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") || u.RawQuery != "" || u.Fragment != "" {
			return fmt.Errorf("starting a witness: %q is not the http or https URL of a prefix", *p)
		}
		*p = strings.TrimSuffix(*p, "/") + "/"
	}
	o.Limits.complete()
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return nil
}

// checkSigners makes sure that there is one witness, not several. It may have
// several keys of one type while one takes the place of another; the first is
// the one in use.
func checkSigners(signers []*tlog.Signer) error {
	if len(signers) == 0 {
		return errors.New("no key given")
	}
	for i, s := range signers {
		v := s.Verifier()
		switch {
		case v.Type() != tlog.Ed25519Cosignature && v.Type() != tlog.MLDSA44Cosignature:
			return fmt.Errorf("key %s makes no cosignatures: %s", v.Name(), v.Type())
		case v.Name() != signers[0].Name():
			return fmt.Errorf("keys of two names, %s and %s", signers[0].Name(), v.Name())
		case slices.ContainsFunc(signers[:i], func(o *tlog.Signer) bool { return o.Verifier().SameKey(v) }):
			return fmt.Errorf("the key %s twice", v)
		}
	}
	return nil
}

// Witness is safe for use by several goroutines. Several processes may share a
// database that allows it (PostgreSQL).
type Witness struct {
	o       Options
	keys    keyCache
	recent  rowCache
	commits commits
	state   state
	gate    gate
	rates   rates
	metrics *metrics
}

// New starts a witness that keeps no state outside of its database; [Open] one
// that does. Nothing runs in the background.
func New(o Options) (*Witness, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	w := &Witness{o: o, metrics: newMetrics()}
	w.gate.init(o.Limits)
	w.rates.init(o.Limits)
	if w.state.path = o.State; o.State != "" {
		w.state.refusal = "the state was not compared with the database" // Open does
	}
	return w, nil
}

// Verifiers returns the witness's verifier keys.
func (w *Witness) Verifiers() []tlog.Verifier {
	var out []tlog.Verifier
	for _, s := range w.o.Signers {
		out = append(out, s.Verifier())
	}
	return out
}

// Name returns the witness's key name.
func (w *Witness) Name() string { return w.o.Signers[0].Name() }

// now is the time in microseconds.
func (w *Witness) now() int64 { return w.o.Now().UnixMicro() }

// view and update run transactions.
func (w *Witness) view(ctx context.Context, f func(context.Context, *store.Tx) error) error {
	return w.o.DB.View(ctx, w.inTables(f))
}

func (w *Witness) update(ctx context.Context, f func(context.Context, *store.Tx) error) error {
	return w.o.DB.Update(ctx, w.inTables(f))
}
