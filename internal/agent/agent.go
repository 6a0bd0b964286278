// Package agent signs with keys that ssh-agent holds.
//
// [Signers] lists the P-256 and Ed25519 keys of an agent, [Find] picks one by
// its fingerprint. A [Signer] is a [crypto.MessageSigner]: the agent is given
// whole messages and hashes them itself, so what it signs is a signature of the
// message like any other. The private key never comes near this process; the
// agent may be a hardware token's, and may ask somebody to touch it.
//
// Each call opens a connection of its own and is bounded in time, so that an
// agent may be restarted, and a dead one is noticed.
package agent

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"vitrine.example/digest"
)

// Timeouts of one call of the agent. Signing may wait for a touch.
const (
	DefaultListTimeout = 10 * time.Second
	DefaultSignTimeout = 60 * time.Second
)

// maxKeys bounds how many keys of an agent are looked at.
const maxKeys = 1000

// Agent is where an ssh-agent listens.
type Agent struct {
	Socket string        // path of a Unix socket, as in SSH_AUTH_SOCK
	List   time.Duration // bound of listing keys; 0: [DefaultListTimeout]; past it, errors are os.ErrDeadlineExceeded
	Sign   time.Duration // bound of signing; 0: [DefaultSignTimeout]
}

// Signer signs with one key of an agent. It is safe for concurrent use.
type Signer struct {
	agent   Agent
	key     ssh.PublicKey
	pub     crypto.PublicKey
	comment string
}

// Signers returns the keys of the agent that can sign here: ECDSA P-256 and
// Ed25519. Others are passed over.
func (a Agent) Signers() ([]*Signer, error) {
	var keys []*agent.Key
	err := a.call(a.List, DefaultListTimeout, func(c agent.ExtendedAgent) (err error) {
		keys, err = c.List()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listing keys of ssh-agent: %w", err)
	}
	if len(keys) > maxKeys {
		return nil, fmt.Errorf("ssh-agent %s has %d keys, at most %d are looked at", a.Socket, len(keys), maxKeys)
	}
	var signers []*Signer
	for _, k := range keys {
		if s := a.signer(k); s != nil {
			signers = append(signers, s)
		}
	}
	return signers, nil
}

// signer returns nil for keys of other kinds: RSA, certificates, security keys
// (whose signatures cover a counter too).
func (a Agent) signer(k *agent.Key) *Signer {
	if k.Format != ssh.KeyAlgoECDSA256 && k.Format != ssh.KeyAlgoED25519 {
		return nil
	}
	key, err := ssh.ParsePublicKey(k.Blob)
	if err != nil {
		return nil
	}
	ck, ok := key.(ssh.CryptoPublicKey)
	if !ok {
		return nil
	}
	switch pub := ck.CryptoPublicKey().(type) {
	case *ecdsa.PublicKey:
		if pub.Curve != elliptic.P256() {
			return nil
		}
	case ed25519.PublicKey:
	default:
		return nil
	}
	return &Signer{agent: a, key: key, pub: ck.CryptoPublicKey(), comment: k.Comment}
}

// Find returns the key with this fingerprint: "SHA256:…" as ssh-add -l prints
// it, or the key's ID, the SHA-256 of its PKIX encoding in 64 hexadecimal digits.
func (a Agent) Find(fingerprint string) (*Signer, error) {
	signers, err := a.Signers()
	if err != nil {
		return nil, err
	}
	have := make([]string, 0, len(signers))
	for _, s := range signers {
		if fingerprint != "" && (fingerprint == s.Fingerprint() || fingerprint == s.ID().String()) {
			return s, nil
		}
		have = append(have, s.Fingerprint())
	}
	if len(have) == 0 {
		return nil, fmt.Errorf("ssh-agent %s has no ECDSA P-256 or Ed25519 key: add one with ssh-add", a.Socket)
	}
	return nil, fmt.Errorf("ssh-agent %s has no key %.80q: it has %s", a.Socket, fingerprint, strings.Join(have, ", "))
}

// Fingerprint returns the fingerprint as ssh-add -l prints it.
func (s *Signer) Fingerprint() string { return ssh.FingerprintSHA256(s.key) }

// ID returns the SHA-256 of the key's PKIX encoding.
func (s *Signer) ID() digest.Digest {
	der, err := x509.MarshalPKIXPublicKey(s.pub)
	if err != nil {
		return digest.Digest{} // of no key
	}
	return digest.Of(der)
}

// Comment returns what the agent's user calls the key. It is not authenticated.
func (s *Signer) Comment() string { return s.comment }

// Public returns an *ecdsa.PublicKey or an ed25519.PublicKey.
func (s *Signer) Public() crypto.PublicKey { return s.pub }

// Sign always fails where opts names a hash: an agent takes whole messages
// only. Without one it is [Signer.SignMessage].
func (s *Signer) Sign(rand io.Reader, message []byte, opts crypto.SignerOpts) ([]byte, error) {
	if opts != nil && opts.HashFunc() != 0 {
		return nil, errors.New("ssh-agent signs whole messages, not hashes of them")
	}
	return s.SignMessage(rand, message, opts)
}

// SignMessage has the agent sign message. opts must name the hash that goes
// with the key: SHA-256 for P-256, none for Ed25519. ECDSA signatures are
// returned in DER. The result is not verified.
func (s *Signer) SignMessage(_ io.Reader, message []byte, opts crypto.SignerOpts) ([]byte, error) {
	want := crypto.Hash(0)
	if s.key.Type() == ssh.KeyAlgoECDSA256 {
		want = crypto.SHA256
	}
	if have := hashOf(opts); have != want {
		return nil, fmt.Errorf("ssh-agent signs with %s by hash %v, not %v", s.key.Type(), want, have)
	}
	var sig *ssh.Signature
	err := s.agent.call(s.agent.Sign, DefaultSignTimeout, func(c agent.ExtendedAgent) (err error) {
		sig, err = c.Sign(s.key, message)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("signing by ssh-agent with %s: %w", s.Fingerprint(), err)
	}
	if sig.Format != s.key.Type() {
		return nil, fmt.Errorf("signing by ssh-agent with %s: signature of kind %.40q", s.Fingerprint(), sig.Format)
	}
	if want == 0 {
		return sig.Blob, nil
	}
	return ecdsaDER(sig.Blob)
}

func hashOf(opts crypto.SignerOpts) crypto.Hash {
	if opts == nil {
		return 0
	}
	return opts.HashFunc()
}

// ecdsaDER rewrites the two integers of RFC 5656 section 3.1.2 in DER.
func ecdsaDER(blob []byte) ([]byte, error) {
	var rs struct{ R, S *big.Int }
	if err := ssh.Unmarshal(blob, &rs); err != nil {
		return nil, fmt.Errorf("signature of ssh-agent: %w", err)
	}
	return asn1.Marshal(rs)
}

// call connects, calls f, and hangs up, all within timeout.
func (a Agent) call(timeout, otherwise time.Duration, f func(agent.ExtendedAgent) error) error {
	if a.Socket == "" {
		return errors.New("no socket: is SSH_AUTH_SOCK set?")
	}
	if timeout <= 0 {
		timeout = otherwise
	}
	deadline := time.Now().Add(timeout)
	conn, err := (&net.Dialer{Deadline: deadline}).Dial("unix", a.Socket)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(deadline); err != nil {
		return err
	}
	err = f(agent.NewClient(conn))
	if err != nil && !time.Now().Before(deadline) {
		return fmt.Errorf("no answer of %s within %v: %w", a.Socket, timeout, os.ErrDeadlineExceeded)
	}
	return err
}
