package quorum

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
	"unicode"

	"vitrine.example/tlog"
)

// Bounds of what a witness can do to us.
const (
	maxAnswer    = 256 << 10 // bytes; 64 ML-DSA-44 signature lines are 210 KiB
	maxHeader    = 16 << 10
	maxExcerpt   = 120 // bytes of an answer that are shown
	maxConflicts = 3   // sizes that it may tell before one checkpoint is cosigned

	backoffFirst = 100 * time.Millisecond
	backoffMost  = time.Second // so that a witness that comes back is found within it
)

// newClient keeps connections and follows nothing.
func newClient(o Options) *http.Client {
	return &http.Client{
		// A redirect would let a witness choose whom we talk to.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext:            o.Dial,
			TLSClientConfig:        &tls.Config{RootCAs: o.Roots, MinVersion: tls.VersionTLS12},
			ForceAttemptHTTP2:      true,
			DisableCompression:     true, // a small answer could become a large one
			MaxResponseHeaderBytes: maxHeader,
			MaxIdleConnsPerHost:    2,
			IdleConnTimeout:        90 * time.Second,
		},
	}
}

// round is one checkpoint on its way to all witnesses.
type round struct {
	checkpoint *tlog.SignedCheckpoint
	prove      func(from int64) ([]tlog.Hash, error)
	got        chan []tlog.Signature // room for each endpoint
}

// endpoint is one witness, with all of its keys.
type endpoint struct {
	url    string
	keys   []tlog.PolicyWitness
	o      Options
	client *http.Client
	turn   chan struct{} // held while it is asked: one request at a time

	mu      sync.Mutex
	size    int64 // that it cosigned last, as far as is known
	err     error // of the last request
	since   time.Time
	asked   time.Time // last
	signed  time.Time // when it answered last with a cosignature
	latency time.Duration
	fails   int
	next    time.Time // not asked before
}

// pursue asks the witness until it has cosigned or the round ends. A request
// under way outlives the round: whether the witness cosigned is of use later,
// and so is the connection.
func (e *endpoint) pursue(ctx context.Context, r *round) {
	for {
		select {
		case e.turn <- struct{}{}:
		case <-ctx.Done():
			return
		}
		sigs, err := e.attempt(ctx, r)
		<-e.turn
		if err == nil {
			r.got <- sigs
			return
		}
		if ctx.Err() != nil {
			return
		}
	}
}

// attempt waits until the witness may be asked, and asks it.
func (e *endpoint) attempt(ctx context.Context, r *round) ([]tlog.Signature, error) {
	e.mu.Lock()
	wait := e.next.Sub(e.o.Now())
	e.mu.Unlock()
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-t.C:
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	start := time.Now()
	asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), e.o.Wait)
	defer cancel()
	sigs, err := e.ask(asking, r)
	e.note(err, time.Since(start))
	return sigs, err
}

// note keeps how a request went and when the next may follow.
func (e *endpoint) note(err error, took time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.o.Now()
	e.latency, e.asked = took, now.Add(-took)
	if err == nil {
		e.signed = now
		if e.err != nil {
			e.o.Logger.Info("witness cosigns again", "witness", e.name(), "failed since", e.since)
		}
		e.err, e.since, e.fails, e.next = nil, time.Time{}, 0, time.Time{}
		return
	}
	if e.err == nil {
		e.since = now
	}
	if e.err == nil || e.err.Error() != err.Error() { // once, not at every attempt
		e.o.Logger.Warn("witness did not cosign", "witness", e.name(), "url", e.url, "err", err)
	}
	pause := min(backoffFirst<<min(e.fails, 8), backoffMost)
	e.fails++
	e.err = err
	e.next = now.Add(pause/2 + time.Duration(e.o.Jitter()*float64(pause/2)))
}

// name is that of the witness's keys in the policy.
func (e *endpoint) name() string {
	var names []string
	for _, k := range e.keys {
		names = append(names, k.Name)
	}
	return strings.Join(names, ", ")
}

// ask has a checkpoint cosigned. Where the witness tells another size than is
// known, the proof starts from that; it is made from our own tree.
func (e *endpoint) ask(ctx context.Context, r *round) ([]tlog.Signature, error) {
	for range maxConflicts {
		e.mu.Lock()
		old := e.size
		e.mu.Unlock()
		if old > r.checkpoint.Size {
			return nil, e.ahead(old, r)
		}
		proof, err := r.prove(old)
		if err != nil {
			return nil, err
		}
		status, head, body, err := e.post(ctx, (&tlog.AddCheckpoint{Old: old, Proof: proof, Checkpoint: r.checkpoint}).Marshal())
		switch {
		case err != nil:
			return nil, err
		case status == http.StatusOK:
			return e.accept(body, r)
		case status != http.StatusConflict:
			return nil, refused(status, body)
		}
		size, err := parseConflict(head, body)
		if err != nil {
			return nil, err
		}
		e.setSize(size)
		if size > r.checkpoint.Size {
			return nil, e.ahead(size, r)
		}
		if size == old {
			return nil, fmt.Errorf("it refuses the size %d as outdated and tells the same", old)
		}
	}
	return nil, fmt.Errorf("it told another size %d times in a row", maxConflicts)
}

