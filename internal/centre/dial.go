package centre

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Bounds of talking to other nodes. What is read of an answer is bounded by
// whoever reads it.
const (
	maxHosts          = 1024
	peerDial          = 10 * time.Second
	peerHandshake     = 10 * time.Second
	peerHeaders       = 30 * time.Second // until an answer begins
	peerIdle          = 90 * time.Second // that a connection is kept without a request
	peerConns         = 16               // at once to one node
	maxPeerHeaderSize = 32 << 10
)

// hosts says where names are reached in place of what DNS says.
type hosts map[string]netip.AddrPort

// parseHosts reads lines of the form name=address or name=address:port.
func parseHosts(lines []string) (hosts, error) {
	if len(lines) > maxHosts {
		return nil, fmt.Errorf("more than %d names", maxHosts)
	}
	h := hosts{}
	for _, l := range lines {
		name, where, _ := strings.Cut(l, "=")
		if !hostName(name) {
			return nil, fmt.Errorf("%.80q does not begin with a lower-case DNS name and =", l)
		}
		if _, ok := h[name]; ok {
			return nil, fmt.Errorf("%s stands twice", name)
		}
		at, err := netip.ParseAddrPort(where)
		if err != nil {
			var a netip.Addr
			a, err = netip.ParseAddr(where)
			at = netip.AddrPortFrom(a, 0)
		}
		if err != nil || at.Addr().Zone() != "" {
			return nil, fmt.Errorf("%.80q: want name=address or name=address:port, such as log.example.org=192.0.2.7 or log.example.org=[2001:db8::7]:8080", l)
		}
		h[name] = at
	}
	return h, nil
}

// address returns what to dial for host:port. A port that is configured with
// the name takes the place of the URL's.
func (h hosts) address(addr string) string {
	name, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	at, ok := h[name]
	if !ok {
		return addr
	}
	if at.Port() != 0 {
		port = strconv.Itoa(int(at.Port()))
	}
	return net.JoinHostPort(at.Addr().String(), port)
}

// dial connects to addr, or to what stands in its place.
func (h hosts) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	d := net.Dialer{Timeout: peerDial, KeepAlive: 15 * time.Second}
	return d.DialContext(ctx, network, h.address(addr))
}

// errRedirect is what a redirection ends with.
var errRedirect = errors.New("the other node answered with a redirection, which is never followed: use the URL that it leads to")

// newPeerClient returns the client with which a node talks to others. It follows
// no redirection, asks the proxies of the environment for hosts that are not
// configured, and sends no cookies; each request needs a context that ends. It
// connects to no address that a member may not name (private.go).
func newPeerClient(d *peerDialer) *http.Client {
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return errRedirect },
		Transport: &http.Transport{
			Proxy: func(r *http.Request) (*url.URL, error) {
				if _, ok := d.hosts[r.URL.Hostname()]; ok {
					return nil, nil
				}
				u, err := http.ProxyFromEnvironment(r)
				if u != nil {
					d.noteProxy(u)
				}
				return u, err
			},
			DialContext:            d.dial,
			ForceAttemptHTTP2:      true,
			TLSHandshakeTimeout:    peerHandshake,
			ResponseHeaderTimeout:  peerHeaders,
			IdleConnTimeout:        peerIdle,
			MaxConnsPerHost:        peerConns,
			MaxIdleConnsPerHost:    peerConns,
			MaxResponseHeaderBytes: maxPeerHeaderSize,
		},
	}
}
