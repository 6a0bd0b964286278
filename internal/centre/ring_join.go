package centre

import (
	"fmt"
	"slices"

	"vitrine.example/key"
	"vitrine.example/tlog"
)

// used are the texts of the keys in use, by kind.
func (k *keys) used() map[string]string {
	out := map[string]string{statementKind: string(k.statement.Public().PEM())}
	add := func(list string, s *tlog.Signer) {
		for _, kind := range keyKinds {
			if _, taken := out[kind.name]; kind.list == list && kind.typ == s.Verifier().Type() && !taken {
				out[kind.name] = s.Verifier().String()
			}
		}
	}
	add("log", k.log)
	for _, s := range k.extra {
		add("log", s)
	}
	for _, s := range k.witness {
		add("witness", s)
	}
	if k.mirror != nil {
		add("mirror", k.mirror)
	}
	return out
}

// join adds what is in the ring to the keys in use: old keys go on signing
// checkpoints beside those that took their place, so that whoever knows one of
// the two goes on.
func (k *keys) join(dir string, c *Config, now clockFunc) (err error) {
	if k.ring, err = readRing(dir, c, k.used()); err != nil {
		return err
	}
	k.spoken = []key.Public{k.own()}
	for _, r := range k.ring {
		switch {
		case r.kind.list == statementKind && r.state != KeyPrepared:
			p, err := key.ParsePublic([]byte(r.text))
			if err != nil {
				return fmt.Errorf("%s: %w", r.file, err)
			}
			k.spoken = append(k.spoken, p)
		case r.kind.list != statementKind && r.state == KeyOld:
			if err := k.alsoSign(dir, c, r, now); err != nil {
				return err
			}
		}
		if r.kind.name == "log" && (r.state == KeyOld || r.state == KeyRetired) {
			v, err := r.verifier()
			if err != nil {
				return fmt.Errorf("%s: %w", r.file, err)
			}
			k.earlier = append(k.earlier, v)
		}
	}
	return nil
}

// alsoSign has an old key sign too.
func (k *keys) alsoSign(dir string, c *Config, r ringKey, now clockFunc) error {
	s, err := nodeSigner(dir, r.file, r.kind.signerName(c.origin), r.kind.typ, now)
	if err != nil {
		return fmt.Errorf("%s key (%s): %w", r.kind.name, r.state, err)
	}
	switch r.kind.list {
	case "log":
		k.extra = append(k.extra, s)
	case "witness":
		k.witness = append(k.witness, s)
	case "mirror":
		k.mirrorOld = append(k.mirrorOld, s)
	}
	return nil
}

// mirrorSigners are the keys of the mirror, the one in use first.
func (k *keys) mirrorSigners() []*tlog.Signer {
	if k.mirror == nil {
		return nil
	}
	return append([]*tlog.Signer{k.mirror}, k.mirrorOld...)
}

// logKeys are all keys under which checkpoints of the own log are known: a
// stolen one is not among them.
func (k *keys) logKeys() []tlog.Verifier {
	out := []tlog.Verifier{k.log.Verifier()}
	for _, s := range k.extra {
		out = append(out, s.Verifier())
	}
	for _, v := range k.earlier {
		if !slices.ContainsFunc(out, v.Equal) {
			out = append(out, v)
		}
	}
	return out
}

// describe is what node.json says: each list has the keys that sign first, and
// then those that are prepared, so that others know them before they are used.
func describe(c *Config, k *keys) Info {
	with := func(list string, signing []string) []string {
		return append(append([]string{}, signing...), k.ring.texts(list, KeyPrepared)...)
	}
	statements := append([]string{string(k.own().PEM())}, k.ring.texts(statementKind, KeyOld)...)
	return Info{
		Name: c.Name, URL: c.URL, Origin: c.origin, Software: software(),
		Log: with("log", k.vkeys()), Statement: with(statementKind, statements),
		Witness: with("witness", k.witnessVkeys()), Mirror: with("mirror", k.mirrorVkeys()),
		Retired: k.ring.retired(),
	}
}

// Info returns the node's public description.
func (n *Node) Info() Info {
	if i := n.described.Load(); i != nil {
		return *i
	}
	return describe(n.cfg, n.keys)
}

// redescribe reads again which keys are prepared: they sign nothing, so that a
// node need not be started again to tell of them.
func (n *Node) redescribe() error {
	r, err := readRing(n.dir, n.cfg, n.keys.used())
	if err != nil {
		return err
	}
	k := *n.keys
	k.ring = r
	i := describe(n.cfg, &k)
	n.described.Store(&i)
	return nil
}

// verifiers are the public halves of the log's keys, the one in use first: those
// whose word is taken for what lies in the node's directory, or is shown of the
// log elsewhere.
func logVerifiers(dir string, cfg *Config) ([]tlog.Verifier, error) {
	s, err := logSigner(dir, cfg.LogKey, cfg.origin, tlog.Ed25519, nil)
	if err != nil {
		return nil, fmt.Errorf("log key: %w", err)
	}
	out := []tlog.Verifier{s.Verifier()}
	r, err := readRing(dir, cfg, map[string]string{"log": s.Verifier().String()})
	if err != nil {
		return nil, err
	}
	for _, k := range r.of("log", KeyOld, KeyRetired) {
		v, err := k.verifier()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", k.file, err)
		}
		out = append(out, v)
	}
	return out, nil
}
