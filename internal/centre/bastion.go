package centre

import (
	"crypto"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"path/filepath"

	"vitrine.example/internal/bastion"
	"vitrine.example/internal/web"
	"vitrine.example/key"
)

// bastionKeyFile is made when a bastion is configured first: others know it only
// by its hash, and it signs nothing but connections.
const (
	bastionKeyFile = "keys/bastion.pem"
	maxBastions    = 8
)

func checkBastions(list []string) error {
	if len(list) > maxBastions {
		return fmt.Errorf("more than %d bastions", maxBastions)
	}
	seen := map[string]bool{}
	for _, b := range list {
		host, port, err := net.SplitHostPort(b)
		if err != nil || host == "" || port == "" || len(b) > 300 {
			return fmt.Errorf("%.80q is not host:port, such as bastion.example.org:443", b)
		}
		if seen[b] {
			return fmt.Errorf("%s stands twice", b)
		}
		seen[b] = true
	}
	return nil
}

// bastionKey reads the key for bastions, or makes it.
func bastionKey(dir string) (crypto.Signer, error) {
	path := filepath.Join(dir, bastionKeyFile)
	s, err := key.ReadPrivateFile(path)
	if !errors.Is(err, fs.ErrNotExist) {
		if err == nil {
			if _, ok := s.Public().(ed25519.PublicKey); !ok {
				err = fmt.Errorf("%s holds a key of another kind: want an Ed25519 key", path)
			}
		}
		return s, err
	}
	if s, err = key.Generate(key.Ed25519, nil); err != nil {
		return nil, err
	}
	return s, writeKey(path, s)
}

// throughBastions returns the listeners that connect out, each with a server of
// its own for the public handler.
func (n *Node) throughBastions(site http.Handler) (out []*listener, err error) {
	if len(n.cfg.Bastion) == 0 {
		return nil, nil
	}
	s, err := bastionKey(n.dir)
	if err != nil {
		return nil, fmt.Errorf("bastion key: %w", err)
	}
	for _, at := range n.cfg.Bastion {
		l, err := bastion.Listen(bastion.Options{Address: at, Key: s, Dial: n.cfg.hosts.dial, Log: n.log})
		if err != nil {
			return nil, err
		}
		srv := web.NewServer(site, n.log)
		bastion.Prepare(srv)
		out = append(out, &listener{"bastion", l, srv})
		n.log.Info("served through a bastion, whose operator has to let the key in", "bastion", at, "url", l.URL())
	}
	return out, nil
}
