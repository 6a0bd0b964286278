package centre

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
)

// RotateAsk asks for one step of a rotation. Do is prepare, use, retire, or rotate
// for whichever of them is next.
type RotateAsk struct {
	Do, Kind string
	Stolen   bool // of retire
}

// Rotate does a step. Preparing works while the node is served; for the others it
// must not be, because a process goes on with the keys that it has read.
func (h *Handle) Rotate(ctx context.Context, q RotateAsk) (out *Rotated, err error) {
	if q.Do == "rotate" {
		if q.Do, err = h.nextStep(q.Kind); err != nil {
			return nil, err
		}
	}
	if q.Do == "prepare" {
		err = h.ask(ctx,
			func(n *Node) error { out, err = n.prepareKey(q.Kind); return err },
			func() error {
				out = &Rotated{}
				return h.call(ctx, http.MethodPost, "/keys?kind="+url.QueryEscape(q.Kind), nil, out)
			})
		return out, err
	}
	n := h.local()
	if n == nil {
		return nil, fmt.Errorf("%w: stop it, run `vitrine key %s` again, and start it; nothing that was acknowledged is lost meanwhile", ErrServed, q.Do)
	}
	switch q.Do {
	case "use":
		return n.useKey(ctx, q.Kind)
	case "retire":
		return n.retireKey(ctx, q.Kind, q.Stolen)
	}
	return nil, refuseStep("%.40q is no step of a rotation", q.Do)
}

// nextStep is what a rotation of a kind needs next.
func (h *Handle) nextStep(kind string) (string, error) {
	r, err := readRing(h.dir, h.cfg, h.keys.used())
	switch {
	case err != nil:
		return "", err
	case len(r.of(kind, KeyPrepared)) > 0:
		return "use", nil
	case len(r.of(kind, KeyOld)) > 0:
		return "retire", nil
	}
	return "prepare", nil
}

// rotationControl serves what may be done while the node is served.
func (n *Node) rotationControl(mux *http.ServeMux) {
	mux.HandleFunc("POST /keys", func(w http.ResponseWriter, r *http.Request) {
		out, err := n.prepareKey(r.URL.Query().Get("kind"))
		reply(w, out, err)
	})
}
