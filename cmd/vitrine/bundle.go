package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"vitrine.example/digest"
	"vitrine.example/proof"
	"vitrine.example/statement"
	"vitrine.example/tlog"
	"vitrine.example/verdict"
)

func newBundle(c *console) *cobra.Command {
	return group("bundle", "fetch, look into, export and refresh bundles", `  vitrine bundle show app.tar.gz.vitrine`,
		newBundleFetch(c), newBundleShow(c), newBundleExport(c), newBundleRefresh(c))
}

// shown is one statement of a bundle, for `vitrine bundle show`.
type shown struct {
	Statement  digest.Digest       `json:"statement"`
	Type       string              `json:"type"`
	KeyID      digest.Digest       `json:"keyid"`
	Subjects   []statement.Subject `json:"subjects"`
	Release    *statement.Release  `json:"release,omitempty"`
	Origin     string              `json:"origin"`
	Index      int64               `json:"index"`
	Size       int64               `json:"size"` // entries under the checkpoint
	Signatures []string            `json:"signatures"`
}

func show(l proof.Logged) shown {
	st := l.Envelope.Statement()
	s := shown{
		Statement: l.Envelope.Digest(), Type: st.PredicateType, KeyID: l.Envelope.KeyID(), Subjects: st.Subject,
		Origin: l.Proof.Checkpoint.Origin, Index: l.Proof.Index, Size: l.Proof.Checkpoint.Size,
	}
	if r, err := st.Release(); err == nil {
		s.Release = r
	}
	for _, sig := range l.Proof.Checkpoint.Signatures {
		s.Signatures = append(s.Signatures, sig.Name)
	}
	return s
}

func newBundleShow(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show BUNDLE",
		Short: "show what a bundle claims, without judging it",
		Long: `Show the statements of a bundle and where they are said to stand.
Nothing is verified: use vitrine verify for that.`,
		Example: `  vitrine bundle show app.tar.gz.vitrine`,
		Args:    operands("BUNDLE"),
		RunE: func(_ *cobra.Command, args []string) error {
			b, err := readBundle(args[0])
			if err != nil {
				return err
			}
			all := []shown{}
			for _, l := range b.Statements {
				all = append(all, show(l))
			}
			return c.result(all, func() {
				for _, s := range all {
					c.showStatement(s)
				}
				c.say("nothing of this is verified; use vitrine verify")
			})
		},
	}
	c.jsonFlag(cmd)
	return cmd
}

func (c *console) showStatement(s shown) {
	c.row("statement", s.Statement.String())
	c.row("type", oneLine(s.Type))
	if r := s.Release; r != nil {
		c.row("product", oneLine(r.Product))
		c.row("version", oneLine(r.Version))
		if r.Channel != "" {
			c.row("channel", fmt.Sprintf("%s, number %d", r.Channel, r.Seq))
		}
		c.row("published", r.Published.Format(time.RFC3339))
	}
	for _, sub := range s.Subjects {
		c.row("file", sub.Digest["sha256"]+"  "+oneLine(sub.Name))
	}
	c.row("signed by", s.KeyID.String())
	c.row("log", fmt.Sprintf("%s, entry %d of %d", oneLine(s.Origin), s.Index, s.Size))
	for _, name := range s.Signatures {
		c.row("signature", oneLine(name))
	}
}

// exportFlags are the flags of `vitrine bundle export`.
type exportFlags struct {
	sigstore                  bool
	statement, policy         string
	out, trustedRoot, keyFile string
}

