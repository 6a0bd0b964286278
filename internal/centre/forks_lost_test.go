package centre

import (
	"context"
	"crypto/sha256"
	"path/filepath"
	"testing"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/store"
	"vitrine.example/key"
	"vitrine.example/statement"
	"vitrine.example/tlog"
)

// growthFork shows that a lie is not of the history of the node's own log.
func growthFork(t *testing.T, h *Handle, lie *tlog.SignedCheckpoint) *tlog.Fork {
	t.Helper()
	raw, err := h.local().ledger.Checkpoint(within(t))
	check(t, err)
	newest, err := tlog.ParseCheckpoint(raw)
	check(t, err)
	root, path, err := h.local().ledger.Consistency(within(t), lie.Size, newest.Size)
	check(t, err)
	f, err := tlog.NewGrowthFork(lie, newest, tlog.ForkPath(lie.Size, root, path))
	check(t, err)
	return f
}

// TestOneLieIsKnownAgain: after the database was lost, a lie that an operator has
// accepted comes back, paired with another checkpoint of the log. Another lie holds
// the log.
func TestOneLieIsKnownAgain(t *testing.T) {
	eachEngine(t, func(t *testing.T, dir string) {
		h := connect(t, dir)
		n := h.local()
		publish(t, h, "1.0", "first")
		publish(t, h, "1.1", "second")
		private, err := key.ReadPrivateFile(filepath.Join(dir, logKeyFile))
		check(t, err)
		signer, err := tlog.NewSigner(n.cfg.origin, tlog.Ed25519, private, func() (time.Time, error) { return time.Now(), nil })
		check(t, err)
		lie := func(text string) *tlog.SignedCheckpoint {
			c := tlog.Checkpoint{Origin: n.cfg.origin, Size: 1, Root: tlog.LeafHash([]byte(text))}
			sig, err := signer.SignCheckpoint(c)
			check(t, err)
			return &tlog.SignedCheckpoint{Checkpoint: c, Signatures: []tlog.Signature{sig}}
		}
		open := func() int {
			check(t, n.settleForks(within(t)))
			all, err := n.openForks(within(t))
			check(t, err)
			return len(all)
		}
		first := growthFork(t, h, lie("another history"))
		k, err := h.KeepFork(within(t), first.Marshal())
		check(t, err)
		at, err := h.Now(within(t))
		check(t, err)
		f := &statement.ForkAccepted{Log: n.cfg.origin, Reason: "x", At: at}
		if _, _, err := h.Say(within(t), f.Subjects(k.Digest, digest.Of(nil), sha256.Sum256([]byte("x"))), f); err == nil {
			t.Error("an acceptance of checkpoints that the evidence does not have is logged")
		}
		_, _, err = h.AcceptFork(within(t), k.Digest, "explained")
		check(t, err)
		publish(t, h, "1.2", "third")
		second := growthFork(t, h, first.A)
		if second.Digest() == first.Digest() {
			t.Fatal("the same pair")
		}
		check(t, n.db.Update(within(t), func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.ExecContext(ctx, `DELETE FROM fork_evidence`)
			return err
		}))
		for _, f := range []*tlog.Fork{second, first} {
			_, err := n.gossip.Keep(within(t), f)
			check(t, err)
			if got := open(); got != 0 {
				t.Errorf("what was accepted holds the log again: %d open", got)
			}
		}
		_, err = n.gossip.Keep(within(t), growthFork(t, h, lie("a third history")))
		check(t, err)
		if got := open(); got != 1 {
			t.Errorf("another lie: %d open, want 1", got)
		}
	})
}
