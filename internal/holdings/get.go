package holdings

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/content"
	"vitrine.example/statement"
	"vitrine.example/tlog"
)

// What peers answer (docs/spec/withheld.md).
const (
	answerGiven       = "given"
	answerAbsent      = "absent"
	answerRefused     = "refused"
	answerWrong       = "wrong"
	answerUnreachable = "unreachable"
)

// slowest is the rate in bytes a second below which nobody is waited for.
const slowest = 16 << 10

// found is what a peer gave, kept in the content store already.
type found struct {
	env  *statement.Envelope // nil: content
	info content.Info
}

// get asks one peer. An error is this node's own.
func (h *Holdings) get(ctx context.Context, l *log, it *item, m Member) (*found, string, error) {
	select {
	case h.places <- struct{}{}:
	case <-ctx.Done():
		return nil, "", ctx.Err()
	}
	defer func() { <-h.places }()
	ctx, cancel := context.WithTimeout(ctx, h.o.Limits.Request+time.Duration(it.size/slowest)*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address(l.origin, it, m), nil)
	if err != nil {
		return nil, answerUnreachable, nil // a URL that is none
	}
	req.Header.Set("User-Agent", h.o.Agent)
	req.Header.Set("Accept-Encoding", "identity") // nothing that unfolds
	res, err := h.o.Client.Do(req)
	if err != nil {
		return nil, answerUnreachable, nil // which is the answer
	}
	defer res.Body.Close()
	switch res.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound, http.StatusGone:
		return nil, answerAbsent, nil
	default:
		return nil, answerRefused, nil
	}
	if it.kind == kindContent {
		stall := time.AfterFunc(h.o.Limits.Request, cancel)
		defer stall.Stop()
		return h.receive(ctx, it, &watched{res.Body, stall, h.o.Limits.Request})
	}
	return h.read(ctx, l, it, res.Body)
}

// address is where a peer has an item: docs/spec/node.md, "Envelopes".
func address(origin string, it *item, m Member) string {
	base := strings.TrimSuffix(m.URL, "/")
	if it.kind == kindContent {
		return base + "/content/" + it.sha256.String()
	}
	if m.Origin != origin {
		base += "/mirror/" + hashOf(origin)
	}
	return base + "/envelope/" + strconv.FormatInt(it.index, 10)
}

// read reads an envelope, and keeps it where it stands behind the entry.
func (h *Holdings) read(ctx context.Context, l *log, it *item, body io.Reader) (*found, string, error) {
	raw, err := io.ReadAll(io.LimitReader(body, statement.MaxSize+1))
	if err != nil {
		return nil, answerUnreachable, nil // it did not end
	}
	entry, err := l.entry(it.index)
	if err != nil {
		return nil, "", err
	}
	env := fits(raw, entry, it.leafOf())
	if env == nil {
		return nil, answerWrong, nil
	}
	info, err := h.o.Content.Put(ctx, content.Public, bytes.NewReader(env.Bytes()), statement.MaxSize)
	if err != nil {
		return nil, "", err
	}
	return &found{env, info}, answerGiven, nil
}

// fits returns the envelope where it is the one behind the entry: the same
// statement, the same signature, by the key that the entry names.
func fits(raw, entry []byte, hash tlog.Hash) *statement.Envelope {
	if len(raw) > statement.MaxSize || tlog.LeafHash(entry) != hash {
		return nil
	}
	leaf, err := statement.ParseLeaf(entry)
	if err != nil || leaf.Kind != statement.LeafStatement {
		return nil
	}
	env, err := statement.Parse(raw)
	if err != nil || env.Verify(leaf.Key) != nil {
		return nil
	}
	if again, err := env.Leaf(leaf.Key); err != nil || !bytes.Equal(again, entry) {
		return nil
	}
	return env
}

