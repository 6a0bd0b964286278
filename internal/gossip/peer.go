package gossip

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"

	"vitrine.example/digest"
	"vitrine.example/tlog"
)

// Round asks every member once and compares. What is wrong with a member is
// noted, and is no error of the round.
func (g *Gossip) Round(ctx context.Context) error {
	peers, err := g.peers(ctx)
	if err != nil {
		return err
	}
	g.keepOnly(peers)
	newest, err := g.newest(ctx)
	if err != nil {
		return err
	}
	g.each(peers, func(p Peer) {
		ctx, cancel := context.WithTimeout(ctx, peerTimeout)
		defer cancel()
		at := g.o.Now()
		g.noteAsked(p.Origin, at, g.ask(ctx, p, newest))
	})
	return g.decideAhead(ctx, newest)
}

func (g *Gossip) peers(ctx context.Context) ([]Peer, error) {
	peers, err := g.o.Members.Members(ctx)
	if err != nil {
		return nil, fmt.Errorf("the members of the circle: %w", err)
	}
	return peers[:min(len(peers), maxMembers)], nil
}

// each calls f for all peers, maxAtOnce at a time, and waits.
func (g *Gossip) each(peers []Peer, f func(Peer)) {
	var wg sync.WaitGroup
	free := make(chan struct{}, maxAtOnce)
	for _, p := range peers {
		free <- struct{}{}
		wg.Go(func() { defer func() { <-free }(); f(p) })
	}
	wg.Wait()
}

// ask takes evidence and views from a member. Both are tried.
func (g *Gossip) ask(ctx context.Context, p Peer, newest map[string]*tlog.SignedCheckpoint) error {
	return errors.Join(g.askForks(ctx, p), g.askViews(ctx, p, newest))
}

func (g *Gossip) askViews(ctx context.Context, p Peer, newest map[string]*tlog.SignedCheckpoint) error {
	b, err := g.body(ctx, p, "/gossip/views", maxBody)
	if err != nil {
		return err
	}
	views, err := ParseViews(b)
	if err != nil {
		return fmt.Errorf("/gossip/views: %w", err)
	}
	for _, c := range views {
		if err := g.compare(ctx, p.Origin, c, newest); err != nil {
			return err
		}
	}
	return nil
}

// askForks takes evidence that we do not have, about logs that we know. It stops
// at the first lie.
func (g *Gossip) askForks(ctx context.Context, p Peer) error {
	b, err := g.body(ctx, p, "/forks/", maxBody)
	if err != nil {
		return err
	}
	listed, err := ParseIndex(b)
	if err != nil {
		return fmt.Errorf("/forks/: %w", err)
	}
	wanted, err := g.wanted(ctx, listed)
	if err != nil {
		return err
	}
	for _, d := range wanted[:min(len(wanted), maxFetch)] {
		if err := g.take(ctx, p, d); err != nil {
			return err
		}
	}
	return nil
}

// wanted returns what is listed, is not kept here, and has room.
func (g *Gossip) wanted(ctx context.Context, listed []Listed) (out []digest.Digest, err error) {
	kept, err := g.List(ctx, "")
	if err != nil {
		return nil, err
	}
	have, open, known := map[digest.Digest]bool{}, map[string]int{}, map[string]bool{}
	for _, k := range kept {
		have[k.Digest] = true
		if k.Accepted.IsZero() {
			open[k.Origin]++
		}
	}
	for _, l := range listed {
		if have[l.Digest] || g.isRepeat(l.Digest) || open[l.Origin] >= MaxForks {
			continue
		}
		is, asked := known[l.Origin]
		if !asked {
			keys, err := g.o.Logs.Keys(ctx, l.Origin)
			if err != nil {
				return nil, err
			}
			is = len(keys) > 0
			known[l.Origin] = is
		}
		if is {
			out = append(out, l.Digest)
		}
	}
	return out, nil
}

func (g *Gossip) take(ctx context.Context, p Peer, d digest.Digest) error {
	b, err := g.body(ctx, p, "/forks/"+d.String(), tlog.MaxFork)
	if err != nil {
		return err
	}
	f, err := tlog.ParseFork(b)
	if err != nil {
		return err
	}
	if f.Digest() != d {
		return fmt.Errorf("evidence %s is other evidence", d)
	}
	_, err = g.Keep(ctx, f)
	return err
}

// body reads an answer of at most limit bytes.
func (g *Gossip) body(ctx context.Context, p Peer, path string, limit int64) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.URL+path, nil)
	if err != nil {
		return nil, err
	}
	res, err := g.o.Client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: answered %d", path, res.StatusCode)
	}
	b, err := io.ReadAll(io.LimitReader(res.Body, limit+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%s: more than %d bytes", path, limit)
	}
	return b, nil
}

// push sends evidence to every member at once.
func (g *Gossip) push(ctx context.Context, f *tlog.Fork) {
	peers, err := g.peers(ctx)
	if err != nil {
		g.o.Log.Error("passing evidence on", "err", err)
		return
	}
	g.each(peers, func(p Peer) {
		ctx, cancel := context.WithTimeout(ctx, pushTimeout)
		defer cancel()
		if err := g.post(ctx, p, f.Marshal()); err != nil && ctx.Err() == nil {
			g.o.Log.Warn("passing evidence on", "peer", p.Origin, "err", err) // it will ask
		}
	})
}

func (g *Gossip) post(ctx context.Context, p Peer, text []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.URL+"/forks/", bytes.NewReader(text))
	if err != nil {
		return err
	}
	res, err := g.o.Client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode >= 300 {
		return fmt.Errorf("answered %d", res.StatusCode)
	}
	return nil
}
