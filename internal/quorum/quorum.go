// Package quorum asks witnesses to cosign the checkpoints of the own log.
//
// [New] takes a C2SP tlog-policy, whose witness lines have URLs; [Quorum.Cosign]
// sends a checkpoint to all of them at the same time (C2SP tlog-witness,
// add-checkpoint) and returns it as soon as the policy's quorum has cosigned.
// [Quorum.Status] tells how each witness does.
//
// Each cosignature is verified before it counts. What a witness sends is hostile:
// its answers are bounded in size and time, redirects are refused, and one that
// lies, stalls or fails is named and asked less often, without delaying the
// others. What a witness saw last is kept in memory alone: where that is lost, the
// witness tells it again.
package quorum

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"vitrine.example/tlog"
)

// DefaultTimeout is how long a witness may take to answer.
const DefaultTimeout = 5 * time.Second

// Options say who is asked and how.
type Options struct {
	Log tlog.Verifier // key that signs the own log
	// Earlier keys of the own log: a checkpoint that was signed before a rotation
	// is cosigned too.
	Earlier []tlog.Verifier
	Policy  *tlog.Policy // its log lines are absent, or one of them is Log or an earlier one
	Roots   *x509.CertPool
	// Dial connects to a witness; default is what its URL says.
	Dial   func(ctx context.Context, network, addr string) (net.Conn, error)
	Agent  string        // User-Agent of requests
	Wait   time.Duration // for an answer; default DefaultTimeout
	Logger *slog.Logger  // default slog.Default()
	Now    func() time.Time
	Jitter func() float64 // in [0, 1); default random
}