// entry reads an entry of the log.
func (l *log) entry(index int64) ([]byte, error) {
	all, err := l.src.Bundle(index / tlog.TileWidth)
	if err != nil {
		return nil, fmt.Errorf("reading the log: %w", err)
	}
	if i := index % tlog.TileWidth; i < int64(len(all)) {
		return all[i], nil
	}
	return nil, fmt.Errorf("reading the log: entry %d is gone", index)
}

// errPeer marks errors of reading what a peer sends.
var errPeer = errors.New("the answer did not end")

// watched is an answer that may not stall.
type watched struct {
	r     io.Reader
	stall *time.Timer
	wait  time.Duration
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	w.stall.Reset(w.wait)
	if err != nil && !errors.Is(err, io.EOF) {
		err = errors.Join(errPeer, err)
	}
	return n, err
}

// receive streams content into the store, where it becomes visible only when it
// has size and digest.
func (h *Holdings) receive(ctx context.Context, it *item, body io.Reader) (*found, string, error) {
	w, err := h.o.Content.Create(ctx, content.Public, it.size)
	if err != nil {
		return nil, "", err
	}
	defer w.Close()
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(w, sum), body)
	switch {
	case errors.Is(err, content.ErrTooLarge):
		return nil, answerWrong, nil
	case errors.Is(err, errPeer) || ctx.Err() != nil:
		return nil, answerUnreachable, nil
	case err != nil:
		return nil, "", err
	case n != it.size || digest.Digest(sum.Sum(nil)) != it.sha256:
		return nil, answerWrong, nil
	}
	info, err := w.Commit()
	if err != nil {
		return nil, "", err
	}
	return &found{info: info}, answerGiven, nil
}

// maxSeen is how many URLs are remembered: members may change theirs.
const maxSeen = 4096

// restMax is how long a host is left alone that does not answer.
const restMax = 10 * time.Second

// hosts remembers who does not answer, so that one asks them less.
type hosts struct {
	now func() time.Time

	mu   sync.Mutex
	rest map[string]resting
	seen map[string]Asked // by URL
}

// Asked is how a member answered what was asked of it.
type Asked struct {
	At     time.Time
	Given  time.Time // when it last gave what was asked for
	Answer string    // the last: docs/spec/withheld.md
}

// Asked returns how a member under a URL answers.
func (h *Holdings) Asked(url string) Asked {
	h.hosts.mu.Lock()
	defer h.hosts.mu.Unlock()
	return h.hosts.seen[url]
}

type resting struct {
	until time.Time
	times int
}

func (h *hosts) resting(url string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now().Before(h.rest[url].until)
}

func (h *hosts) note(url, answer string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.seen == nil || len(h.seen) > maxSeen {
		h.seen = map[string]Asked{}
	}
	a := h.seen[url]
	a.At, a.Answer = h.now(), answer
	if answer == answerGiven {
		a.Given = a.At
	}
	h.seen[url] = a
	if answer != answerUnreachable {
		delete(h.rest, url)
		return
	}
	if h.rest == nil {
		h.rest = map[string]resting{}
	}
	r := h.rest[url]
	r.until, r.times = h.now().Add(min(firstPause<<min(r.times, 8), restMax)), r.times+1
	h.rest[url] = r
}

// room is what there is for statements and for content, in bytes.
type room struct {
	limits [2]int64

	mu    sync.Mutex
	used  [2]int64
	taken [2]int64 // by what is under way
}

// take reserves n bytes where they are free now; ever is whether they may ever be.
func (r *room) take(kind int, n int64) (fits, ever bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if kind == kindContent && r.used[kind]+n > r.limits[kind] {
		return false, false // what is held is never given up
	}
	if r.used[kind]+r.taken[kind]+n > r.limits[kind] {
		return false, true
	}
	r.taken[kind] += n
	return true, true
}

func (r *room) give(kind int, n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.taken[kind] -= n
}

// fill counts what is kept.
func (r *room) fill(kind int, n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.used[kind] += n
}
