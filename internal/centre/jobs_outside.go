package centre

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"syscall"

	"vitrine.example/internal/recipe"
)

// maxRedirects is how often a registry may say that something is elsewhere.
const maxRedirects = 5

// outside connects to where recipes say that inputs are. A recipe is written by a
// stranger: what the operator has not configured (registries, hosts, a proxy) is
// asked only at addresses that anyone may reach.
type outside struct {
	hosts hosts
	mu    sync.Mutex
	known map[string]bool // by name of the host
}

// newOutsideClient returns the client with which inputs are fetched.
func newOutsideClient(h hosts, r recipe.Registries) *http.Client {
	o := &outside{hosts: h, known: map[string]bool{}}
	for _, list := range r {
		for _, base := range list {
			if u, err := url.Parse(base); err == nil {
				o.known[u.Hostname()] = true
			}
		}
	}
	for name := range h {
		o.known[name] = true
	}
	return &http.Client{
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if len(via) > maxRedirects {
				return fmt.Errorf("redirected more than %d times", maxRedirects)
			}
			if via[0].URL.Scheme == "https" && r.URL.Scheme != "https" {
				return errors.New("redirected from https to " + r.URL.Scheme)
			}
			return nil
		},
		Transport: &http.Transport{
			Proxy: o.proxy, DialContext: o.dial, ForceAttemptHTTP2: true, TLSHandshakeTimeout: peerHandshake,
			ResponseHeaderTimeout: peerHeaders, IdleConnTimeout: peerIdle, MaxConnsPerHost: peerConns, MaxResponseHeaderBytes: maxPeerHeaderSize,
		},
	}
}

// proxy is that of the environment, which is the operator's.
func (o *outside) proxy(r *http.Request) (*url.URL, error) {
	u, err := http.ProxyFromEnvironment(r)
	if u != nil {
		o.mu.Lock()
		o.known[u.Hostname()] = true
		o.mu.Unlock()
	}
	return u, err
}

func (o *outside) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	o.mu.Lock()
	known := o.known[host]
	o.mu.Unlock()
	if known {
		return o.hosts.dial(ctx, network, addr)
	}
	d := net.Dialer{Timeout: peerDial, Control: onlyPublic}
	return d.DialContext(ctx, network, addr)
}

// onlyPublic refuses addresses of this machine and of networks that not everyone
// can reach.
func onlyPublic(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	if a := at.Addr().Unmap(); !a.IsGlobalUnicast() || a.IsPrivate() || shared.Contains(a) || translated.Contains(a) {
		return fmt.Errorf("%s is not an address that anyone may reach; a recipe may not have it asked", a)
	}
	return nil
}

var (
	shared     = netip.MustParsePrefix("100.64.0.0/10") // RFC 6598
	translated = netip.MustParsePrefix("64:ff9b::/16")  // RFC 6052, RFC 8215: IPv4 behind a translator
)
