package centre

import (
	"crypto"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"filippo.io/mldsa"
	"golang.org/x/mod/sumdb/note"

	"vitrine.example/internal/agent"
	"vitrine.example/internal/mldsa44"
	"vitrine.example/key"
	"vitrine.example/tlog"
)

// Files of keys in a new node's directory.
const (
	keysDir          = "keys"
	logKeyFile       = "keys/log.pem"
	logMLDSAKeyFile  = "keys/log-mldsa.pem"
	statementKeyFile = "keys/statement.pem"
	witnessKeyFile   = "keys/witness.pem"
	witnessMLDSAFile = "keys/witness-mldsa.pem"
	mirrorKeyFile    = "keys/mirror.pem"
	agentPrefix      = "ssh-agent:"
)

// keys are what a node signs with.
type keys struct {
	statement *key.Signer
	log       *tlog.Signer
	extra     []*tlog.Signer // more signers of checkpoints, of the same name
	witness   []*tlog.Signer // of others' checkpoints; may be none
	mirror    *tlog.Signer   // of copies of others' logs; nil: none
	mirrorOld []*tlog.Signer // more of them, while one takes the place of another

	ring    ring            // keys that are prepared, old or retired
	spoken  []key.Public    // all that have signed statements, the one in use first
	earlier []tlog.Verifier // of the log, that may have signed checkpoints alone
}

// clockFunc gives the time or refuses.
type clockFunc func() (time.Time, error)

// loadKeys reads the keys that the configuration names. now is asked before
// each signature.
func loadKeys(dir string, c *Config, now clockFunc) (*keys, error) {
	k := &keys{}
	var err error
	if k.statement, err = statementSigner(dir, c.StatementKey); err != nil {
		return nil, fmt.Errorf("statement key: %w", err)
	}
	if k.log, err = logSigner(dir, c.LogKey, c.origin, tlog.Ed25519, now); err != nil {
		return nil, fmt.Errorf("log key: %w", err)
	}
	if c.LogMLDSAKey != "" {
		s, err := logSigner(dir, c.LogMLDSAKey, c.origin, tlog.MLDSA44Cosignature, now)
		if err != nil {
			return nil, fmt.Errorf("ML-DSA log key: %w", err)
		}
		k.extra = append(k.extra, s)
	}
	if k.mirror, err = mirrorSigner(dir, c, now); err != nil {
		return nil, fmt.Errorf("mirror key: %w", err)
	}
	if k.witness, err = witnessSigners(dir, c, now); err != nil {
		return nil, err
	}
	return k, k.join(dir, c, now)
}

func statementSigner(dir, where string) (*key.Signer, error) {
	if fingerprint, ok := strings.CutPrefix(where, agentPrefix); ok {
		s, err := agent.Agent{Socket: os.Getenv("SSH_AUTH_SOCK")}.Find(fingerprint)
		if err != nil {
			return nil, err
		}
		return key.NewSigner(s)
	}
	s, err := key.ReadPrivateFile(in(dir, where))
	if err != nil {
		return nil, err
	}
	signer, err := key.NewSigner(s)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", in(dir, where), err)
	}
	return signer, nil
}

// logSigner reads a key that signs checkpoints of the own log.
func logSigner(dir, path, origin string, typ tlog.KeyType, now clockFunc) (*tlog.Signer, error) {
	return nodeSigner(dir, path, origin, typ, now)
}

// nodeSigner reads a key of any name that signs checkpoints.
func nodeSigner(dir, path, name string, typ tlog.KeyType, now clockFunc) (*tlog.Signer, error) {
	s, err := key.ReadPrivateFile(in(dir, path))
	if err != nil {
		return nil, err
	}
	if _, ok := s.Public().(ed25519.PublicKey); ok != (typ != tlog.MLDSA44Cosignature) {
		want := map[tlog.KeyType]string{tlog.Ed25519: "an Ed25519 key", tlog.Ed25519Cosignature: "an Ed25519 key", tlog.MLDSA44Cosignature: "an ML-DSA-44 key"}[typ]
		return nil, fmt.Errorf("%s holds a key of another kind: want %s", in(dir, path), want)
	}
	if k, ok := s.(*mldsa.PrivateKey); ok {
		if s, err = mldsa44.New(k); err != nil {
			return nil, fmt.Errorf("%s: %w", in(dir, path), err)
		}
	}
	signer, err := tlog.NewSigner(name, typ, s, now)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", in(dir, path), err)
	}
	return signer, nil
}

// in resolves a path of the configuration.
func in(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

// vkeys returns the verifier keys of the checkpoint's signers, the log's own first.
func (k *keys) vkeys() []string {
	out := []string{k.log.Verifier().String()}
	for _, s := range k.extra {
		out = append(out, s.Verifier().String())
	}
	return out
}

// own returns the key that new statements are signed with.
func (k *keys) own() key.Public { return k.statement.Public() }

// clocked signs nothing while the clock is wrong, whether the signature bears
// a time or not.
type clocked struct {
	*tlog.Signer
	now clockFunc
}

// Sign implements note.Signer.
func (c clocked) Sign(text []byte) ([]byte, error) {
	if _, err := c.now(); err != nil {
		return nil, err
	}
	return c.Signer.Sign(text)
}

var _ note.Signer = clocked{}

// makeKeys writes the keys of a new node.
func makeKeys(dir string, o InitOptions) error {
	statementAlg := key.Algorithm(o.Algorithm)
	if statementAlg == "" {
		statementAlg = key.P256
	}
	if statementAlg != key.P256 && statementAlg != key.Ed25519 {
		return fmt.Errorf("statement key: algorithm %.40q is neither %s nor %s", o.Algorithm, key.P256, key.Ed25519)
	}
	wanted := []struct {
		path string
		alg  key.Algorithm
	}{
		{logKeyFile, key.Ed25519},
		{statementKeyFile, statementAlg},
		{witnessKeyFile, key.Ed25519},
		{witnessMLDSAFile, key.MLDSA44},
		{mirrorKeyFile, key.Ed25519},
	}
	if o.MLDSA {
		wanted = append(wanted, struct {
			path string
			alg  key.Algorithm
		}{logMLDSAKeyFile, key.MLDSA44})
	}
	for _, w := range wanted {
		s, err := key.Generate(w.alg, nil)
		if err == nil {
			err = writeKey(filepath.Join(dir, w.path), s)
		}
		if err != nil {
			return fmt.Errorf("making %s: %w", w.path, err)
		}
	}
	return nil
}

func writeKey(path string, s crypto.Signer) error {
	text, err := key.MarshalPrivate(s)
	if err != nil {
		return err
	}
	return writeNew(path, text, 0o600)
}

// writeNew writes a file that is not there yet, durably.
func writeNew(path string, b []byte, mode os.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
