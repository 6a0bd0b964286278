package centre

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/content"
	"vitrine.example/internal/ledger"
	"vitrine.example/internal/release"
	"vitrine.example/internal/store"
	"vitrine.example/key"
	"vitrine.example/statement"
	"vitrine.example/tlog"
)

// Errors of Submit that callers tell apart, beside those of the ledger, the
// clock and the release package.
var (
	ErrInvalid   = errors.New("this is no statement that can be logged")
	ErrForbidden = errors.New("this key may not write into the log")
)

// projectPatience is how long an acknowledgement waits for the pages.
const projectPatience = 2 * time.Second

// resumeBatch is how many interrupted submissions are looked at at a time.
const resumeBatch = 64

// Submit logs a signed statement and returns when it is published.
//
// The order makes a crash harmless at every point: the envelope is durable
// before the claim on its release and the note of its leaf are (one
// transaction), and these are before the entry is handed to the log. A crash
// before the transaction leaves unused content; a crash after it leaves a
// submission that [Open] hands to the log again. The log itself takes an entry
// once, so that every repetition ends at the first index.
func (n *Node) Submit(ctx context.Context, envelope []byte) (release.Receipt, error) {
	r, err := n.submit(ctx, envelope)
	if err != nil {
		return release.Receipt{}, fmt.Errorf("submitting a statement: %w", err)
	}
	return r, nil
}

func (n *Node) submit(ctx context.Context, envelope []byte) (release.Receipt, error) {
	if _, err := n.signingTime(); err != nil {
		return release.Receipt{}, err
	}
	if err := n.fresh(ctx); err != nil {
		return release.Receipt{}, err
	}
	if err := n.whole(ctx); err != nil {
		return release.Receipt{}, err
	}
	env, k, err := n.admit(ctx, envelope)
	if err != nil {
		return release.Receipt{}, err
	}
	if err := errors.Join(n.admitCircle(ctx, env), n.admitFork(ctx, env)); err != nil {
		return release.Receipt{}, err
	}
	leaf, err := env.Leaf(k)
	if err != nil {
		return release.Receipt{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	d := env.Digest()
	if _, err := n.content.Put(ctx, content.Public, bytes.NewReader(env.Bytes()), statement.MaxSize); err != nil {
		return release.Receipt{}, err
	}
	err = n.db.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := release.Admit(ctx, tx, env); err != nil {
			return err
		}
		if err := n.noteCircle(ctx, tx, env); err != nil {
			return err
		}
		return n.projection.Submitted(ctx, tx, tlog.LeafHash(leaf), d)
	})
	if err != nil {
		return release.Receipt{}, err
	}
	r, err := n.append(ctx, d, leaf)
	if err == nil && isCircleKind(env.Statement().PredicateType) {
		err = n.keepCircle(ctx, env, r)
	}
	if err == nil {
		err = n.applyFork(ctx, env)
	}
	return r, err
}

// append logs a leaf whose envelope is stored and noted.
func (n *Node) append(ctx context.Context, d digest.Digest, leaf []byte) (release.Receipt, error) {
	e, err := n.ledger.Add(ctx, leaf)
	if err != nil {
		return release.Receipt{}, err
	}
	p, err := n.ledger.Proof(ctx, e.Index)
	if err != nil {
		return release.Receipt{}, err
	}
	n.log.Info("logged a statement", "index", e.Index, "sha256", d, "duplicate", e.Duplicate)
	wait, cancel := context.WithTimeout(ctx, projectPatience)
	defer cancel()
	if err := n.projection.Await(wait, e.Index); err != nil {
		n.log.Warn("the pages do not show it yet", "index", e.Index, "err", err)
	}
	return release.Receipt{Index: e.Index, Duplicate: e.Duplicate, Proof: p}, nil
}

// admit reads an envelope and checks that it is one of the node's own
// statements, of a kind that this program knows.
func (n *Node) admit(ctx context.Context, envelope []byte) (*statement.Envelope, key.Public, error) {
	env, err := statement.Parse(envelope)
	if err != nil {
		return nil, key.Public{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	for _, k := range n.keys.spoken {
		if k.ID() != env.KeyID() {
			continue
		}
		if err := env.Verify(k); err != nil {
			return nil, key.Public{}, fmt.Errorf("%w: %w", ErrInvalid, err)
		}
		if t := env.Statement().PredicateType; !isOwnKind(t) && !isCircleKind(t) {
			return nil, key.Public{}, fmt.Errorf("%w: predicate type %.200q is not known", ErrInvalid, t)
		}
		return env, k, n.onlyAgain(ctx, env, k)
	}
	return nil, key.Public{}, fmt.Errorf("%w: %s: sign with the node's own statement key", ErrForbidden, env.KeyID())
}

// onlyAgain refuses what a key has signed that is not in use any more, unless it
// was taken before: a submission may be repeated for ever.
func (n *Node) onlyAgain(ctx context.Context, env *statement.Envelope, k key.Public) error {
	if k.Equal(n.keys.own()) {
		return nil
	}
	leaf, err := env.Leaf(k)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	h := tlog.LeafHash(leaf)
	if _, err := n.ledger.Find(ctx, h); err == nil || !errors.Is(err, ledger.ErrUnknown) {
		return err
	}
	taken, err := n.projection.Taken(ctx, h)
	if err == nil && !taken {
		err = fmt.Errorf("%w: %s was retired, and signs nothing new: sign with %s", ErrForbidden, k.ID(), n.keys.own().ID())
	}
	return err
}

// isOwnKind reports whether a predicate is what a node says for itself.
func isOwnKind(t string) bool {
	return t == statement.ReleaseType || t == statement.ForkAcceptedType || t == statement.WithheldType ||
		t == statement.RebuildType || t == statement.ProvenanceType
}

// resume hands submissions to the log that an earlier process did not finish, and
// those that came before others had confirmed that the log is not set back.
func (n *Node) resume(ctx context.Context) {
	if err := n.ledger.AwaitConfirmed(ctx); err != nil {
		return
	}
	pending, err := n.projection.Pending(ctx, resumeBatch)
	if err != nil {
		if ctx.Err() == nil {
			n.log.Error("looking for interrupted submissions", "err", err)
		}
		return
	}
	for _, d := range pending {
		raw, _, err := n.content.ReadAll(ctx, d, statement.MaxSize)
		if err == nil {
			_, err = n.Submit(ctx, raw)
		}
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			n.log.Error("an interrupted submission could not be finished", "sha256", d, "err", err)
		default:
			n.log.Info("finished an interrupted submission", "sha256", d)
		}
	}
}
