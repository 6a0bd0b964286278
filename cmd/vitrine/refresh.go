package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"vitrine.example/internal/centre"
	"vitrine.example/key"
	"vitrine.example/proof"
	"vitrine.example/tlog"
)

func newBundleRefresh(c *console) *cobra.Command {
	var out string
	var fewer bool
	cmd := &cobra.Command{
		Use:   "refresh BUNDLE NODE",
		Short: "put fresh proofs into a bundle",
		Long: `Fetch new proofs, under the newest checkpoint, for the statements that stand in
the log of NODE (a URL or a directory), and write the bundle again.

A proof is kept as it is where the newest checkpoint lacks a signature, such as
that of a witness, which its own checkpoint bears.`,
		Example: `  vitrine bundle refresh app.tar.gz.vitrine node`,
		Args:    operands("BUNDLE", "NODE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := readBundle(args[0])
			if err != nil {
				return err
			}
			var done refreshed
			err = c.source(cmd.Context(), args[1], func(s source) error {
				done, err = refresh(cmd.Context(), b, s, fewer)
				return err
			})
			if err != nil {
				return err
			}
			switch {
			case done.fresh == 0 && done.kept > 0:
				return no(fmt.Errorf("bundle %s is better as it is: %s", args[0], done.why()),
					"try again later, or take the newest checkpoint as it is with --fewer-signatures")
			case done.fresh == 0:
				return fmt.Errorf("bundle %s: none of its statements stands in the log of %s", args[0], args[1])
			}
			raw, err := b.Marshal()
			if err != nil {
				return err
			}
			if out == "" {
				out = args[0]
			}
			if err := c.output(out, raw, true); err != nil {
				return err
			}
			c.say("%s refreshed", plural(int64(done.fresh), "proof", "proofs"))
			if done.kept > 0 {
				c.say("%s kept: %s", plural(int64(done.kept), "proof", "proofs"), done.why())
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVarP(&out, "out", "o", "", "`file` to write; default: BUNDLE itself")
	f.BoolVar(&fewer, "fewer-signatures", false, "take the newest checkpoint even where signatures are missing")
	return cmd
}

// refreshed is what became of the proofs of one log.
type refreshed struct {
	fresh, kept int
	missing     []string // who signed what was kept, and not the newest checkpoint
}

func (r refreshed) why() string {
	return "the log's newest checkpoint lacks the signature of " + strings.Join(r.missing, ", ")
}

// refresh replaces the proofs of the statements that stand in the log of s.
// Those that would lose a signature are kept, unless fewer may do.
func refresh(ctx context.Context, b *proof.Bundle, s source, fewer bool) (done refreshed, err error) {
	info, err := s.info(ctx)
	if err != nil {
		return done, err
	}
	keys := map[string]key.Public{}
	for _, p := range append(info.Statement[:len(info.Statement):len(info.Statement)], retiredOf(info, "statement")...) {
		k, err := key.ParsePublic([]byte(p))
		if err != nil {
			return done, fmt.Errorf("statement key of %s: %w", info.Origin, err)
		}
		keys[k.ID().String()] = k
	}
	logs, err := logKeys(info, info.Log)
	if err != nil {
		return done, err
	}
	retired, err := logKeys(info, retiredOf(info, "log"))
	if err != nil {
		return done, err
	}
	for i := range b.Statements {
		l := &b.Statements[i]
		if l.Proof.Checkpoint.Origin != info.Origin {
			continue
		}
		k, ok := keys[l.Envelope.KeyID().String()]
		if !ok {
			return done, fmt.Errorf("%s does not show the key %s", info.Origin, l.Envelope.KeyID())
		}
		p, err := newest(ctx, l, k, logs, retired, s)
		if err != nil {
			return done, fmt.Errorf("statement %s: %w", l.Envelope.Digest(), err)
		}
		if missing := unsigned(l.Proof.Checkpoint, p.Checkpoint); len(missing) > 0 && !fewer {
			done.kept++
			for _, m := range missing {
				if !slices.Contains(done.missing, m) {
					done.missing = append(done.missing, m)
				}
			}
			continue
		}
		l.Proof = p
		done.fresh++
	}
	return done, nil
}

// unsigned names the keys that signed was and not is. Which of them count is for
// the policy that the bundle goes to; one that is lost may be the one it asks for.
func unsigned(was, is *tlog.SignedCheckpoint) []string {
	var names []string
	for _, w := range was.Signatures {
		if !slices.ContainsFunc(is.Signatures, func(s tlog.Signature) bool { return s.Name == w.Name && s.KeyID == w.KeyID }) {
			names = append(names, fmt.Sprintf("%s+%08x", oneLine(w.Name), w.KeyID))
		}
	}
	return names
}

// newest fetches a proof that is not older than that of l and holds as well.
func newest(ctx context.Context, l *proof.Logged, k key.Public, logs, retired []tlog.Verifier, s source) (*tlog.Proof, error) {
	raw, err := s.proof(ctx, l.Proof.Index)
	if err != nil {
		return nil, err
	}
	p, err := tlog.ParseProof(raw)
	if err != nil {
		return nil, fmt.Errorf("reading the log's proof: %w", err)
	}
	fresh := proof.Logged{Envelope: l.Envelope, Proof: p}
	if err := fresh.Verify(k); err != nil {
		return nil, fmt.Errorf("the log's proof: %w", err)
	}
	was, is := l.Proof.Checkpoint, p.Checkpoint
	if is.Origin != was.Origin || is.Size < was.Size {
		return nil, no(fmt.Errorf("the log is at %s, %d entries, but the bundle saw %s, %d entries", is.Origin, is.Size, was.Origin, was.Size),
			"the node may have been restored from an old backup; do not replace the bundle")
	}
	return p, sameLog(logs, retired, was, is)
}

// retiredOf are the retired keys of a kind that a node shows.
func retiredOf(info centre.Info, kind string) (out []string) {
	for _, r := range info.Retired {
		if r.Kind == kind {
			out = append(out, r.Key)
		}
	}
	return out
}

// logKeys reads keys of the log that a node shows.
func logKeys(info centre.Info, texts []string) ([]tlog.Verifier, error) {
	var keys []tlog.Verifier
	for _, s := range texts {
		v, err := tlog.ParseVerifier(s)
		if err != nil {
			return nil, fmt.Errorf("log key of %s: %w", info.Origin, err)
		}
		keys = append(keys, v)
	}
	return keys, nil
}

// sameLog checks that a key which signed the old checkpoint signed the new one,
// so that a server which is not the log cannot spoil a bundle. Whether the key
// is to be trusted is for the policy that the bundle goes to. Where the key that
// signed the old one was retired, any other may have signed the new one: the
// bundle then loses a signature, which it does only where that was asked for.
func sameLog(keys, retired []tlog.Verifier, was, is *tlog.SignedCheckpoint) error {
	why := fmt.Errorf("%s shows no key that signed the checkpoint in the bundle", was.Origin)
	for _, v := range keys {
		if _, err := v.Verify(was); err != nil || v.Name() != was.Origin {
			continue
		}
		if _, err := v.Verify(is); err != nil {
			why = fmt.Errorf("the log's new checkpoint: %w", err)
			continue // of several keys of a log, one will do
		}
		return oneHistory(was, is)
	}
	if _, ok := signedBy(retired, was); ok {
		if _, ok := signedBy(keys, is); ok {
			return oneHistory(was, is)
		}
	}
	return why
}

// oneHistory refuses two checkpoints of one size that are not the same.
func oneHistory(was, is *tlog.SignedCheckpoint) error {
	if is.Size != was.Size || is.Root == was.Root {
		return nil
	}
	return no(fmt.Errorf("the log shows two histories of %d entries", is.Size),
		"keep this bundle and what the node serves now, and tell whoever relies on the log")
}

// signedBy finds the first of keys that signed a checkpoint.
func signedBy(keys []tlog.Verifier, c *tlog.SignedCheckpoint) (tlog.Verifier, bool) {
	i := slices.IndexFunc(keys, func(v tlog.Verifier) bool {
		_, err := v.Verify(c)
		return err == nil && v.Name() == c.Origin
	})
	if i < 0 {
		return tlog.Verifier{}, false
	}
	return keys[i], true
}