func newBundleExport(c *console) *cobra.Command {
	var e exportFlags
	cmd := &cobra.Command{
		Use:   "export --sigstore BUNDLE",
		Short: "write a bundle in the form that cosign and sigstore-go read",
		Long: `Write one statement of a bundle as a Sigstore bundle v0.3, and beside it what
cosign needs to verify it offline: a trusted root and the vendor's public key.
The keys come from a policy, which is found as vitrine verify finds it.`,
		Example: `  vitrine bundle export --sigstore app.tar.gz.vitrine --policy vitrine-policy.toml -o app.sigstore.json --trusted-root root.json --key-out vendor-key.pem`,
		Args:    operands("BUNDLE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !e.sigstore {
				return usage(cmd, errors.New("--sigstore is missing: it is the one form there is"))
			}
			return c.export(args[0], &e)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&e.sigstore, "sigstore", false, "write a Sigstore bundle v0.3")
	f.StringVarP(&e.out, "out", "o", "-", "`file` to write")
	f.StringVar(&e.trustedRoot, "trusted-root", "", "write the trusted root to this `file`")
	f.StringVar(&e.keyFile, "key-out", "", "write the signer's public key to this `file`")
	f.StringVar(&e.statement, "statement", "", "which statement (`digest`), where there are several")
	f.StringVar(&e.policy, "policy", "", "policy `file` with the keys")
	return cmd
}

func (c *console) export(path string, e *exportFlags) error {
	b, err := readBundle(path)
	if err != nil {
		return err
	}
	p, err := readPolicy(e.policy)
	if err != nil {
		return err
	}
	l, err := choose(b, e.statement)
	if err != nil {
		return fmt.Errorf("bundle %s: %w", path, err)
	}
	k, log, err := trusted(p, l)
	if err != nil {
		return withHint(fmt.Errorf("bundle %s: %w", path, err), "name the policy that trusts it with --policy")
	}
	raw, err := proof.Sigstore(l, k.Key, log.Key)
	if err != nil {
		return fmt.Errorf("bundle %s: %w", path, err)
	}
	type file struct {
		path string
		data []byte
	}
	files := []file{{e.out, raw}}
	if e.trustedRoot != "" {
		root, err := trustedRoot(l, log)
		if err != nil {
			return err
		}
		files = append(files, file{e.trustedRoot, root})
	}
	if e.keyFile != "" {
		files = append(files, file{e.keyFile, k.Key.PEM()})
	}
	for _, f := range files {
		if err := c.output(f.path, f.data, true); err != nil {
			return err
		}
	}
	return nil
}

// trustedRoot trusts the log from the day of the release on.
func trustedRoot(l *proof.Logged, log tlog.PolicyLog) ([]byte, error) {
	from := time.Unix(0, 0).UTC()
	if r, err := l.Envelope.Statement().Release(); err == nil {
		from = r.Published
	}
	return proof.TrustedRoot(log.Key, "https://"+log.Key.Name(), from.Format(time.RFC3339))
}

// choose finds the statement that is asked for, or the only one.
func choose(b *proof.Bundle, want string) (*proof.Logged, error) {
	if want == "" {
		if len(b.Statements) != 1 {
			return nil, withHint(fmt.Errorf("it holds %d statements", len(b.Statements)), "choose one with --statement; vitrine bundle show lists them")
		}
		return &b.Statements[0], nil
	}
	for i, l := range b.Statements {
		if l.Envelope.Digest().String() == want {
			return &b.Statements[i], nil
		}
	}
	return nil, fmt.Errorf("it holds no statement %.80q", want)
}

// trusted finds the keys that a policy has for a statement and its log, and
// checks that the statement is signed and stands where the proof says.
func trusted(p *verdict.Policy, l *proof.Logged) (*verdict.Signer, tlog.PolicyLog, error) {
	var signer *verdict.Signer
	for i, s := range p.Signers {
		if s.Key.ID() == l.Envelope.KeyID() {
			signer = &p.Signers[i]
		}
	}
	if signer == nil {
		return nil, tlog.PolicyLog{}, fmt.Errorf("the policy does not know the key %s", l.Envelope.KeyID())
	}
	if err := l.Verify(signer.Key); err != nil {
		return nil, tlog.PolicyLog{}, err
	}
	for _, log := range p.Log.Logs {
		if log.Key.Type() != tlog.Ed25519 {
			continue // Sigstore knows logs by a plain Ed25519 key only
		}
		if _, err := log.Key.Verify(l.Proof.Checkpoint); err == nil {
			return signer, log, nil
		}
	}
	return nil, tlog.PolicyLog{}, fmt.Errorf("the policy knows no log that signed its checkpoint (%s)", l.Proof.Checkpoint.Origin)
}
