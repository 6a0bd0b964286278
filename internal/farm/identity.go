package farm

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"vitrine.example/digest"
	"vitrine.example/key"
)

// Identity is the key by which a node or a worker is known to the other side.
// There is no authority: each side knows the other's key by its ID, which is the
// SHA-256 of its PKIX encoding (docs/spec/keys.md).
type Identity struct {
	id   digest.Digest
	cert tls.Certificate
}

// NewIdentity makes the identity of a private key: a certificate that the key
// signs for itself, and in which nothing but the key counts.
func NewIdentity(k crypto.Signer) (*Identity, error) {
	if _, ok := k.Public().(ed25519.PublicKey); !ok {
		return nil, errors.New("the key of a node or worker of a farm must be an Ed25519 key")
	}
	id, err := keyID(k.Public())
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: id.String()},
		NotBefore: time.Unix(0, 0), NotAfter: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), // RFC 5280, section 4.1.2.5: no end
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, k.Public(), k)
	if err != nil {
		return nil, fmt.Errorf("making a certificate: %w", err)
	}
	return &Identity{id: id, cert: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: k}}, nil
}

// ReadIdentity reads the identity of the private key in a file.
func ReadIdentity(path string) (*Identity, error) {
	k, err := key.ReadPrivateFile(path)
	if err != nil {
		return nil, err
	}
	i, err := NewIdentity(k)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return i, nil
}

// OpenIdentity is [ReadIdentity], and makes the key where there is no file.
func OpenIdentity(path string) (*Identity, error) {
	i, err := ReadIdentity(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return i, err
	}
	if err := makeKey(path); err != nil && !errors.Is(err, fs.ErrExist) { // another process was quicker
		return nil, fmt.Errorf("making the key %s: %w", path, err)
	}
	return ReadIdentity(path)
}

// makeKey writes a new key, whole or not at all, durably, and over nothing.
func makeKey(path string) error {
	k, err := key.Generate(key.Ed25519, nil)
	if err != nil {
		return err
	}
	text, err := key.MarshalPrivate(k)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".new-key-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Link(f.Name(), path)
	}
	return errors.Join(err, os.Remove(f.Name()))
}

// ID is what the other side must know.
func (i *Identity) ID() digest.Digest { return i.id }

func keyID(pub crypto.PublicKey) (digest.Digest, error) {
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return digest.Digest{}, fmt.Errorf("encoding a public key: %w", err)
	}
	return digest.Of(der), nil
}

// errStranger is told to whom we do not know.
var errStranger = errors.New("the other side's key is not known here")

// peerOf is the key ID of the other side, once its possession is proved.
func peerOf(c *tls.ConnectionState) (digest.Digest, error) {
	if c == nil || len(c.PeerCertificates) != 1 {
		return digest.Digest{}, errors.New("want one certificate of the other side")
	}
	pub, ok := c.PeerCertificates[0].PublicKey.(ed25519.PublicKey)
	if !ok {
		return digest.Digest{}, errors.New("the other side's key is not an Ed25519 key")
	}
	return keyID(pub)
}

// ServerTLS is TLS 1.3 with clients whose key knows accepts.
func (i *Identity) ServerTLS(knows func(id digest.Digest) bool) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{i.cert}, ClientAuth: tls.RequireAnyClientCert,
		SessionTicketsDisabled: true, // whoever is taken off the list is not known again by a ticket
		VerifyConnection: func(c tls.ConnectionState) error {
			id, err := peerOf(&c)
			if err != nil {
				return err
			}
			if !knows(id) {
				return fmt.Errorf("%w: %s", errStranger, id)
			}
			return nil
		},
	}
}

// clientTLS is TLS 1.3 with the server of one key.
func (i *Identity) clientTLS(server digest.Digest) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{i.cert},
		// The name and the signer of the certificate count for nothing: its key is
		// compared below, and TLS has proved that the server holds it.
		InsecureSkipVerify: true,
		VerifyConnection: func(c tls.ConnectionState) error {
			id, err := peerOf(&c)
			if err != nil {
				return err
			}
			if id != server {
				return fmt.Errorf("%w: the server has the key %s, want %s: compare with what vitrine doctor says on the node", errStranger, id, server)
			}
			return nil
		},
	}
}