func (o *Options) complete() error {
	if o.Policy == nil {
		return errors.New("no policy given")
	}
	if err := o.Policy.Validate(); err != nil {
		return err
	}
	if len(o.Policy.Logs) > 0 && !slices.ContainsFunc(o.Policy.Logs, o.isLog) {
		return fmt.Errorf("its log lines lack the own log's key %s: add it, or leave all log lines out", o.Log)
	}
	if o.Wait <= 0 {
		o.Wait = DefaultTimeout
	}
	if o.Dial == nil {
		o.Dial = (&net.Dialer{Timeout: o.Wait}).DialContext
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Jitter == nil {
		o.Jitter = rand.Float64
	}
	return nil
}

// isLog reports whether a log line names a key of the own log.
func (o *Options) isLog(l tlog.PolicyLog) bool {
	return l.Key.Equal(o.Log) || slices.ContainsFunc(o.Earlier, l.Key.Equal)
}

// Quorum is safe for use by several goroutines.
type Quorum struct {
	policy    *tlog.Policy // with the own log as its only log
	endpoints []*endpoint
	client    *http.Client

	mu      sync.Mutex
	missing string // of the newest round
}

// New checks the policy. Nothing is asked yet.
func New(o Options) (*Quorum, error) {
	if err := o.complete(); err != nil {
		return nil, fmt.Errorf("policy of witnesses: %w", err)
	}
	p := *o.Policy
	p.Logs = []tlog.PolicyLog{{Key: o.Log}} // any of them will do
	for _, v := range o.Earlier {
		p.Logs = append(p.Logs, tlog.PolicyLog{Key: v})
	}
	q := &Quorum{policy: &p, client: newClient(o)}
	for _, w := range p.Witnesses {
		if err := q.addWitness(w, o); err != nil {
			return nil, fmt.Errorf("policy of witnesses: witness %s: %w", w.Name, err)
		}
	}
	q.missing = q.lacking(&tlog.QuorumError{})
	return q, nil
}

// addWitness joins the keys of one URL: a witness that has several is asked once.
func (q *Quorum) addWitness(w tlog.PolicyWitness, o Options) error {
	u, err := url.Parse(w.URL)
	switch {
	case w.URL == "":
		return errors.New("it has no URL to be asked at")
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return fmt.Errorf("%.80q is not an http or https URL", w.URL)
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return fmt.Errorf("%.80q has more than scheme, host and path", u.Redacted())
	}
	// tlog-witness: the calls are at <submission prefix>/add-checkpoint.
	at := strings.TrimSuffix(w.URL, "/") + "/add-checkpoint"
	i := slices.IndexFunc(q.endpoints, func(e *endpoint) bool { return e.url == at })
	if i < 0 {
		i = len(q.endpoints)
		q.endpoints = append(q.endpoints, &endpoint{url: at, o: o, client: q.client, turn: make(chan struct{}, 1)})
	}
	q.endpoints[i].keys = append(q.endpoints[i].keys, w)
	return nil
}

// Cosign sends a checkpoint that the own log has signed to all witnesses and
// returns it, with their cosignatures, once these are a quorum. It asks those
// that fail again until ctx ends. prove makes the consistency proof from a
// smaller size; it may be called by several goroutines.
func (q *Quorum) Cosign(ctx context.Context, c *tlog.SignedCheckpoint, prove func(from int64) ([]tlog.Hash, error)) (*tlog.SignedCheckpoint, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r := &round{checkpoint: c, prove: prove, got: make(chan []tlog.Signature, len(q.endpoints))}
	for _, e := range q.endpoints {
		go e.pursue(ctx, r)
	}
	out := &tlog.SignedCheckpoint{Checkpoint: c.Checkpoint, Signatures: slices.Clone(c.Signatures)}
	for {
		lack, err := q.check(out)
		if err != nil || lack == "" {
			return out, err
		}
		select {
		case sigs := <-r.got:
			out.Signatures = append(out.Signatures, sigs...)
		case <-ctx.Done():
			return nil, fmt.Errorf("%v: awaiting %s: %w", c.Checkpoint, lack, ctx.Err())
		}
	}
}

// check returns what a checkpoint lacks, and keeps it for Awaiting.
func (q *Quorum) check(c *tlog.SignedCheckpoint) (lack string, err error) {
	_, err = q.policy.Check(c)
	if e, ok := errors.AsType[*tlog.QuorumError](err); ok {
		lack, err = q.lacking(e), nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if lack != "" {
		q.missing = lack
	}
	return lack, err
}

// lacking says whose cosignatures are wanted.
func (q *Quorum) lacking(e *tlog.QuorumError) string {
	names := e.Missing
	if names == nil && e.Cosigned == nil {
		for _, w := range q.policy.Witnesses {
			names = append(names, w.Name)
		}
	}
	k, n := 1, 1
	for _, g := range q.policy.Groups {
		if g.Name == q.policy.Quorum {
			k, n = g.K, len(g.Members)
		}
	}
	text := fmt.Sprintf("%d of %d witnesses (missing: %s)", k, n, strings.Join(names, ", "))
	if len(e.Cosigned) > 0 {
		text += "; cosigned by " + strings.Join(e.Cosigned, ", ")
	}
	return text
}

// Awaiting says whose cosignatures the checkpoint lacked that was asked for last,
// before it had all: "2 of 3 witnesses (missing: a, b)".
func (q *Quorum) Awaiting() string {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.missing
}

// Close frees the connections.
func (q *Quorum) Close() { q.client.CloseIdleConnections() }

// Status tells how a witness does.
type Status struct {
	Names   []string      `json:"names"` // in the policy, one for each key
	URL     string        `json:"url"`
	Size    int64         `json:"size"`             // that it cosigned last, as far as is known
	Error   string        `json:"error,omitzero"`   // why it did not cosign when it was asked last
	Since   time.Time     `json:"since,omitzero"`   // of the first error since it cosigned
	Latency time.Duration `json:"latency,omitzero"` // of its last answer, in nanoseconds

	Asked    time.Time `json:"asked,omitzero"`    // last; zero: not since the start
	Cosigned time.Time `json:"cosigned,omitzero"` // when it last answered with a cosignature
}

// Status tells how each witness does, in the order of the policy.
func (q *Quorum) Status() []Status {
	var out []Status
	for _, e := range q.endpoints {
		out = append(out, e.status())
	}
	return out
}
