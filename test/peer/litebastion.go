package peer

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// LitebastionHost is the name for which a [Litebastion] has a certificate.
const LitebastionHost = "bastion.example"

// Litebastion is a bastion of torchwood that runs.
type Litebastion struct {
	Addr   string // where LitebastionHost is
	CA     string // file of its authority
	Roots  *x509.CertPool
	Client *http.Client // reaches it by its name

	dir, program string
	cmd          *exec.Cmd
	out          bytes.Buffer
}

// StartLitebastion starts one in an empty directory that lets backends with these
// key hashes in. The caller stops it.
func StartLitebastion(ctx context.Context, dir string, hashes ...string) (*Litebastion, error) {
	program, err := Build(ctx, "filippo.io/torchwood/cmd/litebastion", "v0.9.0")
	if err != nil {
		return nil, err
	}
	b := &Litebastion{dir: dir, program: program, CA: filepath.Join(dir, "bastion.pem")}
	if b.Roots, err = Certify(dir, "bastion", LitebastionHost); err != nil {
		return nil, err
	}
	if b.Addr, err = freePort(); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "backends"), []byte(strings.Join(hashes, "\n")+"\n"), 0o600); err != nil {
		return nil, err
	}
	b.Client = &http.Client{Timeout: time.Minute, Transport: &http.Transport{DialContext: b.Dial, TLSClientConfig: &tls.Config{RootCAs: b.Roots}}}
	return b, b.Start(ctx)
}

// Dial reaches it by its name, and others as they are.
func (b *Litebastion) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	return dial(ctx, network, addr, LitebastionHost, b.Addr)
}

// Start starts it again, after Stop.
func (b *Litebastion) Start(ctx context.Context) error {
	b.cmd = exec.Command(b.program, "-listen", b.Addr, "-backends", filepath.Join(b.dir, "backends"),
		"-tls-cert", b.CA, "-tls-key", filepath.Join(b.dir, "bastion-key.pem"))
	b.cmd.Stderr = &b.out
	if err := b.cmd.Start(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, sunlightStart)
	defer cancel()
	for {
		c, err := new(net.Dialer).DialContext(ctx, "tcp", b.Addr)
		if err == nil {
			return c.Close()
		}
		select {
		case <-ctx.Done():
			b.Stop()
			return fmt.Errorf("litebastion does not listen: %w: %s", err, b.out.Bytes())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Stop kills it.
func (b *Litebastion) Stop() {
	_ = b.cmd.Process.Kill()
	_ = b.cmd.Wait()
}
