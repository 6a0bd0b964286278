package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"vitrine.example/internal/centre"
	"vitrine.example/key"
	"vitrine.example/proof"
	"vitrine.example/tlog"
)

func newBundleRefresh(c *console) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "refresh BUNDLE NODE",
		Short: "put fresh proofs into a bundle",
		Long: `Fetch new proofs, under the newest checkpoint, for the statements that stand in
the log of NODE (a URL or a directory), and write the bundle again.`,
		Example: `  vitrine bundle refresh app.tar.gz.vitrine node`,
		Args:    operands("BUNDLE", "NODE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := readBundle(args[0])
			if err != nil {
				return err
			}
			n := 0
			err = c.source(cmd.Context(), args[1], func(s source) error {
				n, err = refresh(cmd.Context(), b, s)
				return err
			})
			if err != nil {
				return err
			}
			if n == 0 {
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
			c.say("%s refreshed", plural(int64(n), "proof", "proofs"))
			return nil
		},
	}
	cmd.Flags().StringVarP(&out, "out", "o", "", "`file` to write; default: BUNDLE itself")
	return cmd
}

// refresh replaces the proofs of the statements that stand in the log of s,
// and returns how many.
func refresh(ctx context.Context, b *proof.Bundle, s source) (int, error) {
	info, err := s.info(ctx)
	if err != nil {
		return 0, err
	}
	keys, n := map[string]key.Public{}, 0
	for _, p := range info.Statement {
		k, err := key.ParsePublic([]byte(p))
		if err != nil {
			return 0, fmt.Errorf("statement key of %s: %w", info.Origin, err)
		}
		keys[k.ID().String()] = k
	}
	logs, err := logKeys(info)
	if err != nil {
		return 0, err
	}
	for i := range b.Statements {
		l := &b.Statements[i]
		if l.Proof.Checkpoint.Origin != info.Origin {
			continue
		}
		k, ok := keys[l.Envelope.KeyID().String()]
		if !ok {
			return 0, fmt.Errorf("%s does not show the key %s", info.Origin, l.Envelope.KeyID())
		}
		if err := refreshOne(ctx, l, k, logs, s); err != nil {
			return 0, fmt.Errorf("statement %s: %w", l.Envelope.Digest(), err)
		}
		n++
	}
	return n, nil
}

// refreshOne replaces one proof by one that is not older and holds as well.
func refreshOne(ctx context.Context, l *proof.Logged, k key.Public, logs []tlog.Verifier, s source) error {
	raw, err := s.proof(ctx, l.Proof.Index)
	if err != nil {
		return err
	}
	p, err := tlog.ParseProof(raw)
	if err != nil {
		return fmt.Errorf("reading the log's proof: %w", err)
	}
	fresh := proof.Logged{Envelope: l.Envelope, Proof: p}
	if err := fresh.Verify(k); err != nil {
		return fmt.Errorf("the log's proof: %w", err)
	}
	was, is := l.Proof.Checkpoint, p.Checkpoint
	if is.Origin != was.Origin || is.Size < was.Size {
		return no(fmt.Errorf("the log is at %s, %d entries, but the bundle saw %s, %d entries", is.Origin, is.Size, was.Origin, was.Size),
			"the node may have been restored from an old backup; do not replace the bundle")
	}
	if err := sameLog(logs, was, is); err != nil {
		return err
	}
	*l = fresh
	return nil
}

// logKeys are the keys of the log that a node shows.
func logKeys(info centre.Info) ([]tlog.Verifier, error) {
	var keys []tlog.Verifier
	for _, s := range info.Log {
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
// is to be trusted is for the policy that the bundle goes to.
func sameLog(keys []tlog.Verifier, was, is *tlog.SignedCheckpoint) error {
	why := fmt.Errorf("%s shows no key that signed the checkpoint in the bundle", was.Origin)
	for _, v := range keys {
		if _, err := v.Verify(was); err != nil || v.Name() != was.Origin {
			continue
		}
		if _, err := v.Verify(is); err != nil {
			why = fmt.Errorf("the log's new checkpoint: %w", err)
			continue // of several keys of a log, one will do
		}
		if is.Size == was.Size && is.Root != was.Root {
			return no(fmt.Errorf("the log shows two histories of %d entries", is.Size),
				"keep this bundle and what the node serves now, and tell whoever relies on the log")
		}
		return nil
	}
	return why
}
