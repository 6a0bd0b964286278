package centre

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"vitrine.example/internal/circle"
	"vitrine.example/internal/gossip"
	"vitrine.example/internal/holdings"
	"vitrine.example/internal/mirror"
	"vitrine.example/internal/projection"
	"vitrine.example/internal/quorum"
	"vitrine.example/internal/web"
)

// dealings is what the parts of a node know of the members.
type dealings struct {
	witnesses []quorum.Status
	pushes    []mirror.Progress
	logs      []projection.State
	held      []holdings.Status
	asked     map[string]gossip.Asked
	troubles  []gossip.Trouble
	given     func(url string) holdings.Asked
}

// Dealings implements [web.Dealings]: a member that lies, stalls or floods is
// named here, and not only in the journal.
func (n *Node) Dealings(ctx context.Context) (out []web.Dealing, err error) {
	h, err := n.Circle(ctx)
	if errors.Is(err, circle.ErrNone) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	d := dealings{witnesses: n.witnesses(), pushes: n.Pushes(), asked: n.gossip.Asked(), troubles: n.gossip.Troubles()}
	d.given = func(string) holdings.Asked { return holdings.Asked{} }
	if n.holdings != nil {
		d.given = n.holdings.Asked
	}
	if d.logs, err = n.projection.Logs(ctx); err != nil {
		return nil, err
	}
	if d.held, err = n.holdingsStatus(ctx); err != nil {
		return nil, err
	}
	for i := range h.Current.Members {
		if m := &h.Current.Members[i]; m.Origin != n.cfg.origin && m.State != circle.Left {
			out = append(out, d.of(m)...)
		}
	}
	return out, nil
}

// of tells of one member.
func (d *dealings) of(m *circle.Member) (out []web.Dealing) {
	url := strings.TrimSuffix(m.URL, "/") + "/"
	for _, w := range d.witnesses {
		if strings.HasPrefix(w.URL+"/", url) {
			out = append(out, web.Dealing{Member: m.Origin, For: web.ForCosigning, Asked: w.Asked, Answered: w.Cosigned, Size: w.Size, Fault: w.Error})
		}
	}
	for _, p := range d.pushes {
		if p.Name == m.Origin {
			out = append(out, web.Dealing{Member: m.Origin, For: web.ForMirroring, Asked: p.Asked, Answered: p.Cosigned, Size: p.Size, Fault: p.Problem})
		}
	}
	for _, l := range d.logs {
		if l.Origin != m.Origin {
			continue
		}
		x := web.Dealing{Member: m.Origin, For: web.ForLog, Asked: l.At, Answered: l.At, Size: l.Published} // it comes unasked
		if l.Problem != nil {
			x.Fault = l.Problem.Error()
		}
		out = append(out, x)
	}
	for _, s := range d.held {
		if s.Origin != m.Origin {
			continue
		}
		a := d.given(m.URL)
		x := web.Dealing{Member: m.Origin, For: web.ForContents, Asked: a.At, Answered: a.Given, Size: s.Held, Fault: s.Problem}
		switch {
		case x.Fault != "":
		case a.Answer == "wrong":
			x.Fault = "gave something else than what was asked for"
		case a.Answer == "unreachable":
			x.Fault = "no answer: timeout, or it could not be reached"
		case s.Withheld > 0:
			x.Fault = fmt.Sprintf("%d withheld", s.Withheld)
		}
		out = append(out, x)
	}
	return append(out, d.views(m.Origin))
}

// views tells how a member answers gossip. That a log gives no proof is told of
// the log.
func (d *dealings) views(origin string) web.Dealing {
	a := d.asked[origin]
	x := web.Dealing{Member: origin, For: web.ForViews, Asked: a.At, Answered: a.Answered}
	for _, t := range d.troubles {
		if t.Peer == origin && t.Log == "" {
			x.Fault = t.Error
		}
	}
	return x
}
