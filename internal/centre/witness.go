package centre

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"

	"vitrine.example/internal/meter"

	"vitrine.example/internal/store"
	"vitrine.example/internal/witness"
	"vitrine.example/tlog"
)

// witnessState is the file by which a witness notices that its database was lost.
// It is never in a backup (internal/witness, DESIGN.md).
const witnessState = "witness-state"

// witnessPrefix is where the witness answers, below the node's URL.
const witnessPrefix = "/witness/"

// witnessName is the name of the witness's keys.
func witnessName(origin string) string { return origin + "/witness" }

// ErrNoWitness is returned where the node is no witness.
var ErrNoWitness = errors.New("this node is no witness: set witness-key or witness-mldsa-key in " + ConfigFile)

// witnessSigners reads the keys of the witness, of which there may be none.
func witnessSigners(dir string, c *Config, now clockFunc) (out []*tlog.Signer, err error) {
	for _, k := range []struct {
		path, what string
		typ        tlog.KeyType
	}{
		{c.WitnessKey, "witness key", tlog.Ed25519Cosignature},
		{c.WitnessMLDSAKey, "ML-DSA witness key", tlog.MLDSA44Cosignature},
	} {
		if k.path == "" {
			continue
		}
		s, err := nodeSigner(dir, k.path, witnessName(c.origin), k.typ, now)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", k.what, err)
		}
		out = append(out, s)
	}
	return out, nil
}

// openWitness opens the witness where there are keys for one.
func (n *Node) openWitness(ctx context.Context) (err error) {
	if len(n.keys.witness) == 0 {
		return nil
	}
	n.witness, err = witness.Open(ctx, witness.Options{
		DB: n.db, Signers: n.keys.witness, State: filepath.Join(n.dir, witnessState),
		Limits:     witness.Limits{PerSecond: float64(n.cfg.WitnessPerSecond), Burst: 5 * int(n.cfg.WitnessPerSecond)},
		Submission: n.cfg.URL + witnessPrefix, About: n.cfg.Name + ", " + n.cfg.URL + "/witness",
		Version: Version, Log: n.log, OnFork: n.forkKept,
	})
	return err
}

// forkKept has a fork that the witness keeps passed on, and hands it to whoever
// asked for it.
func (n *Node) forkKept(origin string, e witness.Evidence) {
	n.gossiping.awake()
	if f := n.onFork.Load(); f != nil {
		(*f)(origin, e)
	}
}

// OnFork sets what is called, after the fact, for each fork that the witness
// keeps. It must not wait.
func (n *Node) OnFork(f func(origin string, e witness.Evidence)) { n.onFork.Store(&f) }

// Witness returns the node's witness, or nil.
func (n *Node) Witness() *witness.Witness { return n.witness }

// witnessCollectors are the metrics of the witness.
func (n *Node) witnessCollectors() []meter.Collector {
	if n.witness == nil {
		return nil
	}
	return append(n.witness.Collectors(), gauge("vitrine_witness_state_ok",
		"1 while the witness knows all that it has cosigned, 0 while its state is lost and nothing is cosigned.",
		func(context.Context) (float64, error) {
			if n.witness.Lost() != "" {
				return 0, nil
			}
			return 1, nil
		}))
}

// mounts are the handlers that are not read-only.
func (n *Node) mounts() map[string]http.Handler {
	m := map[string]http.Handler{}
	if n.witness != nil {
		m[witnessPrefix] = n.witness.Handler()
	}
	if n.mirror != nil {
		m[mirrorPrefix] = n.holdings.Handler(n.mirror.Handler())
	}
	n.gossipMounts(m)
	return m
}

// WitnessSummary is the witness in a node's [Status].
type WitnessSummary struct {
	Name string   `json:"name"`
	Keys []string `json:"keys"`
	URL  string   `json:"url"` // submission and monitoring prefix
	Logs int64    `json:"logs"`
	Held int64    `json:"held"` // paused or forked
	Lost string   `json:"lost,omitempty"`
}

// witnessSummary counts the logs.
func (n *Node) witnessSummary(ctx context.Context) (*WitnessSummary, error) {
	if n.witness == nil {
		return nil, nil
	}
	s := &WitnessSummary{Name: n.witness.Name(), Keys: n.keys.witnessVkeys(), URL: n.cfg.URL + witnessPrefix, Lost: n.witness.Lost()}
	for after := ""; ; {
		page, err := n.witness.List(ctx, after, witnessListPage)
		if err != nil {
			return nil, err
		}
		for _, l := range page {
			s.Logs++
			if l.Paused || l.Forked {
				s.Held++
			}
			after = l.Origin
		}
		if len(page) < witnessListPage {
			return s, nil
		}
	}
}

// witnessVkeys are the verifier keys of the witness.
func (k *keys) witnessVkeys() []string {
	out := []string{}
	for _, s := range k.witness {
		out = append(out, s.Verifier().String())
	}
	return out
}

// witness compares the state of the witness with the database.
func (e *examination) witness(ctx context.Context, db *store.DB) {
	if e.cfg.WitnessKey == "" && e.cfg.WitnessMLDSAKey == "" {
		return
	}
	why, err := witness.CheckState(ctx, db, filepath.Join(e.dir, witnessState))
	switch {
	case err != nil:
		e.bad("witness", "make "+witnessState+" readable for the user that runs the node", "%v", err)
	case why != "":
		e.bad("witness", "see `vitrine witness recover --help`", "nothing is cosigned: %s", why)
	default:
		e.ok("witness", "%s knows all that it has cosigned", witnessName(e.cfg.origin))
	}
}
