package web

import (
	"context"
	"fmt"
	"net/http"

	"vitrine.example/internal/projection"
	"vitrine.example/statement"
)

// statementPage is one statement with its place in a log.
type statementPage struct {
	projection.Entry
	Base    string // address of the log
	Own     bool   // it is the node's log
	OwnKey  bool   // the key is one of the node's present ones
	Places  []place
	Payload string
	Cut     bool
	PEM     string // of the key that signed
	Proof   string // of the node's log alone
	Release bool
}

func (s *site) statement(r *http.Request) (string, any, error) {
	ctx := r.Context()
	d, err := pathDigest(r)
	if err != nil {
		return "", nil, err
	}
	e, err := s.Projection.Statement(ctx, d)
	if err != nil {
		return "", nil, err
	}
	raw, err := s.publicBytes(ctx, d)
	if err != nil {
		return "", nil, err
	}
	env, err := statement.Parse(raw)
	if err != nil {
		return "", nil, fmt.Errorf("reading the statement %s: %w", d, err)
	}
	p := statementPage{
		Entry: e, Base: s.base(e.Origin), Own: e.Origin == s.Info.Origin,
		Release: e.PredicateType == statement.ReleaseType,
	}
	p.Payload, p.Cut = show(env.Payload())
	for _, k := range allKeysOf(s.info()) {
		p.OwnKey = p.OwnKey || k.ID == e.Key
	}
	if p.Proof, err = s.proofOf(ctx, e); err != nil {
		return "", nil, err
	}
	if p.Places, err = s.places(ctx, d, e.Origin); err != nil {
		return "", nil, err
	}
	p.PEM, err = s.signer(ctx, e.Origin, e.Index)
	return "statement", p, err
}

// proofOf returns the proof of an entry of the node's own log; of another's
// log, that log and its mirrors give proofs.
func (s *site) proofOf(ctx context.Context, e projection.Entry) (string, error) {
	if e.Origin != s.Info.Origin {
		return "", nil
	}
	l, err := s.logged(ctx, e.Envelope, e.Index)
	if err != nil {
		return "", err
	}
	return string(l.Proof.Marshal()), nil
}

// signer returns the key that an entry names, as PEM.
func (s *site) signer(ctx context.Context, origin string, index int64) (string, error) {
	raw, err := s.Projection.Leaf(ctx, origin, index)
	if err != nil {
		return "", err
	}
	leaf, err := statement.ParseLeaf(raw)
	if err != nil {
		return "", fmt.Errorf("reading entry %d of %s: %w", index, origin, err)
	}
	return string(leaf.Key.PEM()), nil
}
