package centre

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"vitrine.example/internal/circle"
	"vitrine.example/proof"
)

// Bounds of asking other members.
const (
	circleFirst    = 5 * time.Second // after the start
	circleInterval = time.Minute
	circlePatience = 15 * time.Second // for one member
)

// followCircle finishes what was to be said, and asks the members every minute, until ctx is done.
func (n *Node) followCircle(ctx context.Context) {
	n.resumeCircle(ctx)
	for wait := circleFirst; pause(ctx, wait) == nil; wait = circleInterval {
		asked, err := n.SyncCircle(ctx)
		if err != nil && ctx.Err() == nil {
			n.log.Error("asking the circle's members", "err", err)
		}
		for _, a := range asked {
			if a.Problem != "" && ctx.Err() == nil {
				n.log.Warn("a member of the circle gave no answer that could be used", "member", a.Origin, "err", a.Problem)
			}
		}
	}
}

// Asked is what came of asking a member for the circle.
type Asked struct {
	Origin  string `json:"origin"`
	Problem string `json:"problem,omitempty"`
}

// SyncCircle asks every listed member for its view of the circle, and adds what
// holds. A member that lies or is away is named and hinders nobody.
func (n *Node) SyncCircle(ctx context.Context) ([]Asked, error) {
	h, err := n.Circle(ctx)
	if errors.Is(err, circle.ErrNone) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	var asked []Asked
	for _, m := range peers(h, n.cfg.origin) {
		a := Asked{Origin: m.origin}
		if err := n.fetchCircle(ctx, h, m.url); err != nil {
			a.Problem = err.Error()
		}
		asked = append(asked, a)
	}
	return asked, ctx.Err()
}

type peer struct{ origin, url string }

// peers lists the members of the versions that are in force or proposed.
func peers(h *circle.History, own string) (out []peer) {
	for _, v := range h.Versions {
		if v.Status != circle.InForce && v.Status != circle.Proposed {
			continue
		}
		for _, m := range v.Members {
			p := peer{m.Origin, m.URL}
			if m.Origin != own && !slices.Contains(out, p) {
				out = append(out, p)
			}
		}
	}
	return out[:min(len(out), 512)]
}

func (n *Node) fetchCircle(ctx context.Context, h *circle.History, base string) error {
	ctx, cancel := context.WithTimeout(ctx, circlePatience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(base, "/")+"/circle.json", nil)
	if err != nil {
		return err
	}
	req.Header.Set("User-Agent", "vitrine/"+Version)
	res, err := n.peers.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusNotFound {
		return nil // it has not joined yet
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("it answered %s", res.Status)
	}
	b, err := io.ReadAll(io.LimitReader(res.Body, proof.MaxSize+1))
	if err != nil {
		return err
	}
	bundle, err := proof.Parse(b)
	if err != nil {
		return err
	}
	return n.MergeCircle(ctx, h.Root, bundle.Statements)
}
