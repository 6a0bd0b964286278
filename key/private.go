package key

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"

	"filippo.io/mldsa"
	mldsax509 "filippo.io/mldsa/x509"
)

const privateBlock = "PRIVATE KEY"

// maxPrivate bounds a private key in PEM, in bytes.
const maxPrivate = 16 << 10

// seedSize is the length of what each kind of private key is made from.
const seedSize = 32

// Generate makes a new private key of any [Algorithm] from rand
// (crypto/rand.Reader where nil). The same random bytes give the same key.
func Generate(alg Algorithm, random io.Reader) (crypto.Signer, error) {
	if random == nil {
		random = rand.Reader
	}
	seed := make([]byte, seedSize)
	if _, err := io.ReadFull(random, seed); err != nil {
		return nil, fmt.Errorf("making %s key: %w", alg, err)
	}
	switch alg {
	case P256:
		return generateP256(random, seed)
	case Ed25519:
		return ed25519.NewKeyFromSeed(seed), nil
	case MLDSA44:
		return mldsa.NewPrivateKey(mldsa.MLDSA44(), seed)
	}
	return nil, fmt.Errorf("unknown algorithm %.40q: use %s, %s or %s", alg, P256, Ed25519, MLDSA44)
}

// generateP256 finds a scalar by rejection (FIPS 186-5 appendix A.2.2). One
// candidate in 2³² is out of range; several in a row mean a broken source.
func generateP256(random io.Reader, scalar []byte) (crypto.Signer, error) {
	for range 8 {
		if k, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), scalar); err == nil {
			return k, nil
		}
		if _, err := io.ReadFull(random, scalar); err != nil {
			return nil, fmt.Errorf("making %s key: %w", P256, err)
		}
	}
	return nil, fmt.Errorf("making %s key: the random source is broken", P256)
}

// MarshalPrivate encodes a key that [Generate] made as one PEM block "PRIVATE
// KEY" (PKCS #8, RFC 5958; ML-DSA by its seed, RFC 9881).
func MarshalPrivate(s crypto.Signer) ([]byte, error) {
	if err := checkPrivate(s); err != nil {
		return nil, err
	}
	der, err := mldsax509.MarshalPKCS8PrivateKey(s)
	if err != nil {
		return nil, fmt.Errorf("encoding private key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: privateBlock, Bytes: der}), nil
}

// ParsePrivate reads what [MarshalPrivate] writes, and `openssl genpkey`.
func ParsePrivate(text []byte) (crypto.Signer, error) {
	if len(text) > maxPrivate {
		return nil, fmt.Errorf("private key: more than %d bytes", maxPrivate)
	}
	der, err := onlyBlock(text, privateBlock)
	if err != nil {
		return nil, fmt.Errorf("private key: %w", err)
	}
	k, err := mldsax509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("private key: %w", err)
	}
	if err := checkPrivate(k); err != nil {
		return nil, err
	}
	again, err := mldsax509.MarshalPKCS8PrivateKey(k)
	if err != nil || !bytes.Equal(again, der) {
		return nil, errors.New("private key: not in the form that openssl genpkey writes, or with bytes after it")
	}
	return k.(crypto.Signer), nil
}

// checkPrivate refuses private keys that are of no use here.
func checkPrivate(k any) error {
	switch k := k.(type) {
	case *mldsa.PrivateKey:
		if p := k.PublicKey().Parameters(); p != mldsa.MLDSA44() {
			return fmt.Errorf("private key: %s is not used here: use %s", p, MLDSA44)
		}
		return nil
	case *ecdsa.PrivateKey:
		_, err := statementAlgorithm(&k.PublicKey)
		return err
	case ed25519.PrivateKey:
		if len(k) != ed25519.PrivateKeySize {
			return fmt.Errorf("ed25519 private key of %d bytes, want %d", len(k), ed25519.PrivateKeySize)
		}
		return nil
	case crypto.Signer:
		_, err := statementAlgorithm(k.Public())
		if err == nil {
			err = fmt.Errorf("private key of type %T is not in this process", k)
		}
		return err
	}
	return fmt.Errorf("a private key of type %T cannot sign", k)
}

// ReadPrivateFile reads a private key file. A file that others than its owner
// can read is refused, by name.
func ReadPrivateFile(path string) (crypto.Signer, error) {
	// Before opening: a named pipe would make us wait.
	if info, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("reading private key: %w", err)
	} else if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("reading private key %s: not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading private key: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("reading private key: %w", err)
	}
	if m := info.Mode().Perm(); m&0o077 != 0 {
		return nil, fmt.Errorf("private key %s: mode %04o lets others than its owner at it: chmod 600 it, and replace it if others had access", path, m)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxPrivate+1))
	if err != nil {
		return nil, fmt.Errorf("reading private key %s: %w", path, err)
	}
	k, err := ParsePrivate(b)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	return k, nil
}
