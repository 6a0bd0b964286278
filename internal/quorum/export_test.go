package quorum

import (
	"context"
	"net/http"

	"vitrine.example/tlog"
)

// Ask asks one witness once over a transport, and returns what it is taken for.
func Ask(ctx context.Context, rt http.RoundTripper, w tlog.PolicyWitness, o Options, c *tlog.SignedCheckpoint,
	prove func(int64) ([]tlog.Hash, error)) ([]tlog.Signature, Status, error) {
	e := &endpoint{url: "http://w.example/add-checkpoint", keys: []tlog.PolicyWitness{w}, o: o, client: &http.Client{Transport: rt}}
	sigs, err := e.ask(ctx, &round{checkpoint: c, prove: prove})
	return sigs, e.status(), err
}
