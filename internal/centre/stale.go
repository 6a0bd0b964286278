package centre

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"vitrine.example/internal/circle"
	"vitrine.example/internal/ledger"
	"vitrine.example/tlog"
)

// A node that was set back, by a copy of its directory or of the whole machine,
// does not know that it is. Others do: whoever has cosigned or mirrors its log
// shows a checkpoint that it has signed and forgotten. So they are asked at the
// start, before the first entry is taken, and every few minutes.

// Bounds of asking others for the own log.
const (
	staleInterval = 3 * time.Minute
	stalePatience = 5 * time.Second // for all, at the start too
	staleAtOnce   = 16
	maxPlaces     = 1024
)

// stale is the first round of asking.
type stale struct {
	asked chan struct{} // closed when it has ended
	cut   atomic.Bool   // before its end, because the node is closed
}

// watchOwn asks others for the own log until ctx ends.
func (n *Node) watchOwn(ctx context.Context) {
	n.askOwn(ctx)
	n.stale.cut.Store(ctx.Err() != nil)
	close(n.stale.asked)
	for pause(ctx, staleInterval) == nil {
		n.askOwn(ctx)
	}
}

// fresh waits until others were asked once whether this log is the newest.
func (n *Node) fresh(ctx context.Context) error {
	select {
	case <-n.stale.asked:
		if n.stale.cut.Load() {
			return ledger.ErrClosed
		}
		return onHold(n.dir)
	case <-ctx.Done():
		return fmt.Errorf("waiting until others were asked for this log: %w", ctx.Err())
	}
}

// onceFresh answers as h does, once it is known that this log is the newest: else an
// entry of a stale one would begin a second history.
func (n *Node) onceFresh(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := n.fresh(r.Context()); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// askOwn asks everybody once. Who does not answer, or lies, stops nothing.
func (n *Node) askOwn(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, stalePatience)
	defer cancel()
	var wg sync.WaitGroup
	free := make(chan struct{}, staleAtOnce)
	named := n.namedPlaces()
	for _, where := range n.ownElsewhere(ctx) {
		free <- struct{}{}
		ctx := ctx
		if slices.ContainsFunc(named, func(p string) bool { return strings.HasPrefix(where, p+"/") }) {
			ctx = withNamed(ctx)
		}
		wg.Go(func() {
			defer func() { <-free }()
			raw, err := n.fetchCheckpoint(ctx, where)
			if err != nil {
				n.log.Debug("asking for the own log", "where", where, "err", err)
				return
			}
			err = n.Seen(where, raw)
			if err != nil && !errors.Is(err, ledger.ErrBehind) && !errors.Is(err, ledger.ErrFork) {
				n.log.Warn("what others show of the own log says nothing", "where", where, "err", err)
			}
		})
	}
	wg.Wait()
}

// namedPlaces lists the prefixes of witnesses that the configuration names, which
// may be anywhere.
func (n *Node) namedPlaces() (out []string) {
	if n.cfg.WitnessPolicy == "" {
		return nil
	}
	for _, w := range n.witnesses() {
		out = append(out, strings.TrimSuffix(strings.TrimSuffix(w.URL, "/add-checkpoint"), "/"))
	}
	return out
}

// ownElsewhere lists the addresses where members of the circle, and the witnesses
// of the own policy, show the own log's checkpoint (tlog-witness, tlog-mirror,
// "monitoring": <prefix>/<origin hash>/checkpoint).
func (n *Node) ownElsewhere(ctx context.Context) (out []string) {
	sum := sha256.Sum256([]byte(n.cfg.origin))
	below := "/" + hex.EncodeToString(sum[:]) + "/checkpoint"
	add := func(prefix string) {
		if at := strings.TrimSuffix(prefix, "/") + below; !slices.Contains(out, at) && len(out) < maxPlaces {
			out = append(out, at)
		}
	}
	for _, w := range n.witnesses() {
		// Whether a foreign witness has its two prefixes at one address, only it knows.
		add(strings.TrimSuffix(w.URL, "/add-checkpoint"))
	}
	h, err := n.Circle(ctx)
	if err != nil {
		if !errors.Is(err, circle.ErrNone) {
			n.log.Error("asking for the own log", "err", err)
		}
		return out
	}
	for _, m := range peers(h, n.cfg.origin) {
		base := strings.TrimSuffix(m.url, "/")
		add(base + "/witness")
		add(base + "/mirror")
	}
	return out
}

// fetchCheckpoint reads a checkpoint, unverified.
func (n *Node) fetchCheckpoint(ctx context.Context, where string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, where, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", software())
	res, err := n.peers.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it answered %s", res.Status)
	}
	b, err := io.ReadAll(io.LimitReader(res.Body, tlog.MaxCheckpoint+1))
	if err == nil && len(b) > tlog.MaxCheckpoint {
		err = fmt.Errorf("it answered more than %d bytes", tlog.MaxCheckpoint)
	}
	return b, err
}
