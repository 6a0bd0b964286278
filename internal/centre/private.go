package centre

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A circle's list names the URLs of its members, and each node asks them. A member
// could name an address that only another member's machine reaches: a router, a
// service on loopback, the metadata of a cloud. So addresses that are no public ones
// are not connected to, whatever a name resolves to, but where the operator allows
// it: `hosts` says where the name is, `private-peers` is set, the URL comes from the
// node's own witness-policy, or the node itself has such an address.

// errPrivate says that an address is not connected to.
var errPrivate = errors.New("it is no public address: where this member is to be reached there, say so with `hosts`, or set `private-peers`")

// ownKept is how long it is remembered where the own URL leads.
const ownKept = time.Minute

// reach is how far away an address is.
type reach int

const (
	world reach = iota
	site        // private networks
	machine
	nowhere // link-local, multicast and what else no member has
)

// sharedSpace is that of RFC 6598, and nat64 that of RFC 6052, which leads to IPv4.
var (
	sharedSpace = netip.MustParsePrefix("100.64.0.0/10")
	nat64       = netip.MustParsePrefix("64:ff9b::/96")
)

func reachOf(a netip.Addr) reach {
	a = a.Unmap().WithZone("")
	if nat64.Contains(a) {
		b := a.As16()
		a = netip.AddrFrom4([4]byte(b[12:]))
	}
	switch {
	case a.IsLoopback(), a.IsUnspecified():
		return machine
	case a.IsPrivate(), sharedSpace.Contains(a):
		return site
	case !a.IsGlobalUnicast():
		return nowhere
	}
	return world
}

// peerDialer connects to members.
type peerDialer struct {
	hosts   hosts
	anyhow  bool   // private-peers
	own     string // host of the own URL
	resolve func(ctx context.Context, host string) ([]netip.Addr, error)

	mu      sync.Mutex
	proxies map[string]bool // addresses of proxies that the environment names
	far     reach           // how far from the world the own URL leads
	until   time.Time       // that this is remembered
}

func newPeerDialer(c *Config) *peerDialer {
	d := &peerDialer{hosts: c.hosts, anyhow: c.PrivatePeers, proxies: map[string]bool{}}
	if u, err := url.Parse(c.URL); err == nil {
		d.own = u.Hostname()
	}
	d.resolve = func(ctx context.Context, host string) ([]netip.Addr, error) {
		return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	}
	return d
}

// named marks a request to an address that the operator has named.
type named struct{}

func withNamed(ctx context.Context) context.Context { return context.WithValue(ctx, named{}, true) }

// dial connects to addr, or to what stands in its place, unless it is an address
// that no member of a circle may name.
func (d *peerDialer) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if d.anyhow || ctx.Value(named{}) != nil || d.hosts.address(addr) != addr || d.isProxy(addr) {
		return d.hosts.dial(ctx, network, addr)
	}
	at := net.Dialer{Timeout: peerDial, KeepAlive: 15 * time.Second}
	// What is connected to is looked at, and not what the name resolved to before.
	at.ControlContext = func(ctx context.Context, _, to string, _ syscall.RawConn) error { return d.admit(ctx, to) }
	return at.DialContext(ctx, network, addr)
}

// admit refuses an address that is nearer than this node may look.
func (d *peerDialer) admit(ctx context.Context, to string) error {
	a, err := netip.ParseAddrPort(to)
	if err != nil {
		return err
	}
	switch r := reachOf(a.Addr()); {
	case r == world:
		return nil
	case r == nowhere, r > d.ownReach(ctx):
		return fmt.Errorf("connecting to %s: %w", a.Addr(), errPrivate)
	}
	return nil
}

// ownReach is how near the addresses are that the own URL leads to.
func (d *peerDialer) ownReach(ctx context.Context) reach {
	d.mu.Lock()
	defer d.mu.Unlock()
	if time.Now().Before(d.until) {
		return d.far
	}
	far := world
	if a, err := netip.ParseAddr(d.own); err == nil {
		far = reachOf(a)
	} else if at, ok := d.hosts[d.own]; ok {
		far = reachOf(at.Addr())
	} else if all, err := d.resolve(ctx, d.own); err == nil {
		for _, a := range all {
			// Many systems resolve their own name to an address of loopback, and are
			// not reached by others there.
			if r := reachOf(a); r == site || r == machine && localName(d.own) {
				far = max(far, r)
			}
		}
	}
	d.far, d.until = far, time.Now().Add(ownKept)
	return far
}

func localName(host string) bool { return host == "localhost" || strings.HasSuffix(host, ".localhost") }

func (d *peerDialer) isProxy(addr string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.proxies[addr]
}

// noteProxy remembers the address of a proxy, which is the environment's to name.
func (d *peerDialer) noteProxy(u *url.URL) {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}[u.Scheme]
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.proxies[net.JoinHostPort(u.Hostname(), port)] = true
}
