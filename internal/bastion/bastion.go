// Package bastion lets a server be reached that nobody can connect to: it
// connects out to bastions, which pass requests on to it (C2SP https-bastion).
//
// [Listen] gives a listener that makes its connections itself; [Prepare] makes a
// server ready for them, and its Serve does the rest:
//
//	l, err := bastion.Listen(bastion.Options{Address: "bastion.example:443", Key: key})
//	bastion.Prepare(srv)
//	err = srv.Serve(l)
//
// What goes through a bastion is seen by it, and can be held back and changed by
// it: serve what authenticates itself, such as witnesses, mirrors and logs.
package bastion

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	mrand "math/rand/v2"
	"net"
	"sync"
	"time"
)

// protocol is the ALPN name of connections to bastions.
const protocol = "bastion/0"

const (
	dialTimeout    = 15 * time.Second // TCP and TLS together
	firstBackoff   = time.Second
	mostBackoff    = 2 * time.Minute
	healthy        = time.Minute // after which a connection that ends is no failure
	certificateAge = 24 * time.Hour
)

// Options say which bastion, and as whom.
type Options struct {
	Address string        // host:port
	Key     crypto.Signer // Ed25519; its hash is the name under which the bastion has us
	// Dial connects; the default is a [net.Dialer]'s.
	Dial  func(ctx context.Context, network, addr string) (net.Conn, error)
	Roots *x509.CertPool   // that the bastion's certificate leads to; default: the system's
	Log   *slog.Logger     // default slog.Default()
	Now   func() time.Time // default time.Now
	// Backoff is how long is waited after the first connection that fails; the
	// default is a second. It doubles up to two minutes, and varies at random.
	Backoff time.Duration
}

func (o *Options) complete() error {
	if _, _, err := net.SplitHostPort(o.Address); err != nil {
		return fmt.Errorf("the bastion %.80q is not host:port: %w", o.Address, err)
	}
	if o.Key == nil {
		return errors.New("a bastion needs a key")
	}
	if _, ok := o.Key.Public().(ed25519.PublicKey); !ok {
		return errors.New("the key for bastions is not an Ed25519 key")
	}
	if o.Dial == nil {
		o.Dial = new(net.Dialer).DialContext
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Backoff <= 0 {
		o.Backoff = firstBackoff
	}
	return nil
}

// Hash is the name of a backend: "a lowercase hex-encoded SHA-256 hash of a
// 32-byte Ed25519 public key".
func Hash(key ed25519.PublicKey) string {
	h := sha256.Sum256(key)
	return hex.EncodeToString(h[:])
}

// Listener holds one connection to one bastion, and makes another when that
// ends. It is a [net.Listener].
type Listener struct {
	o       Options
	ctx     context.Context
	stop    context.CancelFunc
	free    chan struct{} // holds a value while there is no connection
	backoff time.Duration
	last    *conn // of the only caller of Accept
}

// Listen returns a listener. It connects when Accept is called.
func Listen(o Options) (*Listener, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	l := &Listener{o: o, free: make(chan struct{}, 1), backoff: o.Backoff}
	l.ctx, l.stop = context.WithCancel(context.Background())
	l.free <- struct{}{}
	return l, nil
}

// URL is where clients find what is served: a base URL with a slash at its end.
func (l *Listener) URL() string {
	addr := l.o.Address
	if host, port, err := net.SplitHostPort(addr); err == nil && port == "443" {
		addr = host
	}
	return "https://" + addr + "/" + Hash(l.o.Key.Public().(ed25519.PublicKey)) + "/"
}

// Addr is the bastion's address.
func (l *Listener) Addr() net.Addr { return address(l.o.Address) }

type address string

// Network implements net.Addr.
func (address) Network() string { return "tcp" }

// String implements net.Addr.
func (a address) String() string { return string(a) }

// Close lets Accept return; a connection that there is stays open.
func (l *Listener) Close() error {
	l.stop()
	return nil
}

// Accept waits until there is no connection, and makes one: again and again,
// until it can be made. Call it from one goroutine, as [http.Server.Serve] does.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case <-l.free:
	case <-l.ctx.Done():
		return nil, net.ErrClosed
	}
	l.ended()
	for {
		c, err := l.connect()
		if err == nil {
			l.o.Log.Info("connected to the bastion", "bastion", l.o.Address, "url", l.URL())
			l.last = c
			return c, nil
		}
		if !l.failed(err) {
			return nil, net.ErrClosed
		}
	}
}

// ended looks at how the last connection ended. A bastion that does not know the
// key says so only after the handshake (TLS 1.3), so that is a failure too.
func (l *Listener) ended() {
	if l.last == nil {
		return
	}
	err, lived := l.last.why(), l.o.Now().Sub(l.last.since)
	l.last = nil
	if lived >= healthy {
		l.backoff = l.o.Backoff
		l.o.Log.Info("the connection to the bastion ended", "bastion", l.o.Address, "err", err)
		return
	}
	l.failed(fmt.Errorf("the connection ended at once, as it does where the bastion does not know the key: %w", err))
}

// failed waits before the next try; it returns false where there shall be none.
func (l *Listener) failed(err error) bool {
	if l.ctx.Err() != nil {
		return false
	}
	wait := l.backoff/2 + mrand.N(l.backoff) // else all would come back at once
	l.backoff = min(2*l.backoff, mostBackoff)
	l.o.Log.Warn("connecting to the bastion", "bastion", l.o.Address, "url", l.URL(), "again", wait.Round(time.Millisecond), "err", err)
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-l.ctx.Done():
		return false
	}
}

func (l *Listener) connect() (*conn, error) {
	ctx, cancel := context.WithTimeout(l.ctx, dialTimeout)
	defer cancel()
	certificate, err := selfSigned(l.o.Key, l.o.Now())
	if err != nil {
		return nil, err
	}
	raw, err := l.o.Dial(ctx, "tcp", l.o.Address)
	if err != nil {
		return nil, err
	}
	host, _, _ := net.SplitHostPort(l.o.Address)
	// "Other TLS versions MUST be rejected, as only TLS 1.3 hides client
	// certificates from network observers."
	c := tls.Client(raw, &tls.Config{
		ServerName: host, RootCAs: l.o.Roots, Certificates: []tls.Certificate{*certificate}, Time: l.o.Now,
		MinVersion: tls.VersionTLS13, MaxVersion: tls.VersionTLS13, NextProtos: []string{protocol},
	})
	if err := c.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(err, raw.Close())
	}
	if p := c.ConnectionState().NegotiatedProtocol; p != protocol {
		return nil, errors.Join(fmt.Errorf("it is no bastion: it speaks %.20q, not %s", p, protocol), c.Close())
	}
	return &conn{Conn: c, free: l.free, since: l.o.Now()}, nil
}

// selfSigned makes "an Ed25519 certificate containing the backend public key".
func selfSigned(key crypto.Signer, now time.Time) (*tls.Certificate, error) {
	t := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "backend"},
		NotBefore: now.Add(-certificateAge), NotAfter: now.Add(certificateAge),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("making a certificate: %w", err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// conn says when it ends, and why. To the server it is no TLS connection: there
// it is the client's part.
type conn struct {
	net.Conn
	free  chan<- struct{}
	since time.Time
	once  sync.Once
	mu    sync.Mutex
	err   error
}

// Read implements net.Conn.
func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err != nil {
		c.mu.Lock()
		if c.err == nil {
			c.err = err
		}
		c.mu.Unlock()
	}
	return n, err
}

func (c *conn) why() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Close implements net.Conn.
func (c *conn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() { c.free <- struct{}{} })
	return err
}