func (e *endpoint) setSize(n int64) {
	e.mu.Lock()
	e.size = n
	e.mu.Unlock()
}

// ahead forgets a size that cannot be, so that the witness is asked again, and
// names it.
func (e *endpoint) ahead(size int64, r *round) error {
	e.setSize(0)
	return fmt.Errorf("it says that it has cosigned %d entries, but only %d are signed here: it lies, or this log is older than one that it saw", size, r.checkpoint.Size)
}

// parseConflict reads an answer 409. "The response body MUST consist of the tree
// size of the latest cosigned checkpoint …, followed by a newline", and
// "Content-Type of text/x.tlog.size".
func parseConflict(h http.Header, body []byte) (int64, error) {
	if typ := h.Get("Content-Type"); typ != tlog.SizeType {
		return 0, fmt.Errorf("it answered 409 with Content-Type %.40q, want %s: %s", typ, tlog.SizeType, excerpt(body))
	}
	n, err := tlog.ParseSize(body)
	if err != nil {
		return 0, fmt.Errorf("it answered 409 with no size: %w", err)
	}
	return n, nil
}

// accept verifies an answer 200 and returns the lines of the keys that the
// policy has: "The client MUST ignore any cosignatures from unknown keys."
func (e *endpoint) accept(body []byte, r *round) ([]tlog.Signature, error) {
	all, err := tlog.ParseSignatures(body)
	if err != nil {
		return nil, fmt.Errorf("reading its cosignatures: %w", err)
	}
	signed := &tlog.SignedCheckpoint{Checkpoint: r.checkpoint.Checkpoint, Signatures: all}
	var out []tlog.Signature
	for _, k := range e.keys {
		at, err := k.Key.Verify(signed)
		if errors.Is(err, tlog.ErrNotSigned) {
			continue
		} else if err != nil {
			return nil, fmt.Errorf("its cosignature is wrong: %w", err)
		}
		// "The cosignature MUST NOT omit the timestamp, i.e. the timestamp MUST
		// NOT be zero."
		if at.IsZero() || at.Unix() == 0 {
			return nil, fmt.Errorf("its cosignature by %s bears no time", k.Key.Name())
		}
		for _, s := range all {
			if s.Name == k.Key.Name() && s.KeyID == k.Key.KeyID() {
				out = append(out, s)
			}
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("it cosigned with another key than %s", e.keys[0].Key.Name())
	}
	e.setSize(r.checkpoint.Size)
	return out, nil
}

// post sends a request and reads the answer within its bounds.
func (e *endpoint) post(ctx context.Context, body []byte) (int, http.Header, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url, bytes.NewReader(body))
	if err != nil {
		return 0, nil, nil, err
	}
	req.Header.Set("Content-Type", "text/plain; charset=utf-8")
	if e.o.Agent != "" {
		req.Header.Set("User-Agent", e.o.Agent)
	}
	res, err := e.client.Do(req)
	if err != nil {
		return 0, nil, nil, err
	}
	defer res.Body.Close() //nolint:errcheck // nothing was written
	out, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil {
		return 0, nil, nil, fmt.Errorf("reading its answer: %w", err)
	}
	if len(out) > maxAnswer {
		return 0, nil, nil, fmt.Errorf("its answer has more than %d bytes", maxAnswer)
	}
	return res.StatusCode, res.Header, out, nil
}

// refused says what an answer other than 200 and 409 means.
func refused(status int, body []byte) error {
	switch {
	case status == http.StatusNotFound:
		return fmt.Errorf("it does not know this log (404): have its operator add it: %s", excerpt(body))
	case status == http.StatusForbidden:
		return fmt.Errorf("it does not trust the key of this log (403): %s", excerpt(body))
	case status >= 300 && status < 400:
		return fmt.Errorf("it redirects (%d), which is not followed: put the right URL into the policy", status)
	}
	return fmt.Errorf("it answered %d: %s", status, excerpt(body))
}

// excerpt is the beginning of an answer, safe to print.
func excerpt(b []byte) string {
	b = b[:min(len(b), maxExcerpt)]
	return strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) {
			return ' '
		}
		return c
	}, strings.TrimSpace(strings.ToValidUTF8(string(b), "?")))
}

func (e *endpoint) status() Status {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := Status{URL: strings.TrimSuffix(e.url, "/add-checkpoint"), Size: e.size, Since: e.since, Latency: e.latency, Asked: e.asked, Cosigned: e.signed}
	for _, k := range e.keys {
		s.Names = append(s.Names, k.Name)
	}
	if e.err != nil {
		s.Error = e.err.Error()
	}
	return s
}
