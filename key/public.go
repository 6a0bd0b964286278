package key

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

const publicBlock = "PUBLIC KEY"

// maxPublic bounds a public key in PEM, in bytes.
const maxPublic = 4 << 10

// ParsePublic reads one PEM block "PUBLIC KEY" (PKIX, RFC 5280 section 4.1) and
// nothing else: the form that [Public.PEM] and `openssl pkey -pubout` write.
func ParsePublic(text []byte) (Public, error) {
	if len(text) > maxPublic {
		return Public{}, fmt.Errorf("public key: %d bytes, at most %d are allowed", len(text), maxPublic)
	}
	der, err := onlyBlock(text, publicBlock)
	if err != nil {
		return Public{}, fmt.Errorf("public key: %w", err)
	}
	return ParsePublicDER(der)
}

// ParsePublicDER reads a canonical PKIX encoding.
func ParsePublicDER(der []byte) (Public, error) {
	if len(der) > maxPublic {
		return Public{}, fmt.Errorf("public key: %d bytes, at most %d are allowed", len(der), maxPublic)
	}
	pub, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return Public{}, fmt.Errorf("public key: %w", err)
	}
	p, err := NewPublic(pub)
	if err != nil {
		return Public{}, fmt.Errorf("public key: %w", err)
	}
	if p.der != string(der) {
		return Public{}, errors.New("public key: not the canonical DER encoding (named curve, uncompressed point, no parameters beyond)")
	}
	return p, nil
}

// PEM returns the key as one PEM block "PUBLIC KEY"; nothing of the zero value.
func (p Public) PEM() []byte {
	if p.IsZero() {
		return nil
	}
	return pem.EncodeToMemory(&pem.Block{Type: publicBlock, Bytes: []byte(p.der)})
}

// onlyBlock returns the content of the one PEM block that is all of text, in
// the one form that encoders write (RFC 7468 section 3, stricttextualmsg).
func onlyBlock(text []byte, want string) ([]byte, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("no PEM block %q", want)
	}
	if block.Type != want {
		return nil, wrongBlock(block.Type, want)
	}
	if len(block.Headers) > 0 {
		return nil, fmt.Errorf("PEM block %q has headers", want)
	}
	if !bytes.Equal(pem.EncodeToMemory(block), text) {
		return nil, fmt.Errorf("PEM block %q is not all of the text, or not in lines of 64 characters: want what openssl writes, nothing before or after it", want)
	}
	return block.Bytes, nil
}

func wrongBlock(have, want string) error {
	hint := ""
	switch have {
	case "ENCRYPTED PRIVATE KEY":
		hint = "; encrypted keys are not read: keep the key in ssh-agent, or decrypt it with openssl pkcs8"
	case "EC PRIVATE KEY", "RSA PRIVATE KEY":
		hint = "; convert it with openssl pkcs8 -topk8 -nocrypt"
	case "OPENSSH PRIVATE KEY":
		hint = "; add it to ssh-agent with ssh-add instead"
	case "PRIVATE KEY":
		hint = "; this is a private key: keep it to yourself"
	}
	return fmt.Errorf("PEM block %.40q, want %q%s", have, want, hint)
}
